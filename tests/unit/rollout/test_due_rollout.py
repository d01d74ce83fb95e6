from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.builders import make_spec
from support.rollout_steps import CANARY, decided, end, running, started_world, waiting_world
from support.world import MODEL, world_of
from windsock.records import DueWork, open_switch
from windsock.rollout.due_rollout import due_rollout
from windsock.steps.watching import watched_rooms

HOUR = timedelta(hours=1)


def at(ports: Any, after: timedelta) -> Any:
    now = ports.now()
    return replace(ports, now=lambda: now + after)


def due(ports: Any, spec: Any = CANARY) -> DueWork | None:
    return due_rollout(spec, ports.ledger.rows(MODEL), ports)


def test_nothing_is_due_without_a_rollout() -> None:
    assert due(world_of(1)) is None


def test_a_version_that_waits_is_due() -> None:
    found = due(waiting_world())
    assert found is not None
    assert (found.kind, found.key, found.patience) == ("rollout", "start 2", 3600)
    assert "version 2 waits" in found.reason


def test_versions_that_wait_for_others_are_due_once_their_time_is_over() -> None:
    several = make_spec(rollout={"strategy": "ab", "share": 40, "challengers": 2, "gather": "2h"})
    ports = waiting_world(spec=several)
    assert due(ports, several) is None
    assert due(at(ports, 3 * HOUR), several) is not None


def test_an_analysis_is_due_a_check_after_the_last_and_has_a_key_of_its_own() -> None:
    ports = started_world()
    began = running(ports).step_since
    assert due(replace(ports, now=lambda: began + HOUR / 2)) is None
    first = due(replace(ports, now=lambda: began + HOUR))
    assert first is not None
    decided(ports, "hold")
    assert due(replace(ports, now=lambda: began + 1.5 * HOUR)) is None
    second = due(replace(ports, now=lambda: began + 2 * HOUR))
    assert second is not None
    assert first.key != second.key


def test_what_was_decided_and_not_carried_out_is_due_at_once() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    assert due(replace(ports, now=lambda: look.judged_at)) is not None


def test_a_switch_that_nobody_finished_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = started_world()
    row = ports.ledger.rows(MODEL)[-1]
    monkeypatch.setattr("windsock.rollout.due_rollout.open_switch", lambda rows: row)
    assert open_switch(ports.ledger.rows(MODEL)) is None
    assert due(replace(ports, now=lambda: row.at + timedelta(minutes=1))) is None
    found = due(replace(ports, now=lambda: row.at + timedelta(minutes=6)))
    assert found is not None
    assert "not committed" in found.reason


class TestEnds:
    """An end that nobody was told of starts one more run, and an end that was told starts none."""

    @pytest.fixture
    def ended(self) -> Any:
        ports = started_world()
        end(ports, running(ports).experiment)
        return ports

    def look(self, ports: Any) -> DueWork | None:
        rooms = watched_rooms(None, ports)  # type: ignore[arg-type]
        return rooms.rollout(CANARY, ports.ledger.rows(MODEL), ports).due

    def test_an_end_that_nobody_was_told_of(self, ended: Any) -> None:
        found = self.look(ended)
        assert found is not None
        assert "is over" in found.reason

    def test_an_end_that_was_told(self, ended: Any) -> None:
        from windsock.hooks.alerts import tell_rollouts
        from windsock.spec import SharedSpec

        tell_rollouts(CANARY, SharedSpec(), ended)
        assert self.look(ended) is None

    def test_an_end_by_a_person_who_knows(self) -> None:
        ports = started_world()
        end(ports, running(ports).experiment, "stopped")
        assert self.look(ports) is None
