"""The statements by which rows of the log become the narrow rows that are counted."""

from __future__ import annotations

from windsock.adapters.rollout_events.scope import Scope
from windsock.records import MOST_CHALLENGERS, WITHDRAWN

COLUMNS = {
    "exposures": {
        "pid": "UBIGINT",
        "unit": "UBIGINT",
        "seen": "BIGINT",
        "arm": "TINYINT",
        "fallback": "BOOLEAN",
        "slow": "BOOLEAN",
        "number": "DOUBLE",
        "word": "VARCHAR",
        "cause": "VARCHAR",
    },
    "outcomes": {
        "ident": "UBIGINT",
        "pid": "UBIGINT",
        "unit": "UBIGINT",
        "seen": "BIGINT",
        "event": "BIGINT",
        "number": "DOUBLE",
        "word": "VARCHAR",
        "main": "BOOLEAN",
    },
}
COLUMNS["before"] = COLUMNS["outcomes"]
COLUMNS["past"] = {name: COLUMNS["exposures"][name] for name in ("pid", "unit", "seen")}
"""Columns by the kind of row; times are in microseconds since 1970. ``cause`` is null where there is an
answer. Files of before may lack the newest ones: they are read as null."""
STRANGE = 1 + MOST_CHALLENGERS
"""In place of an arm, whose number is smaller: none of them. Such rows are never kept."""

OF_ROLLOUT = """experiment = $experiment AND epoch >= $epoch AND assigned {shadows}
    AND coalesce(cause <> 'dropped', true)"""
"""A shadow that had no place for a row was not tried with it."""
OF_CHAMPION = "assigned = 'champion'"
ARM = """
    WHEN if(fallback_for IS NULL, variant = '{variant}' AND digest = $bundle{number},
        fallback_for IN ({names})) THEN {number}"""
"""All challengers are of one variant: the bundle tells them apart, and in ``fallback_for`` the arm's name."""

TAKE_PAST = """
INSERT INTO new_past
SELECT key_of('{side}', 'p', prediction_id),
    key_of('{side}', if(unit IS NULL, 'p', 'u'), coalesce(unit, prediction_id)), receive_time
FROM (SELECT *, coalesce(fallback_for, variant) AS assigned FROM piece)
WHERE assigned <> 'shadow' AND coalesce(experiment <> $experiment OR epoch < $epoch, true)"""

TAKE_EXPOSURES = """
INSERT INTO raw_exposures
SELECT key_of(side, 'p', prediction_id),
    key_of(side, if(unit IS NULL, 'p', 'u'), coalesce(unit, prediction_id)),
    seen, arm, fallback, slow, answer_number(said), answer_word(said), cause
FROM (
    SELECT prediction_id, unit, receive_time AS seen, fallback_for IS NOT NULL AS fallback,
        coalesce(inference_ms > $slow, false) AS slow, {said} AS said, {arm} AS arm, {side} AS side, cause
    FROM (SELECT *, coalesce(fallback_for, variant) AS assigned FROM piece)
    WHERE {where}
)"""

READ_OUTCOMES = """
CREATE OR REPLACE TABLE said AS
SELECT prediction_id, unit, event_id, receive_time AS seen, event_time AS event,
    number_of(said) AS number, {word} AS word,
    prediction_id IS NOT NULL OR (unit IS NOT NULL AND event_id IS NOT NULL) AS named
FROM (SELECT *, text_of(outcome) AS said FROM piece)"""

TAKE_OUTCOMES = """
INSERT INTO raw_{to}
SELECT CASE
        WHEN event_id IS NULL THEN key_of('{side}', 'p', prediction_id)
        WHEN unit IS NULL
            THEN key_of('{side}', 'f', length(prediction_id) || ':' || prediction_id || event_id)
        ELSE key_of('{side}', 'e', length(unit) || ':' || unit || event_id) END,
    key_of('{side}', 'p', prediction_id), key_of('{side}', 'u', unit), seen, event, number, word, {main}
FROM said WHERE {usable}"""

SETTLE_OUTCOMES = """
INSERT INTO new_{name}
WITH fresh AS (SELECT raw.* FROM raw_{name} AS raw {known}),
twice AS (SELECT ident FROM fresh GROUP BY ident HAVING count(*) > 1)
SELECT fresh.* FROM fresh ANTI JOIN twice USING (ident)
UNION ALL
(SELECT fresh.* FROM fresh SEMI JOIN twice USING (ident)
 QUALIFY row_number() OVER (PARTITION BY ident ORDER BY seen, number, word) = 1)"""
KNOWN = "ANTI JOIN (SELECT ident FROM kept_{name} SEMI JOIN raw_{name} USING (ident)) USING (ident)"

MEET = """
CREATE OR REPLACE TABLE met AS
SELECT pid, any_value(unit) AS unit, min(seen) AS seen, min(arm) AS arm, bool_or(cause IS NULL) AS answered
FROM kept_exposures SEMI JOIN (
    SELECT pid FROM raw_exposures UNION ALL SELECT pid FROM raw_outcomes WHERE pid IS NOT NULL) USING (pid)
GROUP BY pid"""
"""Kept exposures that new rows are about; one pass over them."""
MEET_NONE = """
CREATE OR REPLACE TABLE met (pid UBIGINT, unit UBIGINT, seen BIGINT, arm TINYINT, answered BOOLEAN)"""

AGAIN = f"""
CREATE OR REPLACE TABLE again AS
WITH twice AS (
    SELECT pid FROM raw_exposures WHERE arm < {STRANGE} GROUP BY pid HAVING count(*) > 1
    UNION SELECT pid FROM met SEMI JOIN raw_exposures USING (pid)),
owned AS (
    SELECT r.*, m.pid IS NOT NULL AS known, coalesce(m.answered, false) AS was_answered,
        coalesce(m.unit, first_value(r.unit) OVER w) AS owner,
        coalesce(m.seen, first_value(r.seen) OVER w) AS began,
        coalesce(m.arm, first_value(r.arm) OVER w) AS first_arm
    FROM raw_exposures AS r SEMI JOIN twice USING (pid) LEFT JOIN met AS m ON m.pid = r.pid
    WHERE r.arm < {STRANGE} WINDOW w AS (PARTITION BY r.pid ORDER BY r.seen, r.arm, r.unit)),
ordered AS (
    SELECT *, unit <> owner AS reused, was_answered OR coalesce(
        bool_or(cause IS NULL AND unit = owner) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        false) AS over
    FROM owned
    WINDOW w AS (PARTITION BY pid ORDER BY seen, arm, unit, cause NULLS FIRST, fallback, slow, number, word))
SELECT * FROM ordered"""  # noqa: S608 - no word of it comes from elsewhere
"""Rows of prediction ids that came more than once. ``owner`` is the unit of the first one. ``over``: it has
been answered before."""
SETTLE_EXPOSURES = f"""
INSERT INTO new_exposures
SELECT * FROM raw_exposures ANTI JOIN again USING (pid) WHERE arm < {STRANGE}
UNION ALL
(SELECT pid, owner, began, first_arm, fallback, slow, number, word, cause FROM again
 WHERE NOT reused AND NOT over AND NOT (known AND cause IS NOT NULL)
 QUALIFY row_number() OVER (PARTITION BY pid ORDER BY cause IS NOT NULL, seen, arm, cause) = 1)"""  # noqa: S608 - no word of it comes from elsewhere
"""One row of each prediction id: that of its first answer, with unit, time and arm of its first row."""
REPEATED = "reused OR over"


def arm_of_rollout(scope: Scope) -> str:
    """Return the expression of a row's arm: its number, or :data:`STRANGE`."""
    cases = ""
    for number, arm in enumerate(scope.arms):
        variant, names = arm, [arm]
        if number > 0:
            variant = "shadow" if scope.is_shadow else "challenger"
            names = [variant] if scope.is_shadow else [arm, f"{WITHDRAWN}{number}"]
        quoted = ", ".join(f"'{name}'" for name in names)
        cases += ARM.format(variant=variant, number=number, names=quoted)
    return f"CASE{cases}\n    ELSE {STRANGE} END"
