from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import digest, make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.contract import contract_in_force, require_contract
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import StorageError
from windsock.records import (
    ColumnKind,
    LedgerAction,
    LedgerEntry,
    TakeSnapshotInput,
    ValidateDataInput,
)

ROWS = 120


def rows(seed: int, **columns) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    made = {
        "customer_id": [f"c{seed}-{number}" for number in range(ROWS)],
        "age": draw.integers(18, 80, ROWS).astype(str),
        "colour": draw.choice(["blue", "red"], ROWS),
        "churned": draw.choice(["Yes", "No"], ROWS),
    }
    return pd.DataFrame({**made, **columns}).astype(object)


class House:
    """A model with two contracts and three accepted snapshots."""

    def __init__(self) -> None:
        self.ports = fake_ports(sources=FakeSources())
        self.spec = make_spec()
        self.month(1)
        self.month(2)
        self.month(3, age=np.random.default_rng(3).integers(180, 800, ROWS) / 10)
        assert [row.body["contract"] for row in self.accepted] == [1, 1, 2]

    def month(self, seed: int, **columns):
        self.ports.sources.frame = rows(seed, **columns).astype(str)
        snapshot = take_snapshot(TakeSnapshotInput(spec=self.spec), self.ports, "")
        given = ValidateDataInput(spec=self.spec, snapshot=snapshot)
        return snapshot, validate_data(given, self.ports, "")

    @property
    def accepted(self):
        return [row for row in self.ports.ledger.rows("churn") if row.action is LedgerAction.ACCEPT]

    def lose(self, what: str, *numbers: int) -> None:
        for number in numbers:
            self.ports.contracts.documents.pop(self.accepted[number].body[f"{what}_uri"], None)

    def write(self, action: LedgerAction, version: str) -> None:
        entry = LedgerEntry(
            model="churn", action=action, epoch=2, version=version, digest=digest(version),
            actor="scheduler", body={"bundle_uri": "memory://1"},
        )  # fmt: skip
        self.ports.ledger.append(entry, after_seq=len(self.ports.ledger.rows("churn")))


@pytest.fixture
def house() -> House:
    return House()


def test_the_newest_contract_that_is_whole_holds_and_a_person_is_asked(house):
    house.lose("contract", 2)
    snapshot, report = house.month(4)
    assert (report.status, snapshot.contract) == ("pass", 1)
    lost = "data contract 2 is lost: its document is not there, or not what was written; contract 1 holds"
    assert [finding for finding in snapshot.findings if finding.startswith(lost)]
    assert [ask for ask in report.asks if ask.startswith(lost)]
    (named,) = [check for check in report.checks if check.code == "WS-DATA-146"]
    assert lost in named.message
    assert house.accepted[-1].body["contract"] == 3
    body = house.accepted[-1].body
    assert lost in house.ports.contracts.contract(body["contract_uri"], body["contract_digest"]).changes[0]


def test_without_any_contract_columns_are_read_anew_and_the_version_goes_on(house):
    house.lose("contract", 0, 2)
    snapshot, report = house.month(4)
    assert (report.status, snapshot.contract, house.accepted[-1].body["contract"]) == ("pass", 0, 3)
    assert report.asks[0].startswith(
        "data contracts 2, 1 are lost: their documents are not there, or not what"
    )
    assert require_contract(house.spec, house.ports)[1] == report.asks
    assert snapshot.column("age").kind is ColumnKind.INTEGER
    assert house.month(5)[0].contract == 3


def test_it_is_asked_until_a_version_is_promoted(house):
    house.write(LedgerAction.REGISTER, "1")
    house.lose("contract", 2)
    first = house.month(4)[1].asks
    house.write(LedgerAction.REGISTER, "2")
    assert house.month(5)[1].asks == first
    house.write(LedgerAction.COMMIT, "1")  # a version from before is no answer
    assert house.month(6)[1].asks == first
    house.write(LedgerAction.COMMIT, "2")
    assert house.month(7)[1].asks == ()


def test_the_same_snapshot_is_judged_alike_again(house):
    house.lose("contract", 2)
    assert house.month(4)[1].asks == house.month(4)[1].asks != ()
    assert len(house.accepted) == 4


@pytest.mark.parametrize(("numbers", "asked"), [((0,), False), ((1, 2), False), ((0, 1, 2), True)])
def test_statistics_that_are_lost_are_left_out_and_named(house, numbers, asked):
    house.lose("statistics", *numbers)
    _, report = house.month(4)
    (named,) = [check for check in report.checks if check.code == "WS-DATA-147"]
    assert f"statistics of {len(numbers)} of 3 accepted snapshots are lost" in named.message
    assert (report.status, bool(report.asks)) == ("pass", asked)
    (memory,) = [check for check in report.checks if check.name == "memory"] or [None]
    assert memory is None or "nothing is left to compare" in memory.message
    assert bool(house.accepted[-1].body.get("unproven")) is asked


def test_a_storage_that_does_not_answer_is_tried_again(house, monkeypatch):
    def silent(uri, digest):
        raise StorageError("no answer")

    monkeypatch.setattr(house.ports.contracts, "contract", silent)
    with pytest.raises(StorageError):
        contract_in_force(house.spec, house.ports)
