from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import make_snapshot
from support.builders import one_column_champion as champion
from support.fakes import FakeSources, fake_ports
from support.months import Month, asked, champion_of, make_spec
from windsock.exceptions import DataRefusedError
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnSchema,
    InputField,
    InputSchema,
    ValueForm,
)
from windsock.records.request_contract import contract_changes, next_contract
from windsock.spec import ModelSpec
from windsock.steps import run_step
from windsock.training.champion_words import in_champion_words

NUMBER, INTEGER, CATEGORY = ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.CATEGORY
BOOLEAN, DATETIME = ColumnKind.BOOLEAN, ColumnKind.DATETIME
ROWS = 120


def form(**said: Any) -> ValueForm:
    return ValueForm.model_validate(said)


def read(
    kind: ColumnKind,
    theirs: ValueForm | None,
    ours: ValueForm,
    values: list[Any],
    *,
    words: dict[str, str] | None = None,
    **profile: Any,
) -> list[Any]:
    """Return a column of one kind as the champion gets it."""
    field = InputField(name="x", kind=kind, form=theirs, **(words or {}))
    column = ColumnSchema(name="x", kind=kind, form=ours, **(words or {}))
    frame = pd.DataFrame({"x": pd.Series(values)})
    snapshot = make_snapshot(rows=len(values), columns=(column,))
    known = in_champion_words(frame, champion(field, **profile), snapshot)["x"].astype(object)
    return [None if pd.isna(value) else value for value in known]


@pytest.mark.parametrize(
    ("kind", "theirs", "ours", "shown"),
    [
        (NUMBER, form(), form(decimal=",", thousands="."), ['decimal: "."', 'decimal: ","']),
        (INTEGER, form(), form(decimal=",", thousands="."), ['decimal: "."', 'decimal: ","']),
        (NUMBER, form(), form(unit="percent"), ['unit: ""', 'unit: "percent"']),
        (
            NUMBER,
            form(unit="currency", currency="USD"),
            form(unit="currency", currency="EUR"),
            ['currency: "USD"', 'currency: "EUR"'],
        ),
        (DATETIME, form(dates="month_first"), form(dates="day_first"), ['"month_first"', '"day_first"']),
        (DATETIME, form(dates="epoch_s"), form(dates="epoch_ms"), ['"epoch_s"', '"epoch_ms"']),
    ],
)
def test_words_that_would_be_other_values_are_refused_with_both_forms(
    kind: ColumnKind, theirs: ValueForm, ours: ValueForm, shown: list[str]
) -> None:
    with pytest.raises(DataRefusedError) as refused:
        read(kind, theirs, ours, [1.0])
    said = refused.value
    assert said.code == "WS-EVALUATION-004"
    assert "column 'x' is written with" in said.message
    assert all(part in said.message for part in shown)
    assert "`data.columns.x: {" in said.next_action
    assert "gate.on_insufficient: ask" in said.next_action
    assert read(kind, None, ours, [1.0]) == [1.0]
    assert read(kind, ours, ours, [1.0]) == [1.0]


@pytest.mark.parametrize(
    ("kind", "nulls", "more"),
    [
        (NUMBER, ["-1"], {"edges": (-1.0, 2.0)}),
        (INTEGER, ["n/k", "0"], {"edges": (0.0, 2.0)}),
        (NUMBER, ["99,9"], {}),
        (CATEGORY, ["unknown"], {"categories": {"unknown": 4, "red": 5}}),
        (BOOLEAN, ["N"], {"words": {"true_word": "y", "false_word": "n"}}),
        (DATETIME, ["1900-01-01"], {}),
    ],
)
def test_a_word_for_no_value_that_was_a_value_to_the_champion_is_refused(
    kind: ColumnKind, nulls: list[str], more: dict[str, Any]
) -> None:
    known = form(decimal=",") if "99,9" in nulls else form()
    with pytest.raises(DataRefusedError, match="1 word.s. that mean a missing value") as refused:
        read(kind, known, known.replace(nulls=nulls), [None], **more)
    assert refused.value.code == "WS-EVALUATION-004"
    assert not any(word in refused.value.message for word in nulls if len(word) > 2)
    assert read(kind, None, known.replace(nulls=nulls), [None], **more) == [None]


@pytest.mark.parametrize(
    ("kind", "nulls", "more"),
    [
        (NUMBER, ["free", "0000"], {"edges": (1.0, 2.0)}),
        (NUMBER, ["-999"], {"edges": (1.0, 2.0)}),
        (CATEGORY, ["unknown"], {"categories": {"red": 5}}),
        (DATETIME, ["0000-00-00"], {}),
    ],
)
def test_a_word_for_no_value_that_it_never_saw_is_missing(
    kind: ColumnKind, nulls: list[str], more: dict[str, Any]
) -> None:
    assert read(kind, form(), form(nulls=nulls), [None], **more) == [None]


@pytest.mark.parametrize(
    ("kind", "nulls", "values", "right"),
    [
        (NUMBER, ["-1", "free"], [-1.0, 2.0], [None, 2.0]),
        (INTEGER, ["0"], [0, 2], [None, 2]),
        (CATEGORY, ["unknown"], ["unknown", "red"], [None, "red"]),
    ],
)
def test_what_stood_for_no_value_when_it_was_trained_does_so_to_it_now(
    kind: ColumnKind, nulls: list[str], values: list[Any], right: list[Any]
) -> None:
    assert read(kind, form(nulls=nulls), form(), values) == right


def test_a_mark_of_thousands_makes_no_other_values() -> None:
    assert read(NUMBER, form(), form(thousands=","), [1234.0]) == [1234.0]
    assert read(NUMBER, form(decimal=",", thousands="."), form(decimal=","), [1.5]) == [1.5]


def month(rows: pd.DataFrame, **columns: Any) -> Month:
    """Take a month's snapshot by what a person wrote of its columns."""
    spec = ModelSpec.model_validate(
        {
            **make_spec().model_dump(exclude_unset=True),
            "data": {"source": "shop.csv", "target": "answer", "entity": "id", "columns": columns},
        }
    )
    ports = fake_ports(sources=FakeSources(rows))
    snapshot = run_step("take_snapshot", {"spec": spec}, ports).record
    return Month(snapshot, ports.snapshots.load(snapshot), rows)


def rows() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    price = draw.integers(1, 99, ROWS)
    return pd.DataFrame(
        {
            "id": [f"u{number}" for number in range(ROWS)],
            "price": [f"{one}.030" for one in price],
            "joined": [f"{one % 12 + 1:02}/{one % 11 + 1:02}/2026" for one in price],
            "word": draw.choice(["red", "green", "unknown"], ROWS),
            "level": draw.choice(["-1", "2", "3", "4"], ROWS),
            "answer": np.where(price + draw.normal(0, 9, ROWS) > 50, "yes", "no"),
        },
        dtype="string",
    )


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"price": {"kind": "number", "decimal": ",", "thousands": "."}}, "price"),
        ({"joined": {"kind": "datetime", "dates": "day_first"}}, "joined"),
        ({"word": {"kind": "category", "nulls": ["unknown"]}}, "word"),
        ({"level": {"kind": "integer", "nulls": ["-1"]}}, "level"),
    ],
)
def test_a_column_that_a_person_reads_in_another_way_now_is_no_comparison(
    columns: dict[str, Any], name: str
) -> None:
    dates = {"joined": {"kind": "datetime", "dates": "month_first"}}
    first = month(rows(), **dates)
    bundle = champion_of(first)
    assert asked(bundle, first, month(rows(), **dates)) == ("kept", "")
    came, why = asked(bundle, first, month(rows(), **{**dates, **columns}))
    assert came == "error"
    assert f"column {name!r}" in why


def test_the_form_is_no_part_of_what_requests_may_hold() -> None:
    plain = InputField(name="x", kind=NUMBER)
    written = plain.replace(form=form(decimal=","))
    old = InputSchema(model="churn", fields=(plain,), answer=Answer.NUMBER)
    contract = next_contract((written,), old)
    assert (contract.version, contract.fields[0].form) == (1, form(decimal=","))
    assert contract.content == next_contract((plain,), old).content
    assert contract_changes(old, old.replace(fields=(written,))) == ()
    assert InputField.model_validate({"name": "x", "kind": "number"}).form is None


def test_a_champion_from_before_currencies_is_held_to_none() -> None:
    old, new = form(unit="currency"), form(unit="currency", currency="EUR")
    assert read(NUMBER, old, new, [1.5, 2.5]) == [1.5, 2.5]
    with pytest.raises(DataRefusedError, match="unit"):
        read(NUMBER, form(), new, [1.5, 2.5])
