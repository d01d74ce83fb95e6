"""Labels that meant another thing by how they were written, by their place, or without being told of."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import NOON
from support.label_log import LabelLog
from windsock.ports.left_out import left_out
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.spec import LabelsBlock
from windsock.statistics.labels import read_outcomes

pytestmark = pytest.mark.cases
FIELDS = (InputField(name="age", kind=ColumnKind.NUMBER),)
WIDE = 2**53
NOTHING, FOREIGN = "none", "foreign"
BLANKS = ("", " ", "\u3000", "\xa0", math.nan, Decimal("NaN"), Decimal("sNaN"), pd.NaT, None)
HALVES = ("1.5", " 15e-1 ", Decimal("1.50"), np.float32(1.5))
NO_NUMBERS = ("1_000", "1,5", True, date(2026, 5, 1), "1e31")


def classes(*labels: Any, words: tuple[str, str] | None = None) -> InputSchema:
    return InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=labels, label_words=words)


NUMBERS, TRUTHS, TEXT = classes(0, 1), classes(False, True), classes("churned", "stayed")
WORDS = classes(False, True, words=("churned", "stayed"))
AMOUNT = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)


@pytest.mark.parametrize(
    ("about", "schema", "outcome", "right"),
    [
        *(
            (about, schema, outcome, yes)
            for about, schema, yes in (("0/1", NUMBERS, 1), ("truths", TRUTHS, True))
            for outcome in (
                1, 1.0, "1", "1.0", " 1 ", "\xa01", "1e0", "+1", "TRUE", True, "Yes", b"1", "１",
                Decimal("1.00"), np.int8(1), np.uint64(1), np.float32(1),
            )
        ),
        *(("0/1", NUMBERS, outcome, 0) for outcome in (-0.0, "-0", "0.000", "FALSE", np.bool_(False))),
        *(("0/1", NUMBERS, outcome, FOREIGN) for outcome in ("1_0", "1,0", "nan", "inf", "1e9999", 10**400)),
        *(("0/1", NUMBERS, outcome, FOREIGN) for outcome in (math.inf, b"\x01", date(2026, 5, 1), "1\u200b")),
        *(("0/1", NUMBERS, outcome, FOREIGN) for outcome in (Decimal("1E+99999"), Decimal("Infinity"))),
        ("0/1", NUMBERS, np.timedelta64(1, "ns"), FOREIGN),
        ("0/1", NUMBERS, np.datetime64("1970-01-01T00:00:00.000000001", "ns"), FOREIGN),
        *(
            ("any", schema, outcome, NOTHING)
            for schema in (NUMBERS, TEXT, AMOUNT)
            for outcome in BLANKS
        ),
        ("1/2", classes(1, 2), True, FOREIGN),
        ("1/2", classes(1, 2), "2.0", 2),
        *(("text", TEXT, outcome, "churned") for outcome in (" churned ", "churned\xa0", "\u3000churned\n")),
        *(("text", TEXT, outcome, FOREIGN) for outcome in ("Churned", "churned.", "\ufeffchurned", 1, True)),
        *(("words", WORDS, outcome, True) for outcome in ("churned", " Churned ", "true", 1, "1.0")),
        *(("words", WORDS, outcome, False) for outcome in ("stayed", "STAYED\xa0", "n", 0, "-0")),
        ("text of digits", classes("1", "2"), 1.0, "1"),
        ("text of digits", classes("1", "1.0"), "1.0", "1.0"),
        ("text of digits", classes("01", "1"), Decimal("1.0"), "1"),
        *(
            ("beyond 2^53", schema, outcome, right)
            for schema, right in (
                (classes(WIDE, WIDE + 1), WIDE + 1),
                (classes(str(WIDE), str(WIDE + 1)), str(WIDE + 1)),
            )
            for outcome in (WIDE + 1, Decimal(WIDE + 1), str(WIDE + 1), np.int64(WIDE + 1))
        ),
        ("beyond 2^53, as a float", classes(WIDE, WIDE + 1), float(WIDE), FOREIGN),
        ("beyond 2^53, as a float", classes(str(WIDE), str(WIDE + 1)), float(WIDE), FOREIGN),
        *(("number", AMOUNT, outcome, 1.5) for outcome in HALVES),
        *(("number", AMOUNT, outcome, FOREIGN) for outcome in NO_NUMBERS),
    ],
)  # fmt: skip
def test_what_a_label_means(
    case: Callable[..., None], about: str, schema: InputSchema, outcome: Any, right: Any
) -> None:
    (read,), foreign = read_outcomes([outcome], schema)
    got = FOREIGN if foreign else NOTHING if read is None else read
    case(f"{about}: {str(outcome)[:20]!r} ({type(outcome).__name__})", right=right, got=got)
    assert type(got) is type(right)


MINUTE = timedelta(minutes=1)
FILE = LabelsBlock(kind="file", path="labels.csv")
TABLE = LabelsBlock(kind="table", conn_id="crm", table="truth")


@pytest.fixture
def log(tmp_path: Path) -> LabelLog:
    return LabelLog(tmp_path)


@pytest.mark.parametrize(
    ("about", "schema", "outcomes", "right"),
    [
        ("1 and 1.0", NUMBERS, (1, 1.0), 1),
        ('"1" and 1 and true', NUMBERS, ("1", 1, True), "1"),
        ("truths: 1, TRUE, y", TRUTHS, (1, "TRUE", "y"), 1),
        ("' stayed ' and stayed", TEXT, (" stayed ", "stayed"), " stayed "),
        ("churned and true", WORDS, ("churned", True), "churned"),
        ("-0.0, 0 and 0e5", AMOUNT, (-0.0, 0, "0e5"), -0.0),
        ("1 and 0", NUMBERS, (1, 0), None),
        ("true and 1 of the classes 1 and 2", classes(1, 2), (True, 1), None),
        ("stayed and Stayed", TEXT, ("stayed", "Stayed"), None),
        ("two wide numbers", classes(WIDE, WIDE + 1), (WIDE, WIDE + 1), None),
    ],
)
def test_what_contradicts(
    case: Callable[..., None], log: LabelLog, about: str, schema: InputSchema, outcomes: Any, right: Any
) -> None:
    log.answer("a")
    log.post(*[("a", one) for one in outcomes])
    joined = log.labelled(LabelsBlock(), schema=schema)
    got, meant = joined.frame["outcome"].tolist()[0], read_outcomes([right], schema)[0]
    right_counts = (meant, int(right is None), 0 if right is None else len(outcomes) - 1)
    read = read_outcomes([got], schema)[0]
    case(f"at one time: {about}", right=right_counts, got=(read, joined.conflicting, joined.duplicates))


def test_what_contradicts_by_unit(case: Callable[..., None], log: LabelLog) -> None:
    log.answer("a", "b", "c")
    log.post(("of a", 0), ("of a", 1), ("of b", "1.0"), ("of b", True), by="unit", event_id="1")
    joined = log.labelled(LabelsBlock(), schema=NUMBERS)
    read, _ = read_outcomes(joined.frame["outcome"], NUMBERS)
    got = (read, joined.conflicting, joined.duplicates)
    case("one event of a unit, twice at one time", right=([None, 1, None], 1, 1), got=got)


CORRECTED = "prediction_id,outcome,known\na,0,{0}\nb,1,{0}\na,1,{1}\nb, 1.0 ,{1}\n"


@pytest.mark.parametrize(
    ("about", "block", "times", "right"),
    [
        ("no time: the last row counts", FILE, ("", ""), (["1", "1.0"], 1, 0)),
        ("one date: the last row counts", FILE.model_copy(update={"label_time": "known"}),
         ("2026-05-01", "2026-05-01"), (["1", "1.0"], 1, 0)),
        ("the later time counts, whatever the order", FILE.model_copy(update={"label_time": "known"}),
         ("2026-05-01T12:09:00", "2026-05-01T12:08:00"), (["0", "1"], 0, 0)),
    ],
)  # fmt: skip
def test_corrections_in_a_file(
    case: Callable[..., None], log: LabelLog, about: str, block: LabelsBlock, times: Any, right: Any
) -> None:
    log.answer("a", "b")
    log.project("labels.csv", CORRECTED.format(*times))
    joined = log.labelled(block, schema=NUMBERS)
    got = ([one.strip() for one in joined.frame["outcome"]], joined.by_order, joined.conflicting)
    case(f"file, {about}", right=right, got=got)


def test_corrections_in_a_parquet_file(case: Callable[..., None], log: LabelLog) -> None:
    log.answer("a", "b")
    frame = pd.DataFrame({"prediction_id": ["a", "b", "a", "b"], "outcome": [0.0, 1.0, 1.0, 1.0]})
    frame.to_parquet(log.root / "labels.parquet", row_group_size=1)
    joined = log.labelled(FILE.model_copy(update={"path": "labels.parquet"}), schema=NUMBERS)
    got = (joined.frame["outcome"].tolist(), joined.by_order, joined.duplicates)
    case("Parquet, several row groups: the last row counts", right=([1.0, 1.0], 1, 2), got=got)


def test_labels_of_a_table(case: Callable[..., None], log: LabelLog) -> None:
    log.answer("a", "b", "c", "d", "e", "f")
    rows = [
        ("a", "1", "2026-05-01 12:05:00"), ("a", "1.0", "2026-05-01 12:05:00"),
        ("b", "0", "2026-05-01 12:05:00"), ("b", "1", "2026-05-01 12:05:00"),
        ("c", "1", None), ("d", None, None), ("e", "1", "2026-05-01 12:05:00"), ("e", "0", None),
        ("f", " ", "2026-05-01 12:05:00"), (None, "1", "2026-05-01 12:05:00"),
    ]  # fmt: skip
    with sqlite3.connect(log.folder / "crm.db") as connection:
        connection.execute("create table truth (prediction_id text, outcome text, known timestamp)")
        connection.executemany("insert into truth values (?, ?, ?)", rows)
    connection.close()
    joined = log.labelled(TABLE.model_copy(update={"label_time": "known"}), schema=NUMBERS)
    read, _ = read_outcomes(joined.frame["outcome"], NUMBERS)
    counts = (joined.conflicting, joined.undated, joined.unusable, joined.by_order)
    case("table: which labels count", right=[1, None, None, None, 1, None], got=read)
    case("table: contradicting, without a time, unusable", right=(1, 2, 2, 0), got=counts)
    untimed = log.labelled(TABLE, schema=NUMBERS)
    read, _ = read_outcomes(untimed.frame["outcome"], NUMBERS)
    case("table without times: no order is guessed", right=[1, None, 1, None, None, None], got=read)
    case("table without times: contradicting", right=(2, 0), got=(untimed.conflicting, untimed.by_order))
    with sqlite3.connect(log.folder / "crm.db") as connection:
        connection.execute("create table words (prediction_id text, outcome text, known text)")
        connection.executemany("insert into words values (?, ?, ?)", rows)
    connection.close()
    block = TABLE.model_copy(update={"table": "words", "label_time": "known"})
    worded = log.labelled(block, schema=NUMBERS)
    got = (worded.conflicting, worded.undated, worded.unusable, worded.by_order)
    case("table with times of text: the same", right=counts, got=got)
    told = [line.partition(" ")[0][-3:] for line in left_out(joined, 5)]
    case("what is left out is named", right=["090", "091", "092", "094"], got=told)


def test_labels_of_a_posted_whole_number(case: Callable[..., None], log: LabelLog) -> None:
    """Whole numbers beyond 64 bits do not hurt, and those beyond 53 stay what they are."""
    log.answer("a", "b", "c")
    log.post(("a", WIDE + 1), ("b", 2**70), ("c", 1.0))
    joined = log.labelled(LabelsBlock(), schema=classes(WIDE, WIDE + 1))
    read = read_outcomes(joined.frame["outcome"], classes(WIDE, WIDE + 1))
    case("posted 2^53 + 1", right=([WIDE + 1, None, None], 2), got=read)


def test_ids_of_numbers(case: Callable[..., None], log: LabelLog) -> None:
    log.answer("7", "12", "100")
    frame = pd.DataFrame(
        {"prediction_id": [Decimal("7.0"), Decimal("12.00"), Decimal("1E+2")], "outcome": ["1", "1", "0"]}
    )
    frame.to_parquet(log.root / "labels.parquet")
    joined = log.labelled(FILE.model_copy(update={"path": "labels.parquet"}), schema=NUMBERS)
    case("ids that are decimals", right=["1", "1", "0"], got=joined.frame["outcome"].tolist())
    assert joined.frame["receive_time"].min() == NOON
