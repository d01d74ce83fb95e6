"""The demo's end: what differs from the ledger, or has not ended, is named."""

from __future__ import annotations

from typing import Any

import pytest

from support.rollout_steps import AB, decided, prove, started_world
from support.world import MODEL, world_of
from windsock.cli.demo_agree import NotAgreedError, await_agreement, disagreements, pause_once_over
from windsock.door.rollout_close import OUTCOME_TAG


class Airflow:
    """Knows the states of each DAG's runs; each look at them is the next one."""

    def __init__(self, **looks: list[list[str]]) -> None:
        self.looks = looks
        self.paused: list[bool] = []

    def dag(self, dag_id: str) -> Any:
        return {} if dag_id.partition("__")[2] in self.looks else None

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        looks = self.looks[dag_id.partition("__")[2]]
        states = looks.pop(0) if len(looks) > 1 else looks[0]
        return [{"dag_run_id": f"run-{place}", "state": state} for place, state in enumerate(states)]

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self.paused.append(paused)


def promoted() -> Any:
    """Return a world in which a rollout has promoted its version."""
    ports = started_world(spec=AB)
    decided(ports, "promote")
    prove(ports, 2, "v2-e4", spec=AB)
    return ports


def found(ports: Any, api: Any = None) -> list[str]:
    return [one.partition(":")[0] for one in disagreements(ports, MODEL, api or Airflow())]


def test_after_a_promotion_all_agree() -> None:
    ports = promoted()
    assert found(ports) == []
    assert await_agreement(ports, MODEL, Airflow(), lambda _: None) < 5


def test_each_part_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = promoted()
    ports.registry.aliases[MODEL, "champion"] = "1"
    ports.router.plans[MODEL] = ports.router.plans[MODEL].model_copy(update={"epoch": 2})
    monkeypatch.setattr(ports.tracker, "open_runs", lambda model: ("churn drift",))
    api = Airflow(ab_rollout=[["running", "success", "queued"]], monitor=[["success"]])
    assert found(ports, api) == [
        "server",
        "MLflow's alias",
        "MLflow's run 'churn drift'",
        "Airflow's DAG churn__ab_rollout",
    ]
    with pytest.raises(NotAgreedError, match=r"2 runs have not ended: run-0, run-2 ") as refused:
        await_agreement(ports, MODEL, api, lambda _: None, within=0)
    assert refused.value.code == "WS-TRACKING-010"


def test_a_champion_without_all_traffic_is_named() -> None:
    ports = world_of(1)
    ports.registry.aliases[MODEL, "champion"] = "1"
    assert found(ports) == []
    ports.router.plans.clear()
    assert found(ports) == ["server"]


def test_a_report_that_does_not_say_the_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = promoted()
    rows = [
        row.model_copy(update={"body": {**row.body, "run_id": "run1"}}) if row.action == "register" else row
        for row in ports.ledger.rows(MODEL)
    ]
    monkeypatch.setattr(ports.ledger, "rows", lambda model: tuple(rows))
    ports.tracker.added["run1"] = {"tags": {}}
    assert found(ports) == ["report and runs of rollout v2-e4"]
    ports.tracker.added["run1"] = {"tags": {OUTCOME_TAG: "promoted", "windsock.rollout_ended": "v2-e4"}}
    assert found(ports) == []


def test_a_dag_is_paused_once_its_runs_have_ended() -> None:
    api = Airflow(ab_rollout=[["running"], ["running"], ["success"]])
    waited: list[float] = []
    pause_once_over(api, "churn__ab_rollout", waited.append)  # type: ignore[arg-type]
    assert (len(waited), api.paused) == (2, [True])


def test_a_run_that_begins_in_the_moment_of_the_pause_is_waited_for() -> None:
    api = Airflow(ab_rollout=[["success"], ["queued"], ["success"], ["success"]])
    pause_once_over(api, "churn__ab_rollout", lambda _: None)  # type: ignore[arg-type]
    assert api.paused == [True, False, True]
