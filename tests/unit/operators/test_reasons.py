from __future__ import annotations

import pytest

from support.context import make_context
from windsock.operators.reasons import by_hand, reason_of


@pytest.mark.parametrize("written", [None, "", "  ", by_hand("roll_back"), f" {by_hand('roll_back')}\n"])
def test_without_words_of_a_person_it_says_what_was_done_and_by_whom(written):
    context = make_context(None, user="ann")
    assert reason_of(context, written, "roll_back") == "rolled back by hand by ann"


def test_a_persons_words_are_kept_as_they_are():
    assert reason_of(make_context(None, user="ann"), "complaints  of users", "stop") == "complaints  of users"


@pytest.mark.parametrize(
    ("action", "done"),
    [("roll_back", "rolled back"), ("stop", "stopped"), ("pause", "paused"), ("resume", "resumed")],
)
def test_a_run_that_names_no_person_is_named_itself(action, done):
    said = reason_of(make_context(None), "", action)
    assert said == f"{done} by run run-1 of churn__daily_retrain; it names no person"
