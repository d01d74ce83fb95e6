"""What the end-to-end tests call noise in a task's log."""

from __future__ import annotations

import pytest

from support.quiet_logs import MOST, noise_in, ours
from windsock.cli.airflow_tasks import LogLine

BLOCK = [
    LogLine(event=event, logger="windsock.task", level="info")
    for event in ("VERDICT: PASS", "WHY: made of 3 rows", "NEXT: nothing to do", "IDS: model=churn")
]
NOISE = {
    "one line twice": LogLine(event="WHY: made of 3 rows", logger="windsock.task", level="info"),
    "a library's warning": LogLine(event="falling back", logger="mlflow.tracking", level="warning"),
    "printed by warnings": LogLine(event="x.py:3: DeprecationWarning: gone soon", logger="task.stderr"),
    "a warning by our logger": LogLine(event="FutureWarning: other default", logger="windsock", level="info"),
}


def test_a_block_and_the_lines_of_airflow_are_no_noise():
    around = [
        LogLine(event="::group::Pre task execution logs"),
        LogLine(event="Filling up the DagBag", logger="airflow.dag_processing", level="info"),
        LogLine(event="::endgroup::"),
        LogLine(event="::endgroup::"),
    ]
    log = [*around, *BLOCK, LogLine(event="the window has drifted", logger="windsock.x", level="warning")]
    assert noise_in(log) == []
    assert len(ours(log)) == len(BLOCK) + 1


@pytest.mark.parametrize("added", NOISE.values(), ids=NOISE)
def test_a_line_that_is_too_much_is_named(added):
    (found,) = noise_in([*BLOCK, added])
    assert added.event in found


def test_more_lines_than_a_dozen_are_named():
    lines = [LogLine(event=f"row {number}", logger="windsock.x", level="info") for number in range(MOST - 4)]
    assert noise_in([*lines, *BLOCK]) == []
    (found,) = noise_in([*lines, LogLine(event="one more", logger="windsock"), *BLOCK])
    assert found.startswith(f"{MOST + 1} lines of ours")
