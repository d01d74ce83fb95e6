from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from windsock.adapters.drift_report import EvidentlyReporter, comparable
from windsock.exceptions import MonitoringError
from windsock.records import Answer, InputField, InputSchema

FIELDS = (
    InputField(name="age", kind="number"),
    InputField(name="visits", kind="integer"),
    InputField(name="plan", kind="category"),
    InputField(name="member", kind="boolean"),
    InputField(name="gender", kind="category", sensitive=True),
    InputField(name="signed_up", kind="datetime"),
)
SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)


def rows(seed: int, size: int = 1_500, shift: float = 0.0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": draw.normal(40 + 10 * shift, 10, size),
            "visits": draw.poisson(20, size).astype(float),
            "plan": draw.choice(["basic", "plus", "pro"], size).astype(object),
            "member": draw.choice([0.0, 1.0], size),
            "gender": draw.choice(["female", "male"], size).astype(object),
            "signed_up": pd.Timestamp("2026-01-01") + pd.to_timedelta(draw.integers(0, 100, size), "D"),
        }
    )


@pytest.mark.slow
def test_the_page_is_written_and_names_what_it_leaves_out(caplog, capfd):
    caplog.set_level(logging.INFO)
    current = rows(2, shift=1.0)
    current["visits"] = np.nan
    page = EvidentlyReporter().html(rows(1), current, SCHEMA).decode()
    assert "<html" in page
    assert len(page) > 100_000
    assert "age" in page
    note = page[page.index("Left out") :][:200]
    assert "visits (no values in the window)" in note
    assert "gender (sensitive)" in note
    assert "signed_up (dates always move)" in note
    assert "female" not in page
    assert not caplog.records
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_evidently_judges_what_it_can_compare():
    current = rows(2, shift=1.0)
    current["plan"] = None
    current["member"] = 1.0
    found = EvidentlyReporter().drifted(rows(1), current.drop(columns="visits"), SCHEMA)
    assert set(found) == {"age", "member", "gender"}
    assert found["age"][0]
    assert found["age"][1] == pytest.approx(1.0, abs=0.1)  # Wasserstein, in standard deviations
    assert found["member"][0]
    assert not found["gender"][0]


@pytest.mark.slow
def test_with_a_small_reference_small_p_values_are_drift():
    found = EvidentlyReporter().drifted(rows(1, 500), rows(2, 500, shift=1.0), SCHEMA)
    assert found["age"][0]
    assert found["age"][1] < 0.05
    assert not found["gender"][0]
    assert found["gender"][1] > 0.05


@pytest.mark.slow
def test_one_row_and_constant_columns_are_no_fault():
    reference = rows(1)
    reference["age"] = 40.0
    found = EvidentlyReporter().drifted(reference, rows(2, 1), SCHEMA)
    assert all(np.isfinite(value) for _, value in found.values())


@pytest.mark.parametrize("empty", ["reference", "current"])
def test_without_values_on_both_sides_there_is_nothing_to_compare(empty):
    sides = {"reference": rows(1), "current": rows(2)}
    sides[empty] = sides[empty].head(0)
    with pytest.raises(MonitoringError, match="no column has values on both sides") as caught:
        EvidentlyReporter().drifted(**sides, schema=SCHEMA)
    assert caught.value.code == "WS-MONITORING-027"


def test_numbers_that_are_text_are_left_out():
    current = rows(2)
    current["age"] = current["age"].astype(str)
    chosen = comparable(rows(1), current, SCHEMA, shown=False)
    assert chosen.left_out["age"] == "not all values are numbers"
    assert "age" not in chosen.numbers


def test_rare_categories_are_drawn_together():
    sides = [rows(1), rows(2)]
    for side in sides:
        side["plan"] = [f"plan {place}" for place in range(len(side))]
    chosen = comparable(*sides, SCHEMA, shown=True)
    assert chosen.current["plan"].nunique() <= 50
    assert (chosen.current["plan"] == "(others)").any()


def test_what_evidently_says_of_its_fault_is_not_repeated(monkeypatch):
    def fail(chosen: object) -> None:
        raise ValueError("value 4711 of customer Smith")

    monkeypatch.setattr("windsock.adapters.drift_report._run", fail)
    for ask in (EvidentlyReporter().html, EvidentlyReporter().drifted):
        with pytest.raises(MonitoringError, match="Evidently failed with ValueError") as caught:
            ask(rows(1), rows(2), SCHEMA)
        assert "Smith" not in str(caught.value)
