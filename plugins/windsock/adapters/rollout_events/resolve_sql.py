"""Which unit, and which answer, each outcome belongs to, and whether it counts."""

from __future__ import annotations

from windsock.adapters.rollout_events.engine import EXACT
from windsock.adapters.rollout_events.scope import Scope

RESOLVED = """
CREATE OR REPLACE TABLE resolved AS
SELECT *, {counts} AS counts FROM (
    SELECT ident, seen, number, word, main, unit, arm, answer, was_there, {early} AS early,
        least(event, seen) - shown AS lag, least(event, seen) - shown_before AS gap
    FROM ({by_prediction}
    UNION ALL {by_unit}))"""
"""``lag``: how long after the last exposure before it. ``gap``: how long after the unit's last exposure
in an earlier step, where it had one; an outcome by prediction id has none. ``was_there``: whether the unit
was exposed before the step."""
EARLY = "(seen + {tolerance} < first OR coalesce(event + {tolerance} < first, false))"
BY_PREDICTION = """
    SELECT o.ident, o.seen, o.event, o.number, o.word, o.main, e.unit, u.arm, u.first, o.pid AS answer,
        e.seen AS shown, NULL AS shown_before, false AS was_there
    FROM (SELECT * FROM outcomes WHERE pid IS NOT NULL AND ({which})) AS o
    JOIN (SELECT pid, unit, seen FROM exposures WHERE {which}) AS e ON o.pid = e.pid
    JOIN units AS u ON e.unit = u.unit"""
BY_UNIT = """
    SELECT o.ident, o.seen, o.event, o.number, o.word, o.main, o.unit, o.arm, o.first, {answer} AS answer,
        {shown} AS shown, {shown_before} AS shown_before, {was_there} AS was_there
    FROM (
        SELECT o.*, u.arm, u.first,
            greatest(if(o.event < o.seen - {tolerance}, o.event, o.seen), u.first) AS told
        FROM outcomes AS o JOIN units AS u ON o.unit = u.unit WHERE o.pid IS NULL AND ({which})) AS o
    {joined}"""
LATEST_ANSWER = """
    ASOF LEFT JOIN (
        SELECT unit, seen, max(pid) AS pid FROM exposures WHERE cause IS NULL AND ({which})
        GROUP BY unit, seen) AS e ON o.unit = e.unit AND o.told >= e.seen"""
"""The latest answer to the unit before what the outcome says happened."""
LATEST_EXPOSURE = """
    ASOF LEFT JOIN (SELECT DISTINCT unit, seen FROM exposures WHERE {which}) AS x
        ON o.unit = x.unit AND o.told >= x.seen
    LEFT JOIN past_units AS past ON o.unit = past.unit"""

LABELS = """
CREATE OR REPLACE TABLE labels AS
SELECT r.ident, r.seen, r.number, r.word, r.main, r.unit, r.answer, r.early, r.lag, r.gap,
    CASE WHEN e.number IS NOT NULL AND e.word IS NOT NULL
            THEN coalesce(e.word = exact_of(r.word), if(abs(r.number) < {exact}, false, NULL))
        WHEN e.number IS NOT NULL
            THEN e.number = coalesce(r.number, if(e.number IN (0, 1), truth_of(r.word), NULL))
        WHEN r.number IS NULL OR any_number(e.word) IS NOT NULL
            THEN e.word = coalesce(r.word, written_of(r.number))
        WHEN lower(r.word) NOT IN ('true', 'false') THEN false END AS correct,
    abs(e.number - r.number) AS off
FROM (SELECT * FROM resolved WHERE counts) AS r JOIN exposures AS e ON r.answer = e.pid
WHERE e.cause IS NULL AND ({which})"""
"""Whether a label means its answer. An answer that is text has no number; a whole number from 2**53 on
has its digits as word. A label that is text has its text as word, also if it is a number; a plain number has
none, and is of another kind than an answer that is a word."""
NO_LABELS = """
CREATE OR REPLACE TABLE labels (ident UBIGINT, seen BIGINT, number DOUBLE, word VARCHAR, main BOOLEAN,
    unit UBIGINT, answer UBIGINT, early BOOLEAN, lag BIGINT, gap BIGINT, correct BOOLEAN, off DOUBLE)"""

COUNTS = """
SELECT count(*) FILTER (counts),
    count(*) FILTER (NOT counts AND NOT ({carried}) AND early AND NOT was_there), {foreign},
    count(*) FILTER (NOT counts AND ({carried})),
    count(*) FILTER (NOT counts AND NOT ({carried}) AND NOT early),
    {earlier} + count(*) FILTER (NOT counts AND NOT ({carried}) AND early AND was_there)
FROM resolved WHERE main"""
CLASSES = ("counted", "early", "foreign", "carried", "late", "earlier")
FOREIGN = "(SELECT count(*) FILTER (main AND NOT ({readable})) FROM labels)"
EARLIER = """(
    SELECT count(*) FROM (SELECT * FROM outcomes WHERE main AND ({which})) AS o
        ANTI JOIN resolved USING (ident)
        LEFT JOIN past_predictions AS p ON o.pid = p.pid
        LEFT JOIN past_units AS u ON o.pid IS NULL AND o.unit = u.unit
    WHERE p.pid IS NOT NULL OR u.unit IS NOT NULL)"""
"""Outcomes of those that were exposed before the step, and not in it. What came before a unit's first
exposure in the step is of an earlier one, too, where it had one."""


def usable(window: int | None) -> str:
    """Return the condition under which an outcome that is not early may come of an exposure in the step.

    :param window: how long after an exposure, in microseconds; ``None``: for ever.
    """
    return "true" if window is None else f"(lag <= {window} AND coalesce(gap >= {window}, true))"


def statements(scope: Scope, *, which: str, tolerance: int) -> tuple[str, str]:
    """Return the statements that make ``resolved`` and ``labels``."""
    answers, windows = scope.needs_answers, bool(scope.windows)
    joined = (LATEST_ANSWER if answers else "") + (LATEST_EXPOSURE if windows else "")
    by_unit = BY_UNIT.format(
        answer="e.pid" if answers else "NULL",
        shown="x.seen" if windows else "NULL",
        shown_before="past.seen" if windows else "NULL",
        was_there="past.unit IS NOT NULL" if windows else "false",
        joined=joined.format(which=which),
        tolerance=tolerance,
        which=which,
    )
    any_metric = " OR ".join(map(usable, scope.outcome_windows)) or "true"
    resolved = RESOLVED.format(
        counts=f"NOT early AND ({any_metric})",
        early=EARLY.format(tolerance=tolerance) if scope.is_posted else "false",
        by_prediction=BY_PREDICTION.format(which=which),
        by_unit=by_unit,
    )
    return resolved, LABELS.format(which=which, exact=EXACT) if answers else NO_LABELS


def counts(scope: Scope, *, which: str, readable: str, named: str) -> str:
    """Return the query of what became of the outcomes: a number for each of :data:`CLASSES`."""
    if not scope.only_labels:
        readable = f"({readable}) OR number IS NOT NULL OR {named}"
    widest = max(scope.windows, default=None)
    return COUNTS.format(
        carried="false" if widest is None else f"coalesce(gap < {widest}, false)",
        foreign=FOREIGN.format(readable=readable) if scope.needs_answers else "0",
        earlier=EARLIER.format(which=which) if widest is not None else "0",
    )
