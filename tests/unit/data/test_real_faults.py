"""Injected faults and harmless changes in real tables, through snapshot and validation as a run does them.

The verdict that is right stands beside each: ``fail``, ``pass``, or ``ask`` where a person has to decide.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.make_churn_sample import make_sample
from windsock.ports import Ports
from windsock.records import RunContext, Status
from windsock.spec import ModelSpec
from windsock.steps import run_step

Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
WRONG_AT_MOST = 2
SPECS: dict[str, ModelSpec] = {
    "telco_churn": make_spec(
        data={"target": "Churn", "positive": "Yes", "entity": "customerID", "sensitive": ["gender"]}
    ),
    "adult_income": make_spec(
        data={
            "target": "income-per-year",
            "positive": ">50K",
            "entity": None,
            "sensitive": ["race", "sex", "race-sex"],
        }
    ),
    "car_loan_reference": make_spec(
        data={
            "target": "repaid",
            "entity": "id",
            "event_time": "timestamp",
            "exclude": ["y_pred_proba", "y_pred"],
        }
    ),
    "generated": make_spec(data={"target": "churned", "entity": "customer_id", "sensitive": ["gender"]}),
}
IDS = {"telco_churn": "customerID", "car_loan_reference": "id", "generated": "customer_id"}


def on(column: str, change: Callable[[pd.Series], Any], share: float = 1.0) -> Change:
    """Change a column's values in a share of the rows."""
    return lambda frame, draw: frame.assign(
        **{column: frame[column].mask(draw.random(len(frame)) < share, change(frame[column]))}
    )


def times(column: str, factor: float, share: float = 1.0) -> Change:
    def multiplied(values: pd.Series) -> pd.Series:
        return values.map(lambda word: f"{float(word) * factor:.6g}" if word.strip() else word)

    return on(column, multiplied, share)


def says(column: str, word: str, share: float) -> Change:
    return on(column, lambda values: word, share)


def written(column: str, old: str, new: str) -> Change:
    return on(column, lambda values: values.str.replace(old, new, regex=True))


def part(share: float) -> Change:
    return lambda frame, draw: frame.sample(frac=share, random_state=int(draw.integers(1 << 30)))


def copies(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[draw.choice(len(frame), len(frame) // 2, replace=False)]])


def repeated_ids(column: str) -> Change:
    return lambda frame, draw: frame.assign(**{column: draw.choice(frame[column].iloc[:40], len(frame))})


def swapped(one: str, other: str) -> Change:
    return lambda frame, draw: frame.assign(**{one: frame[other], other: frame[one]})


def without(column: str) -> Change:
    return lambda frame, draw: frame.drop(columns=column)


def later(days: int) -> Change:
    def moved(values: pd.Series) -> pd.Series:
        moments = pd.to_datetime(values) + pd.Timedelta(days=days)
        return moments.dt.strftime("%Y-%m-%d %H:%M:%S.000")

    return on("timestamp", moved)


def more_of(column: str, word: str, factor: float) -> Change:
    """Keep all rows with a word, and fewer of the others: it is that much as likely, as in a season."""
    return lambda frame, draw: frame[(frame[column] == word) | (draw.random(len(frame)) < 1 / factor)]


def new_ids(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    return frame.assign(customerID=[f"N{number:05}-X" for number in draw.permutation(len(frame))])


def unchanged(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    return frame


DAY_FIRST = written("timestamp", r"^(\d{4})-(\d\d)-(\d\d).*$", r"\3/\2/\1")
AS_DIGITS = on("income-per-year", lambda values: values.map({">50K": "1", "<=50K": "0"}))
AS_SCORES = on("repaid", lambda values: values.map({"1.0": "0.93", "0.0": "0.11"}))
FEWER_SINGLES = more_of("marital-status", "Married-civ-spouse", 1.5)
ONE_COUNTRY = written("native-country", "^Mexico$", "United-States")
HALVES = on("hours-per-week", lambda values: values + ".5", 0.3)


class Case(NamedTuple):
    """A change of the month that is judged.

    :param months: so many were accepted before.
    :param grows: rows of the judged month as a multiple of those before.
    """

    right: str
    name: str
    table: str
    rows: int
    months: int
    change: Change
    grows: float = 1.0


TELCO, ADULT, LOANS = "telco_churn", "adult_income", "car_loan_reference"
FAULTS = [
    Case("fail", "charges x1000", TELCO, 2_000, 1, times("MonthlyCharges", 1000)),
    Case("fail", "40 % of the charges blank", TELCO, 2_000, 1, says("TotalCharges", "", 0.4)),
    Case("fail", "33 % copies", TELCO, 2_000, 1, copies),
    Case("fail", "charges are words", TELCO, 2_000, 2, says("MonthlyCharges", "high", 1.0)),
    Case("fail", "charges with decimal commas", TELCO, 2_000, 2, written("MonthlyCharges", r"\.", ",")),
    Case("fail", "the target in other words", TELCO, 2_000, 1, written("Churn", "Yes", "Ja")),
    Case("fail", "a third class", TELCO, 2_000, 2, says("Churn", "Maybe", 0.1)),
    Case("fail", "ids repeat", TELCO, 2_000, 1, repeated_ids("customerID")),
    Case("ask", "a column is gone", TELCO, 2_000, 1, without("Contract")),
    Case("fail", "a tenth of the rows", TELCO, 2_000, 2, part(0.1)),
    Case("fail", "small: charges x1000", TELCO, 200, 1, times("TotalCharges", 1000)),
    Case("fail", "small: 40 % ? for a contract", TELCO, 200, 2, says("Contract", "", 0.4)),
    Case("fail", "small: 33 % copies", TELCO, 200, 1, copies),
    Case("fail", "ages x1000 in half of the rows", ADULT, 2_000, 2, times("age", 1000, 0.5)),
    Case("fail", "ages are groups", ADULT, 2_000, 1, written("age", r"^(\d)\d*$", r"\1x-\1y")),
    Case("fail", "one occupation for 70 %", ADULT, 2_000, 2, says("occupation", "Sales", 0.7)),
    Case("fail", "40 % of education without value", ADULT, 2_000, 2, says("education", "", 0.4)),
    Case("fail", "hours and education swapped", ADULT, 2_000, 1, swapped("hours-per-week", "education")),
    Case("fail", "the classes are 0 and 1", ADULT, 2_000, 1, AS_DIGITS),
    Case("fail", "half of the rows", ADULT, 2_000, 2, part(0.5)),
    Case("fail", "small: hours in seconds", ADULT, 200, 1, times("hours-per-week", 3600)),
    Case("fail", "small: one word for all work", ADULT, 200, 2, says("workclass", "unknown", 1.0)),
    Case("fail", "values in cents", LOANS, 2_000, 3, times("car_value", 1000)),
    Case("fail", "ratios in per cent", LOANS, 2_000, 2, times("debt_to_income_ratio", 100)),
    Case("fail", "days first in the event time", LOANS, 2_000, 1, DAY_FIRST),
    Case("fail", "40 % of the tenures unread", LOANS, 2_000, 1, says("driver_tenure", "n/k yet", 0.4)),
    Case("fail", "salaries are numbers of one kind", LOANS, 2_000, 2, says("salary_range", "0", 0.9)),
    Case("fail", "33 % copies of loans", LOANS, 2_000, 2, copies),
    Case("fail", "the answer is a score", LOANS, 2_000, 1, AS_SCORES),
    Case("fail", "small: half of the values x1000", LOANS, 200, 2, times("car_value", 1000, 0.5)),
]  # fmt: skip
HARMLESS = [
    *(Case("pass", f"another sample after {months}", table, rows, months, unchanged)
      for table in (TELCO, ADULT, LOANS) for rows, months in ((2_000, 1), (2_000, 3), (200, 2))),
    Case("pass", "new ids", TELCO, 2_000, 1, new_ids),
    Case("pass", "small: new ids", TELCO, 200, 2, new_ids),
    Case("pass", "the table grew by a half", TELCO, 2_000, 2, unchanged, 1.5),
    Case("pass", "the table is three times as long", ADULT, 2_000, 2, unchanged, 3.0),
    Case("pass", "the table grew", LOANS, 2_000, 1, unchanged, 1.5),
    Case("pass", "a fifth of the rows fewer", ADULT, 2_000, 3, part(0.8)),
    Case("pass", "rows in another order", TELCO, 2_000, 1, part(1.0)),
    Case("pass", "columns in another order", ADULT, 2_000, 1, lambda frame, draw: frame[frame.columns[::-1]]),
    Case("pass", "a season: more old people", TELCO, 2_000, 2, more_of("SeniorCitizen", "1", 1.5)),
    Case("pass", "a season: more married people", ADULT, 2_000, 2, FEWER_SINGLES),
    Case("pass", "small: a season of long contracts", TELCO, 200, 2, more_of("Contract", "Two year", 1.4)),
    Case("pass", "a month later", LOANS, 2_000, 2, later(30)),
    Case("pass", "a new word for 5 %", ADULT, 2_000, 1, says("workclass", "Startup", 0.05)),
    Case("pass", "a word that is gone", ADULT, 2_000, 2, ONE_COUNTRY),
    Case("pass", "prices 20 % higher", TELCO, 2_000, 2, times("MonthlyCharges", 1.2)),
    Case("pass", "small: prices 30 % higher", LOANS, 200, 2, times("car_value", 1.3)),
    Case("pass", "5 % new blanks", TELCO, 2_000, 2, says("MonthlyCharges", "", 0.05)),
    Case("pass", "2 % that cannot be read", LOANS, 2_000, 2, says("driver_tenure", "soon", 0.02)),
    Case("pass", "whole numbers get decimals", ADULT, 2_000, 1, HALVES),
    Case("pass", "blanks around words", TELCO, 2_000, 1, on("Contract", lambda v: v + " ")),
    Case("pass", "currency before the numbers", TELCO, 2_000, 1, on("MonthlyCharges", lambda v: "$" + v)),
]  # fmt: skip
ON_GENERATED = [
    Case("fail", "charges x1000", "generated", 400, 1, times("monthly_charges", 1000)),
    Case("fail", "the target in other words", "generated", 400, 1, written("churned", "Yes", "Ja")),
    Case("fail", "charges are words", "generated", 400, 1, says("monthly_charges", "high", 1.0)),
    Case("fail", "33 % copies", "generated", 400, 1, copies),
    Case("ask", "a column is gone", "generated", 400, 1, without("contract")),
    Case("pass", "another sample", "generated", 400, 1, unchanged),
    Case("pass", "2 % that cannot be read", "generated", 400, 1, says("monthly_charges", "soon", 0.02)),
    Case("pass", "half as much again", "generated", 400, 1, unchanged, 1.5),
]


@cache
def table_of(name: str, folder: Path) -> pd.DataFrame:
    source = io.StringIO(make_sample()) if name == "generated" else folder / f"{name}.csv"
    return pd.read_csv(source, dtype="str", keep_default_na=False)


def month_of(name: str, folder: Path, number: int, rows: int, grows: float = 1.0) -> pd.DataFrame:
    """Return the rows of a month: of the loans those that follow in time, else a sample of all."""
    whole, count = table_of(name, folder), round(rows * grows)
    if name == LOANS:
        return whole.iloc[number * rows : number * rows + count].reset_index(drop=True)
    return whole.sample(count, random_state=number).reset_index(drop=True)


@cache
def accepted(name: str, folder: Path, rows: int, months: int) -> Ports:
    """Return ports that remember some accepted months."""
    ports = fake_ports()
    for number in range(months):
        status, why, _ = judged(ports, name, month_of(name, folder, number, rows))
        assert status is Status.PASS, (name, rows, number, why)
    return ports


def judged(
    ports: Ports, name: str, frame: pd.DataFrame, *, dry: bool = False
) -> tuple[Status, Sequence[str], Sequence[str]]:
    shared: dict[str, Any] = {"spec": SPECS[name], "run": RunContext(run_id=f"run-{len(frame)}-{dry}")}
    ports = fake_ports(**{**vars(ports), "sources": FakeSources(frame)})
    snapshot = run_step("take_snapshot", shared, ports).record
    report = run_step("validate_data", {**shared, "snapshot": snapshot, "dry_run": dry}, ports).record
    return report.status, [check.name for check in report.checks if not check.passed], report.asks


def verdict(case: Case, folder: Path) -> tuple[str, str]:
    """Return what came of a case, and why."""
    frame = month_of(case.table, folder, case.months, case.rows, case.grows)
    draw = np.random.default_rng(crc32(case.name.encode()))
    ports = accepted(case.table, folder, case.rows, case.months)
    try:
        status, why, asks = judged(
            ports, case.table, case.change(frame, draw).reset_index(drop=True), dry=True
        )
    except Exception as error:  # a refusal is a no
        if not hasattr(error, "code"):
            raise
        return "fail", str(error.code)
    if status is Status.PASS:
        return ("ask", "; ".join(asks)) if asks else ("pass", "")
    return "fail", ", ".join(why)


def wrong_among(cases: Sequence[Case], folder: Path) -> list[str]:
    """Print the table, and return the cases whose verdict is not the one that is right."""
    lines, wrong = [], []
    for case in cases:
        got, why = verdict(case, folder)
        if got != case.right:
            wrong.append(case.name)
        word = "ok   " if got == case.right else "WRONG"
        lines.append(f"{word} {case.table:<18} {case.rows:>5} {case.name:<36} {case.right} {got} {why}")
    sys.stdout.write("\n".join([*lines, f"{len(wrong)} of {len(cases)} wrong", ""]))
    return wrong


@pytest.mark.slow
def test_some_on_a_generated_table(tmp_path: Path) -> None:
    assert wrong_among(ON_GENERATED, tmp_path) == []


@pytest.mark.acceptance
def test_thirty_faults_and_thirty_harmless_changes_of_real_tables(shared_data: Path) -> None:
    assert (len(FAULTS), len(HARMLESS)) == (30, 30)
    assert len(wrong_among([*FAULTS, *HARMLESS], shared_data)) <= WRONG_AT_MOST
