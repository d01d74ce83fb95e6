from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from support.builders import NOON, digest
from support.serving import wait_until
from windsock.adapters.prediction_archive import ParquetPredictionArchive, read_segment
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import OutcomeEvent, PredictionEvent
from windsock.serving import prediction_log as log_module
from windsock.serving.prediction_log import PredictionLog

Log = Callable[..., PredictionLog]


def prediction(identifier: str = "p", *, at: datetime = NOON, **fields: Any) -> PredictionEvent:
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "model": "churn",
        "version": "1",
        "digest": digest("b"),
        "variant": "champion",
        "epoch": 1,
        "receive_time": at,
        "features": {"age": 41.5, "plan": "basic"},
        "score": 0.25,
        "prediction": False,
    }
    return PredictionEvent(**{**made, **fields})


def outcome(identifier: str = "p") -> OutcomeEvent:
    return OutcomeEvent(model="churn", prediction_id=identifier, outcome=True, receive_time=NOON)


def events_in(folder: Path, kind: str = "predictions") -> list[Any]:
    return [
        event
        for file in sorted((folder / "log" / kind).rglob("*.ndjson"))
        for event in read_segment(file.read_bytes(), kind).events
    ]


@pytest.fixture
def make_log(tmp_path: Path) -> Iterator[Log]:
    made: list[PredictionLog] = []

    def make(**options: Any) -> PredictionLog:
        log = PredictionLog(tmp_path, **{"now": lambda: NOON, **options})
        made.append(log)
        log.start()
        return log

    yield make
    for log in made:
        log.stop()


class Disk:
    """A disk that can be full: what reaches it is the real thing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self.synced = False, 0
        fsync = os.fsync

        def sync(descriptor: int) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            fsync(descriptor)
            self.synced += 1

        monkeypatch.setattr(log_module.os, "fsync", sync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    return Disk(monkeypatch)


def test_predictions_are_on_the_disk_within_a_second(make_log: Log, tmp_path: Path, disk: Disk) -> None:
    log = make_log()
    began = time.monotonic()
    assert log.add_prediction(prediction("one"))
    wait_until(lambda: events_in(tmp_path) and disk.synced)
    assert time.monotonic() - began < 1.0
    assert events_in(tmp_path) == [prediction("one")]


def test_many_predictions_make_few_writes(make_log: Log, tmp_path: Path, disk: Disk) -> None:
    log = make_log()
    for number in range(500):
        log.add_prediction(prediction(str(number)))
    log.stop()
    assert [event.prediction_id for event in events_in(tmp_path)] == [str(number) for number in range(500)]
    assert disk.synced < 20


def test_an_outcome_is_on_the_disk_before_it_is_acknowledged(
    make_log: Log, tmp_path: Path, disk: Disk
) -> None:
    log = make_log()
    asyncio.run(log.add_outcome(outcome()))
    assert disk.synced
    assert events_in(tmp_path, "outcomes") == [outcome()]


def test_an_outcome_that_cannot_be_written_is_not_acknowledged(
    make_log: Log, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "OUTCOME_SECONDS", 0.3)
    disk.full = True
    log = make_log()
    with pytest.raises(StorageError, match="No space left") as refused:
        asyncio.run(log.add_outcome(outcome()))
    assert refused.value.code == "WS-SERVING-020"
    assert log.fault == "No space left on device"
    assert not events_in(tmp_path, "outcomes")


def test_a_full_disk_blocks_nothing_and_loses_nothing_that_finds_a_place(
    make_log: Log, tmp_path: Path, disk: Disk
) -> None:
    size = len(prediction("000").model_dump_json()) + 1
    log = make_log(spool_bytes=size * 100)
    log.add_prediction(prediction("000"))
    wait_until(lambda: events_in(tmp_path))
    disk.full = True
    began = time.monotonic()
    taken = [log.add_prediction(prediction(f"{number:03}")) for number in range(1, 151)]
    assert time.monotonic() - began < 1.0
    wait_until(lambda: log.fault is not None)
    assert taken == [True] * 100 + [False] * 50
    assert (log.state.dropped, log.state.waiting) == (50, 100)
    disk.full = False
    wait_until(lambda: log.state.waiting == 0)
    assert log.fault is None
    assert sorted(event.prediction_id for event in events_in(tmp_path)) == [f"{n:03}" for n in range(101)]


def test_a_write_that_breaks_off_leaves_no_half_line_and_nothing_twice(
    make_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    tries = []

    class Breaking(FileIO):
        def write(self, content: Any) -> int:
            tries.append(len(content))
            if len(tries) == 2:
                super().write(bytes(content)[:7])
                raise OSError(28, "No space left on device")
            return super().write(bytes(content)[: max(1, len(content) // 2)])  # the system may write a part

    monkeypatch.setattr(log_module, "FileIO", Breaking)
    log = make_log()
    log.add_prediction(prediction("one"))
    wait_until(lambda: len(tries) > 2 and log.state.waiting == 0)
    log.stop()
    assert events_in(tmp_path) == [prediction("one")]
    assert not any(read_segment(file.read_bytes(), "predictions").torn for file in tmp_path.rglob("*.ndjson"))


def test_a_stopped_log_has_written_everything(make_log: Log, tmp_path: Path) -> None:
    log = make_log()
    for number in range(50):
        log.add_prediction(prediction(str(number)))
    log.stop()
    assert len(events_in(tmp_path)) == 50
    assert log.fault == "the writer does not run"


def test_every_hour_has_a_folder_and_the_archive_waits_for_open_segments(
    make_log: Log, tmp_path: Path
) -> None:
    clock = [NOON]
    log = make_log(now=lambda: clock[0])
    log.add_prediction(prediction("early"))
    wait_until(lambda: events_in(tmp_path))
    later = NOON + timedelta(hours=1, minutes=5)
    archive = ParquetPredictionArchive(tmp_path, Storage(str(tmp_path / "storage")), now=lambda: later)
    assert archive.close_segments() == 0  # the writer still holds it
    clock[0] = later
    log.add_prediction(prediction("late", at=later))
    wait_until(lambda: archive.close_segments() == 1)
    wait_until(lambda: [event.prediction_id for event in events_in(tmp_path)] == ["late"])
    assert [folder.name for folder in (tmp_path / "log/predictions/churn").iterdir()] == ["20260501T13"]


def test_an_event_that_comes_late_for_its_hour_is_still_archived(make_log: Log, tmp_path: Path) -> None:
    later = NOON + timedelta(hours=2)
    log = make_log(now=lambda: later)
    archive = ParquetPredictionArchive(tmp_path, Storage(str(tmp_path / "storage")), now=lambda: later)
    for name in ("one", "two"):
        log.add_prediction(prediction(name))
        wait_until(lambda: archive.close_segments() == 1)
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "storage/predictions/churn/20260501T12.parquet")
    assert table["prediction_id"].to_pylist() == ["one", "two"]
