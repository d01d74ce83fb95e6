"""The statements by which rows of the log become the narrow rows that are counted."""

from __future__ import annotations

EXPOSURES = (
    "(pid UBIGINT, unit UBIGINT, seen BIGINT, arm TINYINT, fallback BOOLEAN, slow BOOLEAN, "
    "number DOUBLE, word VARCHAR)"
)
OUTCOMES = (
    "(ident UBIGINT, pid UBIGINT, unit UBIGINT, seen BIGINT, event BIGINT, number DOUBLE, word VARCHAR, "
    "main BOOLEAN)"
)
TABLES = {"exposures": EXPOSURES, "outcomes": OUTCOMES, "before": OUTCOMES}
"""Columns by the kind of row; times are in microseconds since 1970."""
KEYS = {"exposures": ("pid", "seen, arm, unit"), "outcomes": ("ident", "seen, number, word")}
KEYS["before"] = KEYS["outcomes"]
"""What makes a row the same as another, and the order in which the first one counts."""
STRANGE = 2
"""In place of an arm: neither of them."""

OF_ROLLOUT = "experiment = $experiment AND epoch >= $epoch AND assigned {shadows}"
OF_CHAMPION = "assigned = 'champion'"
ARM_OF_ROLLOUT = f"""CASE
    WHEN assigned = 'champion' AND (fallback_for IS NOT NULL OR digest = $champion) THEN 0
    WHEN assigned = '{{challenger}}' AND (fallback_for IS NOT NULL OR digest = $challenger) THEN 1
    ELSE {STRANGE} END"""

TAKE_EXPOSURES = """
INSERT INTO raw_exposures
SELECT key_of(side, 'p', prediction_id),
    key_of(side, if(unit IS NULL, 'p', 'u'), coalesce(unit, prediction_id)),
    seen, arm, fallback, slow, number_of(said), word_of(said)
FROM (
    SELECT prediction_id, unit, receive_time AS seen, fallback_for IS NOT NULL AS fallback,
        coalesce(inference_ms > $slow, false) AS slow, {said} AS said, {arm} AS arm, {side} AS side
    FROM (SELECT *, coalesce(fallback_for, variant) AS assigned FROM piece)
    WHERE {where}
)"""

READ_OUTCOMES = """
CREATE OR REPLACE TABLE said AS
SELECT prediction_id, unit, event_id, receive_time AS seen, event_time AS event,
    number_of(said) AS number, word_of(said) AS word,
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

SETTLE = """
INSERT INTO new_{name}
WITH fresh AS (SELECT raw.* FROM raw_{name} AS raw {known} WHERE {mine}),
twice AS (SELECT {key} FROM fresh GROUP BY {key} HAVING count(*) > 1)
SELECT fresh.* FROM fresh ANTI JOIN twice USING ({key})
UNION ALL
(SELECT fresh.* FROM fresh SEMI JOIN twice USING ({key})
 QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) = 1)"""
MEET = """
CREATE OR REPLACE TABLE met AS SELECT pid, unit FROM kept_exposures SEMI JOIN (
    SELECT pid FROM raw_exposures UNION ALL SELECT pid FROM raw_outcomes WHERE pid IS NOT NULL) USING (pid)"""
"""Kept exposures that new rows are about; one pass over them."""
KNOWN = "ANTI JOIN (SELECT {key} FROM kept_{name} SEMI JOIN raw_{name} USING ({key})) USING ({key})"
KNOWN_EXPOSURES = "ANTI JOIN met USING (pid)"
