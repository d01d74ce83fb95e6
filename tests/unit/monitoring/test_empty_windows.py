from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from support.builders import NOON, make_spec
from support.fakes import fake_ports
from windsock.exceptions import StorageError
from windsock.monitoring.empty_windows import keep_empty
from windsock.monitoring.pending_windows import pending_windows
from windsock.records import Span, Status

HOUR = timedelta(hours=1)
WINDOWS = tuple(Span(start=NOON + HOUR * number, end=NOON + HOUR * (number + 1)) for number in range(6))
SPEC = make_spec(monitoring={"window": "1h"})


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = fake_ports(now=lambda: WINDOWS[-1].end + HOUR / 2)
    champion = SimpleNamespace(version="3", digest="d" * 64)
    monkeypatch.setattr(made.ledger, "champion", lambda model: champion)
    return made


def test_many_take_one_step(ports: Any) -> None:
    ports.counter.empty = set(WINDOWS[:4])
    assert keep_empty(SPEC, ports, WINDOWS) == WINDOWS[4:]
    for kind in ("drift", "performance"):
        kept = ports.monitor.windows("churn", kind)
        assert [one.window for one in kept] == list(WINDOWS[:4])
        assert {one.status for one in kept} == {Status.EMPTY}
        assert {one.numbers["rows"] for one in kept} == {0.0}
    assert ports.counter.asked == []  # nothing was counted


def test_an_empty_window_is_judged(ports: Any) -> None:
    ports.counter.empty = set(WINDOWS[:4])
    keep_empty(SPEC, ports, WINDOWS)
    left = pending_windows(
        SPEC.monitoring, ports.monitor.windows("churn"), since=NOON, now=WINDOWS[-1].end + HOUR / 2
    )
    assert left == WINDOWS[4:]


def test_the_last_one_is_left_to_its_checks(ports: Any) -> None:
    ports.counter.empty = set(WINDOWS)
    assert keep_empty(SPEC, ports, WINDOWS) == WINDOWS[-1:]
    assert keep_empty(SPEC, ports, WINDOWS[-1:]) == WINDOWS[-1:]


def test_without_a_live_version_nothing_is_kept(ports: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.ledger, "champion", lambda model: None)
    ports.counter.empty = set(WINDOWS)
    assert keep_empty(SPEC, ports, WINDOWS) == WINDOWS
    assert ports.monitor.windows("churn") == ()


def test_a_log_that_cannot_be_read_is_no_empty_one(ports: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: str, spans: Any) -> Any:
        raise StorageError("the log is gone")

    monkeypatch.setattr(ports.counter, "without_rows", broken)
    assert keep_empty(SPEC, ports, WINDOWS) == WINDOWS


def test_only_what_is_watched_has_a_verdict(ports: Any) -> None:
    ports.counter.empty = set(WINDOWS[:2])
    spec = make_spec(monitoring={"window": "1h", "performance_tracking": False})
    keep_empty(spec, ports, WINDOWS)
    assert {one.kind for one in ports.monitor.windows("churn")} == {"drift"}
