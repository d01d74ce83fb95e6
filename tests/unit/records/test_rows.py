from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import make_spec
from windsock.records import count_copies, entity_text, held_out_mask, row_digests
from windsock.records import rows_digest as digest_of_rows
from windsock.spec import canonical_json


def rows_digest(frame: pd.DataFrame) -> str:
    return digest_of_rows(row_digests(frame))


texts = st.one_of(st.none(), st.text(max_size=8))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": texts,
            "amount": st.floats(allow_nan=True, allow_infinity=True),
            "count": st.integers(-(2**62), 2**62),
            "colour": texts,
            "paid": st.booleans(),
            "churned": st.booleans(),
        }
    ),
    min_size=1,
    max_size=30,
)


def frame_of(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    for name in ("customer_id", "colour"):
        frame[name] = pd.Series([row[name] for row in rows], dtype=object)
    return frame


class TestDigest:
    def test_a_row_by_hand(self):
        frame = pd.DataFrame({"b": ["blue"], "a": [1.5], "c": [True], "d": [None]})
        header = hashlib.sha256(canonical_json(["a", "b", "c", "d"]).encode()).digest()
        cells = [
            b"\x01" + struct.pack(">d", 1.5),
            b"\x03" + hashlib.sha256(b"blue").digest(),
            b"\x02\x01",
            b"\x00",
        ]
        expected = hashlib.sha256(header + b"".join(cell.ljust(33, b"\0") for cell in cells)).digest()
        assert row_digests(frame)[0].tobytes() == expected

    def test_a_time_by_hand(self):
        frame = pd.DataFrame({"t": [datetime(2026, 5, 1, 12, 30, tzinfo=UTC)]})
        header = hashlib.sha256(canonical_json(["t"]).encode()).digest()
        moment = int(datetime(2026, 5, 1, 12, 30, tzinfo=UTC).timestamp()) * 1_000_000
        cell = (b"\x04" + struct.pack(">q", moment)).ljust(33, b"\0")
        assert row_digests(frame)[0].tobytes() == hashlib.sha256(header + cell).digest()

    def test_known_value_stands_for_ever(self):
        frame = pd.DataFrame({"a": [1, 2, 2], "b": ["x", None, "y"], "c": [0.1, np.nan, -0.0]})
        assert rows_digest(frame) == "b34f2d978ae17ffa259b7ba94f1c0141d3285e775df43afe7addec258302a588"

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (pd.Series([1, 2]), pd.Series([1.0, 2.0])),
            (pd.Series([1, 2]), pd.Series([1, 2], dtype="Int64")),
            (pd.Series([1, 2]), pd.Series([1, 2], dtype="int8")),
            (pd.Series([1, 2]), pd.Series([1, 2], dtype=object)),
            (pd.Series([True, None], dtype=object), pd.Series([True, None], dtype="boolean")),
            (pd.Series(["a", None], dtype=object), pd.Series(["a", None], dtype="string")),
            (pd.Series(["a", None], dtype=object), pd.Series(["a", None], dtype="category")),
            (pd.Series(["a", None], dtype=object), pd.Series(["a", np.nan], dtype=object)),
            (pd.Series([1.0, np.nan]), pd.Series([1, pd.NA], dtype="Int64")),
            (pd.Series([0.0]), pd.Series([-0.0])),
            (pd.Series([np.nan]), pd.Series([None], dtype=object)),
            (
                pd.Series(pd.to_datetime(["2026-05-01"])),
                pd.Series(pd.to_datetime(["2026-05-01T02:00:00+02:00"], utc=True)),
            ),
        ],
    )
    def test_storage_makes_no_difference(self, one, other):
        assert (row_digests(one.to_frame("x")) == row_digests(other.to_frame("x"))).all()

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (["1"], [1]),
            ([True], [1]),
            ([True], ["True"]),
            ([None], [""]),
            (["a"], ["a\0"]),
            (["a "], ["a"]),
            ([2**53], [2**53 + 1]),
            ([2**63 - 1], [2**63 - 2]),
            ([0.1], [0.1 + 2**-55]),
            ([np.inf], [-np.inf]),
        ],
    )
    def test_values_make_a_difference(self, one, other):
        digests = [row_digests(pd.DataFrame({"x": pd.Series(values)})) for values in (one, other)]
        assert (digests[0] != digests[1]).any()

    def test_text_after_a_nul_counts(self):
        digests = row_digests(pd.DataFrame({"x": pd.Series(["a", "a\0", "a\0b"], dtype=object)}))
        assert count_copies(digests) == 0

    def test_names_make_a_difference(self):
        assert rows_digest(pd.DataFrame({"a": [1]})) != rows_digest(pd.DataFrame({"b": [1]}))
        swapped = rows_digest(pd.DataFrame({"a": ["x"], "b": ["y"]}))
        assert swapped != rows_digest(pd.DataFrame({"a": ["y"], "b": ["x"]}))

    def test_duplicates_count(self):
        once, twice = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 2, 2]})
        assert rows_digest(once) != rows_digest(twice)
        assert rows_digest(twice) != rows_digest(pd.DataFrame({"a": [1, 1, 2]}))

    def test_copies_are_counted(self):
        frame = pd.DataFrame({"a": [1, 2, 2, 1, 2, 3]})
        assert count_copies(row_digests(frame)) == 3
        assert count_copies(row_digests(frame.iloc[:1])) == 0
        assert count_copies(row_digests(frame.iloc[:0])) == 0

    def test_what_cannot_be_digested_is_refused(self):
        with pytest.raises(TypeError, match="no content digest"):
            row_digests(pd.DataFrame({"a": [[1], [2]]}))

    def test_empty_frames(self):
        assert row_digests(pd.DataFrame({"a": []})).shape == (0, 32)
        assert rows_digest(pd.DataFrame()) == hashlib.sha256(b"").hexdigest()

    def test_chunks_make_no_difference(self, monkeypatch):
        frame = pd.DataFrame({"a": range(100), "b": [str(number % 7) for number in range(100)]})
        whole = row_digests(frame)
        monkeypatch.setattr("windsock.records.rows.CHUNK_BYTES", 700)
        assert (row_digests(frame) == whole).all()

    @settings(max_examples=60, deadline=None)
    @given(rows, st.randoms(use_true_random=False))
    def test_order_makes_no_difference(self, rows, random):
        frame = frame_of(rows)
        columns = list(frame.columns)
        random.shuffle(columns)
        order = list(range(len(frame)))
        random.shuffle(order)
        assert rows_digest(frame) == rows_digest(frame.iloc[order][columns])


class TestEntityText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (7, "7"),
            (7.0, "7"),
            (np.int64(7), "7"),
            (" 7 ", "7"),
            ("007", "007"),
            (True, "true"),
            (0.5, "0.5"),
        ],
    )
    def test_texts(self, value, text):
        assert entity_text(value) == text


class TestHeldOut:
    @pytest.mark.parametrize("entity", ["customer_id", None])
    @settings(max_examples=60, deadline=None)
    @given(rows=rows, data=st.data())
    def test_a_row_keeps_its_side(self, entity, rows, data):
        spec = make_spec(data={"entity": entity})
        frame = frame_of(rows)
        mask = held_out_mask(frame, spec)
        others = frame_of(data.draw(st.permutations(rows + data.draw(rows_more))))
        sides = dict(
            zip(
                (digest.tobytes() for digest in row_digests(others)), held_out_mask(others, spec), strict=True
            )
        )
        assert [sides[digest.tobytes()] for digest in row_digests(frame)] == list(mask)
        fewer = frame.iloc[: len(frame) // 2 + 1]
        assert list(held_out_mask(fewer, spec)) == list(mask[: len(fewer)])

    def test_the_rule_by_hand(self):
        frame = pd.DataFrame({"customer_id": [f"c{number}" for number in range(500)], "churned": False})
        expected = [
            int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100 < 20 for key in frame["customer_id"]
        ]
        assert list(held_out_mask(frame, make_spec())) == expected
        assert 60 < sum(expected) < 140

    def test_an_entity_counts_the_same_as_number_and_as_text(self):
        numbers = pd.DataFrame({"customer_id": range(200)})
        frames = [numbers, numbers.astype(float), numbers.astype(str), numbers.astype("Int64")]
        masks = [list(held_out_mask(frame, make_spec())) for frame in frames]
        assert masks[0] == masks[1] == masks[2] == masks[3]

    def test_all_rows_of_an_entity_are_on_one_side(self):
        frame = pd.DataFrame({"customer_id": ["a", "b", "c"] * 20, "x": range(60)})
        frame["held"] = held_out_mask(frame, make_spec())
        assert (frame.groupby("customer_id")["held"].nunique() == 1).all()

    def test_rows_without_an_entity_go_by_content(self):
        frame = pd.DataFrame({"customer_id": [None] * 300, "x": range(300), "churned": False})
        by_content = held_out_mask(frame, make_spec(data={"entity": None}))
        assert list(held_out_mask(frame, make_spec())) == list(by_content)
        assert 30 < by_content.sum() < 90

    def test_a_corrected_label_moves_no_row(self):
        frame = pd.DataFrame({"x": range(300), "churned": [False, True, False] * 100})
        spec = make_spec(data={"entity": None})
        assert list(held_out_mask(frame, spec)) == list(held_out_mask(frame.assign(churned=True), spec))

    def test_the_latest_fifth_is_held_out_by_time(self):
        days = pd.date_range("2026-01-01", periods=100, tz="UTC")
        frame = pd.DataFrame({"at": days, "customer_id": "x"}).sample(frac=1, random_state=3)
        held = held_out_mask(frame, make_spec(data={"event_time": "at"}))
        assert held.sum() == 20
        assert frame.loc[held, "at"].min() > frame.loc[~held, "at"].max()

    def test_equal_times_fall_on_one_side(self):
        frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-01"] * 75 + ["2026-01-02"] * 25, utc=True)})
        held = held_out_mask(frame, make_spec(data={"event_time": "at"}))
        assert list(held) == [False] * 75 + [True] * 25
        frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-01"] * 85 + ["2026-01-02"] * 15, utc=True)})
        assert held_out_mask(frame, make_spec(data={"event_time": "at"})).sum() == 15

    def test_one_time_for_all_holds_nothing_out(self):
        frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-01"] * 50, utc=True)})
        assert held_out_mask(frame, make_spec(data={"event_time": "at"})).sum() == 0

    def test_rows_without_a_time_are_not_held_out(self):
        times = [*pd.date_range("2026-01-01", periods=10, tz="UTC"), None, None]
        frame = pd.DataFrame({"at": pd.to_datetime(pd.Series(times), utc=True)})
        held = held_out_mask(frame, make_spec(data={"event_time": "at"}))
        assert held.sum() == 2
        assert not held[-2:].any()

    def test_no_times_at_all(self):
        frame = pd.DataFrame({"at": pd.to_datetime(pd.Series([None, None]), utc=True)})
        assert not held_out_mask(frame, make_spec(data={"event_time": "at"})).any()


rows_more = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": texts,
            "amount": st.floats(allow_nan=False),
            "count": st.integers(-5, 5),
            "colour": texts,
            "paid": st.booleans(),
            "churned": st.booleans(),
        }
    ),
    max_size=10,
)
