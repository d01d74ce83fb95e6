"""Requests and champions when a column changes from one month to the next; see the table that is printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.fakes import FakeSources, fake_ports
from support.months import asked, champion_of, make_spec, take
from support.pipeline import retrain
from windsock.exceptions import WindsockError
from windsock.records import Champion, InputSchema, LedgerAction, champion_by
from windsock.records.request_contract import contract_changes
from windsock.serving.field_values import check_features
from windsock.spec import ModelSpec

pytestmark = pytest.mark.cases
ROWS = 600


def month(number: int, *, promos: str = "AB", **columns: Any) -> pd.DataFrame:
    """Return a month in which ``x`` decides, in the second one the other way round."""
    random = np.random.default_rng(number)
    x = random.normal(0, 1, ROWS)
    sign = 1 if number == 1 else -1
    bought = random.random(ROWS) < 1 / (1 + np.exp(-2 * sign * x))
    made = {
        "id": [f"u{number}_{at}" for at in range(ROWS)],
        "promo": random.choice(list(promos), ROWS),
        "x": [f"{one:.3f}" for one in x],
        "answer": np.where(bought, "Yes", "No"),
    }
    return pd.DataFrame({**made, **columns}, dtype="string")


def champion_after(
    first: pd.DataFrame, second: pd.DataFrame, people: tuple[str, ...], spec: ModelSpec | None = None
) -> Any:
    """Return the ports after two months' runs of the real steps, and the second run's records."""
    ports = fake_ports(sources=FakeSources(first))
    spec = spec or make_spec()
    retrain(ports, spec, people=())
    ports.sources.frame = second
    try:
        return ports, retrain(ports, spec, people=people)
    except WindsockError as error:
        return ports, {"error": error}


def champion(ports: Any) -> Champion:
    found = ports.ledger.champion("shop")
    assert found is not None
    return found


def schema_of(ports: Any, version: Champion) -> InputSchema:
    return ports.bundles.by_digest[version.digest].schema


@pytest.mark.parametrize(
    ("name", "second", "serves"),
    [
        ("promo has one value only", month(2, promos="A"), "2"),
        ("promo is gone", month(2).drop(columns="promo"), "1"),
        ("a column is new", month(2, city=["Oslo", "Rome"] * (ROWS // 2)), "2"),
        ("promo turned to numbers", month(2, promos="12"), "1"),
        ("the columns stand in another order", month(2)[["answer", "x", "promo", "id"]], "2"),
    ],
)
def test_the_request_contract_is_the_champions(
    case: Any, name: str, second: pd.DataFrame, serves: str
) -> None:
    row = {"promo": "B", "x": 0.5}
    ports, _ = champion_after(month(1), second, people=("ann",))
    case(f"contract: {name}: who serves after a person's yes", right=serves, got=champion(ports).version)
    before, after = schema_of(ports, first_champion(ports)), schema_of(ports, champion(ports))
    faults = check_features(row, after, "features")[1]
    case(f"contract: {name}: what the first client sends", right=[], got=faults)
    ports, _ = champion_after(month(1), second, people=())
    changes = contract_changes(before, schema_of(ports, champion(ports)))
    case(f"contract: {name}: what changes without a person", right=(), got=changes)


def first_champion(ports: Any) -> Champion:
    """Return the first champion."""
    rows = ports.ledger.rows("shop")
    return champion_by(next(row for row in rows if row.action is LedgerAction.COMMIT))


def test_a_person_may_replace_a_champion_that_cannot_answer_and_its_clients_are_answered(case: Any) -> None:
    spec = make_spec()
    spec = spec.model_copy(update={"gate": spec.gate.model_copy(update={"on_insufficient": "ask"})})
    second = month(2).drop(columns="promo")
    ports, _ = champion_after(month(1), second, people=(), spec=spec)
    case("contract: promo is gone, nobody answers: who serves", right="1", got=champion(ports).version)
    ports, done = champion_after(month(1), second, people=("ann",), spec=spec)
    assert "error" not in done
    case("contract: promo is gone, a person says yes: who serves", right="2", got=champion(ports).version)
    faults = check_features({"promo": "B", "x": 0.5}, schema_of(ports, champion(ports)), "features")[1]
    case("contract: promo is gone, a person says yes: the first client's faults", right=[], got=faults)


def some(words: list[str], seed: int = 0, rows: int = 200) -> list[str]:
    return [str(word) for word in np.random.default_rng(seed).choice(words, rows)]


def but(values: list[str], word: str, every: int) -> list[str]:
    """Return values in which each so many-th is another word."""
    return [word if at % every == 0 else value for at, value in enumerate(values)]


PRICES, TRUTHS = some(["9.90", "19.90", "29.90"]), some(["true", "false"])
DAYS, STARS, ZIPS = some(["2026-01-01", "2026-02-01"]), some(list("1234")), some(["20095", "80331"])
YES = some(["yes", "no"], seed=3)
LABELS = some(["No", "Yes"], seed=4)


@pytest.mark.parametrize(
    ("name", "column", "first", "second"),
    [
        ("prices with free", "c", PRICES, but(PRICES, "free", 30)),
        ("prices with free in every fourth row", "c", PRICES, but(PRICES, "free", 4)),
        ("prices with free before", "c", but(PRICES, "free", 4), PRICES),
        ("prices with a decimal comma", "c", PRICES, [one.replace(".", ",") for one in PRICES]),
        ("truths with n/k", "c", TRUTHS, but(TRUTHS, "n/k", 12)),
        ("truths with n/k before", "c", but(TRUTHS, "n/k", 12), TRUTHS),
        ("days with 0000-00-00", "c", DAYS, but(DAYS, "0000-00-00", 30)),
        ("1.0 and 2.0 with other", "c", some(["1.0", "2.0"]), but(some(["1.0", "2.0"]), "other", 30)),
        ("1.0 and 2.0 with other before", "c", but(some(["1.0", "2.0"]), "other", 3), some(["1.0", "2.0"])),
        ("yes and no with unknown", "c", YES, but(YES, "unknown", 10)),
        ("zip codes with a leading zero", "c", ZIPS, but(ZIPS, "01067", 5)),
        ("zip codes with a leading zero before", "c", but(ZIPS, "01067", 5), ZIPS),
        ("classes 1 to 4 that become 01 to 04", "answer", STARS, [f"0{one}" for one in STARS]),
        ("stars with 5+", "answer", STARS, but(STARS, "5+", 10)),
        ("yes and no with a third word", "answer", YES, but(YES, "maybe", 10)),
        ("yes and no that become 1 and 0", "answer", YES, ["1" if one == "yes" else "0" for one in YES]),
    ],
)
def test_the_champion_is_asked_in_its_own_words(
    case: Any, name: str, column: str, first: list[str], second: list[str]
) -> None:
    x = [f"{one:.3f}" for one in np.random.default_rng(5).normal(0, 1, 200)]
    tables = [
        pd.DataFrame(
            {"id": [f"u{at}" for at in range(200)], "x": x, "c": LABELS, "answer": LABELS, column: words},
            dtype="string",
        )
        for words in (first, second)
    ]
    if column == "answer":
        tables = [table.drop(columns="c") for table in tables]
    before, after = (take(table) for table in tables)
    said, _ = asked(champion_of(before), before, after)
    case(f"kinds: {name}", right="kept or error", got="kept or error" if said != "wrong" else said)


def test_the_gate_never_promotes_on_a_champion_that_cannot_read(case: Any) -> None:
    prices = some(["9.90", "19.90", "29.90"], rows=ROWS)
    first, second = month(1, price=prices), month(2, price=but(prices, "free", 4))
    ports, done = champion_after(first, second, people=("ann",))
    case("kinds: every fourth price is free: who serves", right="1", got=champion(ports).version)
    assert done["error"].code == "WS-DATA-043", "validation says no before anything is trained"
