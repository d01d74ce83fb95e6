"""What a person writes in ``data.source`` counts over what a data contract holds."""

from __future__ import annotations

import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.adapters.csv_layout import form_of
from windsock.data.contract import contract_in_force
from windsock.data.reading import read_column
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import (
    ColumnKind,
    ContractOrigin,
    LedgerAction,
    TakeSnapshotInput,
    ValidateDataInput,
    ValueForm,
)
from windsock.spec import FileSource

ROWS = 120
PURPOSE = {"accept_changes_until": "2030-01-01"}


class House:
    """A model whose file says more of its source from the second month on."""

    def __init__(self) -> None:
        self.ports = fake_ports(sources=FakeSources())

    def month(self, values, source=None, **data):
        """Take, validate and load a month's snapshot, read with these keys of its source."""
        frame = {
            "customer_id": [f"c{number}" for number in range(ROWS)],
            "x": [values[number % len(values)] for number in range(ROWS)],
            "y": [str(number % 37) for number in range(ROWS)],
            "day": ["2026-01-15", "2026-03-04"] * (ROWS // 2),
            "churned": ["Yes", "No", "No"] * (ROWS // 3),
        }
        self.ports.sources.frame = pd.DataFrame(frame).astype(object)
        self.ports.sources.form = ValueForm.model_validate(source) if source else None
        given = {"kind": "file", "path": "churn.csv", **(source or {})}
        self.spec = make_spec(data={"source": given, **PURPOSE, **data})
        snapshot = take_snapshot(TakeSnapshotInput(spec=self.spec), self.ports, "")
        given = ValidateDataInput(spec=self.spec, snapshot=snapshot)
        report = validate_data(given, self.ports, "")
        return report, self.ports.snapshots.load(snapshot)["x"].tolist()[: len(values)]

    @property
    def contract(self):
        rows = [row for row in self.ports.ledger.rows("churn") if row.action is LedgerAction.ACCEPT]
        return self.ports.contracts.contract(rows[-1].body["contract_uri"], rows[-1].body["contract_digest"])


@pytest.mark.parametrize(
    ("first", "values", "source", "right"),
    [
        (["1,537", "2,5"], ["1,537", "2,999"], {"decimal": ".", "thousands": ","}, [1537, 2999]),
        (["1,537", "2,5"], ["1,537", "2,999"], {"thousands": ","}, [1537, 2999]),
        (["1.537", "2.5"], ["1.537", "2.999"], {"decimal": ",", "thousands": "."}, [1537, 2999]),
        (["12", "7"], ["12,5", "7,25"], {"decimal": ","}, [12.5, 7.25]),
    ],
)
def test_signs_of_numbers(first, values, source, right):
    house = House()
    assert house.month(first)[0].status == "pass"
    report, read = house.month(values, source)
    assert (report.status, read) == ("pass", right)
    assert house.contract.column("x").origin is ContractOrigin.PERSON
    assert [change for change in house.contract.changes if change.startswith("x: ") and "a person" in change]
    report, read = house.month(values, source)
    assert (report.status, read, house.contract.version) == ("pass", right, 2)


@pytest.mark.parametrize(
    ("first", "values", "dates", "right"),
    [
        (["03/14/2026", "04/05/2026"], ["03/02/2026", "04/05/2026"], "day_first", ["02-03", "05-04"]),
        (["2026-03-14", "2026-04-05"], ["03/02/2026", "14/05/2026"], "day_first", ["02-03", "05-14"]),
        (["14/03/2026", "04/05/2026"], ["03.02.26", "04.05.26"], "%d.%m.%y", ["02-03", "05-04"]),
    ],
)
def test_the_form_of_times(first, values, dates, right):
    house = House()
    assert house.month(first)[0].status == "pass"
    report, read = house.month(values, {"dates": dates})
    assert report.status == "pass"
    assert [f"{time:%m-%d}" for time in read] == right
    column = house.contract.column("x")
    assert (column.form.dates, column.origin) == (dates, ContractOrigin.PERSON)
    assert house.contract.column("day").form.dates == ""


@pytest.mark.parametrize(
    ("first", "values", "source"),
    [
        (["1,5", "2,5"], ["1,5", "2,5"], {"decimal": "."}),
        (["1.5", "2.5"], ["1.5", "2.5"], {"decimal": ","}),
        (["03/14/2026", "04/25/2026"], ["03/14/2026", "04/25/2026"], {"dates": "day_first"}),
    ],
)
def test_a_key_that_the_values_do_not_fit_fails_and_is_not_ignored(first, values, source):
    house = House()
    house.month(first)
    report, _ = house.month(values, source)
    assert [check.name for check in report.failed if check.code == "WS-DATA-141"] == ["contract_kind:x"]


def test_one_column_s_own_key_counts_over_the_source_s():
    house = House()
    house.month(["1,5", "2,5"])
    own = {"columns": {"x": {"decimal": ","}}}
    report, read = house.month(["1,5", "2,5"], {"decimal": "."}, **own)
    assert (report.status, read) == ("pass", [1.5, 2.5])


@pytest.mark.parametrize(
    "source", [{"decimal": ","}, {"decimal": ".", "thousands": ","}, {"dates": "day_first"}]
)
def test_keys_that_were_always_there_change_nothing(source):
    house = House()
    for _ in range(3):
        assert house.month(["7", "12"], source)[0].status == "pass"
    assert house.contract.version == 1
    assert contract_in_force(house.spec, house.ports).contract == house.contract


@pytest.mark.parametrize(
    ("block", "near"), [({"ex": {"kind": "number"}}, ""), ({"dey": {"dates": ""}}, "day"), ({"xy": {}}, "x")]
)
def test_a_column_that_the_source_does_not_have_is_named(block, near, caplog):
    house = House()
    house.month(["7", "12"], columns=block)
    (name,) = block
    assert f"data.columns.{name}: the source has no such column" in caplog.text
    assert near in caplog.text


@pytest.mark.parametrize(
    ("values", "thousands", "right", "fitting"),
    [
        (["1.537", "2.251"], ".", [1537, 2251], True),
        (["12", "7"], ".", [12, 7], True),
        (["1,537", "2,251"], ",", [1537, 2251], True),
        (["1.537", "2.25"], ".", [1537], False),
    ],
)
def test_a_mark_of_thousands_is_no_decimal_sign_in_the_first_month(values, thousands, right, fitting):
    form = ValueForm.model_validate({"thousands": thousands})
    read = read_column(pd.Series(values * 30, dtype=object), "x", form=form)
    whole = read.kind is ColumnKind.INTEGER and not read.unread
    assert (whole, read.values.tolist()[: len(right)] == right) == (fitting, fitting)


@pytest.mark.parametrize("column", [["2,5", "1,537"], ["0,5"], ["12,25", "7"]])
def test_what_a_key_takes_for_thousands_is_not_found_to_be_the_decimal_sign(column):
    form = form_of([column], ";", FileSource(path="a.csv", thousands=","))
    assert form is not None
    assert "decimal" not in form.model_fields_set
    assert read_column(pd.Series(column * 30, dtype=object), "x", form=form).kind is not ColumnKind.INTEGER


def test_one_sign_for_both_is_refused():
    with pytest.raises(ValueError, match="the same sign"):
        FileSource(path="a.csv", thousands=",", decimal=",")
