from __future__ import annotations

from datetime import timedelta

import pytest

from support.ledgers import forge, sql_ledger, tamper
from support.rollout_steps import CANARY, start, steer
from support.several import several_under_way
from support.world import MODEL, back, deploy, promote, world_of
from windsock.cli.app import run
from windsock.records import RoutePlan
from windsock.records.retraining import Lease
from windsock.watchdog.loop_findings import ledger_condition


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


def finding(world) -> bool:
    """Return whether the ledger is found to be broken, by a process that reads all of it."""
    return ledger_condition(MODEL, sql_ledger(world.ledger._url).read(MODEL)).active


def test_rows_of_somebody_else_are_found_until_a_person_has_seen_exactly_these(world, url, capsys):
    assert not finding(world)
    for actor in ("eve", "mallory"):
        forge(url, MODEL, action="roll_back", epoch=99, actor=actor)
        assert finding(world)
        assert run(["ledger", "reconcile", MODEL]) == 1
        assert "--reason" in capsys.readouterr().out
        assert finding(world)
        assert run(["ledger", "reconcile", MODEL, "--reason", "eve's account is closed", "--yes"]) == 0
        assert not finding(world)
        assert run(["ledger", "reconcile", MODEL]) == 0
    tamper(url, "UPDATE ledger SET epoch = 98 WHERE actor = 'eve'")
    assert finding(world)
    assert run(["ledger", MODEL]) == 1


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


def claim(world, holder: str, **lease) -> None:
    now = world.now()
    world.monitor.leases[MODEL] = Lease(
        holder=holder, claimed_at=now, until=now + timedelta(days=3), seen_at=now, **lease
    )


def test_a_claim_is_named_and_ended_only_by_who_says_so(world, capsys):
    """What holds the model may be a retrain that goes on; nothing but a person knows that it is no more."""
    for holder in ("churn__daily_retrain, run a", "churn__drift_retrain, run b", "step, run c"):
        claim(world, holder)
        assert run(["ledger", "reconcile", MODEL, "--reason", "seen", "--yes"]) == 0
        assert holder in capsys.readouterr().out
        assert world.monitor.lease(MODEL).holder == holder
        assert run(["ledger", "reconcile", MODEL, "--end-claim"]) == 1
        assert "--end-claim --reason" in capsys.readouterr().out
        assert run(["ledger", "reconcile", MODEL, "--end-claim", "--reason", "restored", "--yes"]) == 0
        assert world.monitor.lease(MODEL) is None
        assert world.ledger.rows(MODEL)[-1].body["ended_claim"] == holder
    before = world.ledger.rows(MODEL)
    assert run(["ledger", "reconcile", MODEL, "--end-claim", "--reason", "again", "--yes"]) == 0
    assert world.ledger.rows(MODEL) == before


def test_a_claim_that_is_over_is_none(world, capsys):
    claim(world, "run a")
    lease = world.monitor.leases[MODEL]
    world.monitor.leases[MODEL] = lease.replace(until=lease.claimed_at)
    assert run(["ledger", "reconcile", MODEL]) == 0
    assert "nothing differs" in capsys.readouterr().out


@pytest.mark.parametrize("kept", ["nothing", "an older plan"])
def test_a_server_that_lost_its_plan_gets_the_ledgers(world, kept, capsys):
    plan, rows = world.router.plans.pop(MODEL), world.ledger.rows(MODEL)
    if kept == "an older plan":
        world.router.plans[MODEL] = RoutePlan.of_row(next(row for row in rows if "plan" in row.body))
    assert run(["ledger", "reconcile", MODEL]) == 1
    assert "it gets the ledger's plan" in capsys.readouterr().out
    assert run(["ledger", "reconcile", MODEL, "--reason", "a new disk", "--yes"]) == 0
    assert world.router.plans[MODEL] == plan
    assert [row.action.value for row in world.ledger.rows(MODEL)[len(rows) :]] == ["reconcile"]


def test_a_plan_without_a_seal_gets_one_as_it_is(world, capsys):
    world.router.unsealed.add(MODEL)
    plan, rows = world.router.plans[MODEL], world.ledger.rows(MODEL)
    assert run(["ledger", "reconcile", MODEL]) == 1
    assert "no seal of the admin token; it gets one" in capsys.readouterr().out
    assert run(["ledger", "reconcile", MODEL, "--reason", "a new token", "--yes"]) == 0
    assert world.router.unsealed == set()
    assert world.router.plans[MODEL] == plan
    assert [row.action.value for row in world.ledger.rows(MODEL)[len(rows) :]] == ["reconcile"]


@pytest.mark.parametrize("epoch", [0, 1, 40], ids=["same epoch", "later epoch", "far"])
def test_a_plan_without_a_seal_that_is_not_the_ledgers_is_replaced(world, epoch, capsys):
    world.router.unsealed.add(MODEL)
    plan = world.router.plans[MODEL]
    edited = plan.replace(epoch=plan.epoch + epoch, salt="another")
    world.router.plans[MODEL] = edited
    assert run(["ledger", "reconcile", MODEL]) == 1
    assert "it gets version 2" in capsys.readouterr().out
    assert run(["ledger", "reconcile", MODEL, "--reason", "both files were edited", "--yes"]) == 0
    assert world.router.unsealed == set()
    assert world.router.plans[MODEL].salt == plan.salt
    assert world.router.plans[MODEL].epoch > edited.epoch


def test_a_rollout_that_lacks_decisions_is_named(world, monkeypatch, capsys):
    deploy(world, 3, spec=CANARY)
    promote(world, 3, spec=CANARY)
    start(world)
    monkeypatch.setattr(world.rollouts, "missing", lambda model, experiment: (2, 3))
    assert run(["ledger", "reconcile", MODEL]) == 0
    assert f"windsock rollout stop {MODEL}" in capsys.readouterr().out


def test_a_model_that_is_named_like_the_command_is_shown_by_show(world, capsys):
    assert run(["ledger", "show", "reconcile"]) == 1
    assert "has no row of the model 'reconcile'" in capsys.readouterr().err


def test_a_step_of_several_challengers_names_them_all(url, monkeypatch, capsys):
    made = several_under_way(world_of(3, ledger=sql_ledger(url)), dropped=(5,))
    monkeypatch.setattr("windsock.cli.ledger.open_standing_ports", lambda settings: made)
    assert run(["ledger", MODEL]) == 0
    begun, dropped = [line for line in capsys.readouterr().out.splitlines() if " shift " in line]
    assert "4, 5 and 6" in begun
    assert "4, 5 and 6" in dropped
    assert "v4-e9: version 5 is dropped; the champion answers its units" in dropped


def test_rows_about_a_rollout_of_several_name_all_that_it_tries(url, monkeypatch, capsys):
    made = several_under_way(world_of(3, ledger=sql_ledger(url)))
    steer(made, "pause", reason="a sale")
    steer(made, "resume")
    monkeypatch.setattr("windsock.cli.ledger.open_standing_ports", lambda settings: made)
    assert run(["ledger", MODEL]) == 0
    lines = capsys.readouterr().out.splitlines()
    for word in (" pause ", " resume "):
        (line,) = [line for line in lines if word in line]
        assert "4, 5 and 6" in line
    assert {row.version for row in made.ledger.rows(MODEL)[-2:]} == {"4"}
