from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import typer

from support.builders import NOON
from support.fakes import FakeClock
from support.rollouts import make_look, make_rollout, make_totals, under_way
from support.several import several_look, several_under_way
from support.world import MODEL, deploy, version_of, world_of
from windsock.cli.app import run
from windsock.deployment.roll_back import roll_back
from windsock.door import lay_route
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    Moments,
    RollBackInput,
    RolloutOutcome,
    ended_rollouts,
    running_rollout,
)

MODEL_FILE = """
model: {name: churn, owner: ann}
rollout: {strategy: ab, metric: conversion, minimum_units: 2000, cycle: 1d}
"""
HOUR = timedelta(hours=1)


@pytest.fixture
def model_file(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    file = models / "churn.yaml"
    file.write_text(MODEL_FILE)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    return file


@pytest.fixture
def use(model_file, monkeypatch):
    def set_ports(ports):
        monkeypatch.setattr("windsock.cli.rollout.open_standing_ports", lambda settings: ports)
        return ports

    return set_ports


@pytest.fixture
def ports(use):
    """A world in which version 1 serves and nothing is tried."""
    return use(world_of(1))


@pytest.fixture
def tried(use):
    """A world in which version 2 is tried against version 1."""
    return use(under_way(world_of(1)))


def said(capsys):
    return capsys.readouterr().out.splitlines()


def queue(ports, number):
    version = version_of(number)
    body = {"bundle_uri": version.bundle_uri, "evidence_digest": version.evidence_digest}
    entry = LedgerEntry(
        model=MODEL,
        action=LedgerAction.QUEUE,
        epoch=0,
        version=version.version,
        digest=version.digest,
        actor="scheduler",
        body=body,
    )
    ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))


def keep(ports, *decisions):
    for decision in decisions:
        ports.rollouts.add_decision(decision)


# --- status ---------------------------------------------------------------------------------------------


def test_nothing_is_tried_yet(ports, capsys):
    assert run(["rollout", "status", "churn"]) == 0
    assert said(capsys) == [
        "churn: version 1 serves; no rollout is under way; new versions: ab",
        "waiting: no version",
        "ended: none",
    ]


def test_a_waiting_version_is_named(ports, capsys):
    queue(ports, 3)
    assert run(["rollout", "status", "churn"]) == 0
    assert "waiting: version 3 since " in said(capsys)[1]


def test_the_running_one_is_told_before_its_first_look(tried, capsys):
    queue(tried, 3)
    assert run(["rollout", "status", "churn"]) == 0
    lines = said(capsys)
    assert lines[0] == "churn: version 1 serves; rollout v2-e4 is under way; new versions: ab"
    assert lines[1].startswith(
        "version 2 (bundle 222222222222) against version 1: ab by conversion, step 1 of 1, 50 % of the units"
    )
    assert lines[2] == "no look was taken yet"
    assert lines[3].startswith("next look: ")
    assert lines[4].endswith("until this one is over")


def test_the_last_look_and_its_reason_are_told(tried, capsys):
    keep(tried, make_look(1), make_look(2, reason="WS-ROLLOUT-023 cycle: 2:00:00 against >= 1 day"))
    assert run(["rollout", "status", "churn"]) == 0
    lines = said(capsys)
    assert lines[2] == "look 2, 2026-05-01 14:00:00 UTC: hold; WS-ROLLOUT-023 cycle: 2:00:00 against >= 1 day"
    assert lines[3] == "units: 10,000 champion, 10,000 challenger"


def test_a_pause_and_a_question_are_told(tried, capsys):
    assert run(["rollout", "pause", "churn", "--reason", "a strike"]) == 0
    until = (NOON + 24 * HOUR).isoformat()
    rollout = running_rollout(tried.ledger.rows(MODEL))
    tried.ledger.append(
        LedgerEntry(
            model=MODEL,
            action=LedgerAction.ASK,
            epoch=0,
            version="2",
            digest=rollout.digest,
            actor="scheduler",
            body={"experiment": "v2-e4", "run": "scheduled__1", "asked_until": until},
        ),
        after_seq=len(tried.ledger.rows(MODEL)),
    )
    capsys.readouterr()
    assert run(["rollout", "status", "churn"]) == 0
    text = capsys.readouterr().out
    assert "PAUSED by cli:" in text
    assert " (a strike): only a guardrail can move it; `windsock rollout resume churn`" in text
    assert run(["rollout", "report", "churn"]) == 0
    assert "(a strike): only a guardrail can move it" in capsys.readouterr().out
    assert "a person is asked about its promotion by scheduled__1, until 2026-05-02 12:00:00 UTC" in text


def test_ended_ones_are_listed_with_what_they_came_to(tried, capsys):
    assert run(["rollout", "stop", "churn", "--reason", "the wrong features " * 20, "--yes"]) == 0
    capsys.readouterr()
    assert run(["rollout", "status", "churn"]) == 0
    lines = said(capsys)
    assert lines[0].startswith("churn: version 1 serves; no rollout is under way")
    assert lines[2] == "ended: 1:"
    assert lines[5].split()[:3] == ["v2-e4", "2", "stopped"]
    assert all(len(line) < 200 for line in lines)


def test_an_unknown_model_is_refused(ports, capsys):
    assert run(["rollout", "status", "chrun"]) == 1
    error = capsys.readouterr().err
    assert "WS-SPEC-007" in error
    assert "churn" in error


def test_without_an_installation_nothing_is_made(model_file, tmp_path, capsys):
    assert run(["rollout", "status", "churn"]) == 1
    assert "WS-SETTINGS-009" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


# --- steering and ending --------------------------------------------------------------------------------


def test_pause_and_resume_stand_in_the_ledger_with_who_and_why(tried, capsys, monkeypatch):
    monkeypatch.setattr("windsock.cli.rollout.user", lambda: "cli:ann")
    assert run(["rollout", "pause", "churn", "--reason", " a  strike "]) == 0
    assert running_rollout(tried.ledger.rows(MODEL)).paused_by == "cli:ann"
    assert tried.ledger.rows(MODEL)[-1].body["reason"] == "a strike"
    assert run(["rollout", "resume", "churn", "--reason", "over"]) == 0
    assert running_rollout(tried.ledger.rows(MODEL)).paused_by is None
    assert "VERDICT: " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["pause", "resume", "stop", "rollback"])
@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001])
def test_nobody_steers_without_a_reason(tried, command, reason):
    before = tried.ledger.rows(MODEL)
    assert run(["rollout", command, "churn", "--reason", reason]) == 2
    assert tried.ledger.rows(MODEL) == before


@pytest.mark.parametrize("command", ["pause", "stop", "rollback"])
def test_there_is_nothing_to_steer(ports, command, capsys):
    before = ports.ledger.rows(MODEL)
    assert run(["rollout", command, "churn", "--reason", "why not"]) == 1
    assert "no rollout is under way" in capsys.readouterr().err
    assert ports.ledger.rows(MODEL) == before


@pytest.mark.parametrize(
    ("command", "outcome"), [("stop", RolloutOutcome.STOPPED), ("rollback", RolloutOutcome.ROLLED_BACK)]
)
def test_a_person_ends_it_and_the_champion_has_all_traffic(tried, command, outcome, capsys):
    assert run(["rollout", command, "churn", "--reason", "support calls"]) == 0
    rows = tried.ledger.rows(MODEL)
    assert running_rollout(rows) is None
    end = ended_rollouts(rows)[-1]
    assert (end.experiment, end.outcome, end.reason) == ("v2-e4", outcome, "support calls")
    assert tried.router.plans[MODEL].slot(version_of(1).digest).share == 10_000
    assert "VERDICT: PASS" in capsys.readouterr().out


def test_it_ends_also_when_the_model_s_file_is_broken(tried, model_file):
    model_file.write_text("rollout: [")
    assert run(["rollout", "rollback", "churn", "--reason", "it answers nonsense"]) == 0
    assert running_rollout(tried.ledger.rows(MODEL)) is None


@pytest.mark.parametrize(("answer", "goes_on"), [("n\n", True), ("y\n", False)])
def test_a_terminal_is_asked(tried, monkeypatch, capsys, answer, goes_on):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", _confirm(answer))
    assert run(["rollout", "stop", "churn", "--reason", "x"]) == (1 if goes_on else 0)
    assert (running_rollout(tried.ledger.rows(MODEL)) is not None) is goes_on


def _confirm(answer):
    def ask(text, *, abort):
        assert "version 2 of churn is tried against version 1. End it?" in text
        if answer != "y\n":
            raise typer.Abort

    return ask


# --- start ----------------------------------------------------------------------------------------------


def test_the_waiting_version_is_started(ports, capsys):
    queue(ports, 2)
    assert run(["rollout", "start", "churn"]) == 0
    rollout = running_rollout(ports.ledger.rows(MODEL))
    assert (rollout.version, rollout.share, rollout.plan.metric) == ("2", 5000, "conversion")
    assert ports.ledger.rows(MODEL)[-1].actor.startswith("cli:")


def test_what_is_asked_for_this_once_is_frozen_into_the_plan(ports):
    queue(ports, 2)
    asked = ["--version", "2", "--metric", "ctr", "--horizon", "14d"]
    assert run(["rollout", "start", "churn", *asked]) == 0
    plan = running_rollout(ports.ledger.rows(MODEL)).plan
    assert (plan.metric, plan.horizon) == ("ctr", "14d")


def test_steps_of_a_canary_are_asked_for(ports, model_file):
    model_file.write_text(MODEL_FILE.replace("strategy: ab", "strategy: canary"))
    queue(ports, 2)
    assert run(["rollout", "start", "churn", "--steps", "1, 10,100"]) == 0
    assert running_rollout(ports.ledger.rows(MODEL)).plan.shares == (100, 1000)


@pytest.mark.parametrize(
    ("option", "value"), [("--steps", "5;25"), ("--steps", ""), ("--horizon", "a week"), ("--horizon", "0d")]
)
def test_what_cannot_be_read_is_wrong_usage(ports, option, value):
    queue(ports, 2)
    assert run(["rollout", "start", "churn", option, value]) == 2
    assert running_rollout(ports.ledger.rows(MODEL)) is None


@pytest.mark.parametrize(
    "asked", [["--metric", "clicks"], ["--horizon", "90d"], ["--version", "3"]], ids=lambda one: one[0]
)
def test_what_cannot_be_started_is_refused(ports, asked, capsys):
    queue(ports, 2)
    assert run(["rollout", "start", "churn", *asked]) == 1
    assert "error: WS-ROLLOUT-" in capsys.readouterr().err
    assert running_rollout(ports.ledger.rows(MODEL)) is None


# --- judge ----------------------------------------------------------------------------------------------


def seen(ports, champion, challenger, units=20_000):
    """Let the events tell of so many units in each arm, which convert at these rates."""

    def arm(rate):
        hits = units * rate
        sums = Moments(units=units, num=hits, den=units, num_num=hits, den_den=units, num_den=hits)
        nothing = Moments(units=units, den=units, den_den=units)
        metrics = {"conversion": sums, "errors": nothing, "slow": nothing}
        return make_totals().champion.model_copy(update={"units": units, "metrics": metrics})

    ports.events.seen["v2-e4", 0] = make_totals(champion=0, challenger=0).model_copy(
        update={"champion": arm(champion), "challenger": arm(challenger)}
    )


def begun_days_ago(use, days):
    world = under_way(world_of(1))
    start = running_rollout(world.ledger.rows(MODEL)).started_at
    return use(replace(world, now=FakeClock(start + timedelta(days=days))))


def test_too_early_it_holds_and_nothing_moves(tried, capsys):
    seen(tried, 0.1, 0.1)
    before = tried.ledger.rows(MODEL)
    assert run(["rollout", "judge", "churn"]) == 0
    out = capsys.readouterr().out
    assert "VERDICT: HOLD" in out
    assert "nothing is moved" in out
    assert tried.ledger.rows(MODEL) == before
    assert len(tried.rollouts.decisions(MODEL, "v2-e4")) == 1


def test_harm_is_rolled_back_at_once(tried, capsys):
    seen(tried, 0.10, 0.05)
    assert run(["rollout", "judge", "churn"]) == 0
    end = ended_rollouts(tried.ledger.rows(MODEL))[-1]
    assert end.outcome is RolloutOutcome.ROLLED_BACK
    assert "guardrail:harm" in end.reason
    assert "v2-e4" in end.experiment


def test_a_dry_run_keeps_nothing_and_moves_nothing(tried, capsys):
    seen(tried, 0.10, 0.05)
    before = tried.ledger.rows(MODEL)
    assert run(["rollout", "judge", "churn", "--dry-run"]) == 0
    assert "dry run: nothing is moved" in capsys.readouterr().out
    assert tried.ledger.rows(MODEL) == before
    assert tried.rollouts.decisions(MODEL, "v2-e4") == ()


def test_what_is_better_is_promoted(use, capsys):
    ports = begun_days_ago(use, 9)
    stand_ready(ports)
    seen(ports, 0.10, 0.15)
    assert run(["rollout", "judge", "churn"]) == 0
    assert ended_rollouts(ports.ledger.rows(MODEL))[-1].outcome is RolloutOutcome.PROMOTED
    assert ports.ledger.champion(MODEL).version == "2"


def test_a_pause_holds_up_the_promotion(use, capsys):
    ports = begun_days_ago(use, 9)
    stand_ready(ports)
    seen(ports, 0.10, 0.15)
    assert run(["rollout", "pause", "churn", "--reason", "wait"]) == 0
    assert run(["rollout", "judge", "churn"]) == 0
    assert running_rollout(ports.ledger.rows(MODEL)) is not None
    assert ports.ledger.champion(MODEL).version == "1"


def stand_ready(ports):
    """Bring the split of the ledger's last row to the server."""
    lay_route(ports, ports.ledger.rows(MODEL)[-1])


def test_there_is_nothing_to_judge(ports, capsys):
    assert run(["rollout", "judge", "churn"]) == 1
    assert "WS-ROLLOUT-030" in capsys.readouterr().err


# --- report ---------------------------------------------------------------------------------------------


def test_the_report_shows_every_check_against_its_limit(tried, capsys):
    keep(tried, make_look(1), make_look(2, "keep", reason="no proof"))
    assert run(["rollout", "report", "churn"]) == 0
    out = capsys.readouterr().out
    assert "rollout v2-e4 of churn: version 2 against version 1" in out
    assert "look 2, 2026-05-01 14:00:00 UTC: keep; no proof" in out
    assert "sample_ratio  pass     0.41, limit: at least 0.0005, n=20,000  WS-ROLLOUT-020" in out
    assert "information only: chance that the challenger is better 91.0%" in out


def test_the_page_is_written_whole(tried, tmp_path, capsys):
    keep(tried, make_look(1))
    page = tmp_path / "report.html"
    assert run(["rollout", "report", "churn", "--output", str(page)]) == 0
    assert page.read_text() == "<html>v2-e4: 1</html>"
    assert f"report: {page}" in capsys.readouterr().out


def test_a_rollout_that_is_over_still_has_its_report(tried, capsys):
    keep(tried, make_look(1))
    roll_back(RollBackInput(model=MODEL, experiment="v2-e4", outcome="stopped"), tried, "")
    for asked in ([], ["--experiment", "v2-e4"]):
        assert run(["rollout", "report", "churn", *asked]) == 0
        assert "look 1, " in capsys.readouterr().out


def test_a_report_before_the_first_look_says_so(tried, capsys):
    assert run(["rollout", "report", "churn"]) == 0
    assert "no look was taken yet" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [[], ["--experiment", "v9-e9"]], ids=["any", "named"])
def test_a_report_of_nothing_is_refused(ports, asked, capsys):
    assert run(["rollout", "report", "churn", *asked]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "WS-ROLLOUT-072" in error
    assert "there was no rollout yet" in error
    assert "`windsock rollout start churn`, or the next run of churn__ab_rollout, begins its rollout" in error
    assert "for their names" not in error


def test_a_name_that_is_none_leads_to_those_there_are(tried, capsys):
    assert run(["rollout", "report", "churn", "--experiment", "v9-e9"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "no rollout is named 'v9-e9'" in error
    assert "See `windsock rollout status churn` for their names" in error


def test_the_builders_tell_of_the_same_rollout(tried):
    found = running_rollout(tried.ledger.rows(MODEL))
    assert found.model_copy(update={"step_since": NOON, "started_at": NOON}) == make_rollout()


# --- several challengers --------------------------------------------------------------------------------


@pytest.fixture
def three(use, model_file):
    """A world in which versions 4, 5 and 6 are tried against version 3, and 5 was dropped."""
    model_file.write_text(MODEL_FILE.replace("cycle: 1d", "cycle: 1d, challengers: 3, share: 30"))
    return use(several_under_way(world_of(3), dropped=(5,)))


def test_the_status_lists_each_challenger(three, capsys):
    gone = {5: {"withdrawn": True, "reason": "it was dropped by look 1"}}
    keep(three, several_look(1, about=6, looks=gone))
    assert run(["rollout", "status", "churn"]) == 0
    lines = said(capsys)
    assert lines[1].startswith(
        "versions 4, 5 and 6 against version 3: ab by conversion, step 1 of 1, 30 % of the units, 10 % each, "
        "since "
    )
    assert lines[2].endswith("hold; version 6: because of 6")
    table = [" ".join(line.split()) for line in lines[3:9]]
    assert table[0] == ("version state bundle share units conversion difference [interval] comes to why")
    assert table[2] == "3 serves 333333333333 70 % 70,000 0.1 - -"
    assert table[3] == "4 tried 444444444444 10 % 10,000 0.1 +0 [-0.01, +0.01] hold because of 4"
    assert table[4] == "5 dropped 555555555555 10 % 10,100 - - - it was dropped by look 1"
    assert table[5] == "6 tried 666666666666 10 % 10,200 0.108 +0.008 [-0.002, +0.018] hold because of 6"


def test_the_status_lists_them_before_the_first_look(three, capsys):
    assert run(["rollout", "status", "churn"]) == 0
    lines = said(capsys)
    assert lines[2] == "no look was taken yet"
    assert " ".join(lines[6].split()) == "4 tried 444444444444 10 % - - - -"


def test_the_report_has_the_checks_of_each_that_is_judged(three, capsys):
    gone = {5: {"withdrawn": True, "reason": "it was dropped by look 1"}}
    keep(three, several_look(1, about=6, looks=gone))
    assert run(["rollout", "report", "churn"]) == 0
    lines = said(capsys)
    assert lines[0] == "rollout v4-e9 of churn: versions 4, 5 and 6 against version 3"
    assert "version 4: hold; because of 4" in lines
    assert "version 5: hold; it was dropped by look 1" not in lines
    assert len([line for line in lines if "sample_ratio" in line]) == 2
    assert "information only: chance that version 6 is better 91.0%" in lines


def test_a_terminal_is_asked_about_all_of_them(three, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda text, abort: asked.append(text))
    assert run(["rollout", "stop", "churn", "--reason", "x"]) == 0
    assert asked == ["versions 4, 5 and 6 of churn are tried against version 3. End it?"]
    assert "version 3 serves instead of versions 4, 5 and 6" in capsys.readouterr().out
    assert run(["rollout", "status", "churn"]) == 0
    assert "v4-e9    4, 5 and 6  stopped" in capsys.readouterr().out


def test_what_waits_for_others_says_until_when_and_how_to_begin(use, model_file, capsys):
    model_file.write_text(MODEL_FILE.replace("cycle: 1d", "cycle: 1d, challengers: 3, share: 30"))
    ports = use(world_of(3))
    queue(ports, 4)
    queue(ports, 5)
    assert run(["rollout", "status", "churn"]) == 0
    told = said(capsys)[1]
    assert told.startswith("waiting: versions 4 and 5 since ")
    assert "for others: a rollout tries 3 versions" in told
    assert "`windsock rollout start churn --version 4,5` begins it now" in told
    late = ports.now() + timedelta(days=4)
    use(replace(ports, now=lambda: late))
    assert run(["rollout", "status", "churn"]) == 0
    assert "for the next run of the DAG" in said(capsys)[1]


def test_versions_that_wait_are_begun_by_their_names(use, model_file):
    model_file.write_text(MODEL_FILE.replace("cycle: 1d", "cycle: 1d, challengers: 3, share: 30"))
    ports = use(world_of(3))
    for number in (4, 5):
        deploy(ports, number)
        queue(ports, number)
    assert run(["rollout", "start", "churn", "--version", "4,5"]) == 0
    assert running_rollout(ports.ledger.rows(MODEL)).versions == "4 and 5"
