"""Who fills the ledger's table with rows makes its readers hardly slower: few of them are looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from support.ledgers import home_of, sql_ledger
from support.world import MODEL, back, promote, shares
from windsock.adapters.database import writing
from windsock.adapters.ledger_chain import LOOKED_AT
from windsock.adapters.ledger_table import INSERT
from windsock.adapters.signing import Signer, Verifier
from windsock.records.ledger_form import FORM, hash_of, signed_bytes

pytest_plugins = ["support.databases", "support.two_champions"]

MANY = 1_000
KINDS = ["beside", "chained", "copies"]


def fill(ports: Any, url: str, kind: str, many: int = MANY) -> None:
    """Put rows behind the last one: beside each other, each upon the one before, or copies of it."""
    last = ports.ledger.rows(MODEL)[-1].columns()
    previous, batch = last["hash"], []
    for number in range(many):
        raw = {**last, "seq": last["seq"] + 1 + number, "previous": previous, "version": str(number)}
        raw["form"] = FORM
        if kind == "copies":
            raw |= {"previous": last["previous"], "version": last["version"]}
        raw["hash"] = f"{number:064x}" if kind == "copies" else hash_of(raw)
        if kind == "chained":
            previous = raw["hash"]
        batch.append(raw)
    with writing(url) as connection:
        connection.execute(sa.text(INSERT), batch)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was verified."""
    seen: list[int] = []
    verify = Verifier.verify

    def counted(self: Verifier, content: bytes, signature: bytes) -> bool:
        seen.append(len(content))
        return verify(self, content, signature)

    monkeypatch.setattr(Verifier, "verify", counted)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_roll_back_verifies_few_of_them(
    ports: Any, world_url: str, kind: str, looked_at: list[int]
) -> None:
    fill(ports, world_url, kind)
    world = replace(ports, ledger=sql_ledger(world_url))
    looked_at.clear()
    assert back(world).version == "1"
    assert shares(world) == {"1": 10_000, "2": 0}
    assert len(looked_at) <= 2 * LOOKED_AT + 60


@pytest.mark.parametrize("kind", KINDS)
def test_work_goes_on_above_them_and_the_whole_table_is_told(ports: Any, world_url: str, kind: str) -> None:
    fill(ports, world_url, kind)
    world = replace(ports, ledger=sql_ledger(world_url))
    back(world)
    promote(world, 2, force=True)
    fresh = sql_ledger(world_url)
    assert fresh.champion(MODEL).version == "2"
    assert fresh.read(MODEL).is_whole
    check = fresh.verify(MODEL)
    assert (check.broken_at, len(check.left_out)) == (None, MANY)


def test_rows_of_the_installation_after_the_mark_are_believed(ports: Any, world_url: str) -> None:
    """The mark of a storage that was away is behind: what was signed since counts."""
    ledger = ports.ledger
    marks, ledger._marks = ledger._marks, sql_ledger(world_url)._marks
    ledger._marks.put = lambda mark: None
    back(ports)
    fill(ports, world_url, "beside")
    ledger._marks = marks
    fresh = sql_ledger(world_url)
    assert fresh.champion(MODEL).version == "1"
    assert fresh.read(MODEL).is_whole


def test_a_signed_row_beside_the_chain_is_still_a_gap(ports: Any, world_url: str) -> None:
    row = ports.ledger.rows(MODEL)[-2]
    with writing(world_url) as connection:
        raw = {**row.columns(), "seq": 900}
        raw["hash"] = hash_of(raw)
        raw["signature"] = Signer(home_of(world_url) / "keys").sign(signed_bytes(raw)).hex()
        connection.execute(sa.text(INSERT), raw)
    assert not sql_ledger(world_url).read(MODEL).is_whole
