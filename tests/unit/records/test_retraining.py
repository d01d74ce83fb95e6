from __future__ import annotations

from datetime import timedelta

import pytest

from support.builders import NOON, digest
from windsock.records import Episode, EpisodeState, RetrainOutcome, Span
from windsock.records.retraining import useless_in_a_row


def episodes(*outcomes: str) -> list[Episode]:
    return [
        Episode(
            model="churn",
            key=f"{number}",
            digest=digest("1"),
            trigger="drift",
            span=Span(start=NOON, end=NOON + timedelta(days=1)),
            state=EpisodeState.CLOSED,
            opened_at=NOON,
            claimed_at=NOON,
            outcome=RetrainOutcome(outcome),
        )
        for number, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("outcomes", "count"),
    [
        (["queued"], 0),
        (["queued", "queued", "queued"], 0),
        (["kept", "queued", "refused"], 2),
        (["kept", "queued"], 1),
        (["kept", "failed", "kept"], 2),
        (["kept", "promoted", "queued", "kept"], 1),
    ],
)
def test_a_version_that_waits_neither_counts_nor_breaks_the_row(outcomes: list[str], count: int) -> None:
    assert useless_in_a_row(episodes(*outcomes), digest("1")) == count
