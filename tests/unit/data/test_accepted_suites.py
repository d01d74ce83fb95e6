"""Expectation suites of accepted snapshots, where somebody has edited them; what is read once for a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.adapters.expectations import GreatExpectationsEngine
from windsock.adapters.storage import Storage
from windsock.steps import run_step

ROWS = 120


def rows(seed: int, **columns: Any) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    made = {
        "customer_id": [f"c{seed}-{at}" for at in range(ROWS)],
        "age": draw.integers(18, 80, ROWS).astype(str),
        "churned": draw.choice(["Yes", "No"], ROWS),
    }
    return pd.DataFrame({**made, **columns}).astype(object)


class House:
    """A model with two accepted snapshots and the suite that was inferred from the first one."""

    def __init__(self, folder: Path) -> None:
        self.storage = folder / "storage"
        engine = GreatExpectationsEngine(folder / "none", Storage(str(self.storage)))
        self.ports = fake_ports(sources=FakeSources(), expectations=engine)
        self.spec = make_spec()
        self.written: list[Path] = []
        for seed in (1, 2):
            before = set(self.suites)
            assert self.month(seed).status == "pass"
            self.written += sorted(set(self.suites) - before)

    @property
    def suites(self) -> list[Path]:
        return list(self.storage.glob("expectations/churn/*.json"))

    def month(self, seed: int) -> Any:
        self.ports.sources.frame = rows(seed)
        snapshot = run_step("take_snapshot", {"spec": self.spec}, self.ports).record
        return run_step("validate_data", {"spec": self.spec, "snapshot": snapshot}, self.ports).record


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("age", "rage"),
        lambda text: "no JSON at all",
        lambda text: "",
    ],
)
def test_an_edited_suite_stops_nothing_and_a_person_is_asked(
    house: House, spoil: Callable[[str], str]
) -> None:
    (kept,) = house.written
    kept.write_text(spoil(kept.read_text()))
    report = house.month(3)
    assert (report.status, report.suite_origin) == ("pass", "inferred")
    (lost,) = [check for check in report.checks if check.code == "WS-DATA-159"]
    assert "is not what was written; none of before is left" in lost.message
    assert report.asks == (lost.message,)
    after = house.month(4)
    assert (after.suite_origin, after.asks) == ("accepted", report.asks)
    assert not [check for check in after.checks if check.code == "WS-DATA-159"]


def test_the_newest_whole_one_holds(house: House) -> None:
    (kept,) = house.written
    first = kept.read_text()
    kept.write_text("edited")
    house.month(3)  # writes another suite, which is accepted
    kept.write_text(first)
    (newest,) = set(house.suites) - {kept}
    newest.write_text("edited, too")
    report = house.month(4)
    assert (report.status, report.suite_origin, report.suite_digest[:12]) == (
        "pass",
        "accepted",
        kept.stem[:12],
    )
    assert "of an earlier one holds" in " ".join(report.asks)


def test_the_contract_is_read_once_for_the_key_and_the_step(house: House) -> None:
    house.ports.sources.frame = rows(5)
    snapshot = run_step("take_snapshot", {"spec": house.spec}, house.ports).record
    counts = {"ledger": 0, "contract": 0, "statistics": 0}

    class Counted:
        def __init__(self, inner: Any, **names: str) -> None:
            self.inner, self.names = inner, names

        def __getattr__(self, name: str) -> Any:
            if name in self.names:
                counts[self.names[name]] += 1
            return getattr(self.inner, name)

    ports = replace(
        house.ports,
        ledger=Counted(house.ports.ledger, rows="ledger"),
        contracts=Counted(house.ports.contracts, contract="contract", statistics="statistics"),
    )
    run_step("validate_data", {"spec": house.spec, "snapshot": snapshot, "dry_run": True}, ports)
    assert counts == {"ledger": 1, "contract": 1, "statistics": 2}


def test_where_all_of_a_suite_is_about_unread_columns_it_is_skipped(house: House) -> None:
    spoiled = {name: ["x y"] * ROWS for name in ("age", "churned")}
    house.ports.sources.frame = rows(6, **spoiled, customer_id=[f"c6-{at}" for at in range(ROWS)])
    snapshot = run_step("take_snapshot", {"spec": house.spec}, house.ports).record
    report = run_step("validate_data", {"spec": house.spec, "snapshot": snapshot}, house.ports).record
    assert sorted(check.code for check in report.failed) == ["WS-DATA-141", "WS-DATA-141"]
    said = next(check.message for check in report.checks if check.name == "expectations_ran")
    assert "0 results for 0 expectations" in said
    assert "are skipped: its values could not be read" in said
