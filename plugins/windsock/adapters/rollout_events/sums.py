"""Sums over the units, as one query over exposures, outcomes and the time before.

What is kept are the sums over all units that were counted. New rows touch some units: what these come to
before the new rows is taken off, and what they come to with them is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from windsock.adapters.rollout_events.scope import BY_OUTCOME, TOLERANCE, Scope
from windsock.adapters.rollout_events.sums_sql import query_of
from windsock.records import ArmTotals, Moments, Rollout, StepTotals
from windsock.spec import RolloutMetricBlock

ARMS = ("champion", "challenger")
FIELDS = ("units", "num", "den", "pre", "num_num", "den_den", "pre_pre", "num_den", "num_pre", "den_pre")
COUNTS = ("moved", "counted", "early", "foreign")
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
SELECT *, true AS is_new FROM new_exposures
{kept}"""
KEPT_EXPOSURES = "UNION ALL SELECT *, false FROM kept_exposures SEMI JOIN touched USING (unit)"
GATHER_OUTCOMES = """
CREATE OR REPLACE TABLE outcomes AS
SELECT *, true AS is_new FROM new_outcomes
{kept}"""
KEPT_OUTCOMES = """
UNION ALL SELECT *, false FROM kept_outcomes WHERE pid IS NOT NULL AND pid IN (SELECT pid FROM exposures)
UNION ALL SELECT *, false FROM kept_outcomes WHERE pid IS NULL AND unit IN (SELECT unit FROM touched)"""


def difference(connection: Any, scope: Scope, kept: frozenset[str]) -> Numbers:
    """Return what the new rows add to the sums.

    :param connection: with ``new_exposures``, ``new_outcomes``, ``new_before``, and ``kept_`` ones of the
        kinds that are kept, as :meth:`~windsock.adapters.rollout_events.intake.Intake.settle` leaves them.
    """
    has = "exposures" in kept
    connection.execute(TOUCH.format(kept=TOUCH_KEPT if has else ""))
    connection.execute(GATHER_EXPOSURES.format(kept=KEPT_EXPOSURES if has else ""))
    connection.execute(GATHER_OUTCOMES.format(kept=KEPT_OUTCOMES if "outcomes" in kept else ""))
    _gather_before(connection, scope, "kept_before" if "before" in kept else "new_before")
    after = _sums(connection, scope, "true")
    if not has:
        return after
    before = _sums(connection, scope, "NOT is_new")
    return {name: after[name] - before[name] for name in after}


def plus(one: Mapping[str, int | float], other: Mapping[str, int | float]) -> Numbers:
    """Return the sum of two, name by name."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def totals_of(numbers: Mapping[str, int | float], rollout: Rollout, counted_until: datetime) -> StepTotals:
    """Return sums as a record."""
    scope = Scope.of(rollout)

    def said(name: str) -> int:
        return int(numbers.get(name, 0))

    return StepTotals(
        experiment=rollout.experiment,
        step=rollout.step,
        champion=_arm(numbers, "champion", scope),
        challenger=_arm(numbers, "challenger", scope),
        repeated_exposures=said("repeated_exposures"),
        repeated_outcomes=said("repeated_outcomes"),
        moved=said("moved"),
        strange=said("strange"),
        damaged=said("damaged"),
        outcomes=said("counted") - said("foreign"),
        early=said("early"),
        unknown=said("outcomes") - said("counted") - said("early"),
        unusable=said("unusable") + said("foreign"),
        counted_until=counted_until,
    )


def metrics_of(numbers: Mapping[str, int | float], arm: str, scope: Scope) -> dict[str, Moments]:
    """Return the sums of an arm's metrics."""
    found = {}
    for name in scope.plan.metrics:
        values = {field: numbers.get(f"{arm}/{name}/{field}", 0) for field in FIELDS}
        found[name] = Moments.model_validate({**values, "units": int(values["units"])})
    return found


def _arm(numbers: Mapping[str, int | float], arm: str, scope: Scope) -> ArmTotals:
    return ArmTotals(
        units=int(numbers.get(f"{arm}/units", 0)),
        exposures=int(numbers.get(f"{arm}/exposures", 0)),
        metrics=metrics_of(numbers, arm, scope),
    )


def _positive(block: RolloutMetricBlock, connection: Any) -> str:
    """Return the condition under which an outcome is a positive one of a metric."""
    import msgspec

    if block.outcome is None:
        return "coalesce(number > 0, false)"
    asked = msgspec.json.encode(block.outcome).decode()
    number, word = connection.execute(
        "SELECT number_of(text_of($asked)), word_of(text_of($asked))", {"asked": asked}
    ).fetchone()
    if number is not None:
        return f"coalesce(number = {number!r}, false)"
    return f"coalesce(word = {_literal(str(word))}, false)"


def _literal(text: str) -> str:
    """Return a text as a value of a statement; DuckDB reads no NUL within one."""
    parts = ("'" + part.replace("'", "''") + "'" for part in text.split("\0"))
    return f"({' || chr(0) || '.join(parts)})"


def _gather_before(connection: Any, scope: Scope, source: str) -> None:
    """Sum each touched unit's outcomes of the time before."""
    columns = ["unit"]
    for place, block in enumerate(scope.plan.metrics.values()):
        if block.kind == "mean":
            columns.append(f"coalesce(sum(number), 0) AS before_{place}")
        elif block.kind in BY_OUTCOME:
            positive = f"count(*) FILTER ({_positive(block, connection)})"
            columns.append(
                f"{positive if block.kind == 'rate' else f'({positive} > 0)::INT'} AS before_{place}"
            )
    connection.execute(
        f"CREATE OR REPLACE TABLE befores AS SELECT {', '.join(columns)} "  # noqa: S608 - made of known words
        f"FROM {source} SEMI JOIN touched USING (unit) GROUP BY unit"
    )


def _sums(connection: Any, scope: Scope, which: str) -> Numbers:
    """Return the sums over touched units.

    :param which: the rows that count.
    """
    blocks = list(scope.plan.metrics.values())
    positives = [
        _positive(block, connection) if block.kind in ("conversion", "rate") else "" for block in blocks
    ]
    query = query_of(blocks, positives, scope, which=which, fields=FIELDS, tolerance=TOLERANCE)
    numbers: Numbers = dict.fromkeys(COUNTS, 0)
    for statement in query.prepare:
        connection.execute(statement)
    found = {row[0]: row[1:] for row in connection.execute(query.sums).fetchall()}
    named = [f"{name}/{field}" for name in scope.plan.metrics for field in FIELDS]
    for number, arm in enumerate(ARMS):
        units, shown, moved, *sums = found.get(number, (0,) * (3 + len(named)))
        numbers |= {f"{arm}/units": units, f"{arm}/exposures": shown}
        numbers["moved"] += moved
        numbers |= {f"{arm}/{name}": value for name, value in zip(named, sums, strict=True)}
    counted = connection.execute(query.counts).fetchone()
    return numbers | dict(zip(("counted", "early", "foreign"), counted, strict=True))
