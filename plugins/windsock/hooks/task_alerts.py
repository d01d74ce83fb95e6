"""Tasks that have failed for good: an alert that stands until the same task works again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from windsock.exceptions import ApprovalRefusedError, WindsockError
from windsock.hooks.alerts import channel_of, failure_callback, tell_findings
from windsock.hooks.windsock import WindsockHook
from windsock.monitoring.alerts import Recipient
from windsock.records import Condition, Severity
from windsock.spec import SharedSpec
from windsock.texts import one_line

if TYPE_CHECKING:
    from windsock.ports import Ports

log = logging.getLogger(__name__)

FAILED = "WS-WATCH-035"
"""Code where the error has none of its own."""
ON_SCHEDULE = "daily_retrain"
RETRAINS = (ON_SCHEDULE, "drift_retrain")
"""Both have the same tasks: what works in one is over in the other."""
BY_HAND = "rollback"
"""Who triggers it sees what comes of it, and it need not work again."""
WORKED = ("success", "skipped", "removed")
"""States of instances of a mapped task that no failure of it stands for."""
TOO_LATE = "WS-APPROVAL-003"
ENDED = {"task": "It has worked since.", "question": "The question is not open any more."}

Callback = Callable[[Any], None]


def task_failed(to: Recipient, shared: SharedSpec) -> Callback:
    """Return what keeps and tells that a task has failed for good; for ``on_failure_callback``.

    Airflow calls it after the last try only. It is told once, again after the recipient's ``repeat`` at the
    next failure, and ``windsock status`` shows it until the same task works. Where nothing can be kept, as
    the control database is away, it is told all the same.

    :param to: whom it is for.
    :param shared: the alert channels.
    """

    def keep_and_tell(context: Any) -> None:
        try:
            if _is_kept(context):
                ports = _ports(context)
                found = [failure(context, to.name), *_ended(context, ports, to.name, ("question",))]
                tell_findings(to, shared, ports.monitor, found, ports.now())
                return
        except Exception as error:
            log.warning("WS-ALERTS-002: the task's failure was not kept: %s", type(error).__name__)
        failure_callback(to.owner, channel_of(shared, to.channel), runbook=to.runbook)(context)

    return keep_and_tell


def task_worked(to: Recipient, shared: SharedSpec) -> Callback:
    """Return what ends the alert of a task that works again; for ``on_success_callback``.

    A mapped task works once all of its instances of the run do: one that works says nothing about another
    that has failed.

    :param to: whom it is for.
    :param shared: the alert channels.
    """

    def end(context: Any) -> None:
        try:
            ports = _ports(context)
            over = _ended(context, ports, to.name, ("task", "question"))
            if over and _all_worked(context["ti"]):
                tell_findings(to, shared, ports.monitor, over, ports.now())
        except Exception as error:  # the task has done its work
            log.warning("WS-ALERTS-002: that the task works was not told: %s", type(error).__name__)

    return end


def failure(context: Any, model: str) -> Condition:
    """Return what is wrong, in the words of the error.

    Only Windsock's own errors promise to hold neither a row nor a secret: of others the kind is told.

    :param model: whose DAG it is.
    """
    task, error = context["ti"], context.get("exception")
    known = error if isinstance(error, WindsockError) else None
    why = known.message if known else type(error).__name__ if error else "no error"
    suffix = _suffix(task.dag_id)
    instance = "" if _index(task) is None else f", map index {_index(task)}"
    again = (
        f"then clear {task.task_id} of run {task.run_id} of {task.dag_id} in Airflow, with what follows it"
    )
    first = known.next_action.rstrip(". ") if known else f"read the end of its log: {task.log_url}"
    # What a task does when it is cleared, its own words say.
    cure = (
        f"{first}."
        if "clear this task" in first.lower()
        else f"{first}; {again}: this ends once it has worked."
    )
    return Condition(
        key=f"task:{task.dag_id}.{task.task_id}",
        active=True,
        severity=Severity.MEDIUM if suffix == ON_SCHEDULE else Severity.HIGH,
        title=f"{model}: {task.dag_id}.{task.task_id} has failed",
        text=f"{one_line(why).rstrip('.')}. Run {task.run_id}{instance}, "
        f"try {task.try_number}; log: {task.log_url}",
        code=known.code if known else FAILED,
        next_action=one_line(cure),
    )


def refused_answer(
    context: Any, model: str, version: str, last: Mapping[str, Any], next_action: str
) -> Condition:
    """Return that an answer to a question did not count, and that the question is still open.

    :param last: the refused answer: who gave it, and code and reason of the refusal.
    :param next_action: who answers, and where.
    """
    task, who, why = context["ti"], one_line(str(last["who"])), one_line(str(last["why"])).rstrip(".")
    return Condition(
        key=f"question:{task.dag_id}.{task.task_id}",
        active=True,
        severity=Severity.MEDIUM,
        title=f"{model}: an answer was refused, and the question about version {version} is open",
        text=f"The answer of {who} was refused: {why}.",
        code=str(last["code"]),
        next_action=one_line(next_action),
    )


def keys_of(context: Any) -> frozenset[str]:
    """Return the keys of the alerts that end when a task works."""
    task = context["ti"]
    model, suffix = task.dag_id.rpartition("__")[0], _suffix(task.dag_id)
    suffixes = RETRAINS if suffix in RETRAINS else (suffix,)
    return frozenset(
        f"{kind}:{model}__{one}.{task.task_id}" for one in suffixes for kind in ("task", "question")
    )


def _is_kept(context: Any) -> bool:
    """Return whether a failure stands as an alert: not what a person decided, nor what one did by hand."""
    error = context.get("exception")
    decided = isinstance(error, ApprovalRefusedError) and error.code != TOO_LATE
    return not decided and _suffix(context["ti"].dag_id) != BY_HAND


def _suffix(dag_id: str) -> str:
    return str(dag_id).rpartition("__")[2]


def _all_worked(task: Any) -> bool:
    """Return whether each instance of a task has worked in its run, or had nothing to do.

    Airflow has the state of the one that asks by then, so that the last of several sees all.
    """
    if _index(task) is None:
        return True
    found = task.get_task_states(dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id])
    states = dict(found.get(task.run_id) or {})
    own = f"{task.task_id}_{_index(task)}"
    return own in states and all(state in WORKED for key, state in states.items() if key != own)


def _index(task: Any) -> int | None:
    """Return the number of a mapped task's instance; ``None``: the task is not mapped."""
    index = getattr(task, "map_index", None)
    return None if index is None or index < 0 else int(index)


def _ended(context: Any, ports: Ports, model: str, kinds: tuple[str, ...]) -> list[Condition]:
    """Return the end of each alert of these kinds that a task has ended by coming to its own end."""
    keys = {key for key in keys_of(context) if key.startswith(tuple(f"{kind}:" for kind in kinds))}
    return [
        Condition(one.key, False, one.severity, one.title, ENDED[one.key.partition(":")[0]])
        for one in ports.monitor.alerts(model, firing=True)
        if one.key in keys
    ]


def _ports(context: Any) -> Ports:
    """Return the outside world of the installation that the task works in."""
    conn_id = getattr(context["ti"].task, "windsock_conn_id", WindsockHook.default_conn_name)
    return WindsockHook(conn_id).ports()


__all__ = ["failure", "keys_of", "refused_answer", "task_failed", "task_worked"]
