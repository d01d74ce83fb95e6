"""Sums over the units, as one query over exposures, outcomes and the time before.

What is kept are the sums over all units that were counted. New rows touch some units: what these come to
before the new rows is taken off, and what they come to with them is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from windsock.adapters.rollout_events.asked import POSITIVE_KINDS, names_word, positive
from windsock.adapters.rollout_events.resolve_sql import CLASSES
from windsock.adapters.rollout_events.scope import Scope
from windsock.adapters.rollout_events.sums_sql import LARGEST, LEADING, fields_of, query_of
from windsock.records import ArmTotals, Moments, Rollout, StepTotals
from windsock.spec import OUTCOME_KINDS

CAUSE = "{arm}//{cause}"
"""Name of a number of exposures that got no answer; a metric's has its name between the strokes."""
Numbers = dict[str, int | float]

TOUCH = """
CREATE OR REPLACE TABLE touched AS
SELECT DISTINCT unit FROM (
    SELECT unit FROM new_exposures
    UNION ALL SELECT unit FROM new_outcomes WHERE pid IS NULL
    {kept})"""
TOUCH_KEPT = "UNION ALL SELECT unit FROM met SEMI JOIN new_outcomes USING (pid)"
GATHER_EXPOSURES = """
CREATE OR REPLACE TABLE exposures AS
SELECT *, true AS is_new, true AS stays FROM new_exposures
{kept}"""
KEPT_EXPOSURES = "UNION ALL SELECT *, false, true FROM kept_exposures SEMI JOIN touched USING (unit)"
SUPERSEDE = (
    """CREATE OR REPLACE TABLE answered AS SELECT pid, is_new FROM exposures SEMI JOIN
    (SELECT pid FROM exposures WHERE cause IS NOT NULL) USING (pid) WHERE cause IS NULL""",
    """DELETE FROM exposures
    WHERE cause IS NOT NULL AND pid IN (SELECT pid FROM answered WHERE NOT is_new)""",
    "UPDATE exposures SET stays = false WHERE cause IS NOT NULL AND pid IN (SELECT pid FROM answered)",
)
"""A kept exposure without an answer is none any more once its answer is there, a kept or a new one."""
GATHER_OUTCOMES = """
CREATE OR REPLACE TABLE outcomes AS
SELECT *, true AS is_new, true AS stays FROM new_outcomes
{kept}"""
KEPT_OUTCOMES = """
UNION ALL SELECT *, false, true FROM kept_outcomes WHERE pid IN (SELECT pid FROM exposures)
UNION ALL SELECT *, false, true FROM kept_outcomes WHERE pid IS NULL AND unit IN (SELECT unit FROM touched)"""
GATHER_PAST = (
    """CREATE OR REPLACE TABLE past_units AS
    SELECT unit, max(seen) FILTER (seen >= {began}) AS seen
    FROM {source} SEMI JOIN touched USING (unit) GROUP BY unit""",
    """CREATE OR REPLACE TABLE past_predictions AS SELECT DISTINCT pid
    FROM {source} SEMI JOIN (SELECT pid FROM outcomes WHERE pid IS NOT NULL) USING (pid)""",
)
"""Exposures before the step, of the units and predictions that new rows are about; the time of those in the
rollout."""


def difference(connection: Any, scope: Scope, kept: frozenset[str]) -> Numbers:
    """Return what the new rows add to the sums.

    :param connection: with ``new_exposures``, ``new_outcomes``, ``new_before``, and ``kept_`` ones of the
        kinds that are kept, as :meth:`~windsock.adapters.rollout_events.intake.Intake.settle` leaves them.
    """
    has = "exposures" in kept
    connection.execute(TOUCH.format(kept=TOUCH_KEPT if has else ""))
    connection.execute(GATHER_EXPOSURES.format(kept=KEPT_EXPOSURES if has else ""))
    for statement in SUPERSEDE if has else ():
        connection.execute(statement)
    connection.execute(GATHER_OUTCOMES.format(kept=KEPT_OUTCOMES if "outcomes" in kept else ""))
    _gather_before(connection, scope, "kept_before" if "before" in kept else "new_before")
    if scope.windows:
        past = "kept_past" if "past" in kept else "new_past"
        for statement in GATHER_PAST:
            connection.execute(statement.format(source=past, began=scope.began))
    after = _sums(connection, scope, "stays")
    if not has and "outcomes" not in kept:
        return after
    before = _sums(connection, scope, "NOT is_new")
    # a largest one of units that nothing touched is still in what is kept
    return plus(after, {name: 0 if is_largest(name) else -value for name, value in before.items()})


def plus(one: Mapping[str, int | float], other: Mapping[str, int | float]) -> Numbers:
    """Return the sum of two, name by name; of a largest one the larger."""
    return {name: _joined(name, one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def is_largest(name: str) -> bool:
    """Return whether a number is not a sum over units but the largest of one."""
    return name.endswith(f"/{LARGEST}")


def _joined(name: str, one: int | float, other: int | float) -> int | float:
    return max(one, other) if is_largest(name) else one + other


def totals_of(numbers: Mapping[str, int | float], rollout: Rollout, counted_until: datetime) -> StepTotals:
    """Return sums as a record."""
    scope = Scope.of(rollout)
    champion, challenger, *others = (_arm(numbers, arm, scope) for arm in scope.arms)

    def said(name: str) -> int:
        return int(numbers.get(name, 0))

    known = sum(map(said, ("counted", "early", "earlier", "carried", "late")))
    return StepTotals(
        experiment=rollout.experiment,
        step=rollout.step,
        champion=champion,
        challenger=challenger,
        others=tuple(others),
        repeated_exposures=said("repeated_exposures"),
        repeated_outcomes=said("repeated_outcomes"),
        reused=said("reused"),
        unitless=sum(said(f"{arm}/unitless") for arm in scope.arms[: 1 if scope.is_shadow else None]),
        moved=said("moved"),
        strange=said("strange"),
        damaged=said("damaged"),
        outcomes=said("counted") - said("foreign"),
        early=said("early"),
        earlier=said("earlier"),
        carried=said("carried"),
        late=said("late"),
        unknown=said("outcomes") - known,
        unusable=said("unusable") + said("foreign"),
        counted_until=counted_until,
    )


def metrics_of(numbers: Mapping[str, int | float], arm: str, scope: Scope) -> dict[str, Moments]:
    """Return the sums of an arm's metrics."""
    found = {}
    for name, block in scope.plan.metrics.items():
        values = {field: numbers.get(f"{arm}/{name}/{field}", 0) for field in fields_of(block)}
        whole = {field: int(values[field]) for field in ("units", "capped", "asked_units") if field in values}
        found[name] = Moments.model_validate({**values, **whole})
    return found


def _arm(numbers: Mapping[str, int | float], arm: str, scope: Scope) -> ArmTotals:
    begin = CAUSE.format(arm=arm, cause="")
    causes = {
        name.removeprefix(begin): int(value) for name, value in numbers.items() if name.startswith(begin)
    }
    return ArmTotals(
        units=int(numbers.get(f"{arm}/units", 0)),
        exposures=int(numbers.get(f"{arm}/exposures", 0)),
        fallbacks=int(numbers.get(f"{arm}/fallbacks", 0)),
        unanswered={cause: number for cause, number in sorted(causes.items()) if number},
        metrics=metrics_of(numbers, arm, scope),
    )


def _gather_before(connection: Any, scope: Scope, source: str) -> None:
    """Sum each touched unit's outcomes of the time before."""
    columns = ["unit"]
    for place, block in enumerate(scope.plan.metrics.values()):
        if block.kind == "mean":
            columns.append(f"coalesce(sum(number), 0) AS before_{place}")
        elif block.kind in OUTCOME_KINDS:
            number = f"count(*) FILTER ({positive(block, connection)})"
            columns.append(f"{number if block.kind == 'rate' else f'({number} > 0)::INT'} AS before_{place}")
    connection.execute(
        f"CREATE OR REPLACE TABLE befores AS SELECT {', '.join(columns)} "  # noqa: S608 - made of known words
        f"FROM {source} SEMI JOIN touched USING (unit) GROUP BY unit"
    )


def _sums(connection: Any, scope: Scope, which: str) -> Numbers:
    """Return the sums over touched units.

    :param which: the rows that count.
    """
    blocks = list(scope.plan.metrics.values())
    positives = [positive(block, connection) if block.kind in POSITIVE_KINDS else "" for block in blocks]
    named = names_word(blocks, connection)
    query = query_of(blocks, positives, scope, which=which, named=named)
    numbers: Numbers = {}
    for statement in query.prepare:
        connection.execute(statement)
    found = {row[0]: row[1:] for row in connection.execute(query.sums).fetchall()}
    fields = {name: fields_of(block) for name, block in scope.plan.metrics.items()}
    columns = [*LEADING, *(f"{name}/{field}" for name in fields for field in fields[name])]
    for number, arm in enumerate(scope.arms):
        values = found.get(number, (0,) * len(columns))
        numbers |= {f"{arm}/{name}": value for name, value in zip(columns, values, strict=True)}
    numbers["moved"] = sum(numbers.pop(f"{arm}/moved") for arm in scope.arms)
    for number, cause, rows in connection.execute(query.causes).fetchall():
        numbers[CAUSE.format(arm=scope.arms[number], cause=cause)] = rows
    counted = connection.execute(query.counts).fetchone()
    return numbers | dict(zip(CLASSES, counted, strict=True))
