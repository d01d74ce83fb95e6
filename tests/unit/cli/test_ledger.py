from __future__ import annotations

import pytest

from support.ledgers import forge, sql_ledger, tamper
from support.world import MODEL, back, promote, world_of
from windsock.cli.app import run


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'control.db'}"


@pytest.fixture
def world(url, monkeypatch):
    """Versions 1 and 2 became champion by a real ledger, which the commands open."""
    made = world_of(1, 2, ledger=sql_ledger(url))
    monkeypatch.setattr("windsock.cli.ledger.open_standing_ports", lambda settings: made)
    return made


def test_a_row_that_is_left_out_is_shown_and_breaks_nothing(world, url, capsys):
    seq = forge(url, MODEL, action="roll_back", epoch=99, actor="eve")
    assert run(["ledger", MODEL]) == 1
    shown = capsys.readouterr().out
    assert f"left out: row {seq}: it is not what was written" not in shown
    assert f"left out: row {seq}: no key of this installation signed it" in shown
    assert "chain: whole" in shown


def test_where_nothing_differs_there_is_nothing_to_reconcile(world, capsys):
    before = world.ledger.rows(MODEL)
    assert run(["ledger", "reconcile", MODEL]) == 0
    assert "nothing differs" in capsys.readouterr().out
    assert world.ledger.rows(MODEL) == before


def test_a_restored_ledger_is_shown_first_and_reconciled_with_a_reason(world, url, capsys):
    saved = world.ledger.rows(MODEL)[-1].seq
    back(world)
    promote(world, 2, force=True)
    back(world)
    tamper(url, f"DELETE FROM ledger WHERE seq > {saved}")  # noqa: S608
    assert run(["ledger", "reconcile", MODEL]) == 1
    shown = capsys.readouterr().out
    assert "are missing at the end" in shown
    assert "it gets version 2" in shown
    assert "--reason" in shown
    assert world.ledger.rows(MODEL)[-1].seq == saved
    assert run(["ledger", "reconcile", MODEL, "--reason", "restored the backup of noon", "--yes"]) == 0
    row = next(row for row in reversed(world.ledger.rows(MODEL)) if row.action.value == "reconcile")
    assert row.body["reason"] == "restored the backup of noon"
    assert row.actor.startswith("cli:")
    assert run(["ledger", MODEL]) == 0


def test_a_model_that_is_named_like_the_command_is_shown_by_show(world, capsys):
    assert run(["ledger", "show", "reconcile"]) == 1
    assert "has no row of the model 'reconcile'" in capsys.readouterr().err
