"""Retention leaves what running rollouts are counted from, whatever happens to the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.builders import make_spec
from support.fakes import FakeLedger, FakePredictions
from support.rollout_steps import end, running, started_world
from support.world import MODEL, world_of
from windsock.deployment.keep_log import remove_older
from windsock.exceptions import DatabaseUnavailableError, StorageError
from windsock.records import LedgerRow

THAN = datetime(2026, 6, 1, tzinfo=UTC)
ALL = datetime.min.replace(tzinfo=UTC)


class Asked(FakePredictions):
    def __init__(self) -> None:
        self.asked: list[tuple[datetime, Any]] = []

    def remove_older(self, than: datetime, *, needed: Mapping[str, datetime] | None = None) -> int:
        self.asked.append((than, needed))
        return 3


def asked_by(ports: Any, **fields: Any) -> Any:
    asked = Asked()
    assert remove_older(replace(ports, predictions=asked), THAN, **fields) == 3
    [(than, needed)] = asked.asked
    assert than == THAN
    return needed


def test_without_a_rollout_nothing_is_needed() -> None:
    assert asked_by(world_of(1)) == {}


@pytest.mark.parametrize(
    ("block", "days"),
    [
        ({"attribution": None}, 0),
        ({"attribution": None, "pre_period": "7d"}, 7),
        ({"attribution": "3d"}, 3),
        ({"attribution": "3d", "pre_period": "7d"}, 7),
        (
            {
                "attribution": "3d",
                "guardrails": {"m": 0.1},
                "metrics": {"m": {"kind": "rate", "attribution": "9d"}},
            },
            9,
        ),
    ],
)
def test_a_rollout_needs_its_hours_and_those_of_the_time_before_it(block: dict[str, Any], days: int) -> None:
    spec = make_spec(rollout={"strategy": "ab", **block})
    ports = started_world(spec=spec)
    assert asked_by(ports) == {MODEL: running(ports).started_at - timedelta(days=days, hours=2)}


def test_one_that_is_over_needs_nothing() -> None:
    ports = started_world()
    end(ports, running(ports).experiment, "kept")
    assert asked_by(ports) == {}


def test_of_a_model_whose_ledger_is_broken_everything_stays() -> None:
    assert asked_by(started_world(), broken=(MODEL, "gone")) == {MODEL: ALL, "gone": ALL}


def test_of_a_model_whose_rows_cannot_be_read_everything_stays(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(FakeLedger):
        def rows(self, model: str) -> list[LedgerRow]:
            raise StorageError("row 3 is no row")

    ledger = Unreadable()
    ports = world_of(1)
    ledger.kept = ports.ledger.kept
    with caplog.at_level(logging.WARNING, logger="windsock"):
        assert asked_by(replace(ports, ledger=ledger)) == {MODEL: ALL}
    assert MODEL in caplog.text


def test_nothing_goes_while_the_ledger_does_not_say_which_models_there_are() -> None:
    class Away(FakeLedger):
        def models(self) -> tuple[str, ...]:
            raise DatabaseUnavailableError("no answer")

    asked = Asked()
    with pytest.raises(DatabaseUnavailableError):
        remove_older(replace(world_of(1), ledger=Away(), predictions=asked), THAN)
    assert asked.asked == []
