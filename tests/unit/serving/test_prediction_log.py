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

from support.builders import NOON
from support.log_rows import answered, events_of, row
from support.serving import wait_until
from windsock.adapters.prediction_archive import ParquetPredictionArchive, read_segment
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import OutcomeEvent
from windsock.serving import log_segments
from windsock.serving import prediction_log as log_module
from windsock.serving.prediction_log import LogState, PredictionLog

Log = Callable[..., PredictionLog]


def outcome(identifier: str = "p") -> OutcomeEvent:
    return OutcomeEvent(model="churn", prediction_id=identifier, outcome=True, receive_time=NOON)


def events_in(folder: Path, kind: str = "predictions") -> list[Any]:
    return [
        event
        for file in sorted((folder / "log" / kind).rglob("*.ndjson"))
        for event in read_segment(file.read_bytes(), kind).events
    ]


def ids_in(folder: Path, kind: str = "predictions") -> list[str]:
    return [event.prediction_id for event in events_in(folder, kind)]


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
        fsync = os.fdatasync

        def sync(descriptor: int) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            fsync(descriptor)
            self.synced += 1

        monkeypatch.setattr(log_segments.os, "fdatasync", sync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    return Disk(monkeypatch)


def test_rows_are_on_the_disk_within_a_second(make_log: Log, tmp_path: Path, disk: Disk) -> None:
    log = make_log()
    assert log_module.FLUSH_SECONDS < 1.0
    given = answered("one", row("two", unit="u", event_time=NOON, prediction="yes", values=(None, "Zoë")))
    assert log.add_rows(*given)
    wait_until(lambda: events_in(tmp_path) and disk.synced)
    assert events_in(tmp_path) == events_of(*given)


def test_the_rows_of_a_request_are_one_line(make_log: Log, tmp_path: Path) -> None:
    log = make_log()
    log.add_rows(*answered("a", "b", "c", client="shop", fallback_for="challenger", experiment="e"))
    log.stop()
    (file,) = tmp_path.rglob("*.ndjson")
    assert file.read_bytes().count(b"\n") == 1
    assert file.read_bytes().count(b'"age"') == 1
    assert {event.fallback_for for event in events_in(tmp_path)} == {"challenger"}
    assert log.state == LogState(written=3)


def test_many_requests_make_few_writes(make_log: Log, tmp_path: Path, disk: Disk) -> None:
    log = make_log()
    for number in range(500):
        log.add_rows(*answered(str(number)))
    log.stop()
    assert ids_in(tmp_path) == [str(number) for number in range(500)]
    assert disk.synced < 20


def test_more_than_a_chunk_is_written_in_order(
    make_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "CHUNK_BYTES", 1000)
    log = make_log()
    for number in range(50):
        log.add_rows(*answered(str(number), model="churn" if number % 2 else "other"))
    log.stop()
    assert ids_in(tmp_path) == [str(n) for n in range(1, 50, 2)] + [str(n) for n in range(0, 50, 2)]


def test_schemas_do_not_get_mixed_up(make_log: Log, tmp_path: Path) -> None:
    log = make_log()
    given = []
    for number in range(200):  # more than are remembered; each may get the address of one that is gone
        schema = answered("x")[1]
        fields = tuple(field.model_copy(update={"name": f"{field.name}{number}"}) for field in schema.fields)
        given.append(answered(str(number), schema=schema.model_copy(update={"fields": fields})))
        log.add_rows(*given[-1])
    log.stop()
    assert events_in(tmp_path) == [event for one in given for event in events_of(*one)]


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_what_has_no_json_form_is_counted_and_harms_nothing(
    make_log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    log = make_log()
    for _ in range(2):
        assert not log.add_rows(*answered(row(values=(value, "planted")), "other"))
    assert log.add_rows(*answered("good"))
    log.stop()
    assert ids_in(tmp_path) == ["good"]
    assert log.state == LogState(written=1, dropped=4)
    assert caplog.text.count("WS-SERVING-033") == 1
    assert "planted" not in caplog.text


class TestOutcomes:
    def test_it_is_on_the_disk_before_it_is_acknowledged(
        self, make_log: Log, tmp_path: Path, disk: Disk
    ) -> None:
        log = make_log()
        asyncio.run(log.add_outcome(outcome()))
        assert disk.synced
        assert events_in(tmp_path, "outcomes") == [outcome()]

    def test_those_that_come_together_share_a_write(self, make_log: Log, tmp_path: Path, disk: Disk) -> None:
        log = make_log()

        async def many() -> None:
            await asyncio.gather(*(log.add_outcome(outcome(str(number))) for number in range(300)))

        asyncio.run(many())
        assert sorted(ids_in(tmp_path, "outcomes"), key=int) == [str(number) for number in range(300)]
        assert disk.synced < 30

    def test_one_that_cannot_be_written_is_refused_and_leaves_no_trace(
        self, make_log: Log, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "OUTCOME_SECONDS", 0.3)
        disk.full = True
        log = make_log()
        with pytest.raises(StorageError, match="No space left") as refused:
            asyncio.run(log.add_outcome(outcome()))
        assert refused.value.code == "WS-SERVING-020"
        assert log.fault == "No space left on device"
        disk.full = False
        wait_until(lambda: log.state == LogState(refused=1))
        assert not events_in(tmp_path, "outcomes")

    def test_a_full_spool_and_a_stopped_log_refuse_at_once(self, make_log: Log) -> None:
        log = make_log(spool_bytes=0)
        with pytest.raises(StorageError, match="the writer is behind"):
            asyncio.run(log.add_outcome(outcome()))
        log.stop()
        log.spool_bytes = 1_000_000
        with pytest.raises(StorageError):
            asyncio.run(log.add_outcome(outcome()))
        assert log.state == LogState(refused=2)

    def test_they_do_not_wait_for_rows_nor_bring_them_to_the_disk_one_by_one(
        self, make_log: Log, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "FLUSH_SECONDS", 60.0)
        log = make_log()
        asyncio.run(log.add_outcome(outcome("one")))  # the writer's first turn is over
        log.add_rows(*answered("later"))
        asyncio.run(log.add_outcome(outcome("two")))
        assert ids_in(tmp_path, "outcomes") == ["one", "two"]
        assert ids_in(tmp_path) == []
        log.stop()
        assert ids_in(tmp_path) == ["later"]


class TestFullDisk:
    def test_it_blocks_nothing_and_loses_nothing_that_finds_a_place(
        self, make_log: Log, tmp_path: Path, disk: Disk
    ) -> None:
        log = make_log()
        log.add_rows(*answered("000"))
        wait_until(lambda: log.state.written == 1)
        (file,) = tmp_path.rglob("*.ndjson")
        log.spool_bytes = file.stat().st_size * 100
        disk.full = True
        taken = [log.add_rows(*answered(f"{number:03}")) for number in range(1, 151)]  # returns at all
        wait_until(lambda: log.fault is not None)
        assert taken == [True] * 100 + [False] * 50
        assert (log.state.dropped, log.state.waiting) == (50, 100)
        disk.full = False
        wait_until(lambda: log.state.waiting == 0)
        assert log.fault is None
        assert log.state == LogState(written=101, dropped=50)
        assert sorted(ids_in(tmp_path)) == [f"{number:03}" for number in range(101)]

    def test_answers_give_way_while_the_writer_is_behind_but_not_while_the_disk_is_full(
        self, make_log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "FLUSH_SECONDS", 60.0)
        log = make_log()
        asyncio.run(log.add_outcome(outcome("one")))  # the writer's first turn is over
        given: list[float] = []
        monkeypatch.setattr(log_module.time, "sleep", given.append)
        log.add_rows(*answered("first"))
        log.spool_bytes = log._bytes * 10
        for number in range(5):
            log.add_rows(*answered(f"row-{number}"))
        assert given == []
        for number in range(3):
            log.add_rows(*answered(f"more-{number}"))
        assert given == [log_module.BRAKE_SECONDS] * 3
        log.state.fault = "No space left on device"
        log.add_rows(*answered("on it goes"))
        assert len(given) == 3
        log.state.fault = None

    def test_dropped_counts_rows(self, make_log: Log) -> None:
        log = make_log(spool_bytes=100)
        assert not log.add_rows(*answered("a", "b", "c"))
        assert log.state == LogState(dropped=3)

    def test_it_leaves_no_heap_of_empty_files(self, make_log: Log, tmp_path: Path, disk: Disk) -> None:
        disk.full = True
        log = make_log()
        log.add_rows(*answered("one"))
        wait_until(lambda: log.fault is not None)
        time.sleep(0.3)  # several more tries
        assert not list(tmp_path.rglob("*.ndjson"))
        disk.full = False
        wait_until(lambda: log.state.waiting == 0)
        assert ids_in(tmp_path) == ["one"]

    def test_what_could_not_be_written_until_the_end_is_told(
        self, make_log: Log, disk: Disk, caplog: pytest.LogCaptureFixture
    ) -> None:
        disk.full = True
        log = make_log()
        log.add_rows(*answered("a", "b"))
        log.stop()
        assert "2 log events could not be written" in caplog.text
        assert not log.add_rows(*answered("after"))
        assert log.state == LogState(dropped=1, waiting=2, fault="No space left on device")


class Breaking(FileIO):
    """A file whose second write breaks off half-way; the system writes others in parts."""

    tries = 0
    uncut = 0
    """How many times it cannot be cut either."""

    def write(self, content: Any) -> int:
        Breaking.tries += 1
        if Breaking.tries == 2:
            super().write(bytes(content))
            raise OSError(5, "Input/output error")
        return super().write(bytes(content)[: max(1, len(content) // 2)])

    def truncate(self, size: int | None = None) -> int:
        if Breaking.uncut:
            Breaking.uncut -= 1
            raise OSError(5, "Input/output error")
        return super().truncate(size)


@pytest.mark.parametrize("uncut", [0, 3])
def test_a_write_that_breaks_off_leaves_no_half_line_and_nothing_twice(
    make_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uncut: int
) -> None:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(log_segments, "FileIO", Breaking)
    monkeypatch.setattr(Breaking, "tries", 0)
    monkeypatch.setattr(Breaking, "uncut", uncut)
    log = make_log()
    log.add_rows(*answered("one"))
    wait_until(lambda: Breaking.tries > 2 and log.state.waiting == 0 and not Breaking.uncut)
    log.stop()
    assert ids_in(tmp_path) == ["one"]
    assert not any(read_segment(file.read_bytes(), "predictions").torn for file in tmp_path.rglob("*.ndjson"))


def test_an_unexpected_fault_ends_neither_the_writer_nor_loses_rows(
    make_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    log = make_log()
    append, failing = log._segments.append, [True]

    def faulty(*arguments: Any) -> None:
        if failing[0]:
            raise KeyError("planted")
        append(*arguments)

    monkeypatch.setattr(log._segments, "append", faulty)
    log.add_rows(*answered("one"))
    wait_until(lambda: log.fault == "unexpected KeyError")
    failing[0] = False
    wait_until(lambda: log.state.written == 1)
    assert "planted" not in caplog.text
    assert log.fault is None


def test_a_stopped_log_has_written_everything(make_log: Log, tmp_path: Path) -> None:
    log = make_log()
    for number in range(50):
        log.add_rows(*answered(str(number)))
    log.stop()
    assert len(events_in(tmp_path)) == 50
    assert log.fault == "the writer does not run"


def test_every_hour_has_a_folder_and_the_archive_waits_for_open_segments(
    make_log: Log, tmp_path: Path
) -> None:
    clock = [NOON]
    log = make_log(now=lambda: clock[0])
    log.add_rows(*answered("early"))
    wait_until(lambda: events_in(tmp_path))
    later = NOON + timedelta(hours=1, minutes=5)
    archive = archive_at(tmp_path, later)
    assert archive.close_segments() == 0  # the writer still holds it
    clock[0] = later
    log.add_rows(*answered("late", at=later))
    wait_until(lambda: archive.close_segments() == 1)
    wait_until(lambda: ids_in(tmp_path) == ["late"])
    assert [folder.name for folder in (tmp_path / "log/predictions/churn").iterdir()] == ["20260501T13"]


def test_rows_that_come_late_for_their_hour_are_still_archived(make_log: Log, tmp_path: Path) -> None:
    later = NOON + timedelta(hours=2)
    log = make_log(now=lambda: later)
    archive = archive_at(tmp_path, later)
    for name in ("one", "two"):
        log.add_rows(*answered(name))
        wait_until(lambda: archive.close_segments() == 1)
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "storage/predictions/churn/20260501T12.parquet")
    assert table["prediction_id"].to_pylist() == ["one", "two"]


def archive_at(folder: Path, now: datetime) -> ParquetPredictionArchive:
    return ParquetPredictionArchive(folder, Storage(str(folder / "storage")), now=lambda: now)
