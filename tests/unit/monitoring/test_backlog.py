from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import NOON, digest, make_spec
from support.fakes import fake_ports
from windsock.exceptions import DatabaseUnavailableError, MonitoringError, StorageError
from windsock.monitoring.backlog import MOST, take_backlog, tried_once
from windsock.monitoring.pending_windows import RECENT_WINDOWS
from windsock.records import CheckDriftInput, DriftReport, LedgerAction, LedgerEntry, Span, Status

HOUR = timedelta(hours=1)
SPEC = make_spec(monitoring={"window": "1h", "lateness": "1m", "performance_tracking": False})
LIVE = NOON - 300 * HOUR


def hour(number: int) -> Span:
    """Return the window that ended so many hours ago."""
    return Span(start=NOON - (number + 1) * HOUR, end=NOON - number * HOUR)


def commit(ports: Any, version: str, at: Any) -> None:
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=len(ports.ledger.rows("churn")) + 1,
        version=version,
        digest=digest(version),
        actor="scheduler",
        body={"bundle_uri": f"memory://{version}"},
    )
    ports.ledger.now = lambda: at
    ports.ledger.append(entry, after_seq=len(ports.ledger.rows("churn")))


@pytest.fixture
def ports() -> Any:
    made = fake_ports(now=lambda: NOON + timedelta(minutes=1))
    commit(made, "1", LIVE)
    made.counter.first = LIVE
    return made


def test_the_oldest_ones_first_and_the_rest_later(ports: Any) -> None:
    found = take_backlog(SPEC, ports)
    assert len(found.windows) == MOST
    assert found.windows[0] == hour(299)
    assert found.windows[-1] == hour(100)
    assert (found.waiting, found.empty, found.skipped) == (100, 0, ())
    assert found.told("1h") == (
        "200 closed windows of 1h are to be judged; 100 later ones wait for the next runs"
    )
    assert len(take_backlog(SPEC, ports, most=None).windows) == 300


def test_empty_ones_take_no_place(ports: Any) -> None:
    ports.counter.empty = {hour(number) for number in range(50, 299)}
    found = take_backlog(SPEC, ports, most=20)
    assert found.windows == (hour(299), *(hour(number) for number in range(49, 30, -1)))
    assert (found.waiting, found.empty) == (31, 249)
    kept = ports.monitor.windows("churn", "drift")
    assert {one.status for one in kept} == {Status.EMPTY}
    assert len(kept) == 249


def test_the_last_one_is_left_to_its_checks(ports: Any) -> None:
    ports.counter.empty = {hour(number) for number in range(300)}
    assert take_backlog(SPEC, ports).windows == (hour(0),)
    assert len(ports.monitor.windows("churn", "drift")) == 299
    assert take_backlog(SPEC, ports) == ((hour(0),), 0, 0, ())


def test_windows_without_a_log_are_named_and_asked_for_once(ports: Any) -> None:
    ports.counter.first = NOON - 100 * HOUR
    found = take_backlog(SPEC, ports)
    assert found.windows[0] == hour(99)
    (told,) = found.skipped
    assert told.startswith("WS-MONITORING-118 200 windows of 1h from ")
    assert told.endswith(" skipped: the prediction log that is kept begins at 2026-04-27 08:00")
    assert told in found.told("1h")
    (kept,) = ports.monitor.windows("churn")
    assert (kept.status, kept.window) == (Status.EMPTY, Span(start=LIVE, end=NOON - 100 * HOUR))
    assert kept.reason == told
    again = take_backlog(SPEC, ports)
    assert (again.windows, again.skipped) == (found.windows, ())


def test_windows_of_the_version_before_are_named(ports: Any) -> None:
    commit(ports, "2", NOON - 50 * HOUR)
    found = take_backlog(SPEC, ports)
    assert found.windows[0] == hour(49)
    assert found.skipped[0].endswith(f"skipped: version 2 serves since {NOON - 50 * HOUR:%Y-%m-%d %H:%M}")
    assert ports.monitor.windows("churn")[0].version == "2"


def test_the_last_windows_are_never_skipped(ports: Any) -> None:
    commit(ports, "2", NOON)
    ports.counter.first = NOON
    found = take_backlog(SPEC, ports)
    assert found.windows == tuple(hour(number) for number in range(RECENT_WINDOWS - 1, -1, -1))


def test_a_log_that_cannot_be_looked_at_skips_nothing(ports: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(model: str) -> Any:
        raise StorageError("away")

    monkeypatch.setattr(ports.counter, "begins", away)
    assert take_backlog(SPEC, ports, most=None).windows[0] == hour(299)


class TestFilled:
    """A window that was empty, and has rows by now, is judged again."""

    @pytest.fixture
    def kept(self, ports: Any) -> Any:
        ports.counter.empty = {hour(number) for number in range(300)}
        take_backlog(SPEC, ports, most=None)
        ports.monitor.add_window(ports.monitor.windows("churn")[-1].replace(window=hour(0)))
        assert take_backlog(SPEC, ports).windows == ()
        return ports

    def test_those_of_the_last_ones_are(self, kept: Any) -> None:
        kept.counter.empty -= {hour(2), hour(5), hour(RECENT_WINDOWS), hour(200)}
        assert take_backlog(SPEC, kept).windows == (hour(5), hour(2))

    def test_the_later_verdict_stands_and_keeps_what_was_said(self, kept: Any) -> None:
        empty = next(one for one in kept.monitor.windows("churn") if one.window == hour(2))
        later = empty.replace(status=Status.FAIL, reason="drift", judged_at=kept.now())
        stands = kept.monitor.add_window(later)
        assert (stands.status, [one.status for one in stands.earlier]) == (Status.FAIL, [Status.EMPTY])
        kept.counter.empty -= {hour(2)}
        assert take_backlog(SPEC, kept).windows == ()
        assert kept.monitor.add_window(empty).status is Status.FAIL

    def test_neither_an_error_nor_another_empty_one_replaces_it(self, kept: Any) -> None:
        empty = next(one for one in kept.monitor.windows("churn") if one.window == hour(2))
        for status in (Status.ERROR, Status.EMPTY):
            assert kept.monitor.add_window(empty.replace(status=status, reason="other")) == empty

    def test_a_window_of_another_version_has_no_rows_of_this_one(self, kept: Any) -> None:
        commit(kept, "2", NOON - 3 * HOUR)
        kept.counter.empty = set()
        assert take_backlog(SPEC, kept).windows == (hour(2), hour(1), hour(0))

    def test_a_log_that_cannot_be_read_is_asked_again_later(
        self, kept: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(model: str, spans: Any) -> Any:
            raise StorageError("the log is gone")

        monkeypatch.setattr(kept.counter, "without_rows", broken)
        assert take_backlog(SPEC, kept).windows == ()


class TestTriedOnce:
    """An old window that cannot be judged is no obstacle to the others; a new one is tried again."""

    def check(self, ports: Any, window: Span, error: Exception) -> list[Any]:
        @tried_once("drift")
        def fails(step: CheckDriftInput, given: Any, key: str) -> DriftReport:
            raise error

        with pytest.raises(type(error)):
            fails(CheckDriftInput(spec=SPEC, window=window), ports, "")
        return list(ports.monitor.windows("churn"))

    @pytest.mark.parametrize("error", [MonitoringError("broken"), StorageError("broken")])
    def test_an_old_one_is_kept_as_error(self, ports: Any, error: Any) -> None:
        (kept,) = self.check(ports, hour(200), error)
        assert (kept.status, kept.reason) == (Status.ERROR, f"{error.code}: broken")
        assert hour(200) not in take_backlog(SPEC, ports, most=None).windows

    def test_a_new_one_is_not(self, ports: Any) -> None:
        assert self.check(ports, hour(3), MonitoringError("broken")) == []
        assert hour(3) in take_backlog(SPEC, ports, most=None).windows

    def test_nothing_is_kept_where_nothing_can_be(self, ports: Any) -> None:
        assert self.check(ports, hour(200), DatabaseUnavailableError("down")) == []

    def test_nor_without_a_version(self, ports: Any) -> None:
        ports = fake_ports(now=lambda: NOON + timedelta(minutes=1))
        assert self.check(ports, hour(200), MonitoringError("broken")) == []


def test_where_nothing_serves_the_last_window_alone() -> None:
    ports = fake_ports(now=lambda: NOON + timedelta(minutes=1))
    assert take_backlog(SPEC, ports).windows == (hour(0),)
