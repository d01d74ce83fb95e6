"""Which onset a retrain may have by its claim."""

from __future__ import annotations

from datetime import timedelta

import pytest

from support.builders import make_spec
from support.retraining import DAY, MIDNIGHT, make_episode
from windsock.records import Span
from windsock.records.retrain_claims import possible_onset

WINDOWS = Span(start=MIDNIGHT, end=MIDNIGHT + 2 * DAY)
POLICY = make_spec().monitoring


def onset_of(trigger, days_before, *others):
    """Return an onset so many days before an episode's windows, and the one that a claim gives."""
    said = MIDNIGHT - days_before * DAY
    episode = make_episode("now", trigger=trigger, span=WINDOWS, onset=said)
    return said, possible_onset(POLICY, others, episode, WINDOWS.end + timedelta(hours=1))


@pytest.mark.parametrize("days_before", [0, 1, 13, 15, 28, 45])
def test_labels_that_come_late_tell_of_an_onset_long_before_the_windows(days_before):
    said, found = onset_of("performance", days_before)
    assert found == said


@pytest.mark.parametrize(
    ("trigger", "days_before"), [("performance", 150), ("performance", -3), ("drift", 15), ("drift", -3)]
)
def test_an_onset_that_cannot_have_been_is_the_start_of_the_windows(trigger, days_before):
    _, found = onset_of(trigger, days_before)
    assert found == WINDOWS.start
