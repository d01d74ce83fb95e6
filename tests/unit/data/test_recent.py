from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import make_spec
from support.fake_monitoring import FakeRows
from support.fakes import FakeExpectations, FakeSources, fake_ports
from support.faults import Killed, killed_after
from support.labelled import FIRST, WINDOW, labelled
from windsock.adapters.expectations import GreatExpectationsEngine
from windsock.adapters.snapshot_store import ParquetSnapshotStore
from windsock.adapters.storage import Storage
from windsock.data.mixing import mix
from windsock.data.recent import RecentRows
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import StorageError, UnverifiedSnapshotError
from windsock.ports import LabelledRows, Suite
from windsock.records import (
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    DataSnapshot,
    Status,
    TakeSnapshotInput,
    ValidateDataInput,
    held_out_mask,
    recent_mask,
    row_digests,
)

ROWS, ANSWERS = 200, 120


def source(rows: int = ROWS) -> pd.DataFrame:
    """Return rows as a CSV gives them: text."""
    draw = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(rows)],
            "age": draw.integers(18, 80, rows).astype(str),
            "income": [f"{value:.2f}" for value in draw.normal(3000, 900, rows)],
            "colour": draw.choice(["blue", "red"], rows),
            "churned": draw.choice(["Yes", "No"], rows),
        }
    ).astype(object)


def asked(count: int = ANSWERS) -> list[dict]:
    """Return features as clients send them."""
    draw = np.random.default_rng(5)
    return [
        {"age": int(age), "income": float(income), "colour": str(colour)}
        for age, income, colour in zip(
            draw.integers(18, 80, count),
            draw.normal(9000, 900, count),
            draw.choice(["blue", "red"], count),
            strict=True,
        )
    ]


def answered(count: int = ANSWERS, **columns) -> LabelledRows:
    units = [f"u{number}" for number in range(count)]
    return labelled(asked(count), [number % 2 == 0 for number in range(count)], **{"unit": units, **columns})


def world(joined: LabelledRows | None = None, given: pd.DataFrame | None = None, **replaced):
    rows = FakeRows()
    rows.joined = answered() if joined is None else joined
    return fake_ports(sources=FakeSources(source() if given is None else given), rows=rows, **replaced)


def take(ports, *, window=WINDOW, **blocks):
    step = TakeSnapshotInput(spec=make_spec(**blocks), recent=window)
    record = take_snapshot(step, ports, "")
    return record, ports.snapshots.load(record)


def recent_of(record: DataSnapshot, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[len(frame) - record.recent_rows :].reset_index(drop=True)


def said(record: DataSnapshot, words: str) -> str:
    return next((finding for finding in record.findings if words in finding), "")


class TestWhatIsMixedIn:
    def test_answers_with_a_label_are_the_last_rows(self):
        record, frame = take(world())
        recent = recent_of(record, frame)
        assert (record.rows, record.recent_rows) == (ROWS + ANSWERS, ANSWERS) == (len(frame), len(recent))
        assert (record.recent_start, record.recent_end) == (WINDOW.start, WINDOW.end)
        assert recent["age"].tolist() == [row["age"] for row in asked()]
        assert recent["income"].tolist() == [row["income"] for row in asked()]
        assert recent["colour"].tolist() == [row["colour"] for row in asked()]
        assert recent["churned"].tolist() == [number % 2 == 0 for number in range(ANSWERS)]
        assert recent["customer_id"].tolist() == [f"u{number}" for number in range(ANSWERS)]
        assert said(record, "recent window") == (
            "recent window 2026-04-01 00:00 to 2026-05-01 00:00 UTC: 120 answers, 120 with a label (100.0%)"
        )
        assert (
            said(record, "mixed:") == "mixed: 120 recent rows and 200 of 200 rows of the source (all of them)"
        )

    def test_without_a_window_nothing_is_asked_of_the_log(self):
        ports = world()
        ports.rows.labelled = None
        record, frame = take(ports, window=None)
        assert (record.recent_rows, record.recent_start, len(frame)) == (0, None, ROWS)

    def test_the_log_is_asked_for_what_was_known_by_now(self):
        ports, calls = world(), []
        real = ports.rows.labelled
        ports.rows.labelled = lambda *args, **known: calls.append((args, known)) or real(*args, **known)
        spec = make_spec()
        take(ports)
        ((model, span, labels), known), begun = calls[0], ports.now()
        assert (model, span, labels) == ("churn", WINDOW, spec.monitoring.labels)
        assert known.keys() == {"schema", "as_of"}
        assert known["schema"].classes == (False, True)
        assert known["schema"].label_words == ("Yes", "No")
        assert known["as_of"] < begun

    def test_shadows_and_doubled_answers_do_not_count(self):
        joined = answered()
        joined.frame.loc[:9, "variant"] = "shadow"
        doubled = replace(joined, frame=pd.concat([joined.frame, joined.frame.iloc[50:80]]))
        record, _ = take(world(doubled))
        assert record.recent_rows == ANSWERS - 10
        assert "UTC: 110 answers, " in said(record, "recent window")

    def test_the_order_of_the_log_is_that_of_time(self):
        joined = answered()
        turned = replace(joined, frame=joined.frame.sample(frac=1, random_state=3))
        one, other = take(world(joined)), take(world(turned))
        assert one[0].digest == other[0].digest
        pd.testing.assert_frame_equal(one[1], other[1])

    def test_a_column_that_no_request_carries_is_missing_and_keeps_its_role(self):
        given = source().assign(account=[str(number) for number in range(ROWS)], sex="f", gone="1")
        given.loc[:20, ["sex", "gone"]] = ["m", "2"]
        blocks = {"data": {"sensitive": ["sex"], "exclude": ["gone"]}}
        record, frame = take(world(given=given), **blocks)
        alone, _ = take(world(given=given), window=None, **blocks)
        assert recent_of(record, frame)[["account", "sex", "gone"]].isna().all(axis=None)
        assert [(one.name, one.role, one.kind, one.note) for one in record.columns] == [
            (one.name, one.role, one.kind, one.note) for one in alone.columns
        ]
        assert record.column("account").role is ColumnRole.IGNORED
        assert record.column("account").nulls == ANSWERS
        assert said(record, "no request") == "no request carries account, sex, gone: missing in recent rows"

    def test_whole_numbers_beyond_a_double_become_names_when_some_are_missing(self):
        given = source().assign(account=[2**60 + number for number in range(ROWS)])
        record, frame = take(world(given=given), data={"exclude": ["account"]})
        assert record.column("account").kind is ColumnKind.CATEGORY
        assert frame["account"].iloc[0] == str(2**60)

    def test_fractions_widen_a_column_of_whole_numbers(self):
        joined = labelled([{**row, "age": row["age"] + 0.5} for row in asked()], [True, False] * 60)
        record, frame = take(world(joined))
        assert record.column("age").kind is ColumnKind.NUMBER
        assert recent_of(record, frame)["age"].tolist() == [row["age"] + 0.5 for row in asked()]

    def test_every_kind_is_read_as_the_source_has_it(self):
        given = source().assign(
            member=["yes", "no"] * 100, joined="2026-01-01", code=[f"0{number % 7}" for number in range(ROWS)]
        )
        given.loc[:50, "joined"] = "2026-02-01"
        extra = [
            {"member": True, "joined": "2026-03-01T12:00:00+00:00", "code": "01"},
            {"member": "no", "joined": "2026-03-01T14:00:00+02:00", "code": 5},
            {"member": None, "joined": None, "code": None},
        ] * 40
        joined = labelled([row | more for row, more in zip(asked(), extra, strict=True)], [True, False] * 60)
        record, frame = take(world(joined, given))
        recent = recent_of(record, frame).head(3)
        noon = pd.Timestamp("2026-03-01T12:00", tz=UTC)
        assert recent["member"].tolist() == [True, False, pd.NA]
        assert recent["joined"].tolist() == [noon, noon, pd.NaT]
        assert recent["code"].tolist() == ["01", "5", None]

    @pytest.mark.parametrize("entity", ["entity_of_request", None])
    def test_the_entity_is_the_unit_unless_requests_carry_it(self, entity):
        own = [{**row, "customer_id": f"k{number}"} for number, row in enumerate(asked())]
        joined = labelled(
            own if entity else asked(), [True, False] * 60, unit=[f"u{number}" for number in range(ANSWERS)]
        )
        record, frame = take(world(joined))
        assert recent_of(record, frame)["customer_id"].tolist() == (
            [f"k{number}" for number in range(ANSWERS)]
            if entity
            else [f"u{number}" for number in range(ANSWERS)]
        )

    def test_a_unit_that_cannot_be_the_entity_is_missing(self):
        given = source().assign(customer_id=range(1000, 1000 + ROWS))
        joined = answered(unit=["1001", "someone"] * 60)
        record, frame = take(world(joined, given))
        assert recent_of(record, frame)["customer_id"].head(2).tolist()[0] == 1001
        assert recent_of(record, frame)["customer_id"].isna().sum() == 60
        assert said(record, "units are none") == "customer_id: 60 units are none, and were read as missing"

    @pytest.mark.parametrize("own", [True, False])
    def test_the_time_is_the_clients_or_else_the_servers(self, own):
        given = source().assign(at=[f"2026-01-{1 + number % 28:02}" for number in range(ROWS)])
        happened = [FIRST - timedelta(days=2, minutes=number) for number in range(ANSWERS)]
        joined = answered(event_time=happened) if own else answered()
        record, frame = take(world(joined, given), data={"event_time": "at"})
        expected = happened if own else joined.frame["receive_time"].tolist()
        assert recent_of(record, frame)["at"].tolist() == [pd.Timestamp(moment) for moment in expected]

    def test_numbers_to_predict_are_floats(self):
        given = source().drop(columns="churned").assign(price=[str(number) for number in range(ROWS)])
        joined = labelled(asked(), [number + 0.5 for number in range(ANSWERS)])
        record, frame = take(world(joined, given), model={"task": "regression"}, data={"target": "price"})
        assert recent_of(record, frame)["price"].tolist() == [number + 0.5 for number in range(ANSWERS)]
        assert record.column("price").kind is ColumnKind.NUMBER


class TestWhatIsLeftOut:
    def test_answers_without_a_label(self):
        joined = answered(outcome=pd.Series([None, True, False, float("nan")] * 30, dtype=object))
        joined = replace(joined, unknown=3, duplicates=2, late=4)
        record, _ = take(world(joined))
        assert record.recent_rows == 60
        assert said(record, "with a label").endswith("UTC: 120 answers, 60 with a label (50.0%)")
        assert said(record, "labels of") == (
            "labels of the recent window: 3 for predictions that are not in the log, "
            "2 replaced by a later one, 4 too late"
        )

    def test_labels_that_are_no_value_of_the_target(self):
        joined = answered(outcome=pd.Series(["yes", 0, "perhaps", False] * 30, dtype=object))
        record, frame = take(world(joined))
        assert record.recent_rows == 90
        assert recent_of(record, frame)["churned"].tolist() == [True, False, False] * 30
        assert said(record, "WS-DATA-061") == (
            "WS-DATA-061: 30 labelled answers whose label is no value of churned were left out"
        )
        assert "perhaps" not in " ".join(record.findings)

    def test_classes_that_the_source_does_not_have(self):
        given = source().assign(churned=["gold", "silver"] * 100)
        joined = answered(outcome=pd.Series(["gold", "silver", "lead"] * 40, dtype=object))
        record, frame = take(world(joined, given))
        assert set(recent_of(record, frame)["churned"]) == {"gold", "silver"}
        assert record.recent_rows == 80

    def test_labels_that_contradict_or_have_no_time_are_counted(self):
        joined = replace(answered(), conflicting=1, undated=2, by_order=3, unusable=4, repeated=5, damaged=6)
        record, _ = take(world(joined))
        for code, count in (("091", 1), ("092", 2), ("093", 3), ("094", 4)):
            assert f": {count};" in said(record, f"WS-MONITORING-{code}")
        assert said(record, "a later one has").endswith(": 5")
        assert "6 of lines of the log that are damaged" in said(record, "labels of the recent window")

    def test_the_words_of_a_truth_are_its_labels(self):
        given = source().assign(churned=lambda rows: rows["churned"].map({"Yes": "gone", "No": "here"}))
        joined = answered(
            outcome=pd.Series([" Gone ", "here\xa0", 1, "no", "away", "GONE"] * 20, dtype=object)
        )
        columns = {"churned": {"kind": "boolean", "true": "gone", "false": "here"}}
        record, frame = take(world(joined, given), data={"columns": columns})
        assert recent_of(record, frame)["churned"].tolist() == [True, False, True, False, True] * 20
        assert "20 labelled answers whose label is no value" in said(record, "WS-DATA-061")

    def test_values_of_another_kind(self):
        rows = asked()
        for row in rows[:7]:
            row["age"] = "old"
        record, _ = take(world(labelled(rows, [True, False] * 60)))
        assert record.recent_rows == ANSWERS - 7
        assert said(record, "WS-DATA-061") == (
            "WS-DATA-061: 7 labelled answers with a value of another kind in age were left out"
        )

    def test_answers_to_nothing_that_the_source_knows(self):
        rows = [*asked(100), *({"other": 1} for _ in range(20))]
        record, _ = take(world(labelled(rows, [True, False] * 60)))
        assert record.recent_rows == 100
        assert "20 labelled answers without a feature that the source has" in said(record, "WS-DATA-061")

    @pytest.mark.parametrize(
        "joined",
        [
            LabelledRows(frame=pd.DataFrame(), unknown=0, duplicates=0, late=0),
            labelled([], []),
            labelled(asked(), [None] * ANSWERS),
            labelled([{}] * ANSWERS, [True] * ANSWERS),
            answered(20),
        ],
        ids=["nothing", "no rows", "no labels", "no features", "too few to hold ten out"],
    )
    def test_with_too_few_rows_the_source_stays_alone(self, joined):
        record, _ = take(world(joined))
        alone, _ = take(world(), window=None)
        assert record.digest == alone.digest
        assert (record.recent_rows, record.recent_start, record.rows) == (0, None, ROWS)
        assert "the source alone is learned from" in said(record, "WS-DATA-060")

    def test_a_log_out_of_reach_is_tried_again_and_never_no_rows(self):
        ports = world()

        def away(*args, **known):
            raise StorageError("the prediction log cannot be read")

        ports.rows.labelled = away
        with pytest.raises(StorageError):
            take(ports)
        assert ports.snapshots.stored == {}


class TestRowsThatCameBothWays:
    def both(self, **columns):
        """Return a source that has 30 of the answers."""
        rows = [
            {
                "customer_id": f"u{number}",
                "age": str(row["age"]),
                "income": repr(row["income"]),
                "colour": row["colour"],
                "churned": "Yes" if number % 2 == 0 else "No",
            }
            for number, row in enumerate(asked()[:30])
        ]
        return pd.concat([pd.DataFrame(rows), source()], ignore_index=True).astype(object).assign(**columns)

    def test_they_count_once_as_recent_ones_with_what_the_source_knows(self):
        given = self.both(branch=["north", "south"] * 115)
        record, frame = take(world(given=given))
        assert (record.rows, record.recent_rows) == (ROWS + ANSWERS, ANSWERS)
        assert recent_of(record, frame)["branch"].notna().sum() == 30
        assert said(record, "both ways") == "30 rows came both ways: each counts once, as a recent one"

    def test_another_entity_or_label_is_another_row(self):
        given = self.both()
        given.loc[:4, "customer_id"] = "someone else"
        given.loc[5:9, "churned"] = ["Yes", "No", "Yes", "No", "Yes"]
        record, _ = take(world(given=given))
        assert record.rows == ROWS + ANSWERS + 10

    def test_each_recent_row_takes_one_of_equal_rows(self):
        given = pd.concat([self.both(), self.both().head(30)], ignore_index=True)
        record, _ = take(world(given=given))
        assert record.rows == ROWS + ANSWERS + 30

    @pytest.mark.parametrize(("day", "rows"), [("2026-03-01", 30), ("2026-04-03", 0)])
    def test_an_older_row_of_the_source_is_no_recent_one(self, day, rows):
        given = self.both(at=["2026-02-01"] * 230)
        given.loc[:29, "at"] = day
        record, _ = take(world(given=given), data={"event_time": "at"})
        assert record.rows == ROWS + ANSWERS + rows

    def test_their_side_is_that_of_the_source(self):
        given, blocks = self.both().assign(branch=["north", "south"] * 115), {"data": {"entity": None}}
        given = given.assign(customer_id=None)
        spec = make_spec(**blocks)
        record, frame = take(world(answered(unit=None), given), **blocks)
        alone, rows = take(world(given=given), window=None, **blocks)
        before = dict(
            zip((one.tobytes() for one in row_digests(rows)), held_out_mask(rows, spec), strict=True)
        )
        mask = held_out_mask(frame, spec, record.recent_rows)
        after = dict(zip((one.tobytes() for one in row_digests(frame)), mask, strict=True))
        assert before.items() <= after.items()


class TestIdentity:
    def test_the_same_content_is_the_same_snapshot(self):
        ports = world()
        one, _ = take(ports)
        ports.sources.frame = source().sample(frac=1, random_state=1)
        other, _ = take(ports)
        assert one == other
        assert len(ports.snapshots.stored) == 1

    def test_the_same_rows_marked_otherwise_are_another_one(self, tmp_path):
        """The answers of one snapshot are the source of another."""
        store = ParquetSnapshotStore(Storage(str(tmp_path)))
        record, frame = take(world(snapshots=store))
        plain, _ = take(world(given=frame, snapshots=store), window=None)
        assert plain.rows == record.rows
        assert plain.digest != record.digest
        loaded = store.load(record)
        pd.testing.assert_frame_equal(loaded, frame)
        for faked in (0, record.recent_rows - 1):
            with pytest.raises(UnverifiedSnapshotError, match="recent"):
                store.load(record.model_copy(update={"recent_rows": faked}))

    def test_a_record_from_before_has_no_recent_rows(self):
        record, _ = take(world(), window=None)
        content = record.model_dump(mode="json")
        for name in ("recent_rows", "recent_start", "recent_end"):
            del content[name]
        assert DataSnapshot.model_validate(content) == record

    def test_more_recent_rows_than_rows_are_none(self):
        record, _ = take(world())
        with pytest.raises(ValueError, match="more recent rows"):
            DataSnapshot.model_validate(record.model_dump() | {"rows": 10})

    def test_killed_and_retried_it_is_the_same(self):
        quiet, _ = take(world())
        ports = world()
        faulty, _ = killed_after(ports, 1)
        with pytest.raises(Killed):
            take(faulty)
        retried, _ = take(ports)
        assert retried.digest == quiet.digest
        assert len(ports.snapshots.stored) == 1


columns = (
    ColumnSchema(name="x", kind=ColumnKind.INTEGER),
    ColumnSchema(name="churned", kind=ColumnKind.BOOLEAN, role=ColumnRole.TARGET),
)
pairs = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40)


class TestPolicy:
    @settings(max_examples=150, deadline=None)
    @given(
        before=pairs,
        after=pairs,
        history=st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 10.0])),
        seed=st.integers(0, 99),
    )
    def test_all_recent_rows_and_at_most_so_many_others(self, before, after, history, seed):
        spec = make_spec(data={"entity": None}, monitoring={"retrain": {"history": history}})

        def framed(rows):
            typed = {"x": np.array([x for x, _ in rows], dtype=np.int64), "churned": [y for _, y in rows]}
            return pd.DataFrame(typed).astype({"churned": bool})

        def mixed(source_rows):
            recent = RecentRows(frame=framed(after), carried=("x", "churned"), findings=())
            return mix(WINDOW, framed(source_rows), columns, recent, spec)

        result = mixed(before)
        counts = pd.Series(before, dtype=object).value_counts()
        recent = pd.Series(after, dtype=object).value_counts()
        twins = sum(min(count, recent.get(row, 0)) for row, count in counts.items())
        others = len(before) - twins
        kept = others if history is None else min(others, int(history * len(after)))
        assert result.recent_rows == len(after)
        assert len(result.frame) == kept + len(after)
        tail = result.frame.iloc[kept:]
        assert list(zip(tail["x"], tail["churned"], strict=True)) == after
        head = result.frame.iloc[:kept].value_counts()
        left = (counts - recent.reindex(counts.index, fill_value=0)).clip(lower=0)
        assert all(count <= left.get(row, 0) for row, count in head.items())
        order = np.random.default_rng(seed).permutation(len(before))
        again = mixed([before[place] for place in order])
        assert sorted(map(bytes, row_digests(again.frame))) == sorted(map(bytes, row_digests(result.frame)))

    def test_the_policy_is_said(self):
        record, frame = take(world(), monitoring={"retrain": {"history": 0.5}})
        assert record.rows == len(frame) == ANSWERS + 60
        assert said(record, "mixed:") == (
            "mixed: 120 recent rows and 60 of 200 rows of the source (at most 0.5 for each recent one)"
        )

    def test_what_is_kept_of_the_source_is_drawn_from_all_of_it(self):
        _, frame = take(world(given=source(2000)), monitoring={"retrain": {"history": 5}})
        numbers = frame["customer_id"].iloc[:600].str[1:].astype(int)
        assert numbers.is_monotonic_increasing
        assert 900 < numbers.mean() < 1100


class TestHeldOut:
    def test_by_entity_the_rule_is_the_same_for_all(self):
        record, frame = take(world())
        spec = make_spec()
        assert list(held_out_mask(frame, spec, record.recent_rows)) == list(held_out_mask(frame, spec))

    def test_by_time_both_parts_hold_their_latest_fifth_out(self):
        days = pd.date_range("2026-01-01", periods=100, tz="UTC")
        frame = pd.DataFrame({"at": [*days, *days[-50:]]})
        held = held_out_mask(frame, make_spec(data={"event_time": "at"}), 50)
        assert list(held) == [False] * 80 + [True] * 20 + [False] * 40 + [True] * 10

    def test_by_time_recent_rows_alone(self):
        frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=50, tz="UTC")})
        spec = make_spec(data={"event_time": "at"})
        assert list(held_out_mask(frame, spec, 50)) == list(held_out_mask(frame, spec))


def validated(ports, **blocks):
    record, _ = take(ports, **blocks)
    return validate_data(ValidateDataInput(spec=make_spec(**blocks), snapshot=record), ports, "")


class TestValidation:
    def test_a_mixed_snapshot_passes(self):
        report = validated(world())
        assert report.status is Status.PASS
        assert {"recent_held_out_rows", "recent_classes"} <= {check.name for check in report.checks}

    def test_without_recent_rows_nothing_is_asked_of_them(self):
        ports = world()
        record, _ = take(ports, window=None)
        report = validate_data(ValidateDataInput(spec=make_spec(), snapshot=record), ports, "")
        assert not [check for check in report.checks if check.name.startswith("recent")]

    def test_one_class_among_the_recent_rows_is_too_little(self):
        report = validated(world(answered(outcome=True)))
        (check,) = report.failed
        assert (check.name, check.code, check.status) == (
            "recent_classes",
            "WS-DATA-063",
            Status.INSUFFICIENT,
        )
        assert report.status is Status.INSUFFICIENT

    def test_too_few_recent_rows_held_out_are_too_little(self):
        """Such a snapshot was taken by another spec, or by hand."""
        ports = world()
        record, _ = take(ports)
        fewer = record.model_copy(update={"recent_rows": 20})
        report = validate_data(ValidateDataInput(spec=make_spec(), snapshot=fewer), ports, "")
        assert ("WS-DATA-062", Status.INSUFFICIENT) in [(one.code, one.status) for one in report.failed]

    def test_the_suite_asks_recent_rows_only_for_what_requests_carry(self):
        asked_for = [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "customer_id"}},
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}},
            {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["age", "gone"]}},
            {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
        ]
        seen = []

        class Engine(FakeExpectations):
            def check(self, frame, suite):
                seen.append((len(frame), [one["type"] for one in suite.content["expectations"]]))
                return self.results * len(suite.content["expectations"])

        suite = Suite(content={"name": "churn", "expectations": asked_for}, origin="file")
        engine, given = Engine(suite=suite), source().assign(gone=["1", "2"] * 100)
        ports = world(answered(unit=None), given, expectations=engine)
        report = validated(ports, data={"exclude": ["gone"]})
        assert seen == [
            (ROWS + ANSWERS, [asked_for[1]["type"], asked_for[3]["type"]]),
            (ROWS, [asked_for[0]["type"], asked_for[2]["type"]]),
        ]
        assert report.status is Status.PASS

    def test_a_suite_of_great_expectations_keeps_its_word_on_both_parts(self, tmp_path):
        """Clients send no unit, so the entity is missing in recent rows; age is asked of all rows."""
        never_null = [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": name}}
            for name in ("customer_id", "age")
        ]
        suite = {"name": "churn", "expectations": never_null}
        (tmp_path / "churn.json").write_text(json.dumps(suite), encoding="utf-8")
        engine = GreatExpectationsEngine(tmp_path, Storage(str(tmp_path / "storage")))
        assert validated(world(answered(unit=None), expectations=engine)).status is Status.PASS
        without_age = [{**row, "age": None} for row in asked()]
        report = validated(world(labelled(without_age, [True, False] * 60), expectations=engine))
        assert [check.name for check in report.failed] == ["expect_column_values_to_not_be_null:age"]


@pytest.mark.parametrize(
    ("recent_rows", "mask"), [(0, [True, True, True]), (2, [False, True, True]), (3, [True, True, True])]
)
def test_rows_that_speak_for_now(recent_rows, mask):
    assert list(recent_mask(3, recent_rows)) == mask
