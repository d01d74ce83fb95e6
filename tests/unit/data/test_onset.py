"""Rows since an onset in a snapshot: which they are, how they are held out, and when they are too few."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from support.builders import make_spec
from support.fake_monitoring import FakeRows
from support.fakes import FakeSources, fake_ports
from support.labelled import FIRST, WINDOW, labelled
from windsock.adapters.snapshot_store import ParquetSnapshotStore
from windsock.adapters.storage import Storage
from windsock.data.take_snapshot import take_snapshot
from windsock.exceptions import UnverifiedSnapshotError
from windsock.records import DataSnapshot, TakeSnapshotInput, content_digest, held_out_mask, row_digests

ROWS, ANSWERS = 150, 500
SINCE = FIRST + timedelta(minutes=200)
"""Three hundred of the answers are younger: there is one every minute."""


def source() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(ROWS)],
            "age": draw.normal(40, 9, ROWS),
            "churned": draw.choice(["Yes", "No"], ROWS),
        }
    )


def answered(outcomes=None, **columns):
    age = np.random.default_rng(5).normal(40, 9, ANSWERS).tolist()
    given = [number % 2 == 0 for number in range(ANSWERS)] if outcomes is None else outcomes
    units = [f"u{number}" for number in range(ANSWERS)]
    return labelled([{"age": value} for value in age], given, **{"unit": units, **columns})


def world(joined=None, **replaced):
    rows = FakeRows()
    rows.joined = answered() if joined is None else joined
    return fake_ports(sources=FakeSources(source()), rows=rows, **replaced)


def take(ports, *, onset=SINCE, **blocks) -> tuple[DataSnapshot, pd.DataFrame]:
    step = TakeSnapshotInput(spec=make_spec(**blocks), recent=WINDOW, onset=onset)
    record = take_snapshot(step, ports, "")
    return record, ports.snapshots.load(record)


def said(record: DataSnapshot, words: str) -> str:
    return next((finding for finding in record.findings if words in finding), "")


class TestMarked:
    def test_the_younger_answers_are_the_last_rows(self):
        record, frame = take(world())
        assert (record.recent_rows, record.onset_rows, record.onset) == (ANSWERS, 300, SINCE)
        assert frame["customer_id"].tolist()[-300:] == [f"u{number}" for number in range(200, ANSWERS)]
        held_out = held_out_mask(frame, make_spec(), ANSWERS, 300)[-300:].sum()
        assert said(record, "since the onset") == (
            f"300 rows are since the onset, 2026-04-01 03:20 UTC; {held_out} of them are held out, and decide"
        )

    def test_by_the_time_of_receipt_in_whatever_order_the_log_gives_them(self):
        joined = answered()
        joined.frame["event_time"] = FIRST - timedelta(days=9)
        joined.frame.sort_values("prediction_id", ascending=False, inplace=True)
        assert take(world(joined))[0].onset_rows == 300

    def test_an_onset_before_the_recent_rows_is_that_of_them_all(self):
        record, _ = take(world(), onset=WINDOW.start - timedelta(days=9))
        assert (record.recent_rows, record.onset_rows) == (ANSWERS, ANSWERS)

    def test_answers_that_are_left_out_do_not_count(self):
        unknown = pd.Series(["perhaps", True, False] * 166 + [True, False], dtype=object)
        record, frame = take(world(answered(unknown)), data={"where": {"age": {"min": 35}}})
        younger = [int(name[1:]) >= 200 for name in frame["customer_id"] if name.startswith("u")]
        assert (record.recent_rows, record.onset_rows) == (len(younger), sum(younger))
        assert 0 < sum(younger) < 200
        assert all(younger[-record.onset_rows :])

    def test_an_onset_without_recent_rows_is_no_step(self):
        with pytest.raises(ValidationError, match="`recent` says which these are"):
            TakeSnapshotInput(spec=make_spec(), onset=SINCE)


class TestTooFew:
    @pytest.mark.parametrize("minutes", [ANSWERS - 100, ANSWERS - 1, ANSWERS + 5])
    def test_held_out_rows_leave_the_recent_ones(self, minutes):
        record, _ = take(world(), onset=FIRST + timedelta(minutes=minutes))
        alone, _ = take(world(), onset=None)
        assert (record.onset_rows, record.onset, record.digest) == (0, None, alone.digest)
        assert "would be held out, 30 are needed: none is marked" in said(record, "WS-DATA-180")

    def test_of_a_second_class_too(self):
        outcomes = [number < 200 and number % 2 == 0 for number in range(ANSWERS)]
        record, _ = take(world(answered(outcomes)))
        assert record.onset_rows == 0
        assert "fewer than 5 are of a second class: none is marked" in said(record, "WS-DATA-180")

    def test_numbers_have_no_classes(self):
        ports = world(answered([1.5] * ANSWERS))
        ports.sources.frame = source().assign(churned=np.linspace(1, 2, ROWS))
        record, _ = take(ports, model={"name": "churn", "task": "regression"})
        assert record.onset_rows == 300


class TestIdentity:
    def test_which_rows_are_marked_is_part_of_the_digest(self, tmp_path):
        store = ParquetSnapshotStore(Storage(str(tmp_path)))
        moments = (None, SINCE, SINCE + timedelta(minutes=50))
        taken = [take(world(snapshots=store), onset=moment) for moment in moments]
        assert len({record.digest for record, _ in taken}) == 3
        for record, frame in taken:
            pd.testing.assert_frame_equal(store.load(record), frame)
        for faked in (0, 250):
            with pytest.raises(UnverifiedSnapshotError, match="recent"):
                store.load(taken[1][0].model_copy(update={"onset_rows": faked}))

    def test_without_any_it_is_that_of_before(self):
        record, frame = take(world(), onset=None)
        digests = row_digests(frame)
        assert content_digest(record.columns, digests, ANSWERS) == record.digest
        assert content_digest(record.columns, digests, ANSWERS, 0) == record.digest
        assert "onset" not in record.model_dump_json()


class TestHeldOut:
    def test_by_entity_the_rule_is_the_same_for_all(self):
        record, frame = take(world())
        spec = make_spec()
        assert list(held_out_mask(frame, spec, ANSWERS, 300)) == list(held_out_mask(frame, spec))

    def test_by_time_each_of_three_parts_holds_its_latest_fifth_out(self):
        days = pd.date_range("2026-01-01", periods=100, tz="UTC")
        frame = pd.DataFrame({"at": [*days, *days[-50:], *days[-10:]]})
        held = held_out_mask(frame, make_spec(data={"event_time": "at"}), 60, 10)
        parts = [held[:100], held[100:150], held[150:]]
        for part in parts:
            assert list(part) == [False] * (len(part) * 4 // 5) + [True] * (len(part) // 5)

    def test_no_rows_have_no_sides(self):
        frame = pd.DataFrame({"at": pd.to_datetime([], utc=True)})
        assert not len(held_out_mask(frame, make_spec(data={"event_time": "at"})))
