"""What becomes of labels that cannot be used, in words: counted, with what to do about it; never a value."""

from __future__ import annotations

from windsock.ports.monitoring import LabelledRows

FOREIGN, CONFLICTING = "WS-MONITORING-090", "WS-MONITORING-091"
UNDATED, BY_ORDER, UNUSABLE = "WS-MONITORING-092", "WS-MONITORING-093", "WS-MONITORING-094"
LEFT_OUT = (FOREIGN, CONFLICTING, UNDATED, BY_ORDER, UNUSABLE)


def left_out(joined: LabelledRows, foreign: int = 0) -> tuple[str, ...]:
    """Return what is to be known of labels that do not count, or that count by their place in a file alone.

    :param foreign: labels that are none of the model's classes or numbers.
    """
    counted = (
        (
            FOREIGN,
            foreign,
            "labels that are none of the model's classes or numbers",
            "send the class as the model answers it, or the number",
        ),
        (
            CONFLICTING,
            joined.conflicting,
            "answers with labels that contradict each other; none of them counts",
            "give each label the time when it was known (`label_time`), so that the later one counts",
        ),
        (
            UNDATED,
            joined.undated,
            "labels without a time that can be read",
            "write the column `label_time` as YYYY-MM-DDTHH:MM:SSZ for each of them",
        ),
        (
            BY_ORDER,
            joined.by_order,
            "answers with several labels of one time, of which the last row of the file counts",
            "name a column `label_time` that tells them apart if the rows are in another order",
        ),
        (
            UNUSABLE,
            joined.unusable,
            "labels without a prediction id, a unit or an outcome",
            "leave rows out that are not known yet, and fill in the id of the others",
        ),
    )
    return tuple(f"{code} {what}: {count:,}; {cure}" for code, count, what, cure in counted if count)
