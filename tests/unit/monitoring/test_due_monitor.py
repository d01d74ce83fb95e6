from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import NOON, digest, make_spec
from support.fakes import fake_ports
from windsock.monitoring.backlog import take_backlog
from windsock.monitoring.due_monitor import GRACE, due_monitor
from windsock.records import (
    Alert,
    Episode,
    LedgerAction,
    LedgerEntry,
    ModelWork,
    Severity,
    Span,
    Status,
    WindowVerdict,
)

HOUR = timedelta(hours=1)
SPEC = make_spec(monitoring={"window": "1h", "lateness": "1m"})
LIVE = NOON - 20 * HOUR


def hour(number: int) -> Span:
    """Return the window that ended so many hours ago."""
    return Span(start=NOON - (number + 1) * HOUR, end=NOON - number * HOUR)


def verdict(window: Span, kind: Any, status: Status = Status.PASS, **numbers: float) -> WindowVerdict:
    return WindowVerdict(
        model="churn",
        kind=kind,
        window=window,
        version="1",
        digest=digest("1"),
        status=status,
        numbers={"rows": 100.0, **numbers},
        judged_at=window.end + timedelta(minutes=2),
    )


@pytest.fixture
def ports() -> Any:
    """A version that serves for twenty hours, every one of them judged."""
    made = fake_ports(now=lambda: NOON + timedelta(minutes=2))
    made.ledger.now = lambda: LIVE
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=1,
        version="1",
        digest=digest("1"),
        actor="scheduler",
        body={"bundle_uri": "memory://1"},
    )
    made.ledger.append(entry, after_seq=0)
    made.counter.first = LIVE
    for number in range(20):
        for kind in ("drift", "performance"):
            made.monitor.add_window(verdict(hour(number), kind))
    return made


def look(ports: Any, spec: Any = SPEC) -> ModelWork:
    return due_monitor([spec], ports)(spec, ports.ledger.rows("churn"))


def forget(ports: Any, *windows: Span, kind: str | None = None) -> None:
    for key, one in list(ports.monitor.kept_windows.items()):
        if one.window in windows and kind in (None, one.kind):
            del ports.monitor.kept_windows[key]


def test_nothing_is_due_where_every_window_is_judged_and_the_log_is_not_read(ports: Any) -> None:
    ports.counter.without_rows = None
    assert look(ports) == ModelWork()


def test_nothing_is_due_where_nothing_serves() -> None:
    assert look(fake_ports(now=lambda: NOON)) == ModelWork()


@pytest.mark.parametrize("kind", [None, "drift", "performance"])
@pytest.mark.parametrize("number", [0, 7])
def test_a_window_with_rows_that_lacks_a_verdict_is_due(ports: Any, number: int, kind: str | None) -> None:
    forget(ports, hour(number), kind=kind)
    due = look(ports).due
    assert due is not None
    assert (due.kind, due.model, due.patience) == ("monitor", "churn", 3600)
    assert f"{hour(number).end:%Y-%m-%d %H:%M}" in due.reason


def test_a_window_is_due_once_late_rows_had_their_time(ports: Any) -> None:
    forget(ports, hour(0))
    ports_before = fake_ports(
        now=lambda: NOON + timedelta(seconds=59), monitor=ports.monitor, ledger=ports.ledger
    )
    assert look(ports_before) == ModelWork()
    assert look(ports).due is not None


def test_the_same_work_has_the_same_key_and_other_work_another(ports: Any) -> None:
    forget(ports, hour(0), hour(3))
    first = look(ports).due
    again = look(ports).due
    for kind in ("drift", "performance"):
        ports.monitor.add_window(verdict(hour(3), kind))
    later = look(ports).due
    assert first is not None
    assert again is not None
    assert later is not None
    assert first.key == again.key != later.key


@pytest.mark.parametrize("numbers", [(0,), (0, 1, 2), (5, 9)])
def test_windows_without_rows_are_judged_and_start_nothing(ports: Any, numbers: tuple[int, ...]) -> None:
    ports.counter.empty = {hour(number) for number in range(20)}
    for number in range(20):  # nobody ever asked much
        forget(ports, hour(number))
        if number not in numbers:
            for kind in ("drift", "performance"):
                ports.monitor.add_window(verdict(hour(number), kind, Status.EMPTY, rows=0.0))
    # A window in the middle is looked at with the last one.
    if 0 not in numbers:
        forget(ports, hour(0))
        numbers = (*numbers, 0)
    found = look(ports)
    assert found == ModelWork(emptied=len(numbers))
    kept = [one for one in ports.monitor.windows("churn") if one.window in {hour(n) for n in numbers}]
    assert {(one.status, one.kind) for one in kept} == {
        (Status.EMPTY, "drift"),
        (Status.EMPTY, "performance"),
    }
    assert look(ports) == ModelWork()


def test_rows_that_come_after_all_are_judged_with_the_next_window(ports: Any) -> None:
    ports.counter.empty = {hour(0)}
    forget(ports, hour(0))
    for number in range(1, 20):
        forget(ports, hour(number))
        for kind in ("drift", "performance"):
            ports.monitor.add_window(verdict(hour(number), kind, Status.EMPTY, rows=0.0))
    ports.counter.empty = {hour(number) for number in range(20) if number != 4}
    due = look(ports).due
    assert due is not None
    assert take_backlog(SPEC, ports).windows == (hour(4), hour(0))


def test_unusual_silence_is_left_to_the_checks(ports: Any) -> None:
    """A hundred rows an hour for days, and then none: an alarm, which the run makes as ever."""
    usual = make_spec(monitoring={"window": "1d", "lateness": "1m"})
    midnight, day_long = NOON.replace(hour=0), timedelta(days=1)
    now = midnight + timedelta(minutes=2)
    made = fake_ports(now=lambda: now, ledger=ports.ledger)
    made.ledger.now = lambda: LIVE
    days = [Span(start=midnight - (n + 1) * day_long, end=midnight - n * day_long) for n in range(10)]
    for day in days[1:]:
        for kind in ("drift", "performance"):
            made.monitor.add_window(verdict(day, kind))
    made.counter.empty = {days[0]}
    due = look_at(made, usual).due
    assert due is not None
    assert "unusual" in due.reason


def look_at(ports: Any, spec: Any) -> ModelWork:
    rows = ports.ledger.rows("churn")
    early = [row.model_copy(update={"at": NOON - timedelta(days=30)}) for row in rows]
    return due_monitor([spec], ports)(spec, early)


def test_an_alarm_of_silence_that_stands_is_looked_at_again(ports: Any) -> None:
    ports.counter.empty = {hour(number) for number in range(20)}
    for number in range(20):
        forget(ports, hour(number))
    alert = Alert(
        model="churn",
        key="performance:row_rate",
        severity=Severity.LOW,
        title="-",
        text="-",
        owner="-",
        first_at=NOON,
        last_at=NOON,
    )
    ports.monitor.put_alert(alert)
    assert look(ports).due is not None
    ports.monitor.put_alert(alert.replace(state="resolved"))
    assert look(ports).due is None


class TestLabels:
    """A window that waits for labels is looked at again, though nobody asks any more."""

    @pytest.fixture
    def quiet(self, ports: Any) -> Any:
        ports.counter.empty = {hour(number) for number in range(19)}
        for number in range(19):
            forget(ports, hour(number))
            if number:
                for kind in ("drift", "performance"):
                    ports.monitor.add_window(verdict(hour(number), kind, Status.EMPTY, rows=0.0))
        return ports

    def test_while_a_look_is_due(self, quiet: Any) -> None:
        forget(quiet, hour(19), kind="performance")
        waits = verdict(hour(19), "performance", Status.INSUFFICIENT, coverage=0.1)
        quiet.monitor.add_window(waits)
        due = look(quiet).due
        assert due is not None
        assert "labels" in due.reason

    def test_not_while_the_last_look_is_young(self, quiet: Any) -> None:
        forget(quiet, hour(19), kind="performance")
        seen = {
            "labels:measured_at": NOON.timestamp(),
            "labels:until": NOON.timestamp(),
            "labels:hours": 20.0,
        }
        quiet.monitor.add_window(verdict(hour(19), "performance", Status.INSUFFICIENT, coverage=0.1, **seen))
        assert look(quiet).due is None

    def test_not_where_none_waits(self, quiet: Any) -> None:
        assert look(quiet).due is None


class TestEpisodes:
    def opened(self, ports: Any, **fields: Any) -> None:
        about = {"opened_at": NOON - HOUR, "digest": digest("1"), "trigger": "drift", "span": hour(1)}
        ports.monitor.announce(Episode(**{"model": "churn", "key": "one", **about, **fields}))

    def test_one_that_nobody_claimed_is_due(self, ports: Any) -> None:
        self.opened(ports)
        due = look(ports).due
        assert due is not None
        assert due.key == "episode one"

    def test_not_before_its_retrain_had_its_time(self, ports: Any) -> None:
        self.opened(ports, opened_at=NOON + timedelta(minutes=2) - GRACE / 2)
        assert look(ports).due is None

    def test_not_one_of_another_version(self, ports: Any) -> None:
        self.opened(ports, digest=digest("2"))
        assert look(ports).due is None

    def test_not_one_that_is_claimed(self, ports: Any) -> None:
        self.opened(ports)
        ports.monitor.claim(SPEC, episode_key="one", holder="a/b", now=NOON)
        assert look(ports).due is None
