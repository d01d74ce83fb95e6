"""Values of sensitive fields in the prediction log: encrypted, or not written at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.builders import NOON
from support.log_rows import SENSITIVE, answered, row
from support.serving import wait_until
from windsock.adapters.column_cipher import LOG_KEY, UNAVAILABLE, ColumnCipher, make_log_key
from windsock.adapters.log_format import read_segment
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.storage import Storage
from windsock.serving import log_segments
from windsock.serving import prediction_log as log_module
from windsock.serving.log_lines import SEALED_FILE
from windsock.serving.prediction_log import LogState, PredictionLog

PLANTED = ("Schrödinger-4711", "4711.0815")
Make = Callable[[], PredictionLog]


def secret(identifier: str = "p", plan: Any = PLANTED[0]) -> Any:
    return answered(row(identifier, values=(41.5, plan)), schema=SENSITIVE)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    return folder


@pytest.fixture
def make_log(tmp_path: Path, keys: Path) -> Iterator[Make]:
    made = []

    def make() -> PredictionLog:
        log = PredictionLog(tmp_path / "serving", keys_dir=keys, now=lambda: NOON)
        made.append(log)
        log.start()
        return log

    yield make
    for log in made:
        log.stop()


def plans(folder: Path) -> list[Any]:
    return [
        event.features["plan"]  # type: ignore[union-attr]
        for file in sorted((folder / "serving").rglob("*.ndjson"))
        for event in read_segment(file.read_bytes(), "predictions").events
    ]


def bytes_below(*folders: Path) -> bytes:
    return b"".join(file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file())


def test_planted_values_are_in_no_byte(
    make_log: Make, tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_log_key(keys)
    log = make_log()
    for number in range(100):
        log.add_rows(*secret(str(number), PLANTED[0] if number % 2 else float(PLANTED[1])))
    log.stop()
    storage = tmp_path / "storage"
    state = bytes_below(tmp_path / "serving")
    archive = ParquetPredictionArchive(
        tmp_path / "serving", Storage(str(storage)), now=lambda: NOON + timedelta(hours=2)
    )
    assert archive.close_segments() == 1
    table = pq.read_table(storage / "predictions/churn/20260501T12.parquet").to_pylist()
    everything = state + bytes_below(tmp_path) + json.dumps(table, default=str, ensure_ascii=False).encode()
    everything += caplog.text.encode()
    for planted in PLANTED:
        for form in (planted.encode(), json.dumps(planted).strip('"').encode()):
            assert form not in everything
    cipher = ColumnCipher.from_folder(keys)
    assert cipher is not None
    features = [one["features"] for one in table]
    assert {one["age"] for one in features} == {41.5}
    assert [cipher.decrypt(one["plan"]) for one in features] == [float(PLANTED[1]), PLANTED[0]] * 50


def test_null_is_a_value_like_any_other(make_log: Make, tmp_path: Path, keys: Path) -> None:
    make_log_key(keys)
    log = make_log()
    log.add_rows(*secret(plan=None))
    log.stop()
    (text,) = plans(tmp_path)
    assert text.startswith("fernet:")
    assert ColumnCipher.from_folder(keys).decrypt(text) is None  # type: ignore[union-attr]


def test_without_a_key_values_are_in_clear(make_log: Make, tmp_path: Path) -> None:
    log = make_log()
    log.add_rows(*secret())
    assert log.fault is None
    log.stop()
    assert plans(tmp_path) == [PLANTED[0]]


def test_a_log_without_a_keys_folder_writes_in_clear(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "serving", now=lambda: NOON)
    log.start()
    log.add_rows(*secret())
    log.stop()
    assert plans(tmp_path) == [PLANTED[0]]


def test_other_models_are_not_touched(make_log: Make, tmp_path: Path, keys: Path) -> None:
    (keys / LOG_KEY).write_text("nonsense")
    log = make_log()
    log.add_rows(*answered("p"))
    log.stop()
    assert plans(tmp_path) == ["basic"]
    assert log.sealer.withheld == 0


@pytest.mark.parametrize("harm", ["content", "mode", "folder"])
def test_a_key_that_cannot_be_used_never_means_in_clear(
    make_log: Make, tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    make_log_key(keys)
    if harm == "content":
        (keys / LOG_KEY).write_text("nonsense")
    elif harm == "mode":
        (keys / LOG_KEY).chmod(0o644)
    else:
        (keys / LOG_KEY).unlink()
        (keys / LOG_KEY).mkdir()
    log = make_log()
    assert log.add_rows(*secret())
    assert log.fault is not None
    assert log.fault.startswith("sensitive values are not written")
    log.stop()
    assert plans(tmp_path) == [UNAVAILABLE]
    assert log.sealer.withheld == 1
    assert log.state == LogState(written=1)
    assert caplog.text.count("WS-SERVING-034") == 1


def test_a_key_that_goes_away_withholds_until_it_is_back(make_log: Make, tmp_path: Path, keys: Path) -> None:
    make_log_key(keys)
    log = make_log()
    log.add_rows(*secret("1"))
    wait_until(lambda: log.state.written == 1)
    (keys / LOG_KEY).rename(keys / "away")
    log.add_rows(*secret("2"))
    wait_until(lambda: log.state.written == 2)
    assert "is gone" in str(log.fault)
    (keys / "away").rename(keys / LOG_KEY)
    log.add_rows(*secret("3"))
    wait_until(lambda: log.state.written == 3)
    assert log.fault is None
    cipher = ColumnCipher.from_folder(keys)
    assert cipher is not None
    assert [cipher.decrypt(text) for text in plans(tmp_path)] == [PLANTED[0], None, PLANTED[0]]


def test_a_worker_that_starts_after_the_key_went_away_withholds_too(
    make_log: Make, tmp_path: Path, keys: Path
) -> None:
    make_log_key(keys)
    first = make_log()
    first.add_rows(*secret("1"))
    first.stop()
    (keys / LOG_KEY).rename(keys / "away")
    second = make_log()
    second.add_rows(*secret("2"))
    second.stop()
    assert "is gone" in str(second.sealer.fault)
    assert UNAVAILABLE in plans(tmp_path)
    (tmp_path / "serving" / SEALED_FILE).unlink()  # as a server does that starts anew
    assert not make_log().sealer.in_force


def test_a_key_that_is_made_later_is_used_without_a_restart(
    make_log: Make, tmp_path: Path, keys: Path
) -> None:
    log = make_log()
    make_log_key(keys)
    wait_until(lambda: log.sealer.in_force)
    log.add_rows(*secret())
    log.stop()
    (text,) = plans(tmp_path)
    assert ColumnCipher.from_folder(keys).decrypt(text) == PLANTED[0]  # type: ignore[union-attr]


def test_a_rotated_key_is_used_without_a_restart(make_log: Make, tmp_path: Path, keys: Path) -> None:
    make_log_key(keys)
    log = make_log()
    log.add_rows(*secret("1"))
    wait_until(lambda: log.state.written == 1)
    make_log_key(keys)
    log.add_rows(*secret("2"))
    log.stop()
    first, second = plans(tmp_path)
    newest = ColumnCipher([(keys / LOG_KEY).read_bytes().splitlines()[0]])
    assert newest.decrypt(second) == PLANTED[0]
    assert ColumnCipher.from_folder(keys).decrypt(first) == PLANTED[0]  # type: ignore[union-attr]


def test_lines_are_sealed_once_and_fit_the_spool_they_were_let_into(
    make_log: Make, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.05)
    full, fsync = [True], log_segments.os.fdatasync
    seen: list[bytes] = []

    def sync(descriptor: int) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    make_log_key(keys)
    monkeypatch.setattr(log_segments.os, "fdatasync", sync)
    log = make_log()
    append = log._segments.append

    def appending(place: Any, content: bytes) -> None:
        seen.append(content)
        append(place, content)

    monkeypatch.setattr(log._segments, "append", appending)
    log.add_rows(*secret(plan="x" * 10_000))
    cost = log._bytes
    wait_until(lambda: len(seen) > 3)
    assert len(set(seen)) == 1
    assert len(seen[0]) <= cost
    full[0] = False
    wait_until(lambda: log.state.written == 1)
    assert log._bytes == 0
