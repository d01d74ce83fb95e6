from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.builders import NOON, digest
from windsock.adapters.prediction_archive import (
    ParquetPredictionArchive,
    hour_of,
    read_segment,
    segment_folder,
)
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import OutcomeEvent, PredictionEvent

LATER = NOON + timedelta(hours=3)


def prediction(identifier: str, *, minute: int = 0, **fields: Any) -> PredictionEvent:
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "model": "churn",
        "version": "1",
        "digest": digest("b"),
        "variant": "champion",
        "epoch": 1,
        "receive_time": NOON + timedelta(minutes=minute),
        "features": {"age": 41.5, "plan": None},
        "score": 0.25,
        "prediction": False,
    }
    return PredictionEvent(**{**made, **fields})


def outcome(identifier: str, **fields: Any) -> OutcomeEvent:
    made: dict[str, Any] = {
        "model": "churn",
        "prediction_id": identifier,
        "outcome": "yes",
        "receive_time": NOON,
    }
    return OutcomeEvent(**{**made, **fields})


class Spool:
    """A server's log folder and its archive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = Storage(str(folder / "storage"))
        self.archive = ParquetPredictionArchive(folder, self.storage, now=lambda: LATER)

    def write(self, *events: Any, name: str = "1-a", tail: bytes = b"", hour: str | None = None) -> Path:
        kind = "predictions" if isinstance(events[0], PredictionEvent) else "outcomes"
        place = segment_folder(self.folder, kind, events[0].model, hour or hour_of(events[0].receive_time))
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"{name}.ndjson"
        file.write_bytes(b"".join(event.model_dump_json().encode() + b"\n" for event in events) + tail)
        return file

    def rows(self, path: str = "predictions/churn/20260501T12.parquet") -> list[dict[str, Any]]:
        return pq.read_table(self.folder / "storage" / path).to_pylist()

    def ids(self) -> list[str]:
        return [row["prediction_id"] for row in self.rows()]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def test_an_hour_becomes_one_file_in_the_order_of_time(spool: Spool) -> None:
    spool.write(prediction("b", minute=2), prediction("d", minute=4))
    spool.write(prediction("a", minute=1), prediction("c", minute=3), name="2-b")
    assert spool.archive.close_segments() == 2
    assert spool.ids() == ["a", "b", "c", "d"]
    assert not list((spool.folder / "log").rglob("*.ndjson"))
    assert spool.archive.close_segments() == 0


def test_the_types_of_the_columns(spool: Spool) -> None:
    event = prediction(
        "a", features={"plan": "Zoë", "age": 3}, prediction=True, event_time=NOON, unit="u", experiment="e"
    )
    spool.write(event)
    spool.archive.close_segments()
    (row,) = spool.rows()
    assert json.loads(row["features"]) == {"plan": "Zoë", "age": 3}
    assert (row["prediction"], row["score"], row["epoch"]) == ("true", 0.25, 1)
    assert row["event_time"] == NOON
    assert (row["unit"], row["client"]) == ("u", None)
    assert set(row) == set(PredictionEvent.model_fields)


@pytest.mark.parametrize(("label", "text"), [("yes", '"yes"'), (3, "3"), (2.5, "2.5"), (True, "true")])
def test_labels_of_every_kind_come_back(spool: Spool, label: Any, text: str) -> None:
    spool.write(prediction("a", prediction=label))
    spool.write(outcome("a", outcome=label))
    spool.archive.close_segments()
    assert spool.rows()[0]["prediction"] == text
    assert spool.rows("outcomes/churn/20260501T12.parquet")[0]["outcome"] == text


def test_only_hours_that_are_over(spool: Spool) -> None:
    spool.write(prediction("now", receive_time=LATER))
    spool.write(prediction("then", receive_time=LATER - timedelta(hours=1)))
    assert spool.archive.close_segments() == 1
    assert [file.parent.name for file in (spool.folder / "log").rglob("*.ndjson")] == ["20260501T15"]


def test_exact_duplicates_once_others_all(spool: Spool) -> None:
    spool.write(prediction("a"), prediction("a"), prediction("a", minute=1), prediction("a", version="2"))
    spool.write(prediction("a"), name="2-b")
    spool.archive.close_segments()
    assert [(row["version"], row["receive_time"].minute) for row in spool.rows()] == [
        ("1", 0),
        ("2", 0),
        ("1", 1),
    ]


def test_late_segments_join_the_hour_that_is_archived(spool: Spool) -> None:
    spool.write(prediction("b", minute=2))
    spool.archive.close_segments()
    spool.write(prediction("a", minute=1), name="9-late")
    assert spool.archive.close_segments() == 1
    assert spool.ids() == ["a", "b"]


def test_a_crash_before_the_spool_is_removed_changes_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.write(prediction("a"), prediction("b", minute=1))

    def killed(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            spool.archive.close_segments()
    before = spool.rows()
    assert list((spool.folder / "log").rglob("*.ndjson"))
    assert spool.archive.close_segments() == 1
    assert spool.rows() == before
    assert not list((spool.folder / "log").rglob("*.ndjson"))


def test_storage_that_fails_keeps_the_spool(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.write(prediction("a"))

    def full(*_: Any, **__: Any) -> bool:
        raise StorageError("the disk is full", code="WS-STORAGE-002")

    monkeypatch.setattr(Storage, "write_bytes", full)
    with pytest.raises(StorageError):
        spool.archive.close_segments()
    assert list((spool.folder / "log").rglob("*.ndjson"))


def test_a_torn_last_line_is_told_and_left(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.write(prediction("a"), tail=b'{"prediction_id": "planted')
    assert spool.archive.close_segments() == 1
    assert spool.ids() == ["a"]
    assert "WS-SERVING-021" in caplog.text
    assert "planted" not in caplog.text


def test_whole_lines_that_are_no_events_are_kept_apart(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    file = spool.write(prediction("a"), tail=b'{"planted": 1}\nnonsense\n')
    file.write_bytes(file.read_bytes() + prediction("b", minute=1).model_dump_json().encode() + b"\n")
    spool.archive.close_segments()
    assert spool.ids() == ["a", "b"]
    (kept,) = (spool.folder / "log" / "rejected").iterdir()
    assert kept.read_bytes() == b'{"planted": 1}\nnonsense\n'
    assert "2 lines are no predictions" in caplog.text
    assert "planted" not in caplog.text


def test_a_segment_that_is_open_waits(spool: Spool) -> None:
    file = spool.write(prediction("a"))
    with file.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert spool.archive.close_segments() == 0
    assert spool.archive.close_segments() == 1


def test_an_empty_segment_is_removed(spool: Spool) -> None:
    file = spool.write(prediction("a"))
    file.write_bytes(b"")
    assert spool.archive.close_segments() == 1
    assert not (spool.folder / "storage").exists()
    assert not file.parent.exists()


def test_strange_folders_are_left_alone(spool: Spool) -> None:
    strange = spool.folder / "log/predictions/churn/notes"
    strange.mkdir(parents=True)
    assert spool.archive.close_segments() == 0
    assert strange.exists()


def test_nothing_there_is_nothing_to_do(spool: Spool) -> None:
    assert spool.archive.close_segments() == 0
    assert spool.archive.remove_older(LATER) == 0


def test_old_hours_are_removed_for_both_kinds(spool: Spool) -> None:
    for hours in range(3):
        at = NOON + timedelta(hours=hours)
        spool.write(prediction("a", receive_time=at))
        spool.write(outcome("a", receive_time=at))
    spool.archive.close_segments()
    assert spool.archive.remove_older(NOON + timedelta(hours=2, minutes=30)) == 4
    assert spool.storage.names("predictions/churn") == ("20260501T14.parquet",)
    assert spool.storage.names("outcomes/churn") == ("20260501T14.parquet",)


def test_hours_are_in_utc() -> None:
    assert hour_of(datetime.fromisoformat("2026-05-01T01:30:00+02:00")) == "20260430T23"
    assert hour_of(datetime(2026, 5, 1, 1, tzinfo=UTC)) == "20260501T01"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
EVENTS = st.builds(
    prediction,
    TEXT,
    minute=st.integers(0, 59),
    prediction=TEXT | st.booleans() | st.integers(-(10**9), 10**9),
    features=st.dictionaries(TEXT, st.none() | TEXT | st.booleans() | st.floats(-1e9, 1e9), max_size=3),
)


@hypothesis_settings(deadline=None)
@given(st.lists(EVENTS, max_size=6), st.integers(0, 400))
def test_whatever_a_kill_cuts_off_every_whole_line_is_read(events: list[PredictionEvent], cut: int) -> None:
    content = b"".join(event.model_dump_json().encode() + b"\n" for event in events)
    left = content[: max(0, len(content) - cut)]
    segment = read_segment(left, "predictions")
    assert list(segment.events) == events[: left.count(b"\n")]
    assert segment.torn == (bool(left) and not left.endswith(b"\n"))
    assert not segment.unreadable
