"""What Airflow says of its DAGs and runs, asked from within a task; it needs no login."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk.exceptions import AirflowRuntimeError

from windsock.exceptions import SchedulerUnavailableError

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

NOT_FOUND = 404


class DagState(NamedTuple):
    """A DAG as Airflow has it.

    :param is_paused: whether it is switched off.
    :param next_run: when its own clock starts it next; ``None``: it has no clock.
    """

    is_paused: bool
    next_run: datetime | None


class LastEvent(NamedTuple):
    """The newest event of an asset.

    :param at: when it was sent.
    :param extra: what it says.
    :param has_run: whether it has started a run.
    """

    at: datetime
    extra: Mapping[str, Any]
    has_run: bool


class DatedRun(NamedTuple):
    """A run that has a date of its own: one of a schedule.

    :param date: by which the run before it is found.
    """

    date: datetime
    state: str


class AirflowState:
    """Asks Airflow by way of the task's supervisor.

    :param context: of the task that asks.
    """

    def __init__(self, context: Context) -> None:
        self._ti: Any = context["ti"]

    def dag(self, dag_id: str) -> DagState | None:
        """Return a DAG; ``None``: there is none of that name.

        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        try:
            found = self._ti.get_dag(dag_id)
        except AirflowRuntimeError as error:
            detail = getattr(error.error, "detail", None) or {}
            if detail.get("status_code") == NOT_FOUND:
                return None
            raise _unsaid(f"the DAG {dag_id}", error) from error
        return DagState(is_paused=bool(found.is_paused), next_run=found.next_dagrun)

    def runs(self, dag_id: str, states: Iterable[str]) -> int:
        """Return how many runs of a DAG are in some states.

        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        try:
            return int(self._ti.get_dr_count(dag_id=dag_id, states=list(states)))
        except AirflowRuntimeError as error:
            raise _unsaid(f"the runs of {dag_id}", error) from error

    def tasks(self, dag_id: str, task_ids: Iterable[str], states: Iterable[str]) -> int:
        """Return how many instances of some tasks, of all runs of a DAG, are in some states.

        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        try:
            return int(self._ti.get_ti_count(dag_id=dag_id, task_ids=list(task_ids), states=list(states)))
        except AirflowRuntimeError as error:
            raise _unsaid(f"the tasks of {dag_id}", error) from error

    def last_event(self, asset: Asset) -> LastEvent | None:
        """Return the newest event of an asset; ``None``: it never had one.

        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        from airflow.sdk.execution_time.comms import GetAssetEventByAsset
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        asked = GetAssetEventByAsset(name=asset.name, uri=asset.uri, limit=1, ascending=False)
        try:
            found: Any = SUPERVISOR_COMMS.send(asked)
        except AirflowRuntimeError as error:
            detail = getattr(error.error, "detail", None) or {}
            if detail.get("status_code") == NOT_FOUND:
                return None
            raise _unsaid(f"the events of {asset.uri}", error) from error
        if not found.asset_events:
            return None
        event = found.asset_events[0]
        return LastEvent(at=event.timestamp, extra=event.extra or {}, has_run=bool(event.created_dagruns))

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """Return the state of a run; ``None``: there is none of that name.

        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        try:
            return _word(self._ti.get_dagrun_state(dag_id, run_id))
        except AirflowRuntimeError as error:
            if _is_not_found(error):
                return None
            raise _unsaid(f"the run {run_id} of {dag_id}", error) from error

    def run_before(self, dag_id: str, date: datetime) -> DatedRun | None:
        """Return the last run of a schedule before a time; ``None``: there is none.

        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        from airflow.sdk.execution_time.comms import GetPreviousDagRun
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        try:
            found: Any = SUPERVISOR_COMMS.send(GetPreviousDagRun(dag_id=dag_id, logical_date=date))
        except AirflowRuntimeError as error:
            raise _unsaid(f"the runs of {dag_id}", error) from error
        run = found.dag_run
        if run is None or run.logical_date is None:
            return None
        return DatedRun(date=run.logical_date, state=_word(run.state))

    def started_by(self, uri: str, dag_id: str, *, most: int) -> tuple[str, ...]:
        """Return how the last ended runs of a DAG came out that an asset's events started, the latest first.

        :param uri: of the asset.
        :param most: how many events are looked at.
        :raises SchedulerUnavailableError: if Airflow does not say.
        """
        from airflow.sdk.execution_time.comms import GetAssetEventByAsset
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        asked = GetAssetEventByAsset(name=None, uri=uri, limit=2 * most, ascending=False)
        try:
            found: Any = SUPERVISOR_COMMS.send(asked)
        except AirflowRuntimeError as error:
            if _is_not_found(error):
                return ()
            raise _unsaid(f"the events of {uri}", error) from error
        runs = {run.run_id: run for event in found.asset_events for run in event.created_dagruns}
        ended = [one for one in runs.values() if one.dag_id == dag_id and one.state in ("success", "failed")]
        ended.sort(key=lambda run: run.start_date, reverse=True)
        return tuple(_word(one.state) for one in ended[:most])


def _word(state: Any) -> str:
    """Return a state as a word; Airflow gives a member of an enumeration, whose text is its Python name."""
    return str(getattr(state, "value", state))


def _is_not_found(error: AirflowRuntimeError) -> bool:
    detail = getattr(error.error, "detail", None) or {}
    return detail.get("status_code") == NOT_FOUND


def _unsaid(what: str, error: AirflowRuntimeError) -> SchedulerUnavailableError:
    return SchedulerUnavailableError(f"Airflow does not say what {what} are: {error.error.error.value}")
