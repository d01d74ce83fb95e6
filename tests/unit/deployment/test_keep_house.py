from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from support.fakes import FakeLedger, FakePredictions, FakeRegistry, FakeTracker
from support.world import MODEL, world_of
from windsock.deployment.keep_house import keep_house
from windsock.exceptions import DatabaseUnavailableError, TrackingUnavailableError
from windsock.ports import Ports
from windsock.records import ChainCheck, HousekeepingInput, HousekeepingReport


def kept(ports: Ports, **fields: Any) -> HousekeepingReport:
    return keep_house(HousekeepingInput(**{"models": (MODEL,), **fields}), ports, "")


def test_a_house_in_order_is_left_alone() -> None:
    assert kept(world_of(1)) == HousekeepingReport()


def test_an_alias_that_differs_is_set_back() -> None:
    ports = world_of(1, 2)
    ports.registry.aliases[(MODEL, "champion")] = "1"
    assert kept(ports).aliases_repaired == (MODEL,)
    assert ports.registry.aliases == {(MODEL, "champion"): "2"}
    assert kept(ports).aliases_repaired == ()


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

    def close_segments(self) -> int:
        return 2

    def remove_older(self, than: datetime) -> int:
        self.than = than
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
            "stale runs",
            "prediction segments",
            "retention",
        ]
        assert all("WS-DATABASE-001" in fault for fault in report.faults)
        assert report.away == ("WS-DATABASE-001",) * 6
        assert report.is_transport_only
