"""A client of the first version asks the server after each automatic promotion of real retrains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import CARD
from support.fakes import FakeSources, fake_ports
from support.pipeline import retrain
from support.serving import make_plan
from support.serving_app import App, MemoryFetcher
from windsock.exceptions import WindsockError
from windsock.ports import Ports
from windsock.records import RunContext, champion_of
from windsock.spec import ModelSpec

ROWS = 300
MOST_MONTHS = 60
FIRST = ("tenure", "charges", "plan", "paperless", "joined", "support")
ROW: dict[str, Any] = {
    "tenure": 12,
    "charges": 29.5,
    "plan": "basic",
    "paperless": "yes",
    "joined": "2026-01-07",
    "support": 2,
}
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
CHANGES: dict[str, Change] = {
    "none": lambda frame, draw: frame,
    "whole numbers get decimals": lambda frame, draw: frame.assign(tenure=frame["tenure"] + ".5"),
    "more whole numbers get decimals": lambda frame, draw: frame.assign(support=frame["support"] + ".25"),
    "a new word": lambda frame, draw: frame.assign(
        plan=frame["plan"].mask(draw.random(len(frame)) < 0.05, "trial")
    ),
    "a word is gone": lambda frame, draw: frame.assign(plan=frame["plan"].replace("gold", "basic")),
    "a few blanks": lambda frame, draw: frame.assign(
        charges=frame["charges"].mask(draw.random(len(frame)) < 0.05, "")
    ),
    "a few unread": lambda frame, draw: frame.assign(
        charges=frame["charges"].mask(draw.random(len(frame)) < 0.02, "soon")
    ),
    "another order": lambda frame, draw: frame[frame.columns[::-1]],
    "an unused column comes": lambda frame, draw: frame.assign(source="crm"),
}
DECIDED: tuple[dict[str, Any], ...] = (
    {},
    {"exclude": ["support"]},
    {"features": ["tenure", "charges", "plan", "region"]},
    {"features": [*FIRST, "region"]},
    {"exclude": ["joined", "plan"]},
    {"features": ["charges", "tenure", "paperless"]},
)
"""What people write into the model's file, each for three months."""
STAYS = 3


def month(number: int, *, region: bool) -> pd.DataFrame:
    """Return a month's rows as text; the same customers' behaviour with ids of its own."""
    draw = np.random.default_rng(number)
    tenure, support = draw.integers(1, 60, ROWS), draw.integers(0, 9, ROWS)
    charges = draw.uniform(10, 90, ROWS)
    odds = support / 5 - tenure / 10 + charges / 20 + draw.normal(0, 1.0, ROWS)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(draw.integers(0, 200, ROWS), unit="D")
    columns = {
        "id": [f"m{number}-{place}" for place in range(ROWS)],
        "tenure": tenure.astype(str),
        "charges": [f"{value:.2f}" for value in charges],
        "plan": draw.choice(["basic", "plus", "gold", "family"], ROWS),
        "paperless": draw.choice(["yes", "no"], ROWS),
        "joined": days.strftime("%Y-%m-%d"),
        "support": support.astype(str),
        **({"region": draw.choice(["north", "south"], ROWS)} if region else {}),
        "churned": np.where(odds > np.median(odds), "yes", "no"),
    }
    return pd.DataFrame(columns, dtype="str")


def spec_of(**data: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "model": {"name": "churn"},
            "data": {"source": "churn.csv", "target": "churned", "positive": "yes", "entity": "id", **data},
            "training": {"candidates": [{"estimator": "logistic_regression"}]},
            "gate": {
                "card": CARD,
                "latency_ms": 1000,
                "against_champion": {"not_worse": 0.3},
                "on_insufficient": "ask",
            },
        }
    )


def run_months(app: App, automatic: int) -> tuple[list[str], int, list[tuple[int, int, str]]]:
    """Retrain month by month until so many versions were promoted without asking anybody.

    :returns: a line for each month, requests that were sent, and those that were refused.
    """
    ports, said, asked, epoch = fake_ports(), [], 0, 0
    refused: list[tuple[int, int, str]] = []
    draw = np.random.default_rng(7)
    for number in range(MOST_MONTHS):
        change = "none" if number == 0 else str(draw.choice(list(CHANGES)))
        data = DECIDED[number // STAYS % len(DECIDED)]
        frame = CHANGES[change](month(number, region="region" in data.get("features", ())), draw)
        came = promoted(ports, frame, spec_of(**data), number)
        said.append(f"month {number}: {change}; {data or 'all columns'}; {came}")
        if not came.startswith("version"):
            continue
        epoch, automatic = epoch + 1, automatic - came.endswith("automatic")
        bundle = ports.bundles.by_digest[champion_of(ports.ledger.rows("churn")).digest]
        assert app.put(make_plan(app.fetcher.add(bundle)).replace(epoch=epoch)).status_code == 200
        for way, body in requests().items():
            asked += 1
            answer = app.client.post(way.partition(" ")[0], json=body)
            if answer.status_code != 200:
                refused.append((number, answer.status_code, way))
        if not automatic:
            return said, asked, refused
    raise AssertionError("\n".join(said))


def promoted(ports: Ports, frame: pd.DataFrame, spec: ModelSpec, number: int) -> str:
    """Retrain once; return which version serves now, or why none was promoted."""
    ports = fake_ports(**{**vars(ports), "sources": FakeSources(frame)})
    for people in ((), ("ann",)):
        try:
            done = retrain(ports, spec, run=RunContext(run_id=f"run-{number}"), people=people)
        except WindsockError as error:
            return f"refused: {error}"
        if "promote_model" in done:
            checks = done["gate_model"].record.checks
            why = [check.message for check in checks if not check.passed]
            by = f"asked {people[0]}: {'; '.join(why)}" if people else "automatic"
            return f"version {ports.ledger.champion('churn').version}, {by}"
    decision = done["gate_model"].record
    return f"{decision.outcome.value}: {', '.join(c.name for c in decision.checks if not c.passed)}"


def requests() -> dict[str, Any]:
    """Return what a client of the first version sends."""
    names, values = list(ROW), list(ROW.values())
    return {
        "/predict one": {"features": ROW},
        "/predict many": {"features": [ROW, {**ROW, "tenure": 40, "plan": "gold"}]},
        "/invocations records": {"dataframe_records": [ROW]},
        "/invocations split": {"dataframe_split": {"columns": names, "data": [values]}},
    }


@pytest.fixture
def app(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = App(tmp_path, MemoryFetcher())
    made.check_here(monkeypatch)
    with made.client:
        yield made


@pytest.mark.slow
def test_three_promotions(app: App) -> None:
    said, asked, refused = run_months(app, 3)
    assert refused == [], "\n".join(said)
    assert asked >= 12


@pytest.mark.acceptance
def test_twenty_promotions(app: App) -> None:
    said, asked, refused = run_months(app, 20)
    sys.stdout.write("\n".join([*said, f"{asked} requests, {len(refused)} refused", ""]))
    assert refused == []
    assert asked >= 80
