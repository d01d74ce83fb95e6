from __future__ import annotations

import fcntl
import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.builders import NOON, digest
from support.log_rows import kind_of, line_of
from windsock.adapters import log_columns, log_merge, prediction_archive
from windsock.adapters.log_merge import Tally
from windsock.adapters.log_reading import LogReader
from windsock.adapters.prediction_archive import (
    ParquetPredictionArchive,
    hour_of,
    read_segment,
    segment_folder,
)
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import OutcomeEvent, PredictionEvent, Span, UnansweredEvent

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


def unanswered(identifier: str, *, minute: int = 0, **fields: Any) -> UnansweredEvent:
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "model": "churn",
        "version": "2",
        "digest": digest("c"),
        "variant": "challenger",
        "experiment": "v2-e7",
        "epoch": 1,
        "receive_time": NOON + timedelta(minutes=minute),
        "cause": "failed",
    }
    return UnansweredEvent(**{**made, **fields})


class Spool:
    """A server's log folder and its archive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = Storage(str(folder / "storage"))
        self.archive = ParquetPredictionArchive(folder, self.storage, now=lambda: LATER)

    def write(self, *events: Any, name: str = "1-a", tail: bytes = b"", hour: str | None = None) -> Path:
        place = segment_folder(
            self.folder, kind_of(events[0]), events[0].model, hour or hour_of(events[0].receive_time)
        )
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"{name}.ndjson"
        file.write_bytes(b"".join(line_of(event) for event in events) + tail)
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
    assert row["features"] == {"plan": "Zoë", "age": 3}
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

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(StorageError) as caught:
            spool.archive.close_segments()
    assert caught.value.code == "WS-STORAGE-002"
    assert list((spool.folder / "log").rglob("*.ndjson"))
    assert not list((spool.folder / "storage").rglob("*.parquet"))
    assert spool.archive.close_segments() == 1
    assert spool.ids() == ["a"]


def test_an_object_store_is_written_to_and_added_to(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    storage = Storage(f"memory://{tmp_path.name}")
    spool.archive = ParquetPredictionArchive(tmp_path, storage, now=lambda: LATER)
    for name in "ab":
        spool.write(prediction(name), name=f"1-{name}")
        spool.archive.close_segments()
        content = storage.read_bytes("predictions/churn/20260501T12.parquet")
    assert pq.read_table(io.BytesIO(content))["prediction_id"].to_pylist() == ["a", "b"]


def test_the_rows_of_a_line_share_what_they_share(spool: Spool) -> None:
    first, second = prediction("a", unit="u", event_time=NOON), prediction("b", prediction="yes", score=None)
    file = spool.write(first)
    file.write_bytes(line_of(first, second))
    assert list(spool.archive.close_hours().values()) == [Tally(segments=1, read=2, archived=2)]
    (one, two) = spool.rows()
    assert (one["unit"], one["event_time"], one["score"]) == ("u", NOON, 0.25)
    assert (two["unit"], two["event_time"], two["score"], two["prediction"]) == (None, None, None, '"yes"')
    assert one["digest"] == two["digest"] == digest("b")


def test_what_came_in_is_what_became_of_it(spool: Spool) -> None:
    spool.write(prediction("a"), prediction("b"), tail=b"nonsense\n" + line_of(prediction("c"))[:-9])
    spool.write(prediction("b"), prediction("d"), name="2-b")
    ((hour, tally),) = spool.archive.close_hours().items()
    assert hour.path == "predictions/churn/20260501T12.parquet"
    assert tally == Tally(segments=2, read=4, archived=3, duplicates=1, unreadable=1, torn=1)


def test_an_archive_that_would_lose_rows_replaces_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.write(prediction("a"), prediction("b"))
    take = log_columns.Columns.table
    monkeypatch.setattr(log_columns.Columns, "table", lambda self: take(self).slice(1))
    with pytest.raises(StorageError, match="gain 1 rows of 2") as caught:
        spool.archive.close_segments()
    assert caught.value.code == "WS-SERVING-037"
    assert list((spool.folder / "log").rglob("*.ndjson"))
    assert not list((spool.folder / "storage").rglob("*.parquet"))


def test_many_segments_and_row_groups(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_archive, "SEGMENTS_AT_ONCE", 4)
    monkeypatch.setattr(log_merge, "GROUP_ROWS", 8)
    for number in range(10):
        events = [prediction(f"{number}-{minute}", minute=minute) for minute in range(number, 60, 10)]
        spool.write(*events, name=f"{number}-x")
    assert spool.archive.close_segments() == 10
    rows = spool.rows()
    assert len({row["prediction_id"] for row in rows}) == 60
    parquet = pq.ParquetFile(spool.folder / "storage/predictions/churn/20260501T12.parquet")
    assert parquet.num_row_groups > 5
    for number in range(parquet.num_row_groups):
        times = parquet.read_row_group(number)["receive_time"].to_pylist()
        assert times == sorted(times)


def test_segments_in_order_give_a_file_in_order(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_merge, "GROUP_ROWS", 8)
    for part in range(3):
        spool.write(*(prediction(str(n), minute=n) for n in range(part, 60, 3)), name=f"{part}-x")
    spool.archive.close_segments()
    assert spool.ids() == [str(number) for number in range(60)]


def test_a_file_from_before_a_column_existed_is_added_to(spool: Spool) -> None:
    spool.write(prediction("old"))
    spool.archive.close_segments()
    place = spool.folder / "storage/predictions/churn/20260501T12.parquet"
    pq.write_table(pq.read_table(place).drop_columns(["fallback_for", "inference_ms"]), place)
    spool.write(prediction("new", minute=1, fallback_for="challenger", inference_ms=2.5), name="2-b")
    spool.archive.close_segments()
    assert [(row["prediction_id"], row["fallback_for"], row["inference_ms"]) for row in spool.rows()] == [
        ("old", None, None),
        ("new", "challenger", 2.5),
    ]


def test_a_damaged_archive_is_told_and_nothing_is_lost(spool: Spool) -> None:
    place = spool.folder / "storage/predictions/churn/20260501T12.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"damaged")
    spool.write(prediction("a"))
    with pytest.raises(StorageError, match="cannot read"):
        spool.archive.close_segments()
    assert place.read_bytes() == b"damaged"
    assert list((spool.folder / "log").rglob("*.ndjson"))


def test_two_never_close_at_once(spool: Spool) -> None:
    spool.write(prediction("a"))
    with (spool.folder / "log" / prediction_archive.LOCK_FILE).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert spool.archive.close_segments() == 0
    assert spool.archive.close_segments() == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", "1"),
        ("epoch", None),
        ("receive_time", "2026-05-01T12:00:00"),
        ("receive_time", "yesterday"),
        ("version", 3),
        ("fields", ["age"]),
        ("rows", [["a", None, None, "0.5", True, [1, 2]]]),
        ("rows", [["a", None, None, 0.5, None, [1, 2]]]),
        ("rows", [["a", None, None, 0.5, True, [1, {"nested": 2}]]]),
        ("rows", [["a", None, None, 0.5, True, [1, 2], "more"]]),
        ("rows", [["a", None, None, 0.5, True]]),
        ("unknown", 1),
    ],
)
def test_a_line_with_one_wrong_value_is_no_line(name: str, value: Any) -> None:
    good = json.loads(line_of(prediction("a")))
    segment = read_segment(json.dumps({**good, name: value}).encode() + b"\n", "predictions")
    assert (segment.events, len(segment.unreadable)) == ((), 1)


def test_rejected_lines_are_kept_as_long_as_hours(spool: Spool) -> None:
    spool.write(prediction("a"), tail=b"nonsense\n")
    spool.archive.close_segments()
    (kept,) = (spool.folder / "log/rejected").iterdir()
    os.utime(kept, (NOON.timestamp(), NOON.timestamp()))
    assert spool.archive.remove_older(NOON) == 0
    assert spool.archive.remove_older(NOON + timedelta(minutes=1)) == 1
    assert not kept.exists()
    assert spool.ids() == ["a"]


def test_an_unreadable_line_is_kept_once_though_closing_is_tried_twice(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.write(prediction("a"), tail=b"nonsense\n")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(StorageError):
            spool.archive.close_segments()
    spool.archive.close_segments()
    (kept,) = (spool.folder / "log/rejected").iterdir()
    assert kept.read_bytes() == b"nonsense\n"


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
    file.write_bytes(file.read_bytes() + line_of(prediction("b", minute=1)))
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


def test_rows_without_an_answer_are_an_hour_like_the_others(spool: Spool) -> None:
    first = unanswered("a", unit="u", event_time=NOON, client="shop", minute=1)
    same, other = (
        unanswered("b", minute=1, client="shop"),
        unanswered("c", cause="invalid", variant="champion"),
    )
    file = spool.write(first)
    file.write_bytes(line_of(first, same) + line_of(first, same) + b'{"cause": 3}\n' + line_of(other))
    reader, span = LogReader(spool.folder, spool.storage), Span(start=NOON, end=LATER)

    def read() -> list[UnansweredEvent]:
        tables = reader.tables("unanswered", "churn", span)
        return sorted(
            (UnansweredEvent(**row) for table in tables for row in table.to_pylist()),
            key=lambda event: event.prediction_id,
        )

    assert read() == [first, same, other]  # from the segment
    ((hour, tally),) = spool.archive.close_hours().items()
    assert hour.path == "unanswered/churn/20260501T12.parquet"
    assert tally == Tally(segments=1, read=5, archived=3, duplicates=2, unreadable=1)
    assert read() == [first, same, other]  # from the archive
    late = unanswered("d", minute=2)
    spool.write(late, name="9-late")
    assert read() == [first, same, other, late]  # from both
    spool.archive.close_segments()
    (row, *_) = spool.rows(hour.path)
    assert set(row) == set(UnansweredEvent.model_fields)
    assert read() == [first, same, other, late]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("experiment", None),
        ("cause", "tired"),
        ("cause", None),
        ("epoch", "1"),
        ("rows", [["a", None]]),
        ("rows", [["a", None, "yesterday"]]),
        ("rows", [["a", None, None, 0.5]]),
        ("features", {}),
    ],
)
def test_a_line_of_unanswered_rows_with_one_wrong_value_is_no_line(name: str, value: Any) -> None:
    good = json.loads(line_of(unanswered("a")))
    segment = read_segment(json.dumps({**good, name: value}).encode() + b"\n", "unanswered")
    assert (segment.events, len(segment.unreadable)) == ((), 1)


def test_old_hours_are_removed_for_all_kinds(spool: Spool) -> None:
    for hours in range(3):
        at = NOON + timedelta(hours=hours)
        spool.write(prediction("a", receive_time=at))
        spool.write(outcome("a", receive_time=at))
        spool.write(unanswered("a", receive_time=at))
    spool.archive.close_segments()
    assert spool.archive.remove_older(NOON + timedelta(hours=2, minutes=30)) == 6
    assert spool.storage.names("predictions/churn") == ("20260501T14.parquet",)
    assert spool.storage.names("outcomes/churn") == ("20260501T14.parquet",)
    assert spool.storage.names("unanswered/churn") == ("20260501T14.parquet",)


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
    content = b"".join(line_of(event) for event in events)
    left = content[: max(0, len(content) - cut)]
    segment = read_segment(left, "predictions")
    assert list(segment.events) == events[: left.count(b"\n")]
    assert segment.torn == (bool(left) and not left.endswith(b"\n"))
    assert not segment.unreadable


def test_hours_that_a_model_needs_stay_however_old(spool: Spool) -> None:
    spool.write(prediction("a"))
    spool.archive.close_segments()
    hour = NOON.replace(minute=0, second=0, microsecond=0)
    later = NOON + timedelta(days=9)
    for since in (datetime.min.replace(tzinfo=UTC), hour, hour + timedelta(minutes=59)):
        assert spool.archive.remove_older(later, needed={"churn": since}) == 0
    assert spool.archive.remove_older(hour, needed={"churn": later}) == 0  # nothing younger goes
    assert spool.ids() == ["a"]
    assert spool.archive.remove_older(later, needed={"churn": hour + timedelta(hours=1), "other": hour}) == 1
