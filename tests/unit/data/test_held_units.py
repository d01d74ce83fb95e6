"""The currency of a column of numbers, and the form of an identity, as the contract holds them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.reading import read_column
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import (
    ColumnKind,
    ContractColumn,
    DataContract,
    DataSnapshot,
    TakeSnapshotInput,
    ValidateDataInput,
    ValidationReport,
    ValueForm,
)
from windsock.records.contract_file import column_by_people, contract_yaml
from windsock.spec.columns import ColumnBlock
from windsock.spec.currencies import CODES, SIGNS, currency_of

ROWS = 120


class House:
    """A model with a column of prices and an entity."""

    def __init__(self) -> None:
        self.ports = fake_ports(sources=FakeSources())
        self.months = 0

    def month(
        self, ids: Any = None, price: str = "{:.2f}", columns: dict[str, Any] | None = None
    ) -> tuple[DataSnapshot, ValidationReport]:
        self.months += 1
        draw = np.random.default_rng(self.months)
        amounts = draw.uniform(1, 99, ROWS)
        made = {
            "customer_id": [f"c{self.months}-{at}" for at in range(ROWS)] if ids is None else ids,
            "price": [price.format(one) for one in amounts],
            "churned": draw.choice(["Yes", "No"], ROWS),
        }
        self.ports.sources.frame = pd.DataFrame(made)
        spec = make_spec(data={"columns": columns} if columns else {})
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), self.ports, "")
        return snapshot, validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), self.ports, "")

    @property
    def contract(self) -> Any:
        body = self.ports.ledger.rows("churn")[-1].body
        return self.ports.contracts.contract(body["contract_uri"], body["contract_digest"])


@pytest.mark.parametrize(
    ("before", "now", "key"),
    [
        ("$ {:.2f}", "EUR {:.2f}", '{currency: "EUR"}'),
        ("{:.2f} zł", "£{:.2f}", '{currency: "GBP"}'),
        ("CHF {:.2f}", "C${:.2f}", '{currency: "CAD"}'),
        ("{:.2f}", "${:.2f}", '{currency: "USD"}'),
        ("{:.2f}%", "{:.2f}", '{unit: ""}'),
    ],
)
def test_another_unit_fails_by_name_and_the_key_works_as_written(before: str, now: str, key: str) -> None:
    house = House()
    assert house.month(price=before)[1].status == "pass"
    (failed,) = house.month(price=now)[1].failed
    assert (failed.code, failed.value) == ("WS-DATA-141", 1.0)
    assert f"write data.columns.price: {key}" in failed.message
    snapshot, report = house.month(price=now, columns={"price": yaml.safe_load(key)})
    assert (report.status, snapshot.column("price").unread) == ("pass", 0)
    assert house.month(price=now)[1].status == "pass"


@pytest.mark.parametrize("same", ["€{:.2f}", "EUR {:.2f}", "{:.2f} €"])
def test_the_same_currency_is_the_same_however_it_is_written(same: str) -> None:
    house = House()
    house.month(price="€ {:.2f}")
    _, report = house.month(price=same)
    assert (report.status, house.contract.version) == ("pass", 1)


def test_a_sign_that_is_missing_is_recorded_and_may_come_back() -> None:
    house = House()
    house.month(price="${:.2f}")
    snapshot, report = house.month()
    assert (report.status, snapshot.column("price").bare) == ("pass", ROWS)
    said = [check.message for check in report.checks if check.code == "WS-DATA-140"]
    assert "price: 120 values have no sign of USD" in said[0]
    assert house.month(price="${:.2f}")[1].status == "pass"
    assert [check.code for check in house.month(price="€{:.2f}")[1].failed] == ["WS-DATA-141"]


def test_a_contract_from_before_currencies_takes_the_first_one_that_comes() -> None:
    house = House()
    price = ContractColumn(name="price", kind=ColumnKind.NUMBER, form=ValueForm(unit="currency"))
    house.ports.contracts.written = DataContract(
        model="churn", version=1, columns=(price,), decided_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    _, report = house.month(price="€{:.2f}")
    assert "price: in EUR from now on" in " ".join(check.message for check in report.checks)
    assert house.contract.column("price").form.currency == "EUR"
    assert [check.code for check in house.month(price="${:.2f}")[1].failed] == ["WS-DATA-141"]


def test_what_a_sign_stands_for() -> None:
    assert {currency_of(sign) for sign in SIGNS} - set(CODES) == {"kr"}
    assert [currency_of(word) for word in ("EUR", "€", "N$", "kg", "")] == ["EUR", "EUR", "N$", "", ""]
    assert [currency_of(sign) for sign in "＄￡￥￦"] == ["USD", "GBP", "JPY", "KRW"]


def whole(first: int = 1) -> list[str]:
    return [str(number) for number in range(first, first + ROWS)]


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        (whole(), [f"{one}.0" for one in whole()], ROWS),
        ([f"{one}.0" for one in whole()], whole(), ROWS),
        (whole(), [one.zfill(5) for one in whole()], ROWS),
        ([one.zfill(5) for one in whole()], [one.zfill(5) for one in whole()], ROWS),
        ([one.zfill(5) for one in whole()], whole(), 0),
        (pd.array(range(1, ROWS + 1), dtype="int64"), [f"{one}.0" for one in whole()], ROWS),
        (whole(), np.arange(1, ROWS + 1) * 1.0, ROWS),
        ([f"K{one}.0" for one in whole()], [f"K{one}" for one in whole()], 0),
    ],
)
def test_an_identity_is_the_same_however_a_program_writes_it(first: Any, then: Any, same: int) -> None:
    house = House()
    kept = [house.ports.snapshots.load(house.month(ids)[0])["customer_id"] for ids in (first, then)]
    assert len(set(kept[0]) & set(kept[1])) == same


def test_two_spellings_in_one_file_are_one_identity_and_it_is_said() -> None:
    house = House()
    half = ROWS // 2
    _, report = house.month([*whole()[:half], *(f"{one}.0" for one in whole()[:half])])
    assert not house.contract.column("customer_id").unique
    assert report.status == "pass"
    snapshot, _ = house.month([f"{one}.0" for one in whole()])
    assert "customer_id: 120 whole numbers with zeros around them were read without these" in " ".join(
        snapshot.findings
    )


@pytest.mark.parametrize("stray", ["007", "A7"])
def test_a_stray_code_that_ends_the_merging_of_spellings_is_said(stray: str) -> None:
    house = House()
    said = "customer_id: 1 of 120 values are no plain whole numbers"
    snapshot, report = house.month([*whole()[:-1], stray])
    assert report.status == "pass"
    assert said in " ".join(snapshot.findings)
    assert "`data.columns.customer_id.whole: true`" in " ".join(snapshot.findings)
    snapshot, _ = House().month([*whole()[:-1], stray], columns={"customer_id": {"whole": True}})
    assert said not in " ".join(snapshot.findings)
    snapshot, _ = House().month([f"K{one}" for one in whole()])
    assert "no plain whole numbers" not in " ".join(snapshot.findings)


def test_a_person_may_say_otherwise_and_the_contract_s_file_keeps_it() -> None:
    house = House()
    house.month(whole())
    assert "whole: true" in contract_yaml(house.contract)
    snapshot, _ = house.month([f"{one}.0" for one in whole()], columns={"customer_id": {"whole": False}})
    assert house.ports.snapshots.load(snapshot)["customer_id"][0] == "1.0"


def test_a_currency_is_a_unit() -> None:
    held = ContractColumn(name="x", kind=ColumnKind.NUMBER, form=ValueForm(unit="currency", currency="USD"))
    meant = column_by_people("x", ColumnBlock.model_validate({"currency": "€"}), held)
    assert meant is not None
    assert (meant.form.unit, meant.form.currency) == ("currency", "EUR")
    bare = column_by_people("x", ColumnBlock.model_validate({"unit": "percent"}), held)
    assert bare is not None
    assert (bare.form.unit, bare.form.currency) == ("percent", "")
    for wrong in ({"currency": "stones"}, {"currency": "EUR", "unit": "percent"}):
        with pytest.raises(ValueError, match="currency"):
            ColumnBlock.model_validate(wrong)


def test_of_two_currencies_in_a_first_file_the_key_says_which_one_counts() -> None:
    values = pd.Series([f"{sign}{number}.5" for number in range(50) for sign in ("$", "€")], dtype=object)
    read = read_column(values, "x", form=ValueForm(unit="currency", currency="EUR"))
    assert (read.form.currency, read.unread) == ("EUR", 50)


def test_rows_of_an_unread_column_are_not_called_copies() -> None:
    house = House()
    house.month(price="${:.2f}")
    _, report = house.month(price="{:.2f} stones")
    assert [check.code for check in report.failed] == ["WS-DATA-141"]
    assert "copies" not in [check.name for check in report.checks]
