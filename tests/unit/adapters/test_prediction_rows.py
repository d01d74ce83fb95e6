from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.builders import NOON, digest
from support.log_rows import SCHEMA, SENSITIVE, answered, events_of, line_of, row
from windsock.adapters.column_cipher import UNAVAILABLE, ColumnCipher, make_log_key
from windsock.adapters.prediction_archive import ParquetPredictionArchive, hour_of, segment_folder
from windsock.adapters.prediction_rows import ArchivePredictionRows
from windsock.adapters.storage import Storage
from windsock.exceptions import MonitoringError, StorageError
from windsock.ports import LabelledRows
from windsock.records import Answer, ColumnKind, InputField, InputSchema, OutcomeEvent, Span
from windsock.spec import LabelsBlock

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPAN = Span(start=NOON, end=NOON + 2 * HOUR)
NOW = SPAN.end + MINUTE
LATER = NOON + DAY
POSTED = LabelsBlock()


class Log:
    """A server's log folder, its archive, and what reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = Storage(str(folder / "storage"))
        self.keys = folder / "keys"
        self.keys.mkdir()
        self.roots = (folder / "project",)
        self.roots[0].mkdir()
        self.rows = ArchivePredictionRows(
            folder,
            self.storage,
            keys_dir=self.keys,
            roots=self.roots,
            connections=lambda conn_id: f"sqlite:///{folder / conn_id}.db",
        )
        self._segments = 0

    def write(self, *given: Any, tail: bytes = b"") -> Path:
        """Write answered rows, or outcomes, each call into a segment of its own."""
        self._segments += 1
        posted = isinstance(given[0], OutcomeEvent)
        kind, first = ("outcomes", given[0]) if posted else ("predictions", given[0][0])
        place = segment_folder(self.folder, kind, first.model, hour_of(first.receive_time))
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"1-{self._segments:03d}.ndjson"
        lines = [line_of(one) if posted else line_of(*events_of(*one)) for one in given]
        file.write_bytes(b"".join(lines) + tail)
        return file

    def archive(self, now: datetime = LATER) -> None:
        ParquetPredictionArchive(self.folder, self.storage, now=lambda: now).close_segments()

    def labelled(self, labels: LabelsBlock = POSTED, **asked: Any) -> LabelledRows:
        made: dict[str, Any] = {"span": SPAN, "as_of": NOW, "schema": SCHEMA}
        made |= asked
        return self.rows.labelled("churn", made.pop("span"), labels, **made)

    def sample(self, **asked: Any) -> pd.DataFrame:
        made: dict[str, Any] = {"span": SPAN, "schema": SCHEMA, "limit": 1000, "seed": 1, **asked}
        return self.rows.sample("churn", made.pop("span"), **made)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def outcome(
    identifier: str | None = "p", value: Any = True, *, at: datetime = NOON, **more: Any
) -> OutcomeEvent:
    return OutcomeEvent(model="churn", prediction_id=identifier, outcome=value, receive_time=at, **more)


def found(joined: LabelledRows) -> dict[str, Any]:
    return dict(zip(joined.frame["prediction_id"], joined.frame["outcome"], strict=True))


@pytest.mark.parametrize("state", ["live", "archived", "both"])
def test_answers_meet_their_labels_wherever_the_log_lies(log: Log, state: str) -> None:
    log.write(answered("a", "b", at=NOON + MINUTE), answered("c", at=NOON + 2 * MINUTE))
    log.write(outcome("b", False, at=NOON + 5 * MINUTE), outcome("a", "yes", at=NOON + 6 * MINUTE))
    if state != "live":
        log.archive(now=NOON + HOUR if state == "both" else LATER)
    log.write(answered("d", at=NOON + HOUR), answered("e", at=NOON + HOUR + MINUTE))
    log.write(outcome("d", 3, at=NOON + HOUR + MINUTE))
    if state == "archived":
        log.archive()
    joined = log.labelled()
    assert found(joined) == {"a": "yes", "b": False, "c": None, "d": 3, "e": None}
    assert joined.frame["receive_time"].is_monotonic_increasing
    assert list(joined.frame["label_time"].isna()) == [False, False, True, False, True]
    assert (joined.unknown, joined.duplicates, joined.late, joined.damaged) == (0, 0, 0, 0)
    assert all(
        isinstance(one, dict) is not gone
        for one, gone in zip(joined.frame["features"], joined.frame["outcome"].isna(), strict=True)
    )
    assert "features" not in log.labelled(features=False).frame


def test_frame_has_the_columns_it_is_said_to_have(log: Log) -> None:
    log.write(answered(row("a", unit="u", score=None, prediction="basic"), fallback_for="challenger"))
    frame = log.labelled(features=False).frame
    assert set(frame.columns) == {
        "prediction_id", "unit", "receive_time", "version", "digest", "variant", "fallback_for", "event_time",
        "score",        "prediction", "inference_ms", "request_ms", "outcome", "label_time",
    }  # fmt: skip
    line = frame.iloc[0]
    assert (line["unit"], line["prediction"], line["fallback_for"]) == ("u", "basic", "challenger")
    assert pd.isna(line["score"])
    assert line["receive_time"] == NOON
    assert line["inference_ms"] == 1.5


def test_truth_and_answer_of_one_row_stay_together(log: Log) -> None:
    """The misalignment of cutting lists to equal length made 0.895 of accuracy a 0.509."""
    import numpy as np

    generator = np.random.default_rng(7)
    truth = generator.random(1000) < 0.5
    right = np.arange(1000) < 895
    generator.shuffle(right)
    said = np.where(right, truth, ~truth)
    labelled = generator.permutation(1000)[:700]
    log.write(
        *[
            answered(
                row(f"p{number}", prediction=bool(said[number])), at=NOON + number * timedelta(seconds=1)
            )
            for number in range(1000)
        ]
    )
    log.write(*[outcome(f"p{number}", bool(truth[number]), at=NOON + HOUR) for number in labelled])
    frame = log.labelled().frame.dropna(subset=["outcome"])
    assert len(frame) == 700
    assert (frame["prediction"] == frame["outcome"]).mean() == pytest.approx(right[labelled].mean())
    whole = log.labelled().frame
    assert [int(one[1:]) for one in whole["prediction_id"]] == list(range(1000))


def test_the_latest_label_known_by_then_wins_and_the_others_are_counted(log: Log) -> None:
    log.write(answered("a", "b"))
    log.write(
        outcome("a", False, at=NOON + MINUTE),
        outcome("a", True, at=NOON + 3 * MINUTE),
        outcome("b", False, at=NOON + 2 * MINUTE),
        outcome("b", True, at=NOON + 20 * MINUTE),
    )
    then = log.labelled(as_of=NOON + 10 * MINUTE)
    assert found(then) == {"a": True, "b": False}
    assert (then.duplicates, then.late) == (1, 1)
    now = log.labelled()
    assert found(now) == {"a": True, "b": True}
    assert (now.duplicates, now.late) == (2, 0)


def test_a_label_told_twice_is_a_duplicate_and_counts_once(log: Log) -> None:
    log.write(answered("a"))
    log.write(outcome("a", True, at=NOON + MINUTE))
    log.write(outcome("a", True, at=NOON + 2 * MINUTE))
    joined = log.labelled()
    assert found(joined) == {"a": True}
    assert (joined.duplicates, joined.conflicting) == (1, 0)


def test_labels_of_one_time_that_differ_count_neither_way(log: Log) -> None:
    log.write(answered("a", "b"))
    log.write(outcome("a", True), outcome("a", False), outcome("b", True))
    joined = log.labelled()
    assert found(joined) == {"a": None, "b": True}
    assert joined.conflicting == 1


def test_labels_of_unknown_answers_are_counted_and_those_of_earlier_ones_are_not(log: Log) -> None:
    log.write(answered("old", at=NOON - HOUR))
    log.write(answered("a"))
    log.write(answered("next", at=SPAN.end + timedelta(seconds=1)))
    log.write(outcome("old"), outcome("a"), outcome("ghost"), outcome("other ghost"))
    log.write(outcome("next", at=SPAN.end + timedelta(seconds=2)))
    joined = log.labelled()
    assert found(joined) == {"a": True}
    assert joined.unknown == 2


def test_shadows_are_no_answers_and_a_bundle_has_its_own(log: Log) -> None:
    log.write(
        answered("a", "b"),
        answered("a", variant="shadow", digest=digest("c")),
        answered("c", variant="challenger", digest=digest("c"), version="2"),
    )
    log.write(outcome("a"), outcome("c"))
    assert set(found(log.labelled())) == {"a", "b", "c"}
    own = log.labelled(digest=digest("c"))
    assert found(own) == {"c": True}
    assert own.unknown == 0  # a's label is of another bundle's answer
    assert len(log.sample(digest=digest("c"))) == 1
    assert len(log.sample()) == 3


def test_an_id_that_was_answered_twice_counts_once_with_the_later_answer(log: Log) -> None:
    log.write(answered(row("a", score=0.1)), answered(row("a", score=0.9), at=NOON + MINUTE))
    log.write(outcome("a", at=NOON + 2 * MINUTE))
    joined = log.labelled()
    assert list(joined.frame["score"]) == [0.9]
    assert joined.repeated == 1


class TestUnits:
    def test_a_label_belongs_to_the_latest_answer_before_it(self, log: Log) -> None:
        log.write(
            answered(row("a", unit="u"), at=NOON + MINUTE),
            answered(row("b", unit="u"), at=NOON + 10 * MINUTE),
            answered(row("c", unit="v"), at=NOON + 3 * MINUTE),
        )
        log.write(
            outcome(None, "first", at=NOON + 5 * MINUTE, unit="u", event_id="1"),
            outcome(None, "second", at=NOON + 12 * MINUTE, unit="u", event_id="2"),
        )
        assert found(log.labelled()) == {"a": "first", "b": "second", "c": None}

    def test_its_own_time_counts_where_it_has_one(self, log: Log) -> None:
        log.write(answered(row("a", unit="u"), at=NOON), answered(row("b", unit="u"), at=NOON + 10 * MINUTE))
        log.write(
            outcome(None, 1, at=NOON + 30 * MINUTE, event_time=NOON + 4 * MINUTE, unit="u", event_id="1")
        )
        assert found(log.labelled()) == {"a": 1, "b": None}

    def test_an_event_that_is_told_twice_counts_once(self, log: Log) -> None:
        log.write(answered(row("a", unit="u")))
        log.write(
            outcome(None, False, at=NOON + MINUTE, unit="u", event_id="1"),
            outcome(None, True, at=NOON + 2 * MINUTE, unit="u", event_id="1"),
        )
        joined = log.labelled()
        assert found(joined) == {"a": True}
        assert joined.duplicates == 1

    def test_the_answer_may_lie_behind_the_stretch(self, log: Log) -> None:
        log.write(answered(row("a", unit="u"), at=SPAN.end - MINUTE))
        log.write(answered(row("b", unit="u"), at=SPAN.end + timedelta(seconds=10)))
        log.write(outcome(None, True, at=SPAN.end + timedelta(seconds=20), unit="u", event_id="1"))
        joined = log.labelled()
        assert found(joined) == {"a": None}
        assert joined.unknown == 0

    def test_nobody_known_is_counted_and_a_label_before_the_first_answer_is_not(self, log: Log) -> None:
        log.write(answered(row("a", unit="u"), at=NOON + 10 * MINUTE))
        log.write(
            outcome(None, True, at=NOON + MINUTE, unit="u", event_id="1"),
            outcome(None, True, at=NOON + 11 * MINUTE, unit="nobody", event_id="2"),
        )
        joined = log.labelled()
        assert found(joined) == {"a": None}
        assert joined.unknown == 1

    def test_another_version_may_have_answered_last(self, log: Log) -> None:
        log.write(
            answered(row("a", unit="u"), at=NOON),
            answered(row("b", unit="u"), at=NOON + MINUTE, digest=digest("c"), version="2"),
        )
        log.write(outcome(None, True, at=NOON + 2 * MINUTE, unit="u", event_id="1"))
        assert found(log.labelled(digest=digest("b"))) == {"a": None}
        assert found(log.labelled(digest=digest("c"))) == {"b": True}


class TestDamage:
    def test_nothing_at_all_is_an_empty_frame(self, log: Log) -> None:
        joined = log.labelled()
        assert joined.frame.empty
        assert {"outcome", "label_time", "features"} <= set(joined.frame)
        sample = log.sample()
        assert list(sample) == ["age", "plan", "score"]
        assert sample.empty

    @pytest.mark.parametrize("archived", [False, True])
    def test_torn_and_unreadable_lines_are_counted(self, log: Log, archived: bool) -> None:
        log.write(answered("a"), tail=b'{"model": "churn", "vers')
        log.write(answered("b"), tail=b"no line\n")
        log.write(outcome("a"), tail=b'{"model"')
        if archived:
            log.archive()
        joined = log.labelled()
        assert found(joined) == {"a": True, "b": None}
        assert joined.damaged == 3

    def test_an_archive_that_is_no_parquet_is_a_fault_of_storage(self, log: Log) -> None:
        log.storage.write_bytes(f"predictions/churn/{hour_of(NOON)}.parquet", b"PAR1 broken")
        with pytest.raises(StorageError):
            log.labelled()

    def test_a_label_dated_before_its_answer_still_belongs_to_it(self, log: Log) -> None:
        log.write(answered("a", at=NOON + 30 * MINUTE))
        log.write(outcome("a", at=NOON + 10 * MINUTE))
        assert found(log.labelled()) == {"a": True}

    def test_too_many_rows_leave_the_older_hours_out_and_say_so(self, log: Log) -> None:
        log.write(answered(*[f"old{number}" for number in range(10)]))
        log.write(answered(*[f"new{number}" for number in range(10)], at=NOON + HOUR))
        log.rows.most_rows = 10
        joined = log.labelled()
        assert joined.cut == NOON + HOUR
        assert {one[:3] for one in joined.frame["prediction_id"]} == {"new"}
        assert log.labelled(span=Span(start=NOON + HOUR, end=SPAN.end)).cut is None


MIXED = InputSchema(
    model="churn",
    fields=(
        InputField(name="age", kind=ColumnKind.NUMBER),
        InputField(name="children", kind=ColumnKind.INTEGER),
        InputField(name="active", kind=ColumnKind.BOOLEAN, true_word="Yes", false_word="No"),
        InputField(name="plan", kind=ColumnKind.CATEGORY),
        InputField(name="since", kind=ColumnKind.DATETIME),
        InputField(name="absent", kind=ColumnKind.NUMBER),
    ),
    answer=Answer.CLASS,
    classes=(False, True),
    positive=True,
)
LOGGED = MIXED.model_copy(update={"fields": MIXED.fields[:-1]})


class TestFeatures:
    @pytest.mark.parametrize("archived", [False, True])
    def test_they_have_the_types_that_training_saw(self, log: Log, archived: bool) -> None:
        values = (
            (41.5, 2, "Yes", "basic", "2026-01-02T03:04:05"),
            (None, 3, True, 3.0, None),
            (1e31, None, "No", None, "2026-01-02"),
            (7, 10**20, "maybe", "x", "no date"),
        )
        rows = [row(f"p{place}", values=value) for place, value in enumerate(values)]
        log.write(answered(*rows, schema=LOGGED))
        if archived:
            log.archive()
        frame = log.sample(schema=MIXED)
        assert [str(one) for one in frame.dtypes] == [
            "float64", "float64", "float64", "object", "datetime64[us]", "float64", "float64",
        ]  # fmt: skip
        assert frame["age"].tolist()[::3] == [41.5, 7.0]
        assert frame["age"].isna().tolist() == [False, True, True, False]
        assert frame["children"].fillna(-1).tolist() == [2.0, 3.0, -1.0, 1e20]
        assert frame["active"].fillna(-1).tolist() == [1.0, 1.0, 0.0, -1.0]
        assert frame["plan"].fillna("-").tolist() == ["basic", "3", "-", "x"]
        assert frame["since"].isna().tolist() == [False, True, False, True]
        assert frame["absent"].isna().all()

    def test_they_stand_beside_their_answer(self, log: Log) -> None:
        log.write(
            *[answered(row(f"p{age}", values=(float(age), "x")), at=NOON + age * MINUTE) for age in range(50)]
        )
        log.write(answered(row("p7", values=(700.0, "x")), at=NOON + 55 * MINUTE))
        log.write(*[outcome(f"p{age}", True, at=NOON + HOUR) for age in range(0, 50, 7)])
        frame = log.labelled().frame
        for identifier, features in zip(frame["prediction_id"], frame["features"], strict=True):
            age = int(identifier[1:])
            expected = None if age % 7 else {"age": 700.0 if age == 7 else float(age), "plan": "x"}
            assert features == expected

    def test_encrypted_values_are_read_with_the_key_and_missing_without(self, log: Log) -> None:
        make_log_key(log.keys)
        cipher = ColumnCipher.from_folder(log.keys)
        assert cipher is not None
        log.write(
            answered(
                row("a", values=(1.0, cipher.encrypt("gold"))),
                row("b", values=(2.0, UNAVAILABLE)),
                row("c", values=(3.0, cipher.encrypt(None))),
                row("d", values=(4.0, "fernet:of another key")),
                schema=SENSITIVE,
            )
        )
        assert log.sample(schema=SENSITIVE)["plan"].fillna("-").tolist() == ["gold", "-", "-", "-"]
        log.write(outcome("a"), outcome("b"))
        joined = log.labelled().frame.set_index("prediction_id")["features"]
        assert (joined["a"]["plan"], joined["b"]["plan"]) == ("gold", None)
        (log.keys / "log.key").unlink()
        assert log.sample(schema=SENSITIVE)["plan"].isna().all()
        (log.keys / "log.key").write_bytes(b"no key")
        assert log.sample(schema=SENSITIVE)["plan"].isna().all()

    def test_a_sample_is_random_bounded_and_the_same_again(self, log: Log) -> None:
        for start in range(0, 3000, 500):
            rows = [row(f"p{number}", values=(float(number), "x")) for number in range(start, start + 500)]
            log.write(answered(*rows, at=NOON + start * timedelta(seconds=1)))
        drawn = log.sample(limit=100, seed=3)
        assert len(drawn) == 100
        assert drawn["age"].is_unique
        assert drawn["age"].mean() == pytest.approx(1500, abs=300)
        assert log.sample(limit=100, seed=3).equals(drawn)
        assert not log.sample(limit=100, seed=4)["age"].equals(drawn["age"])
        assert len(log.sample(limit=3000)) == 3000

    def test_a_feature_called_score_stays_itself(self, log: Log) -> None:
        schema = SCHEMA.model_copy(update={"fields": (InputField(name="score", kind=ColumnKind.NUMBER),)})
        log.write(answered(row("a", score=0.5, values=(700.0,)), schema=schema))
        assert log.sample(schema=schema)["score"].tolist() == [700.0]


class TestTablesAndFiles:
    FILE = LabelsBlock(kind="file", path="labels.csv", label_time="known_at")

    def _file(self, log: Log, text: str, name: str = "labels.csv") -> None:
        (log.roots[0] / name).write_text(text)

    def test_a_csv_file(self, log: Log) -> None:
        log.write(answered("1", "2", "3", "4"))
        self._file(
            log,
            "note,prediction_id , outcome,known_at\n"
            "x,1,yes,2026-05-01T13:00:00\n"
            '"a, b",2,"no",2026-05-01T12:30:00+00:00\n'
            "x,3,,2026-05-01T13:00:00\n"
            "x,4,yes,2026-05-03\n"
            "x,9,yes,2026-05-01T13:00:00Z\n"
            "x,1,no,2026-05-01T12:10:00\n"
            "x,,no,2026-05-01T12:10:00\n"
            "x,4,no,sometime\n",
        )
        joined = log.labelled(self.FILE)
        assert found(joined) == {"1": "yes", "2": "no", "3": None, "4": None}
        assert (joined.unusable, joined.late, joined.unknown, joined.duplicates) == (2, 1, 1, 1)
        assert joined.undated == 1

    def test_a_parquet_file_with_numbers_for_ids(self, log: Log) -> None:
        log.write(answered("1", "2", "3"))
        frame = pd.DataFrame({"id": [1, 2, 5], "truth": [True, False, True], "more": ["x", "y", "z"]})
        frame.to_parquet(log.roots[0] / "labels.parquet")
        block = LabelsBlock(kind="file", path="labels.parquet", prediction_id="id", outcome="truth")
        joined = log.labelled(block)
        assert found(joined) == {"1": True, "2": False, "3": None}
        assert joined.unknown == 0  # without times nobody can tell which answers they are about

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("labels.csv", None, "not there"),
            ("labels.txt.gz", "x", "neither CSV nor Parquet"),
            ("labels.csv", "prediction_id,result\n1,yes\n", "'outcome'"),
            ("labels.csv", "prediction_id,outcome,outcome\n1,yes,no\n", "'outcome'"),
            ("labels.csv", "", "'prediction_id'"),
            ("labels.csv", "prediction_id,outcome\n1,secret,3\n", "cut into rows"),
            ("labels.parquet", "PAR1", "no whole Parquet"),
        ],
    )
    def test_a_file_that_cannot_be_used_says_why_and_no_value(
        self, log: Log, name: str, text: str | None, said: str
    ) -> None:
        log.write(answered("1"))
        if text is not None:
            self._file(log, text, name)
        with pytest.raises(MonitoringError, match=said) as caught:
            log.labelled(LabelsBlock(kind="file", path=name))
        assert caught.value.code == "WS-MONITORING-042"
        assert "secret" not in str(caught.value)

    def test_a_file_outside_of_the_roots_is_refused(self, log: Log) -> None:
        outside = log.folder / "outside.csv"
        outside.write_text("prediction_id,outcome\n1,yes\n")
        (log.roots[0] / "link.csv").symlink_to(outside)
        for path in (str(outside), "../outside.csv", "link.csv"):
            with pytest.raises(MonitoringError, match="does not lie below"):
                log.labelled(LabelsBlock(kind="file", path=path))
        inside = log.roots[0] / "inside.csv"
        inside.write_text("prediction_id,outcome\n1,yes\n")
        log.write(answered("1"))
        assert found(log.labelled(LabelsBlock(kind="file", path=str(inside)))) == {"1": "yes"}

    def test_latin_text_is_refused(self, log: Log) -> None:
        (log.roots[0] / "labels.csv").write_bytes("prediction_id,outcome,größe\n".encode("latin-1"))
        with pytest.raises(MonitoringError, match="UTF-8"):
            log.labelled(LabelsBlock(kind="file", path="labels.csv"))

    def _table(self, log: Log, *statements: str) -> None:
        import sqlite3

        with sqlite3.connect(log.folder / "crm.db") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    TABLE = LabelsBlock(
        kind="table", conn_id="crm", table="churned", prediction_id="pid", outcome="left", label_time="at"
    )

    def test_a_table(self, log: Log) -> None:
        log.write(answered("1", "2", "3"))
        self._table(
            log,
            "create table churned (pid integer, left boolean, at timestamp, name text)",
            "insert into churned values (1, 1, '2026-05-01 12:30:00', 'x')",
            "insert into churned values (2, 0, '2026-05-01 12:30:00', 'y')",
            "insert into churned values (3, 1, '2026-05-09 12:30:00', 'x')",
            "insert into churned values (8, 1, '2026-05-01 12:30:00', 'x')",
            "insert into churned values (77, 1, '2026-03-01 12:30:00', 'x')",
        )
        joined = log.labelled(self.TABLE)
        assert {key: bool(value) for key, value in found(joined).items() if value is not None} == {
            "1": True,
            "2": False,
        }
        assert (joined.late, joined.unknown) == (1, 1)

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("create table other (pid integer)", "is not there"),
            ("create table churned (pid integer, left boolean)", "no column 'at'"),
        ],
    )
    def test_a_table_that_cannot_be_used_says_why(self, log: Log, statement: str, said: str) -> None:
        self._table(log, statement)
        with pytest.raises(MonitoringError, match=said) as caught:
            log.labelled(self.TABLE)
        assert caught.value.code == "WS-MONITORING-043"

    def test_times_that_are_none_are_refused_without_a_value(self, log: Log) -> None:
        log.write(answered("1"))
        self._table(
            log,
            "create table churned (pid integer, left boolean, at timestamp)",
            "insert into churned values (1, 1, 'zzz secret')",
        )
        with pytest.raises(MonitoringError) as caught:
            log.labelled(self.TABLE)
        assert "secret" not in str(caught.value)

    def test_labels_of_a_history_are_no_labels_of_nobody(self, log: Log) -> None:
        log.write(answered("1"))
        old = "".join(f"a{number},yes,2026-0{number}-01T13:00:00\n" for number in (1, 2, 3))
        self._file(
            log,
            f"prediction_id,outcome,known_at\n{old}1,yes,2026-05-01T13:00:00\n9,yes,2026-05-01T13:00:00\n",
        )
        assert log.labelled(self.FILE).unknown == 1
