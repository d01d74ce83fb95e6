from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.builders import NOON, digest, make_spec
from support.fakes import FakeTracker, fake_ports
from support.rollout_steps import started_world
from support.world import MODEL, back, register, version_of, world_of
from windsock.cli.app import run
from windsock.exceptions import TrackingUnavailableError
from windsock.governance.maturity import CHECKS, _Seen, maturity_of, reached
from windsock.records import (
    Episode,
    LedgerAction,
    LedgerEntry,
    RetrainOutcome,
    Span,
    Status,
    WindowVerdict,
)
from windsock.records.maturity import Maturity, MaturityCheck

DAY = timedelta(days=1)


def found(ports: Any, name: str, spec: Any = None) -> MaturityCheck:
    return next(one for one in maturity_of(ports, MODEL, spec).checks if one.name == name)


@pytest.mark.parametrize(
    ("holding", "level"),
    [([], 0), ([1], 1), ([1, 2], 2), ([1, 3, 4], 1), ([2, 3, 4], 0), ([1, 2, 3], 3), ([1, 2, 3, 4], 4)],
)
def test_a_level_is_reached_with_all_checks_of_it_and_below(holding: list[int], level: int) -> None:
    assert reached([(one, one in holding) for one in (1, 1, 2, 2, 3, 3, 3, 4, 4, 4)]) == level


def test_ten_checks_of_four_levels() -> None:
    assert [one.level for one in CHECKS] == [1, 1, 2, 2, 3, 3, 3, 4, 4, 4]
    assert len({one.name for one in CHECKS}) == 10


def test_a_model_of_which_only_a_file_speaks_is_at_level_0() -> None:
    spec = make_spec(rollout={"strategy": "ab"}, data={"sensitive": ["gender"]})
    told = maturity_of(fake_ports(), MODEL, spec)
    assert (told.level, told.name) == (0, "manual")
    assert not any(one.holds for one in told.checks)
    assert told.next_step.startswith(f"`windsock models on {MODEL}`; then trigger {MODEL}__daily_retrain")


def test_no_next_step_sends_the_user_to_an_airflow_that_the_shell_does_not_have() -> None:
    """`airflow dags ...` in a shell without the stack's settings makes an empty Airflow and ends with 1."""
    for strategy in ("ab", "direct"):
        seen = _Seen(fake_ports(), MODEL, make_spec(rollout={"strategy": strategy}), NOON)
        steps = [check.step(seen) for check in CHECKS]
        assert not [step for step in steps if "airflow dags" in step]
        assert steps.count(f"windsock models on {MODEL}") >= 3


class TestEachCheck:
    def test_a_verdict_on_drift_counts_while_it_is_of_now(self) -> None:
        ports = world_of(1)
        now = ports.now()

        def judge(status: Status, ended: Any) -> None:
            verdict = WindowVerdict(
                model=MODEL,
                kind="drift",
                window=Span(start=ended - DAY, end=ended),
                version="1",
                digest=digest("1"),
                status=status,
                judged_at=ended,
            )
            ports.monitor.add_window(verdict)

        assert not found(ports, "the model is watched").holds
        judge(Status.PASS, now - 8 * DAY)
        assert not found(ports, "the model is watched").holds
        judge(Status.INSUFFICIENT, now - 2 * DAY)
        judge(Status.EMPTY, now - DAY)
        assert not found(ports, "the model is watched").holds
        judge(Status.FAIL, now)
        assert found(ports, "the model is watched").holds

    @pytest.mark.parametrize(
        ("fields", "holds"),
        [
            ({}, True),
            ({"trigger": "event"}, False),
            ({"claimed_by": None}, False),
            ({"outcome": RetrainOutcome.FAILED}, False),
            ({"outcome": RetrainOutcome.SUPERSEDED}, False),
            ({"outcome": None}, False),
        ],
    )
    def test_a_retrain_answers_drift(self, fields: dict[str, Any], holds: bool) -> None:
        ports = world_of(1)
        now = ports.now()
        made: dict[str, Any] = {
            "trigger": "drift",
            "claimed_by": "churn__drift_retrain/r",
            "outcome": RetrainOutcome.KEPT,
            **fields,
        }
        episode = Episode(
            model=MODEL,
            key="e",
            digest=digest("1"),
            span=Span(start=now - DAY, end=now),
            opened_at=now,
            **made,
        )
        ports.monitor.kept_episodes[MODEL] = {"e": episode}
        assert found(ports, "drift retrains").holds is holds

    def test_a_roll_back_counts_for_a_year(self) -> None:
        ports = world_of(1, 2)
        assert not found(ports, "a roll back was rehearsed").holds
        back(ports)
        check = found(ports, "a roll back was rehearsed")
        assert check.holds
        assert "back to version 1" in check.evidence
        now = ports.now()
        later = replace(ports, now=lambda: now + 366 * DAY)
        assert not found(later, "a roll back was rehearsed").holds

    def test_a_rollout_that_runs_has_decided_nothing(self) -> None:
        assert not found(started_world(), "experiments decide").holds

    @pytest.mark.parametrize(
        ("changed", "holds"),
        [
            ({}, True),
            ({"requester": "ann"}, False),
            ({"starter_unknown": True}, False),
            ({"run": {"dag_id": "by_hand", "run_id": "1"}}, False),
            ({"run": None}, False),
        ],
    )
    def test_retrains_by_themselves(self, changed: dict[str, Any], holds: bool) -> None:
        ports = world_of(1)
        for number in (1, 2):
            body = {
                "requester": None,
                "run": {"dag_id": f"{MODEL}__daily_retrain", "run_id": f"scheduled__{number}"},
                "outcome": "keep",
                **(changed if number == 2 else {}),
            }
            decide(ports, body)
        assert found(ports, "retrains start by themselves").holds is holds

    def test_a_run_that_mlflow_does_not_have_and_an_mlflow_that_is_away_do_not_count(self) -> None:
        class Away(FakeTracker):
            def tracked_runs(self, model: str) -> tuple[Any, ...]:
                raise TrackingUnavailableError("no answer")

        ports = world_of(1)
        register(ports, 1, run_id="run1")
        check = found(ports, "training is tracked")
        assert (check.holds, check.evidence) == (False, "MLflow does not have run run1 of version 1")
        check = found(replace(ports, tracker=Away()), "training is tracked")
        assert (check.holds, check.evidence) == (False, "cannot be told: WS-TRACKING-001: no answer")

    def test_evidence_that_does_not_verify_does_not_count(self) -> None:
        ports = world_of(1)
        held = {"a gate decides, with evidence", "an audit finds all"}
        assert {name for name in held if found(ports, name).holds} == held
        registered = next(row for row in ports.ledger.rows(MODEL) if row.digest == version_of(1).digest)
        ports.bundles.documents[registered.body["evidence_uri"]] = b"changed"
        assert {name for name in held if found(ports, name).holds} == set()


def decide(ports: Any, body: dict[str, Any]) -> None:
    entry = LedgerEntry(
        model=MODEL,
        action=LedgerAction.DECIDE,
        epoch=0,
        version="-",
        digest=digest("c"),
        actor="scheduler",
        body=body,
    )
    ports.ledger.append(entry, after_seq=ports.ledger.rows(MODEL)[-1].seq)


class TestCommand:
    @pytest.fixture
    def world(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        made = world_of(1, 2)
        monkeypatch.setattr("windsock.cli.maturity.open_standing_ports", lambda settings: made)
        monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(tmp_path))
        return made

    def test_it_prints_ten_lines_the_level_and_the_next_step(self, world: Any, capsys: Any) -> None:
        assert run(["maturity"]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[0] == f"{MODEL}: level 0 of 4, manual"
        assert len([line for line in shown if line.split()[:1] in (["1"], ["2"], ["3"], ["4"])]) == 10
        assert any(line.startswith(f"  next: `windsock models on {MODEL}`") for line in shown)
        assert shown[-1].startswith("installation: level 0 of 4, manual")

    def test_json(self, world: Any, capsys: Any) -> None:
        assert run(["maturity", MODEL, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["level"] == 0
        assert Maturity.model_validate(told["models"][0]).model == MODEL

    def test_a_model_that_nobody_knows(self, world: Any, capsys: Any) -> None:
        assert run(["maturity", "chrun"]) == 1
        assert "WS-SETTINGS-008" in capsys.readouterr().err
