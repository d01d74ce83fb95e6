"""What the demo sees to at its end: all that says which version serves, and what has ended, says the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from windsock.cli.airflow_rest import AirflowApi
from windsock.door import CHAMPION_ALIAS
from windsock.door.rollout_close import unclosed
from windsock.exceptions import WindsockError
from windsock.records import BASIS_POINTS, ended_rollouts, last_routing_row, running_rollout
from windsock.texts import first_of

if TYPE_CHECKING:
    from windsock.ports import Ports

ACTIVE = ("queued", "running")
END_SECONDS = 90.0
AGREE_SECONDS = 120.0
DAGS = ("daily_retrain", "monitor", "drift_retrain", "ab_rollout")


class NotAgreedError(WindsockError):
    """The demo is over, and what it made does not say the same everywhere."""

    default_code = "WS-TRACKING-010"
    default_next = "Read the named part; `windsock ledger NAME` says which version serves."


def active_runs(api: AirflowApi, dag_id: str) -> list[str]:
    """Return the runs of a DAG that have not ended."""
    if api.dag(dag_id) is None:
        return []
    return [str(run["dag_run_id"]) for run in api.runs(dag_id) if run["state"] in ACTIVE]


def pause_once_over(api: AirflowApi, dag_id: str, pause: Callable[[float], None]) -> None:
    """Pause a DAG once its runs have ended: Airflow carries no run of a paused DAG to its end.

    Runs that take too long are left to the check at the demo's end.
    """
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        if not active_runs(api, dag_id):
            api.set_paused(dag_id, paused=True)
            if not active_runs(api, dag_id):
                return
            api.set_paused(dag_id, paused=False)  # one was begun in the moment between
        pause(1.0)
    api.set_paused(dag_id, paused=True)


def disagreements(ports: Ports, model: str, api: AirflowApi) -> list[str]:
    """Return what differs from the ledger, or has not ended with what it belongs to, one sentence each."""
    rows = ports.ledger.rows(model)
    champion, last = ports.ledger.champion(model), last_routing_row(rows)
    serving = champion.version if champion else "none"
    found = []
    state = ports.router.state(model)
    epoch = last.epoch if last else 0
    if state is None or state.plan.epoch != epoch:
        has = "nothing" if state is None else f"epoch {state.plan.epoch}"
        found.append(f"server: it serves {has}, the ledger's last epoch is {epoch}")
    elif champion and running_rollout(rows) is None:
        slot = state.plan.slot(champion.digest)
        if slot is None or slot.share != BASIS_POINTS:
            found.append(f"server: version {serving} is champion by the ledger and has not all traffic")
    alias = ports.registry.alias(model, CHAMPION_ALIAS) or "none"
    if alias != serving:
        found.append(f"MLflow's alias: {CHAMPION_ALIAS} is version {alias}, by the ledger {serving}")
    ended = ended_rollouts(rows)
    found += [
        f"report and runs of rollout {end.experiment}: they do not say that it has ended"
        for end in ended[-1:]
        if unclosed(ports, rows, end)
    ]
    found += [f"MLflow's run {name!r}: it is still open" for name in ports.tracker.open_runs(model)]
    for dag_id in (f"{model}__{name}" for name in DAGS):
        if runs := active_runs(api, dag_id):
            found.append(f"Airflow's DAG {dag_id}: {len(runs)} runs have not ended: {first_of(runs, 3)}")
    return found


def await_agreement(
    ports: Ports,
    model: str,
    api: AirflowApi,
    pause: Callable[[float], None],
    *,
    within: float = AGREE_SECONDS,
) -> float:
    """Wait until all agree, and return after how many seconds they did.

    :raises NotAgreedError: if they do not within the time; it names each part.
    """
    begun = time.monotonic()
    while found := disagreements(ports, model, api):
        if time.monotonic() - begun > within:
            raise NotAgreedError(
                f"{model}: {within:.0f} s after the demo these do not agree: {'; '.join(found)}"
            )
        pause(1.0)
    return time.monotonic() - begun


__all__ = ["NotAgreedError", "active_runs", "await_agreement", "disagreements", "pause_once_over"]
