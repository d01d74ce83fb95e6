"""What Airflow says of DAGs, runs and questions, asked from within a task; it needs no login."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from windsock.adapters.airflow_health import silent_parts
from windsock.exceptions import SchedulerUnavailableError
from windsock.hooks.airflow_state import AirflowState
from windsock.ports import Ledger, utc_now
from windsock.records import DagFacts, LedgerAction, LedgerRow, OpenQuestion, PartFacts, RunFacts

EVENTS = {"monitor": "due_monitor", "drift_retrain": "retrain", "ab_rollout": "due_rollout"}
"""By whose events DAGs are started, by their suffix: such runs have no date by which they could be found."""
LOOKED_BACK = 3
"""So many of the last ended runs are looked at, once one has failed at all."""
ASKED_FOR = timedelta(days=3)
"""How long a question about a version waits for its answer."""
ASKING = ("daily_retrain", "drift_retrain")
"""The DAGs that ask people about a version, by suffix."""
WAITS = "awaiting_input"
EXECUTION = "/execution"


class TaskAirflow:
    """Asks Airflow by way of the task's supervisor.

    See :class:`~windsock.watchdog.airflow_answers.AirflowAnswers`.

    :param state: asks for DAGs and counts.
    :param ledger: names the runs that may have asked people.
    """

    def __init__(self, state: AirflowState, ledger: Ledger) -> None:
        self.state = state
        self.ledger = ledger

    def dag(self, dag_id: str) -> DagFacts:
        """Return whether a DAG is there, is on, and how its last runs ended."""
        try:
            found = self.state.dag(dag_id)
            if found is None:
                return DagFacts(dag_id=dag_id, exists=False)
            states: tuple[str, ...] = ("success",)
            if not found.is_paused and self.state.runs(dag_id, ["failed"]):
                states = self._last_states(dag_id)
        except SchedulerUnavailableError as error:
            return DagFacts(dag_id=dag_id, unknown=f"{error.code}: {error.message}")
        return DagFacts(dag_id=dag_id, is_paused=found.is_paused, last_states=states)

    def _last_states(self, dag_id: str) -> tuple[str, ...]:
        model, _, suffix = dag_id.partition("__")
        event = EVENTS.get(suffix)
        if event is None:
            return tuple(self._by_date(dag_id))
        return self.state.started_by(f"x-windsock://{model}/{event}", dag_id, most=LOOKED_BACK)

    def _by_date(self, dag_id: str) -> Iterable[str]:
        before: Any = utc_now() + timedelta(days=1)
        for _ in range(2 * LOOKED_BACK):
            run = self.state.run_before(dag_id, before)
            if run is None:
                return
            if run.state in ("success", "failed"):
                yield run.state
                if run.state == "success":
                    return
            before = run.date

    def run(self, holder: str) -> RunFacts:
        """Return the state of a run."""
        dag_id, _, run_id = holder.partition("/")
        if not run_id:
            return RunFacts(holder=holder, unknown="it is no run of Airflow")
        try:
            return RunFacts(holder=holder, state=self.state.run_state(dag_id, run_id) or "")
        except SchedulerUnavailableError as error:
            return RunFacts(holder=holder, unknown=f"{error.code}: {error.message}")

    def questions(self, model: str) -> Sequence[OpenQuestion] | None:
        """Return the questions about versions that runs still wait for; ``None``: Airflow does not say.

        Airflow lists none to a task: it says that one waits, and the ledger since when.
        """
        rows = unanswered(self.ledger.rows(model))
        if not rows or utc_now() - rows[-1].at > 2 * ASKED_FOR:
            return ()
        row, found = rows[-1], list[OpenQuestion]()
        for suffix in ASKING:
            dag_id = f"{model}__{suffix}"
            try:
                waits = self.state.tasks(dag_id, (), (WAITS,))
            except SchedulerUnavailableError:
                return None
            if waits:
                about = f"whether version {row.version} is approved"
                until = row.at + ASKED_FOR
                found.append(
                    OpenQuestion(model=model, about=about, task=dag_id, asked_at=row.at, until=until)
                )
        return found

    def silent_parts(self) -> Sequence[PartFacts] | None:
        """Return Airflow's own programs that give no sign of life."""
        return silent_parts(api_address())


def api_address() -> str:
    """Return where a task's Airflow answers, without its path of tasks; empty: nobody said."""
    from airflow.sdk.configuration import conf

    execution = str(conf.get("core", "execution_api_server_url", fallback="") or "").rstrip("/")
    if execution:
        return execution.removesuffix(EXECUTION)
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def unanswered(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Return the registrations of versions that were neither rejected nor deployed since, in order."""
    open_ones: dict[str, LedgerRow] = {}
    for row in rows:
        if row.action is LedgerAction.REGISTER:
            open_ones[row.digest] = row
        elif row.action in (LedgerAction.REJECT, LedgerAction.DEPLOY, LedgerAction.INTEND):
            open_ones.pop(row.digest, None)
    return list(open_ones.values())
