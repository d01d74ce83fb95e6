from __future__ import annotations

import fcntl
import logging
from datetime import timedelta
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.builders import NOON, digest
from support.counted_logs import (
    NAMED,
    NAMES,
    PROFILE,
    VALUES,
    make_profile,
    write_damaged,
    write_sealed,
    write_values,
)
from support.logged_hours import DIGEST, LoggedHours, event, plain, span
from windsock.adapters.column_cipher import make_log_key
from windsock.adapters.log_reading import EVER, LogReader, Segment
from windsock.adapters.window_counts import ArchiveWindowCounter
from windsock.adapters.window_counts.parquet_engine import ParquetEngine
from windsock.exceptions import StorageError
from windsock.records import ColumnKind, ColumnProfile, DriftProfile
from windsock.statistics.counting import LATENCY_EDGES, WindowCounts


class Counting:
    """A log, its counter, and how often an hour was read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.log = LoggedHours(folder)
        self.options = options
        self.read: list[str] = []
        count = ParquetEngine.count

        def seen(engine: ParquetEngine, hour: Any, *given: Any, **named: Any) -> WindowCounts:
            self.read.append(hour.name)
            return count(engine, hour, *given, **named)

        monkeypatch.setattr(ParquetEngine, "count", seen)

    def count(
        self, begin: float, end: float, profile: DriftProfile = PROFILE, of: str = DIGEST
    ) -> WindowCounts:
        self.read.clear()
        counter = ArchiveWindowCounter(
            self.log.folder, self.log.storage, now=lambda: self.log.now, **self.options
        )
        return counter.count("churn", of, profile, span(begin, end))

    @property
    def stored(self) -> list[str]:
        root = self.log.storage.local_path("counts")
        assert root is not None
        return sorted(file.relative_to(root).as_posix() for file in root.rglob("*.counts"))


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(tmp_path, monkeypatch)


def test_an_accepted_profile_is_counted_beside_the_versions_own(
    counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    counting.log.write(*counting.log.events(60))
    counting.log.archive()
    counting.count(0, 1)
    own = counting.stored
    accepted = PROFILE.replace(accepted=True)
    counting.count(0, 1, accepted)
    assert counting.read
    assert set(own) < set(counting.stored)
    for profile in (PROFILE, accepted):
        assert counting.count(0, 1, profile).rows == 60
        assert not counting.read
    assert "WS-MONITORING-010" not in caplog.text
    assert "accepted" not in PROFILE.model_dump(mode="json")


def test_where_the_log_begins(tmp_path: Path) -> None:
    log = LoggedHours(tmp_path)
    counter = ArchiveWindowCounter(log.folder, log.storage, now=lambda: log.now)
    assert counter.begins("churn") is None
    log.write(*log.events(3, hour=5.5))
    assert counter.begins("churn") == NOON + timedelta(hours=5)
    log.archive()
    log.write(*log.events(3, hour=7))
    assert counter.begins("churn") == NOON + timedelta(hours=5)
    assert counter.begins("other") is None


def test_without_any_log_there_are_no_rows(counting: Counting) -> None:
    counts = counting.count(0, 24)
    assert counts.rows == 0
    assert set(counts.columns) == {"age", "plan"}
    assert counts.columns["age"].total == 0
    assert not counting.read


def test_rows_of_the_stretch_and_no_others(counting: Counting) -> None:
    edges = [
        event(name, at=NOON + timedelta(hours=1, microseconds=off))
        for name, off in (("before", -1), ("first", 0), ("last", 3_600_000_000 - 1), ("after", 3_600_000_000))
    ]
    for one in edges:
        counting.log.write(one)
    assert counting.count(1, 2).rows == 2
    counting.log.archive()
    assert counting.count(1, 2).rows == 2
    assert counting.count(0, 4).rows == 4
    assert counting.count(1.5, 2.5).rows == 2


@pytest.mark.parametrize("archived", [True, False])
def test_what_is_counted_of_each_row(counting: Counting, archived: bool) -> None:
    rows = [
        event("a", features={"age": 20.0, "plan": "gold"}, score=0.25, prediction=True),
        event("b", features={"age": None, "plan": "silver"}, score=None, inference_ms=None),
        event("c", features={"age": 1e31, "plan": None}, fallback_for="challenger", inference_ms=1e6),
        event("d", digest=digest("c"), variant="challenger", score=0.9, prediction=True),
        event("e", variant="shadow", features={"age": 99.0, "plan": "basic"}),
    ]
    for one in rows:
        counting.log.write(one)
    if archived:
        counting.log.archive()
    counts = counting.count(0, 1)
    age, plan = counts.columns["age"], counts.columns["plan"]
    assert (counts.rows, counts.fallbacks, counts.damaged) == (4, 1, 0)
    assert counts.variants == {"champion": 3, "challenger": 1}
    assert counts.predictions == {"true": 1, "false": 2}
    assert (age.rows, age.nulls, age.lowest, age.highest) == (2, 2, 20.0, 41.5)
    assert (plan.rows, plan.nulls, plan.unseen) == (3, 1, 1)
    assert plan.named is not None
    assert dict(zip(PROFILE.columns[1].categories, plan.named.tolist(), strict=True)) == {
        "basic": 1,
        "gold": 1,
    }
    assert counts.scores is not None
    assert (counts.scores.rows, counts.scores.nulls) == (2, 1)
    assert counts.scores.up_to is not None
    assert counts.scores.up_to.tolist() == [2, 2]
    assert (sum(counts.latency), counts.latency[-1]) == (3, 1)
    assert counts.latency[LATENCY_EDGES.index(1.584893)] == 2


def test_an_hour_is_counted_once(counting: Counting) -> None:
    for hour in range(3):
        counting.log.write(*counting.log.events(10, hour=hour))
    counting.log.archive()
    first = counting.count(0, 3)
    assert counting.read == ["20260501T12", "20260501T13", "20260501T14"]
    assert plain(counting.count(0, 3)) == plain(first)
    assert not counting.read
    assert counting.count(1, 3).rows == 20
    assert not counting.read
    assert counting.stored == [f"churn/{DIGEST[:12]}/20260501/{hour}.counts" for hour in (12, 13, 14)]


def test_parts_add_up_to_the_whole(counting: Counting) -> None:
    for hour in range(4):
        counting.log.write(*counting.log.events(12, hour=hour, features={"age": 20.0 + hour, "plan": "gold"}))
    counting.log.archive()
    parts = [counting.count(0, 0.5), counting.count(0.5, 2.25), counting.count(2.25, 4)]
    whole = counting.count(0, 4)
    assert plain(parts[0] + parts[1] + parts[2]) == plain(whole)
    counting.count(0.5, 2.25)
    assert not counting.read


def test_archiving_an_hour_leaves_the_counts_of_the_one_before(counting: Counting) -> None:
    for hour in range(2):
        counting.log.write(*counting.log.events(5, hour=hour))
        counting.log.archive()
        counting.count(hour, hour + 1)
    assert counting.count(0, 2).rows == 10
    assert not counting.read


def test_a_whole_day_becomes_one_file(counting: Counting) -> None:
    for hour in range(-24, 48):
        counting.log.write(*counting.log.events(2, hour=hour))
    counting.log.archive()
    first = counting.count(-12, 12)
    assert first.rows == 48
    assert f"churn/{DIGEST[:12]}/20260501/day.counts" in counting.stored
    for file in counting.stored:
        if not file.endswith("day.counts"):
            counting.log.storage.remove(f"counts/{file}")
    assert plain(counting.count(-12, 12)) == plain(first)
    assert not counting.read


def test_a_day_that_is_not_over_is_not_stored(counting: Counting) -> None:
    counting.log.now = NOON + timedelta(hours=11, minutes=30)
    counting.log.write(*counting.log.events(2, hour=0))
    counting.log.archive()
    assert counting.count(-12, 12).rows == 2
    assert counting.stored == [f"churn/{DIGEST[:12]}/20260501/12.counts"]


def test_what_may_still_change_is_not_stored(counting: Counting) -> None:
    counting.log.now = NOON + timedelta(hours=1, seconds=59)
    counting.log.write(*counting.log.events(4))
    assert counting.count(0, 1).rows == 4
    assert not counting.stored
    counting.log.now += timedelta(seconds=1)
    counting.count(0, 1)
    assert len(counting.stored) == 1


def test_a_window_within_the_hour_that_runs_is_counted_once(counting: Counting) -> None:
    counting.log.now = NOON + timedelta(minutes=30)
    file = counting.log.write(*counting.log.events(60))
    assert counting.count(0, 0.25).rows == 15
    with file.open("ab") as stream:
        stream.write(b"nonsense\n")
    assert counting.count(0, 0.25).rows == 15
    assert not counting.read


def test_a_late_segment_counts_before_and_after_it_is_archived(counting: Counting) -> None:
    counting.log.write(*counting.log.events(10))
    counting.log.write(*counting.log.events(1, hour=-12))
    counting.log.archive()
    assert counting.count(-12, 12).rows == 11
    counting.log.write(event("late", features={"age": 59.0, "plan": "gold"}), name="late")
    late = counting.count(-12, 12)
    assert (late.rows, late.columns["age"].highest) == (12, 59.0)
    assert counting.log.archive() == 1
    assert plain(counting.count(-12, 12)) == plain(late)


def test_a_late_segment_that_was_never_seen_counts_once_archived(counting: Counting) -> None:
    counting.log.write(*counting.log.events(10))
    counting.log.archive()
    assert counting.count(-12, 12).rows == 10
    counting.log.write(event("late"), name="late")
    counting.log.archive()
    assert counting.count(-12, 12).rows == 11


def test_a_segment_that_is_archived_already_counts_once(counting: Counting) -> None:
    file = counting.log.write(*counting.log.events(10))
    content = file.read_bytes()
    counting.log.archive()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)  # housekeeping was killed before it was removed
    assert counting.count(0, 1).rows == 10


def test_a_line_that_is_there_twice_counts_once(counting: Counting) -> None:
    counting.log.write(event("a"), event("b", at=NOON + timedelta(seconds=1)))
    counting.log.write(event("a"))
    live = counting.count(0, 1)
    counting.log.archive()
    assert live.rows == counting.count(0, 1).rows == 2


def test_lines_that_cannot_be_read_are_told_and_the_rest_counts(counting: Counting) -> None:
    counting.log.write(event("a"), tail=b'nonsense\n{"model": "chu')
    counting.log.write(event("b", at=NOON + timedelta(hours=1)))
    live = counting.count(0, 2)
    assert (live.rows, live.damaged) == (2, 2)
    counting.log.archive()
    assert plain(counting.count(0, 2)) == plain(live)


def test_an_hour_of_nothing_but_damage_is_told(counting: Counting) -> None:
    counting.log.write(tail=b"nonsense\n")
    assert (counting.count(0, 1).rows, counting.count(0, 1).damaged) == (0, 1)
    counting.log.archive()
    counts = counting.count(0, 1)
    assert (counts.rows, counts.damaged) == (0, 1)


@pytest.mark.parametrize("archived", [False, True])
def test_a_part_of_an_hour_has_its_share_of_the_damage(counting: Counting, archived: bool) -> None:
    write_damaged(counting.log, archived=archived)
    parts = [counting.count(number / 6, (number + 1) / 6) for number in range(6)]
    assert [(part.rows, part.damaged) for part in parts] == [(100, 4)] * 6  # 20 / 6 each, rounded up
    whole = counting.count(0, 1)
    assert (whole.rows, whole.damaged) == (600, 20)


def test_heavy_damage_is_heavy_in_each_part(counting: Counting) -> None:
    counting.log.write(*counting.log.events(100), tail=b"nonsense\n" * 100)
    part = counting.count(0, 0.25)
    assert (part.rows, part.damaged) == (25, 25)


def test_a_part_whose_share_is_less_than_a_line_has_none(counting: Counting) -> None:
    counting.log.write(*counting.log.events(100), tail=b"nonsense\n" * 3)
    assert [counting.count(0, end).damaged for end in (0.25, 0.33, 0.34, 1)] == [0, 0, 2, 3]


def test_a_part_of_an_hour_of_nothing_but_damage_has_all_of_it(counting: Counting) -> None:
    counting.log.write(tail=b"nonsense\n" * 3)
    assert (counting.count(0, 0.25).rows, counting.count(0, 0.25).damaged) == (0, 3)


class Growing(BufferedReader):
    """A segment whose last line is finished right after it was read."""

    def __next__(self) -> bytes:
        line = super().__next__()
        if not line.endswith(b"\n"):
            with Path(self.name).open("ab") as more:
                more.write(b'rn"}\n')
        return line


class TestTheLineThatIsBeingWritten:
    TAIL = b'{"model": "chu'

    def test_of_the_hour_that_runs(self, counting: Counting) -> None:
        counting.log.now = NOON + timedelta(minutes=30)
        file = counting.log.write(*counting.log.events(60), tail=self.TAIL)
        with file.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert counting.count(0, 0.25).damaged == counting.count(0, 1).damaged == 0
            assert len(counting.stored) == 1
        assert counting.count(0, 1).damaged == 1  # its server was killed

    def test_of_a_segment_that_a_server_holds(self, counting: Counting) -> None:
        file = counting.log.write(*counting.log.events(60), tail=self.TAIL)
        with file.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert counting.count(0, 1).damaged == 0
        file.write_bytes(file.read_bytes() + b"\n")
        assert counting.count(0, 1).damaged == 1

    def test_of_a_segment_that_grew_until_its_server_let_go(self, counting: Counting) -> None:
        file = counting.log.write(event("a"), tail=self.TAIL)
        with LogReader(counting.log.folder, counting.log.storage).hour(
            "predictions", "churn", "20260501T12"
        ) as hour:
            hour.segments = [Segment(file, Growing(FileIO(file)))]
            assert sum(table.num_rows for table in hour.live_tables(EVER)) == 1
            assert hour.damaged == 0

    def test_a_reader_leaves_no_lock(self, counting: Counting) -> None:
        counting.log.write(event("a"), tail=self.TAIL)
        with LogReader(counting.log.folder, counting.log.storage).hour(
            "predictions", "churn", "20260501T12"
        ) as hour:
            list(hour.live_tables(EVER))
            assert hour.damaged == 1
            assert counting.log.archive() == 1

    def test_whole_lines_are_damage_though_the_segment_is_held(self, counting: Counting) -> None:
        counting.log.now = NOON + timedelta(minutes=30)
        file = counting.log.write(event("a"), tail=b"nonsense\n" + self.TAIL)
        with file.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert counting.count(0, 1).damaged == 1


def test_rows_that_a_clock_put_into_the_hour_beside_count_where_they_were_received(
    counting: Counting,
) -> None:
    counting.log.write(*counting.log.events(10, hour=1))
    strays = [event(str(n), at=NOON + timedelta(hours=1, minutes=n)) for n in range(3)]
    counting.log.write(event("own"), *strays, hour="20260501T12")
    counting.log.archive()
    assert counting.count(0, 1).rows == 1
    assert counting.count(1, 2).rows == 13
    assert counting.count(0, 2).rows == 14


def test_a_file_from_before_features_had_types(counting: Counting) -> None:
    rows = counting.log.events(10)
    counting.log.write(*rows)
    counting.log.archive()
    expected = plain(counting.count(0, 1))
    place = counting.log.storage.local_path("predictions/churn/20260501T12.parquet")
    assert place is not None
    table = pq.read_table(place)
    texts = [f'{{"age": {one.features["age"]}, "plan": "{one.features["plan"]}"}}' for one in rows]
    old = table.set_column(table.column_names.index("features"), "features", [texts])
    old = old.drop_columns(["fallback_for", "inference_ms"]).replace_schema_metadata(None)
    pq.write_table(old, place)
    counting.log.storage.remove("counts")
    counts = plain(counting.count(0, 1))
    assert counts["latency"] == (0,) * (len(LATENCY_EDGES) + 1)
    assert {**counts, "latency": expected["latency"]} == expected


def test_a_field_that_another_version_does_not_know_is_absent(counting: Counting) -> None:
    counting.log.write(event("a"), event("n", features={"age": None, "plan": None}))
    counting.log.write(event("b", digest=digest("c"), features={"age": 30.0}))
    for _ in range(2):
        plan = counting.count(0, 1).columns["plan"]
        assert (plan.rows, plan.nulls, plan.absent) == (1, 1, 1)
        counting.log.archive()


def test_a_field_that_nobody_knows_any_more(counting: Counting) -> None:
    counting.log.write(event("a"))
    counting.log.archive()
    gone = counting.count(0, 1, make_profile(gone=ColumnKind.NUMBER)).columns["gone"]
    assert (gone.rows, gone.nulls, gone.absent) == (0, 0, 1)


@pytest.mark.parametrize(("kind", "values", "expected"), VALUES)
def test_values_of_every_kind(
    counting: Counting, kind: ColumnKind, values: list[Any], expected: tuple[int, int, int]
) -> None:
    write_values(counting.log, values)
    found = counting.count(0, 1, make_profile(x=kind)).columns["x"]
    assert (found.rows, found.nulls, found.unreadable) == expected
    if kind is ColumnKind.BOOLEAN and found.rows:
        assert found.named is not None
        assert found.named.tolist() == [1, 1]


def test_a_number_that_is_a_name_is_that_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for values in NAMES:
        counting = Counting(tmp_path / repr(values[1]), monkeypatch)
        write_values(counting.log, values)
        found = counting.count(0, 1, NAMED).columns["x"]
        assert found.named is not None
        half = 0 if values[2] == 4 else 1
        assert (found.named.tolist(), found.unseen) == ([2, half, 0], 2 - half)


class TestSensitiveValues:
    @pytest.fixture
    def keys(self, tmp_path: Path) -> Path:
        folder = tmp_path / "keys"
        folder.mkdir()
        make_log_key(folder)
        return folder

    def test_they_are_read_with_the_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Path
    ) -> None:
        counting = Counting(tmp_path, monkeypatch, keys_dir=keys)
        write_sealed(counting.log, keys)
        counts = counting.count(0, 1)
        age, plan = counts.columns["age"], counts.columns["plan"]
        assert (age.rows, age.nulls, age.unreadable, age.lowest) == (2, 1, 1, 30.0)
        assert (plan.rows, plan.nulls, plan.unreadable, plan.unseen) == (2, 1, 1, 1)

    def test_without_it_they_are_unreadable_until_it_is_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Path
    ) -> None:
        counting = Counting(tmp_path, monkeypatch)
        write_sealed(counting.log, keys)
        assert counting.count(0, 1).columns["age"].unreadable == 4
        counting.options["keys_dir"] = keys
        assert counting.count(0, 1).columns["age"].unreadable == 1
        assert counting.read

    def test_a_key_that_cannot_be_used_is_told(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        keys: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        counting = Counting(tmp_path, monkeypatch, keys_dir=keys)
        write_sealed(counting.log, keys)
        (keys / "log.key").chmod(0o644)
        assert counting.count(0, 1).columns["plan"].unreadable == 4
        assert "WS-SERVING-034" in caplog.text

    def test_another_key_reads_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Path
    ) -> None:
        counting = Counting(tmp_path, monkeypatch, keys_dir=keys)
        write_sealed(counting.log, keys)
        (keys / "log.key").unlink()
        make_log_key(keys)
        assert counting.count(0, 1).columns["age"].unreadable == 4


class TestStoredCounts:
    @pytest.fixture
    def path(self, counting: Counting) -> str:
        counting.log.write(*counting.log.events(10))
        counting.log.archive()
        counting.count(0, 1)
        return f"counts/{counting.stored[0]}"

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: b"nonsense",
            lambda content: content[:-3],
            lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
            lambda content: b"WSCOUNT9" + content[8:],
        ],
    )
    def test_a_damaged_file_is_counted_again(
        self, counting: Counting, path: str, caplog: pytest.LogCaptureFixture, damage: Any
    ) -> None:
        content = counting.log.storage.read_bytes(path)
        counting.log.storage.write_bytes(path, damage(content))
        with caplog.at_level(logging.WARNING):
            assert counting.count(0, 1).rows == 10
        assert counting.read
        assert "WS-MONITORING-010" in caplog.text
        assert counting.log.storage.read_bytes(path) == content

    def test_another_hours_file_is_not_trusted(self, counting: Counting, path: str) -> None:
        counting.log.write(*counting.log.events(3, hour=1))
        counting.log.archive()
        counting.log.storage.write_bytes(
            path.replace("12.counts", "13.counts"), counting.log.storage.read_bytes(path)
        )
        assert counting.count(1, 2).rows == 3

    def test_another_profiles_file_is_not_trusted(self, counting: Counting, path: str) -> None:
        other = PROFILE.model_copy(update={"columns": PROFILE.columns[:1]})
        assert set(counting.count(0, 1, other).columns) == {"age"}
        assert counting.read

    def test_another_bundle_with_the_same_beginning_is_not_trusted(
        self, counting: Counting, path: str
    ) -> None:
        other = DIGEST[:12] + digest("d")[12:]
        scores = counting.count(0, 1, of=other).scores
        assert scores is not None
        assert scores.total == 0

    def test_they_are_small(self, counting: Counting, path: str) -> None:
        assert len(counting.log.storage.read_bytes(path)) < 2_000

    def test_what_cannot_be_stored_is_counted_all_the_same(
        self, counting: Counting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        counting.log.write(*counting.log.events(10))
        counting.log.archive()

        def full(*_: Any, **__: Any) -> bool:
            raise StorageError("full", code="WS-STORAGE-002")

        monkeypatch.setattr(counting.log.storage, "write_bytes", full)
        assert counting.count(0, 1).rows == 10
        assert "WS-MONITORING-011" in caplog.text
        assert "WS-STORAGE-002" in caplog.text

    def test_they_go_with_the_log_that_they_are_of(self, counting: Counting, path: str) -> None:
        from windsock.adapters.prediction_archive import ParquetPredictionArchive

        archive = ParquetPredictionArchive(counting.log.folder, counting.log.storage)
        archive.remove_older(NOON + timedelta(hours=2))
        assert counting.stored
        archive.remove_older(NOON + timedelta(hours=12))
        assert not counting.stored

    def test_segments_that_come_while_it_counts_are_not_stored_over(
        self, counting: Counting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counting.log.write(*counting.log.events(10))
        counting.log.archive()
        count = ParquetEngine.count

        def slow(engine: ParquetEngine, *given: Any, **named: Any) -> WindowCounts:
            found = count(engine, *given, **named)
            counting.log.write(event("late"), name="late")
            return found

        with monkeypatch.context() as patched:
            patched.setattr(ParquetEngine, "count", slow)
            counting.count(0, 1)
        assert not counting.stored
        assert counting.count(0, 1).rows == 11


def test_a_damaged_archive_is_an_error(counting: Counting) -> None:
    counting.log.storage.write_bytes("predictions/churn/20260501T12.parquet", b"damaged")
    with pytest.raises(StorageError, match="20260501T12") as caught:
        counting.count(0, 1)
    assert caught.value.code == "WS-MONITORING-012"


def test_an_object_store_is_counted_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Counting(tmp_path / "a", monkeypatch), Counting(tmp_path / "b", monkeypatch)
    there.log = LoggedHours(tmp_path / "b", url=f"memory://{tmp_path.name}")
    for one in (here, there):
        for hour in range(-12, 12):
            one.log.write(*one.log.events(2, hour=hour))
        one.log.archive()
    assert plain(here.count(-12, 12)) == plain(there.count(-12, 12))
    there.count(-12, 12)
    assert not there.read


def test_predictions_that_are_numbers_are_no_classes(counting: Counting) -> None:
    target = ColumnProfile(name="y", kind=ColumnKind.NUMBER, rows=1, nulls=0)
    counting.log.write(event("a", prediction=1.5), event("b", prediction=2))
    assert counting.count(0, 1).predictions == {"2": 1}
    assert counting.count(0, 1, PROFILE.model_copy(update={"target": target})).predictions == {}


def test_rows_are_read_once_though_an_hour_is_archived_meanwhile(tmp_path: Path) -> None:
    log = LoggedHours(tmp_path)
    log.write(*log.events(10))
    reader = LogReader(log.folder, log.storage)
    with reader.hour("predictions", "churn", "20260501T12") as hour:
        log.archive()
        assert sum(table.num_rows for table in hour.tables((-(2**62), 2**62))) == 10


class TestWithoutRows:
    HOURS = [span(hour, hour + 1) for hour in range(5)]

    def empty(self, log: LoggedHours) -> set[int]:
        counter = ArchiveWindowCounter(log.folder, log.storage, now=lambda: log.now)
        found = counter.without_rows("churn", self.HOURS)
        return {place for place, one in enumerate(self.HOURS) if one in found}

    @pytest.mark.parametrize("archived", [False, True])
    def test_hours_and_days_that_nobody_asked_in(self, tmp_path: Path, archived: bool) -> None:
        log = LoggedHours(tmp_path)
        log.write(*log.events(3, hour=1))
        log.write(*log.events(2, hour=4, variant="shadow"))
        if archived:
            log.archive()
        assert self.empty(log) == {0, 2, 3, 4}
        counter = ArchiveWindowCounter(log.folder, log.storage, now=lambda: log.now)
        assert counter.without_rows("churn", [span(-12, 12), span(12, 36)]) == {span(12, 36)}
        assert counter.without_rows("other", [span(1, 2)]) == {span(1, 2)}

    def test_a_part_of_an_hour(self, tmp_path: Path) -> None:
        log = LoggedHours(tmp_path)
        log.write(event("1"))
        counter = ArchiveWindowCounter(log.folder, log.storage, now=lambda: log.now)
        parts = [span(number / 60, (number + 10) / 60) for number in range(0, 60, 10)]
        assert counter.without_rows("churn", parts) == frozenset(parts[1:])

    def test_damaged_lines_are_no_empty_window(self, tmp_path: Path) -> None:
        log = LoggedHours(tmp_path)
        log.write(tail=b"{ broken\n", hour="20260501T12")
        assert self.empty(log) == {1, 2, 3, 4}
