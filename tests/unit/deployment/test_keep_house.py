from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.builders import make_spec
from support.fake_rollout import FakeRolloutEvents, FakeRollouts
from support.fakes import FakeLedger, FakePredictions, FakeRegistry, FakeRouter, FakeTracker
from support.rollout_steps import decided, end, running, started_world, steer
from support.world import MODEL, world_of
from windsock.deployment.keep_house import keep_house
from windsock.exceptions import (
    DatabaseUnavailableError,
    ServerUnavailableError,
    StorageError,
    TrackingUnavailableError,
)
from windsock.ports import Ports
from windsock.records import (
    INSTALLATION,
    ChainCheck,
    HousekeepingInput,
    HousekeepingReport,
    RolloutDecision,
    RouteState,
)
from windsock.serving.known_gauges import OF_INSTALLATION


def kept(ports: Ports, **fields: Any) -> HousekeepingReport:
    return keep_house(HousekeepingInput(**{"models": (MODEL,), **fields}), ports, "")


def test_a_house_in_order_is_left_alone() -> None:
    assert kept(world_of(1)) == HousekeepingReport()


def test_prometheus_sees_when_it_ran() -> None:
    made = world_of(1)
    now = made.now()
    ports = replace(made, now=lambda: now)
    kept(ports)
    ran = {"windsock_housekeeping_last_run_timestamp_seconds": [({}, ports.now().timestamp())]}
    assert ports.gauges.samples == {INSTALLATION: ran}
    assert ran.keys() <= OF_INSTALLATION.keys()


def test_an_alias_that_differs_is_set_back() -> None:
    ports = world_of(1, 2)
    ports.registry.aliases[(MODEL, "champion")] = "1"
    assert kept(ports).aliases_repaired == (MODEL,)
    assert ports.registry.aliases == {(MODEL, "champion"): "2"}
    assert kept(ports).aliases_repaired == ()


def test_the_alias_of_another_installation_is_told_and_not_moved() -> None:
    ports = world_of(1, 2)
    ports.registry.aliases[(MODEL, "champion")] = "1"
    ports.registry.foreign[MODEL] = "0123456789ab"
    report = kept(ports)
    assert report.aliases_repaired == ()
    assert [fault for fault in report.faults if "WS-TRACKING-008" in fault and "0123456789ab" in fault]
    assert ports.registry.aliases == {(MODEL, "champion"): "1"}


class TestSeals:
    def test_a_plan_that_is_the_ledgers_is_sealed_anew(self) -> None:
        for ports in (world_of(1), world_of(1, 2), started_world()):
            ports.router.unsealed.add(MODEL)
            plan = ports.router.plans[MODEL]
            assert kept(ports).routes_sealed == (MODEL,)
            assert (ports.router.unsealed, ports.router.plans[MODEL]) == (set(), plan)
            assert kept(ports).routes_sealed == ()

    @pytest.mark.parametrize("fields", [{"salt": "another"}, {"epoch": 1}, {"epoch": 99}], ids=str)
    def test_another_plan_is_told_and_not_sealed(self, fields: dict[str, Any]) -> None:
        ports = world_of(1, 2)
        ports.router.unsealed.add(MODEL)
        ports.router.plans[MODEL] = ports.router.plans[MODEL].replace(**fields)
        report = kept(ports)
        assert report.routes_sealed == ()
        assert [fault for fault in report.faults if "WS-SERVING-081" in fault]
        assert ports.router.unsealed == {MODEL}

    def test_a_server_that_is_away_is_no_fault_of_the_house(self) -> None:
        class Away(FakeRouter):
            def state(self, model: str) -> RouteState | None:
                raise ServerUnavailableError("no answer")

        assert kept(replace(world_of(1), router=Away())) == HousekeepingReport()


def test_a_model_whose_file_is_gone_is_looked_after_too() -> None:
    ports = world_of(1)
    ports.registry.aliases.clear()
    assert kept(ports, models=()).aliases_repaired == (MODEL,)


def test_a_model_without_a_champion_has_no_alias() -> None:
    ports = world_of()
    assert kept(ports) == HousekeepingReport()
    assert ports.registry.aliases == {}


def test_a_broken_ledger_is_told_and_not_mirrored() -> None:
    class Broken(FakeLedger):
        def verify(self, model: str) -> ChainCheck:
            return ChainCheck(model=model, rows=3, broken_at=2)

    ports = world_of(1)
    broken = Broken()
    broken.kept = ports.ledger.kept
    ports.registry.aliases.clear()
    report = kept(Ports(**{**vars(ports), "ledger": broken}))
    assert (report.broken_ledgers, report.aliases_repaired) == ((MODEL,), ())
    assert ports.registry.aliases == {}


class CountingTracker(FakeTracker):
    seen: tuple[Any, datetime] | None = None

    def close_stale_runs(self, models: Any, older_than: datetime) -> int:
        self.seen = (models, older_than)
        return 3


class CountingPredictions(FakePredictions):
    than: datetime | None = None
    needed: Any = None

    def close_segments(self) -> int:
        return 2

    def remove_older(self, than: datetime, *, needed: Any = None) -> int:
        self.than, self.needed = than, needed
        return 1


def test_what_was_left_open_is_closed_and_the_retention_kept() -> None:
    tracker, predictions = CountingTracker(), CountingPredictions()
    ports = Ports(**{**vars(world_of(1)), "tracker": tracker, "predictions": predictions})
    report = kept(ports, keep_predictions_days=30.0, stale_run_hours=6.0)
    assert (report.runs_closed, report.segments_closed, report.segments_removed) == (3, 2, 1)
    assert tracker.seen is not None
    assert predictions.than is not None
    assert tracker.seen[0] == (MODEL,)
    assert tracker.seen[1] - predictions.than == timedelta(days=30) - timedelta(hours=6)


def test_the_retention_leaves_what_a_rollout_needs() -> None:
    predictions = CountingPredictions()
    ports = replace(started_world(), predictions=predictions)
    assert kept(ports, keep_predictions_days=30.0).segments_removed == 1
    assert predictions.needed == {MODEL: running(ports).started_at - timedelta(days=7, hours=2)}


def test_without_a_retention_nothing_is_removed() -> None:
    predictions = CountingPredictions()
    report = kept(Ports(**{**vars(world_of(1)), "predictions": predictions}))
    assert (report.segments_removed, predictions.than) == (0, None)


class TestFaults:
    @pytest.mark.parametrize(
        "error", [TrackingUnavailableError("MLflow at 127.0.0.1 is away"), KeyError("Alice")]
    )
    def test_one_fault_is_one_sentence_and_stops_nothing(self, error: Exception) -> None:
        class Away(FakeRegistry):
            def alias(self, model: str, alias: str) -> str | None:
                raise error

        predictions = CountingPredictions()
        ports = Ports(**{**vars(world_of(1)), "registry": Away(), "predictions": predictions})
        report = kept(ports)
        assert len(report.faults) == 1
        assert report.faults[0].startswith(f"alias of {MODEL}: ")
        assert "Alice" not in report.faults[0]
        assert report.segments_closed == 2
        assert report.is_transport_only is isinstance(error, TrackingUnavailableError)

    def test_everything_away_is_a_sentence_each(self) -> None:
        class Away:
            def __getattr__(self, name: str) -> Any:
                def call(*args: Any, **kwargs: Any) -> Any:
                    raise DatabaseUnavailableError("no answer")

                return call

        away: Any = Away()
        ports = Ports(
            **{**vars(world_of()), "ledger": away, "registry": away, "tracker": away, "predictions": away}
        )
        report = kept(ports, keep_predictions_days=1.0)
        assert [fault.split(":")[0] for fault in report.faults] == [
            "the ledger's list of models",
            f"ledger of {MODEL}",
            f"alias of {MODEL}",
            f"route of {MODEL}",
            f"rollouts of {MODEL}",
            f"ends of {MODEL}",
            "stale runs",
            "prediction segments",
            "retention",
        ]
        assert all("WS-DATABASE-001" in fault for fault in report.faults)
        assert report.away == ("WS-DATABASE-001",) * 9
        assert report.is_transport_only


def later(ports: Any, **span: float) -> Any:
    """Return the same world at a later time."""
    now = ports.now() + timedelta(**span)
    return replace(ports, now=lambda: now)


class TestCountsOfRollouts:
    def ended(self) -> Any:
        ports = started_world()
        end(ports, "v2-e4", "kept")
        ports.events.stored = {(MODEL, "v2-e4"), (MODEL, "v9-e9"), ("other", "v2-e4")}
        return ports

    def test_they_go_once_seven_days_after_the_end(self) -> None:
        ports = self.ended()
        assert kept(later(ports, days=6.9)).rollouts_forgotten == 0
        assert ports.events.forgotten == []
        week = later(ports, days=7.1)
        assert [kept(week).rollouts_forgotten for _ in range(2)] == [1, 0]
        assert ports.events.forgotten == [(MODEL, "v2-e4")]
        assert ports.events.stored == {(MODEL, "v9-e9"), ("other", "v2-e4")}

    def test_those_of_one_under_way_stay_whatever_its_age(self) -> None:
        ports = started_world()
        ports.events.stored = {(MODEL, "v2-e4")}
        assert kept(later(ports, days=90)).rollouts_forgotten == 0
        assert ports.events.forgotten == []

    def test_where_none_has_ended_nobody_asks_what_is_kept(self) -> None:
        class Away(FakeRolloutEvents):
            def kept(self, model: str) -> tuple[str, ...]:
                raise AssertionError

        assert kept(replace(later(world_of(1), days=9), events=Away())).faults == ()

    def test_a_storage_root_that_is_away_is_told_and_stops_nothing(self) -> None:
        class Away(FakeRolloutEvents):
            def kept(self, model: str) -> tuple[str, ...]:
                raise StorageError("no answer")

        ports = replace(later(self.ended(), days=9), events=Away(), predictions=CountingPredictions())
        report = kept(ports)
        assert [fault.split(":")[0] for fault in report.faults] == [f"counts of {MODEL}"]
        assert report.segments_closed == 2


class TestUnattendedRollouts:
    def test_from_its_start_and_from_each_look_it_has_three_checks(self) -> None:
        ports = started_world(spec=make_spec(rollout={"strategy": "ab", "check": "2h"}))
        since = running(ports).step_since
        assert kept(replace(ports, now=lambda: since + timedelta(hours=6))).unattended == ()
        late = replace(ports, now=lambda: since + timedelta(hours=6, seconds=1))
        (told,) = kept(late).unattended
        assert told.startswith(
            f"WS-HOUSEKEEPING-004: rollout v2-e4 of {MODEL} was last looked at {since:%Y-%m-%d}"
        )
        assert f"{MODEL}__ab_rollout" in told
        decided(ports, "hold", judged_at=since + timedelta(hours=1))
        assert kept(late).unattended == ()
        assert len(kept(later(late, hours=1.1)).unattended) == 1

    @pytest.mark.parametrize(
        ("check", "hours"), [("5m", 13 / 12), ("10m", 7 / 6), ("30m", 1.5), ("1d", 72.0)]
    )
    def test_a_short_check_has_an_hour_more(self, check: str, hours: float) -> None:
        ports = started_world(spec=make_spec(rollout={"strategy": "ab", "check": check}))
        since, slack = running(ports).step_since, timedelta(seconds=6)
        limit = since + timedelta(hours=hours)
        assert kept(replace(ports, now=lambda: limit - slack)).unattended == ()
        assert len(kept(replace(ports, now=lambda: limit + slack)).unattended) == 1

    def test_a_new_step_was_looked_at_when_it_began(self) -> None:
        ports = started_world()
        rollout = running(ports)
        decided(ports, "hold", judged_at=rollout.started_at - timedelta(days=9))
        assert kept(ports).unattended == ()

    def test_one_that_a_person_paused_is_looked_at_too(self) -> None:
        ports = started_world()
        steer(ports, "pause")
        assert len(kept(later(ports, days=1)).unattended) == 1

    def test_one_that_is_over_is_none(self) -> None:
        ports = started_world()
        end(ports, "v2-e4", "kept")
        assert kept(later(ports, days=1)).unattended == ()

    def test_a_database_that_is_away_is_a_fault_and_no_silence(self) -> None:
        class Away(FakeRollouts):
            def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
                raise DatabaseUnavailableError("no answer")

        report = kept(replace(later(started_world(), days=1), rollouts=Away()))
        assert report.unattended == ()
        assert report.faults[0].startswith(f"looks at {MODEL}: WS-DATABASE-001")
        assert report.is_transport_only
