"""Who started a run, as far as Airflow's own record of it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.door.approvals import identity

if TYPE_CHECKING:
    from airflow.sdk import Context

OWN_SOURCES: Mapping[str, frozenset[tuple[str, str]]] = {
    "retrain": frozenset({("monitor", "decide_retrain")}),
    "challenger": frozenset({("daily_retrain", "promote_model"), ("drift_retrain", "promote_model")}),
}
"""By what an asset asks for: the DAGs, without the model's name, and tasks whose events are a model's own."""
SHARED_SOURCES: Mapping[str, frozenset[tuple[str, str]]] = {
    "due_monitor": frozenset({("windsock__watchdog", "watch")}),
    "due_rollout": frozenset({("windsock__watchdog", "watch")}),
}
"""Likewise of the installation: DAGs by their whole id."""
STARTER = "started_by"
"""What the extra of a model's own event says of who started the run that sent it."""
STARTER_UNKNOWN = "starter_unknown"


class Origin(NamedTuple):
    """Who started a run.

    :param person: the person's user name; ``None`` for the scheduler.
    :param unknown: whether a person may have started it whom nobody can name.
    """

    person: str | None
    unknown: bool

    def extra(self) -> dict[str, Any]:
        """Return what an event says of the run that sends it; nothing for the scheduler's own runs."""
        named = {STARTER: self.person} if self.person else {}
        return {**named, STARTER_UNKNOWN: True} if self.unknown else named


def origin_of(context: Context) -> Origin:
    """Return who started the run of a task.

    Only two kinds of runs start without a person: those of a schedule, and those of events that the model's
    own tasks have sent, in turn in such a run. Every other run names its person or counts as started by
    somebody unknown: an event by REST or of an asset watcher, a run that another DAG has triggered for
    nobody, and whatever a later Airflow may add. A backfill that runs a person's earlier run again keeps
    that person's name, so it is unknown as well.
    """
    run = context["dag_run"]
    kind = _run_type(context)
    person = getattr(run, "triggering_user_name", None) or None
    if kind == "asset_triggered":
        return _of_events(getattr(run, "consumed_asset_events", None) or (), person)
    if kind == "backfill" and person and getattr(run, "clear_number", 0):
        return Origin(person, True)
    return Origin(person, kind != "scheduled" and not identity(person or ""))


def was_cleared(context: Context) -> bool:
    """Return whether somebody has cleared this task, or another one of its run; Airflow keeps no name."""
    tries = getattr(context["ti"], "max_tries", None)
    retries = getattr(context["task"], "retries", None)
    again = isinstance(tries, int) and isinstance(retries, int) and tries > retries
    return again or bool(getattr(context["dag_run"], "clear_number", 0))


def _run_type(context: Context) -> str:
    kind = getattr(context["dag_run"], "run_type", None)
    return str(getattr(kind, "value", kind))


def _of_events(events: Iterable[Any], person: str | None) -> Origin:
    """Return who stands behind the events that started a run; of several people only one can be named."""
    found = list(events)
    own = [event for event in found if _is_own(event)]
    extras = [event.extra or {} for event in own]
    people = [str(extra[STARTER]) for extra in extras if extra.get(STARTER)]
    named = list(dict.fromkeys([*([person] if person else []), *people]))
    known = bool(found) and len(own) == len(found) and len(named) <= 1
    told = any(extra.get(STARTER_UNKNOWN) for extra in extras)
    return Origin(named[0] if named else None, told or not known)


def _is_own(event: Any) -> bool:
    """Return whether a task of the model's own DAGs has sent an event: Airflow itself keeps which task did.

    An event by REST names no task, and what its extra says counts for nothing.
    """
    model, _, asks = str(getattr(event.asset, "name", "")).partition("/")
    dag, task, run = event.source_dag_id or "", event.source_task_id or "", event.source_run_id
    if not run or (event.extra or {}).get("from_rest_api"):
        return False
    if (dag, task) in SHARED_SOURCES.get(asks, frozenset()):
        return True
    prefix = f"{model}__"
    return dag.startswith(prefix) and (dag.removeprefix(prefix), task) in OWN_SOURCES.get(asks, frozenset())
