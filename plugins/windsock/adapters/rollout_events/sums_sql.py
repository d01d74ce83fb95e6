"""The query of :mod:`windsock.adapters.rollout_events.sums`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from windsock.adapters.rollout_events.scope import BY_OUTCOME, Scope
from windsock.spec import RolloutMetricBlock

UNITS = """
CREATE OR REPLACE TABLE units AS
SELECT unit, min(seen * 2 + arm) // 2 AS first, (min(seen * 2 + arm) % 2)::TINYINT AS arm, count(*) AS shown,
    count(*) FILTER (fallback) AS errors, count(*) FILTER (slow) AS slow, min(arm) <> max(arm) AS moved
FROM exposures WHERE {which} GROUP BY unit"""
"""A unit belongs to the arm of its first exposure; of two in the same microsecond to the champion's."""

RESOLVED = """
CREATE OR REPLACE TABLE resolved AS
SELECT ident, seen, event, number, word, main, unit, arm, answer, {early} AS early FROM (
    SELECT o.ident, o.seen, o.event, o.number, o.word, o.main, e.unit, u.arm, u.first, o.pid AS answer
    FROM (SELECT * FROM outcomes WHERE pid IS NOT NULL AND ({which})) AS o
    JOIN (SELECT pid, unit FROM exposures WHERE {which}) AS e ON o.pid = e.pid
    JOIN units AS u ON e.unit = u.unit
    UNION ALL
    {by_unit})"""
EARLY = "seen < first OR coalesce(event + {tolerance} < first, false)"
BY_UNIT = """SELECT o.ident, o.seen, o.event, o.number, o.word, o.main, o.unit, u.arm, u.first, NULL AS answer
    FROM (SELECT * FROM outcomes WHERE pid IS NULL AND ({which})) AS o JOIN units AS u ON o.unit = u.unit"""
BY_UNIT_ANSWER = """
    SELECT o.ident, o.seen, o.event, o.number, o.word, o.main, o.unit, o.arm, o.first, e.pid AS answer
    FROM (
        SELECT o.*, u.arm, u.first,
            greatest(if(o.event < o.seen - {tolerance}, o.event, o.seen), u.first) AS told
        FROM outcomes AS o JOIN units AS u ON o.unit = u.unit WHERE o.pid IS NULL AND ({which})) AS o
    ASOF JOIN (SELECT unit, seen, max(pid) AS pid FROM exposures WHERE {which} GROUP BY unit, seen) AS e
        ON o.unit = e.unit AND o.told >= e.seen"""
"""The latest answer to the unit before what the outcome says happened."""

LABELS = """
CREATE OR REPLACE TABLE labels AS
SELECT r.ident, r.seen, r.main, r.unit, r.answer,
    CASE WHEN e.number IS NOT NULL
            THEN e.number = coalesce(r.number, if(e.number IN (0, 1), truth_of(r.word), NULL))
        ELSE e.word = r.word END AS correct,
    abs(e.number - r.number) AS off
FROM (SELECT * FROM resolved WHERE NOT early) AS r JOIN exposures AS e ON r.answer = e.pid WHERE {which}"""

NO_LABELS = """
CREATE OR REPLACE TABLE labels (ident UBIGINT, seen BIGINT, main BOOLEAN, unit UBIGINT, answer UBIGINT,
    correct BOOLEAN, off DOUBLE)"""

SUMS = """
WITH happened AS (SELECT unit{outcomes} FROM resolved WHERE NOT early GROUP BY unit),
firsts AS (
    SELECT * FROM labels WHERE {readable}
    QUALIFY row_number() OVER (PARTITION BY answer ORDER BY seen, ident) = 1),
labelled AS (
    SELECT unit, count(correct) AS labels, count(*) FILTER (correct) AS correct,
        count(off) AS measured, coalesce(sum(off), 0) AS off
    FROM firsts GROUP BY unit),
each AS (
    SELECT u.arm, u.shown, u.moved{pairs}
    FROM units AS u LEFT JOIN happened AS h USING (unit) LEFT JOIN labelled AS l USING (unit)
        LEFT JOIN befores AS b USING (unit))
SELECT arm, count(*), sum(shown)::BIGINT, count(*) FILTER (moved){sums} FROM each GROUP BY arm"""

COUNTS = """
SELECT (SELECT count(*) FILTER (main AND NOT early) FROM resolved),
    (SELECT count(*) FILTER (main AND early) FROM resolved),
    {foreign}"""

FOREIGN = "(SELECT count(*) FILTER (main AND NOT ({readable})) FROM labels)"

PAIRS = {
    "conversion": ("(coalesce(h.o{n}, 0) > 0)::INT", "1"),
    "rate": ("coalesce(h.o{n}, 0)", "u.shown"),
    "mean": ("coalesce(h.o{n}, 0)", "1"),
    "accuracy": ("coalesce(l.correct, 0)", "coalesce(l.labels, 0)"),
    "absolute_error": ("coalesce(l.off, 0)", "coalesce(l.measured, 0)"),
    "errors": ("u.errors", "u.shown"),
    "slow": ("u.slow", "u.shown"),
}
"""A unit's numerator and denominator by the metric's kind."""
PRODUCTS = {"num_num": "n * n", "den_den": "d * d", "pre_pre": "p * p"}
PRODUCTS |= {"num_den": "n * d", "num_pre": "n * p", "den_pre": "d * p"}


class Query(NamedTuple):
    """Statements, in their order.

    :param prepare: what makes the tables that the others read.
    :param sums: a row for each arm: arm, units, exposures, moved units, and the sums of each metric.
    :param counts: outcomes that count, early ones, and labels of another kind than their answers.
    """

    prepare: tuple[str, ...]
    sums: str
    counts: str


def query_of(
    blocks: Sequence[RolloutMetricBlock],
    positives: Sequence[str],
    scope: Scope,
    *,
    which: str,
    fields: Sequence[str],
    tolerance: int,
) -> Query:
    """Return the statements that sum over the rows of ``exposures``, ``outcomes`` and ``befores``.

    :param positives: of each metric the condition of a positive outcome, or nothing.
    :param which: which rows count.
    """
    early = f"({EARLY.format(tolerance=tolerance)})" if scope.is_posted else "false"
    by_unit = BY_UNIT_ANSWER if scope.needs_answers else BY_UNIT
    readable = "off IS NOT NULL" if "accuracy" not in scope.kinds else "correct IS NOT NULL"
    prepare = (
        UNITS.format(which=which),
        RESOLVED.format(early=early, which=which, by_unit=by_unit.format(which=which, tolerance=tolerance)),
        LABELS.format(which=which) if scope.needs_answers else NO_LABELS,
    )
    outcomes, pairs, sums = "", "", ""
    for n, (block, positive) in enumerate(zip(blocks, positives, strict=True)):
        if block.kind == "mean":
            outcomes += f", coalesce(sum(number), 0) AS o{n}"
        elif positive:
            outcomes += f", count(*) FILTER ({positive}) AS o{n}"
        num, den = (part.format(n=n) for part in PAIRS[block.kind])
        pre = f"coalesce(b.before_{n}, 0)" if block.kind in BY_OUTCOME else "0"
        pairs += f", ({num})::DOUBLE AS n{n}, ({den})::DOUBLE AS d{n}, ({pre})::DOUBLE AS p{n}"
        sums += "".join(f", {_sum(field, n)}" for field in fields)
    foreign = FOREIGN.format(readable=readable) if scope.only_labels else "0"
    return Query(
        prepare=prepare,
        sums=SUMS.format(outcomes=outcomes, readable=readable, pairs=pairs, sums=sums),
        counts=COUNTS.format(foreign=foreign),
    )


def _sum(field: str, n: int) -> str:
    if field == "units":
        return f"count(*) FILTER (d{n} > 0)"
    told = {"num": "n", "den": "d", "pre": "p"}.get(field) or PRODUCTS[field]
    of = " ".join(f"{word}{n}" if word in ("n", "d", "p") else word for word in told.split())
    return f"coalesce(sum({of}) FILTER (d{n} > 0), 0)"
