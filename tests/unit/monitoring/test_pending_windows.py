from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.monitoring.pending_windows import RECENT_WINDOWS, pending_windows
from windsock.records import Span, Status, WindowVerdict
from windsock.spec import MonitoringBlock

NOW = datetime(2026, 5, 3, 12, 30, tzinfo=UTC)
HOURLY = MonitoringBlock(window="1h", lateness="5m", performance_tracking=False)
BOTH = MonitoringBlock(window="1h", lateness="5m")
HOUR = NOW.replace(minute=0)


def verdict(
    end: datetime, status: Status = Status.PASS, *, kind="drift", hours: float = 1, judged_at=None
) -> WindowVerdict:
    return WindowVerdict(
        model="churn",
        kind=kind,
        window=Span(start=end - timedelta(hours=hours), end=end),
        version="1",
        digest="d",
        status=status,
        judged_at=judged_at or end,
    )


def ends(windows: tuple[Span, ...]) -> list[str]:
    return [f"{window.end:%d %H:%M}" for window in windows]


def test_closed_windows_since_the_model_went_live():
    found = pending_windows(HOURLY, [], since=NOW - timedelta(hours=3), now=NOW)
    assert ends(found) == ["03 10:00", "03 11:00", "03 12:00"]
    assert all(window.end - window.start == timedelta(hours=1) for window in found)


def test_judged_windows_are_left_out_unless_their_verdict_is_error():
    hour = NOW.replace(minute=0)
    judged = [verdict(hour), verdict(hour - timedelta(hours=1), Status.ERROR)]
    found = pending_windows(HOURLY, judged, since=NOW - timedelta(hours=3), now=NOW)
    assert ends(found) == ["03 10:00", "03 11:00"]


@pytest.mark.parametrize(
    ("performance", "waits"),
    [(None, True), (Status.ERROR, True), (Status.INSUFFICIENT, False), (Status.FAIL, False)],
)
def test_a_window_lacks_a_verdict_while_one_of_its_kinds_does(performance, waits):
    judged = [verdict(HOUR)]
    if performance:
        judged.append(verdict(HOUR, performance, kind="performance"))
    found = pending_windows(BOTH, judged, since=HOUR - timedelta(minutes=30), now=NOW)
    assert ends(found) == (["03 12:00"] if waits else [])


def test_a_verdict_by_a_clock_that_was_ahead_does_not_count():
    ahead = verdict(HOUR, Status.INSUFFICIENT, judged_at=NOW + timedelta(hours=2))
    assert ends(pending_windows(HOURLY, [ahead], since=HOUR - timedelta(minutes=30), now=NOW)) == ["03 12:00"]


def test_a_window_of_another_length_is_another_one():
    daily = verdict(HOUR, hours=24)
    assert ends(pending_windows(HOURLY, [daily], since=HOUR - timedelta(minutes=30), now=NOW)) == ["03 12:00"]


def test_a_window_is_not_closed_before_its_lateness_is_over():
    early = NOW.replace(minute=4)
    assert ends(pending_windows(HOURLY, [], since=early - timedelta(hours=1), now=early)) == []
    late = NOW.replace(minute=5)
    assert ends(pending_windows(HOURLY, [], since=early - timedelta(hours=1), now=late)) == ["03 12:00"]


def test_without_a_live_version_the_latest_window_alone():
    assert ends(pending_windows(HOURLY, [], since=None, now=NOW)) == ["03 12:00"]


def test_after_a_long_pause_all_of_them_the_oldest_first():
    found = pending_windows(HOURLY, [], since=NOW - timedelta(days=100), now=NOW)
    assert len(found) == 2400
    assert found[0].start <= NOW - timedelta(days=100) < found[0].end
    assert ends(found)[-1] == "03 12:00"


LONG_AGO = HOUR - (RECENT_WINDOWS + 3) * timedelta(hours=1)


def old_ones(*judged: WindowVerdict, block: MonitoringBlock = HOURLY) -> list[str]:
    """Return the pending ones of the three windows before the last ones."""
    found = pending_windows(block, judged, since=LONG_AGO, now=NOW)
    return ends(tuple(window for window in found if window.end <= HOUR - RECENT_WINDOWS * timedelta(hours=1)))


def test_an_old_window_is_judged_once():
    first, second, third = (LONG_AGO + number * timedelta(hours=1) for number in (1, 2, 3))
    every = [f"{end:%d %H:%M}" for end in (first, second, third)]
    assert old_ones() == every
    assert old_ones(verdict(first, Status.ERROR), verdict(third, Status.INSUFFICIENT)) == every[1:2]
    assert old_ones(verdict(first, judged_at=NOW + timedelta(hours=1))) == every
    both = [verdict(third, kind=kind) for kind in ("drift", "performance")]
    assert old_ones(*both, block=BOTH) == every[:2]
    assert old_ones(both[0], block=BOTH) == every


def test_old_time_that_windows_of_another_length_cover_is_judged():
    third = LONG_AGO + 3 * timedelta(hours=1)
    assert old_ones(verdict(third, hours=24)) == []
    first_two = [f"{third - back * timedelta(hours=1):%d %H:%M}" for back in (2, 1)]
    assert old_ones(verdict(third, hours=1.5)) == first_two
    halves = [verdict(third - back * timedelta(minutes=30), hours=0.5) for back in range(6)]
    assert old_ones(*halves) == []
    assert old_ones(*halves[:3]) == first_two


@given(
    done=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 400)), max_size=8),
    since=st.integers(0, 4000),
)
def test_old_windows_are_those_with_a_minute_that_nobody_judged(done, since):
    live = NOW - timedelta(hours=40, minutes=since % 60, days=since // 1000)
    judged = [verdict(NOW - timedelta(hours=31, minutes=back), hours=minutes / 60) for back, minutes in done]
    found = pending_windows(HOURLY, judged, since=live, now=NOW)
    border = HOUR - RECENT_WINDOWS * timedelta(hours=1)
    old = [window for window in found if window.end <= border]
    expected, end = [], border
    while end > live:
        start = max(end - timedelta(hours=1), live)
        minutes = [
            start + timedelta(minutes=count) for count in range(int((end - start) / timedelta(minutes=1)))
        ]
        if any(not any(one.window.start <= at < one.window.end for one in judged) for at in minutes):
            expected.append(end)
        end -= timedelta(hours=1)
    assert [window.end for window in old] == expected[::-1]


@given(
    hours=st.integers(0, 60),
    done=st.sets(st.integers(0, 60)),
    minutes=st.integers(0, 59),
)
def test_no_window_twice_none_open_and_all_in_order(hours, done, minutes):
    now = NOW.replace(minute=minutes)
    judged = [verdict(NOW.replace(minute=0) - timedelta(hours=back)) for back in done]
    found = pending_windows(HOURLY, judged, since=now - timedelta(hours=hours), now=now)
    assert list(found) == sorted(set(found), key=lambda window: window.end)
    assert all(window.end + timedelta(minutes=5) <= now for window in found)
    assert not {window.end for window in found} & {one.window.end for one in judged}
