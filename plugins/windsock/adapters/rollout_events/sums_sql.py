"""The query of :mod:`windsock.adapters.rollout_events.sums`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from windsock.adapters.rollout_events import resolve_sql as resolving
from windsock.adapters.rollout_events.scope import TOLERANCE, Scope
from windsock.records import BLAMELESS
from windsock.spec import LABELLED_KINDS, OUTCOME_KINDS, RATIO_KINDS, RolloutMetricBlock

UNITS = """
CREATE OR REPLACE TABLE units AS
SELECT unit, min(seen * 8 + arm) // 8 AS first, (min(seen * 8 + arm) % 8)::TINYINT AS arm, count(*) AS shown,
    count(*) FILTER (fallback) AS fallbacks, count(*) FILTER (slow) AS slow, count(cause) AS unanswered,
    count(*) FILTER (cause NOT IN {blameless}) AS failed,
    count(*) FILTER (pid = unit) AS unitless, min(arm) <> max(arm) AS moved
FROM exposures WHERE {which} GROUP BY unit"""
"""A unit belongs to the arm of its first exposure; of two in the same microsecond to the one with the smaller
number: the champion's, or the lane's that comes first. There is room for 8 arms. One without a name has that
of its prediction."""

CAUSES = """
SELECT u.arm, e.cause, count(*) FROM exposures AS e JOIN units AS u USING (unit)
WHERE e.cause IS NOT NULL AND ({which}) GROUP BY ALL"""

SUMS = """
WITH happened AS (SELECT unit{outcomes} FROM resolved WHERE NOT early GROUP BY unit),
{labelled}
each AS (
    SELECT u.arm, u.shown, u.moved, u.fallbacks, u.unitless{pairs}
    FROM units AS u LEFT JOIN happened AS h USING (unit) {joined}
        LEFT JOIN befores AS b USING (unit)),
weighed AS (SELECT *{weighed} FROM each)
SELECT arm, count(*), sum(shown)::BIGINT, count(*) FILTER (moved), sum(fallbacks)::BIGINT,
    sum(unitless)::BIGINT{sums}
FROM weighed GROUP BY arm"""

LABELLED = """
firsts{place} AS (
    SELECT * FROM labels WHERE {readable} AND {usable}
    QUALIFY row_number() OVER (PARTITION BY answer ORDER BY seen, ident) = 1),
labelled{place} AS (
    SELECT unit, count(correct) AS labels, count(*) FILTER (correct) AS correct,
        count(off) AS measured, coalesce(sum(off), 0) AS off
    FROM firsts{place} GROUP BY unit),"""

PAIRS = {
    "conversion": ("(coalesce(h.o{n}, 0) > 0)::INT", "1"),
    "rate": ("coalesce(h.o{n}, 0)", "u.shown"),
    "mean": ("coalesce(h.o{n}, 0)", "1"),
    "accuracy": ("coalesce(l{l}.correct, 0)", "coalesce(l{l}.labels, 0)"),
    "absolute_error": ("coalesce(l{l}.off, 0)", "coalesce(l{l}.measured, 0)"),
    "errors": ("u.fallbacks + u.failed", "u.shown"),
    "slow": ("u.slow", "u.shown - u.unanswered"),
}
"""A unit's numerator and denominator by the metric's kind."""

FIELDS = {
    "units": "count(*) FILTER (d > 0)",
    "num": "sum(n)",
    "den": "sum(d)",
    "pre": "sum(p)",
    "num_num": "sum(n * n)",
    "den_den": "sum(d * d)",
    "pre_pre": "sum(p * p)",
    "num_den": "sum(n * d)",
    "num_pre": "sum(n * p)",
    "den_pre": "sum(d * p)",
}
"""Sums over the units that have a denominator."""
LARGEST, CAPPED = "largest", "capped"
ASKED = {
    "asked_units": "count(*) FILTER (d > 0 OR a > 0)",
    "asked": "sum(a)",
    "asked_asked": "sum(a * a)",
    "num_asked": "sum(n * a)",
    "den_asked": "sum(d * a)",
}
"""Of accuracy: sums over the units with what they asked for and did not get."""
LEADING = ("units", "exposures", "moved", "fallbacks", "unitless")
"""Of each arm, before the sums of its metrics."""


class Query(NamedTuple):
    """Statements, in their order.

    :param prepare: what makes the tables that the others read.
    :param sums: a row for each arm: arm, the :data:`LEADING` ones, and the sums of each metric.
    :param causes: exposures without an answer, by arm and cause.
    :param counts: what became of the outcomes: :data:`resolve_sql.CLASSES`.
    """

    prepare: tuple[str, ...]
    sums: str
    causes: str
    counts: str


def fields_of(block: RolloutMetricBlock) -> tuple[str, ...]:
    """Return the names of a metric's sums."""
    asked = tuple(ASKED) if block.kind == "accuracy" else ()
    return (*FIELDS, LARGEST, CAPPED, *asked)


def query_of(
    blocks: Sequence[RolloutMetricBlock], positives: Sequence[str], scope: Scope, *, which: str, named: str
) -> Query:
    """Return the statements that sum over the rows of ``exposures``, ``outcomes`` and ``befores``.

    :param positives: of each metric the condition of a positive outcome, or nothing.
    :param which: which rows count.
    :param named: the condition of an outcome that is a word which a metric names.
    """
    readable = "off IS NOT NULL" if "accuracy" not in scope.kinds else "correct IS NOT NULL"
    windows = list(dict.fromkeys(scope.window(block) for block in blocks if block.kind in LABELLED_KINDS))
    outcomes, pairs, weighed, sums = "", "", "", ""
    for n, (block, positive) in enumerate(zip(blocks, positives, strict=True)):
        usable = resolving.usable(scope.window(block))
        if block.kind == "mean":
            outcomes += f", coalesce(sum(number) FILTER ({usable}), 0) AS o{n}"
        elif positive:
            outcomes += f", count(*) FILTER (({positive}) AND {usable}) AS o{n}"
        place = windows.index(scope.window(block)) if block.kind in LABELLED_KINDS else 0
        pairs += _pair(block, n, place)
        weighed += _weighed(block, n, scope.plan.unit_cap)
        sums += _metric_sums(block, n)
    places = range(len(windows))
    return Query(
        prepare=(
            UNITS.format(which=which, blameless=BLAMELESS),
            *resolving.statements(scope, which=which, tolerance=TOLERANCE),
        ),
        sums=SUMS.format(
            outcomes=outcomes,
            labelled="".join(
                LABELLED.format(place=n, readable=readable, usable=resolving.usable(windows[n]))
                for n in places
            ),
            joined=" ".join(f"LEFT JOIN labelled{n} AS l{n} USING (unit)" for n in places),
            pairs=pairs,
            weighed=weighed,
            sums=sums,
        ),
        causes=CAUSES.format(which=which),
        counts=resolving.counts(scope, which=which, readable=readable, named=named),
    )


def _pair(block: RolloutMetricBlock, n: int, place: int) -> str:
    """Return a metric's columns of a unit: numerator, denominator, asked, covariate."""
    num, den = (part.format(n=n, l=place) for part in PAIRS[block.kind])
    pre = f"coalesce(b.before_{n}, 0)" if block.kind in OUTCOME_KINDS else "0"
    asked = "u.failed" if block.kind == "accuracy" else "0"
    named = {"num": num, "den": den, "asked": asked, "p": pre}
    return "".join(f", ({value})::DOUBLE AS {name}{n}" for name, value in named.items())


def _weighed(block: RolloutMetricBlock, n: int, cap: int | None) -> str:
    """Return what counts of them: a unit with more than the cap keeps its average and loses weight."""
    weight = f" * ({cap} / greatest(den{n} + asked{n}, {cap}))" if cap and block.kind in RATIO_KINDS else ""
    return f", num{n}{weight} AS n{n}, den{n}{weight} AS d{n}, asked{n}{weight} AS a{n}"


def _metric_sums(block: RolloutMetricBlock, n: int) -> str:
    found = [_filtered(sql, n) for sql in FIELDS.values()]
    found.append(f"coalesce(max(den{n}), 0)")
    found.append(f"count(*) FILTER (d{n} < den{n})")
    if block.kind == "accuracy":
        found += [f"coalesce({_numbered(sql, n)}, 0)" for sql in ASKED.values()]
    return "".join(f", {one}" for one in found)


def _filtered(sql: str, n: int) -> str:
    told = _numbered(sql, n)
    return told if "FILTER" in told else f"coalesce({told} FILTER (d{n} > 0), 0)"


def _numbered(sql: str, n: int) -> str:
    """Return an expression over a unit's numbers as one over those of a metric."""
    import re

    return re.sub(r"\b([ndpa])\b", rf"\g<1>{n}", sql)
