"""Up to when windows are accepted: never beyond what the person can have seen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from support.builders import NOON, digest
from windsock.records import LedgerAction, LedgerRow, Span
from windsock.records.accepted_drift import accepted_ahead, accepted_until, reach_of

DAY = timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0)
LONG_AFTER = MIDNIGHT + 90 * DAY


def row(seq: int, action: str, at: datetime, **body: Any) -> LedgerRow:
    return LedgerRow(
        model="churn",
        action=LedgerAction(action),
        epoch=0,
        version="1",
        digest=digest("a"),
        actor="alice",
        body=body,
        seq=seq,
        at=at,
        previous=digest("0"),
    )


def accepted(seq: int, end: datetime, *, drift: bool) -> LedgerRow:
    """Return an acceptance of the day that ends at a time, two hours after it."""
    span = Span(start=end - DAY, end=end).model_dump(mode="json")
    if drift:
        return row(seq, "accept_drift", end + DAY / 12, windows=span)
    return row(seq, "accept_loss", end + DAY / 12, window=span)


@pytest.mark.parametrize("drift", [False, True])
class TestALaterRow:
    def test_of_later_changes_nothing(self, drift: bool) -> None:
        made = accepted(1, MIDNIGHT + 10 * DAY, drift=drift)
        rows = [made, row(2, "decide", made.at + timedelta(seconds=1))]
        assert reach_of(made, rows) == MIDNIGHT + 10 * DAY

    def test_of_sooner_shows_that_the_clock_was_ahead(self, drift: bool) -> None:
        made = accepted(2, MIDNIGHT + 10 * DAY, drift=drift)
        before, after = (row(seq, "decide", MIDNIGHT + 2 * DAY) for seq in (1, 3))
        assert reach_of(made, [before, made]) == MIDNIGHT + 10 * DAY
        assert reach_of(made, [before, made, after]) == MIDNIGHT + 2 * DAY
        found = accepted_until([before, made, after], digest("a"), LONG_AFTER)
        assert (found.drift if drift else found.loss) == MIDNIGHT + 2 * DAY

    def test_is_asked_for_while_the_acceptance_is_of_the_future(self, drift: bool) -> None:
        made = accepted(1, MIDNIGHT + 10 * DAY, drift=drift)
        assert accepted_ahead([made], MIDNIGHT + 5 * DAY) == made
        assert accepted_ahead([made], MIDNIGHT + 10 * DAY) is None
        again = accepted(2, MIDNIGHT + 4 * DAY, drift=drift)
        assert accepted_ahead([made, again], MIDNIGHT + 5 * DAY) is None
