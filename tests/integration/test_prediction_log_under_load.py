"""The prediction log against a real full disk and a real kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from support.log_rows import answered
from support.serving import PLUGINS, wait_until
from windsock.adapters.log_format import Segment, read_segment
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.ports import utc_now
from windsock.records import OutcomeEvent
from windsock.serving import prediction_log as log_module
from windsock.serving.prediction_log import PredictionLog

pytestmark = pytest.mark.slow


def segments(folder: Path, kind: str) -> list[Segment]:
    return [
        read_segment(file.read_bytes(), kind) for file in sorted((folder / "log" / kind).rglob("*.ndjson"))
    ]


def ids(folder: Path, kind: str) -> list[str | None]:
    return [event.prediction_id for segment in segments(folder, kind) for event in segment.events]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "windsock-test", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))


def test_a_full_disk_loses_only_what_is_counted(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(log_module, "OUTCOME_SECONDS", 0.3)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1_000_000))  # what people free later
    log = PredictionLog(small_disk / "serving", spool_bytes=500_000)
    log.start()
    handed, taken = 0, set()
    while log.state.dropped < 1000:
        names = [str(handed + place) for place in range(10)]
        handed += len(names)
        if log.add_rows(*answered(*names, at=utc_now())):
            taken.update(names)
        time.sleep(0.001)  # slower than the writer, faster than a full disk
    assert log.fault == "No space left on device"
    fill(small_disk / "rest")
    given = OutcomeEvent(model="churn", prediction_id="p", outcome=True, receive_time=utc_now())
    with pytest.raises(StorageError) as refused:
        asyncio.run(log.add_outcome(given))
    assert refused.value.code == "WS-SERVING-020"
    wait_until(lambda: log.state.refused == 1)
    assert log.state.written + log.state.waiting + log.state.dropped == handed
    filler.unlink()
    wait_until(lambda: log.state.waiting == 0)
    asyncio.run(log.add_outcome(given))
    log.stop()
    assert log.state.written - 1 + log.state.dropped == handed
    assert log.state.refused == 1
    found = ids(small_disk / "serving", "predictions")
    assert len(found) == len(set(found))
    assert set(found) == taken
    read = segments(small_disk / "serving", "predictions")
    assert not any(segment.torn or segment.unreadable for segment in read)
    assert ids(small_disk / "serving", "outcomes") == ["p"]


@pytest.mark.parametrize("seconds", [1.6, 1.9, 2.3])
def test_a_kill_loses_no_acknowledged_outcome_and_no_row_older_than_a_second(
    tmp_path: Path, seconds: float
) -> None:
    state, told = tmp_path / "serving", tmp_path / "told"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PLUGINS), str(PLUGINS.parent / "tests")))}
    with told.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "support.log_process", state], stdout=out, env=env)
    try:
        wait_until(lambda: b"rows" in told.read_bytes())
        time.sleep(seconds)  # the moment of the kill, anywhere between two flushes
        killed = time.time()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    said = [line.split() for line in told.read_text().splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = {words[1] for words in said if words[0] == "outcome"}
    rows = [(int(words[1]), float(words[2]), int(words[3])) for words in said if words[0] == "rows"]
    due = max(count for count, at, _ in rows if at <= killed - 1.0)
    kept_outcomes, kept = set(ids(state, "outcomes")), ids(state, "predictions")
    assert len(acknowledged) > 100
    assert acknowledged - kept_outcomes == set()
    assert due > 100
    assert {str(number) for number in range(due)} - set(kept) == set()
    assert len(kept) >= max(written for _, _, written in rows)
    assert kept == [str(number) for number in range(len(kept))]

    read = [segment for kind in ("predictions", "outcomes") for segment in segments(state, kind)]
    assert not any(segment.unreadable for segment in read)
    archive = ParquetPredictionArchive(
        state, Storage(str(tmp_path / "storage")), now=lambda: utc_now() + timedelta(hours=2)
    )
    tallies = archive.close_hours().values()
    assert sum(tally.archived for tally in tallies) == len(kept) + len(kept_outcomes)
    assert sum(tally.torn for tally in tallies) == sum(segment.torn for segment in read)
    assert not sum(tally.duplicates + tally.unreadable for tally in tallies)
