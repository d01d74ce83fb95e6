"""Alerts on their way to people: through Airflow's providers, by the connection of a channel."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple

from windsock.exceptions import SpecError, WindsockError
from windsock.hooks.alert_channels import SENDERS, default_channel, reason_of, title_of
from windsock.monitoring.alerts import (
    Condition,
    Recipient,
    conditions_of,
    decide_alerts,
    sent,
    silent,
)
from windsock.monitoring.rollout_alerts import FAILED_LOOKS, rollout_conditions
from windsock.ports import Monitor, Ports
from windsock.records import (
    Alert,
    DriftReport,
    PerformanceReport,
    RetrainDecision,
    RolloutDecision,
    Severity,
    running_rollout,
)
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.shared import AlertChannel
from windsock.texts import log_text, one_line

log = logging.getLogger(__name__)

LOG, DEFAULT = "(log)", "(default)"
"""Names kept of who took an alert where the shared file names none: the log alone, the default connection."""
PATIENCE_SECONDS = 5.0
"""A channel that takes longer to refuse is left alone until the next run."""
LEVELS = {
    Severity.CRITICAL: logging.ERROR,
    Severity.HIGH: logging.ERROR,
    Severity.MEDIUM: logging.WARNING,
}
"""Levels of the log at which alerts are told; less severe ones, and what is over, are information."""


def send_alerts(
    spec: ModelSpec,
    shared: SharedSpec,
    monitor: Monitor,
    *,
    drift: DriftReport | None,
    performance: PerformanceReport | None,
    decision: RetrainDecision | None,
    now: datetime,
) -> tuple[Alert, ...]:
    """Tell people what of a judged window they must know; return the alerts that were due.

    What no channel takes is logged, kept as pending and tried again by the next run: it never fails the
    monitor.

    :param monitor: keeps the alerts and their history.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    return _send(spec, shared, monitor, conditions_of(drift, performance, decision), now)


def tell_rollouts(spec: ModelSpec, shared: SharedSpec, ports: Ports) -> tuple[Alert, ...]:
    """Tell people what they must know of a model's rollouts; return the alerts that were due.

    All of it follows from the ledger and the looks that are kept: an end by hand is told by the next run.
    What no channel takes is kept and tried again, as by :func:`send_alerts`.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    rows, now = ports.ledger.rows(spec.name), ports.now()
    rollout = running_rollout(rows)
    looks: tuple[RolloutDecision, ...] = ()
    if rollout is not None:  # of thousands the newest ones say it
        looks = ports.rollouts.series(spec.name, rollout.experiment, newest=FAILED_LOOKS, every=10_000)
    found = rollout_conditions(spec.name, rows, looks, ports.monitor.alerts(spec.name), now)
    return _send(spec, shared, ports.monitor, found, now)


def tell_findings(
    to: Recipient,
    shared: SharedSpec,
    monitor: Monitor,
    conditions: Iterable[Condition],
    now: datetime,
    slow: dict[str, str] | None = None,
) -> tuple[Alert, ...]:
    """Tell people what the watchdog found about a model, or about the installation; return what was due.

    What no channel took before, whatever it is about, is tried again.

    :param to: whom it is for.
    :param slow: by connection, why a channel that took long to refuse did: it is not tried again with the
        same of these.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    return _send(to, shared, monitor, conditions, now, {} if slow is None else slow)


def _send(
    to: ModelSpec | Recipient,
    shared: SharedSpec,
    monitor: Monitor,
    conditions: Iterable[Condition],
    now: datetime,
    slow: dict[str, str] | None = None,
) -> tuple[Alert, ...]:
    to = to if isinstance(to, Recipient) else Recipient.of(to)
    known = monitor.alerts(to.name)
    plan = decide_alerts(conditions, known, now, to.repeat, spec=to)
    for alert in plan.note:
        monitor.put_alert(alert)
    if not plan.send:
        return ()
    unwanted = [silent(alert) for alert in plan.send if not _is_wanted(shared, alert)]
    keys = {alert.key for alert in unwanted}
    # Kept first: whatever happens on the way, the next run knows that they are due.
    due = [monitor.put_alert(alert) for alert in plan.send if alert.key not in keys]
    before = {alert.key: alert for alert in known}
    news = [alert for alert in unwanted if alert.tells_more(before.get(alert.key))]
    for alert in unwanted:
        monitor.put_alert(alert)
    for alert in (*due, *news):
        if not (alert.key in before and before[alert.key].pending):
            log_alert(alert)
    slow, way = {} if slow is None else slow, cache(partial(_way, shared))
    return (*news, *(monitor.put_alert(_tried(way, alert, now, slow)) for alert in due))


def log_alert(alert: Alert) -> None:
    """Tell an alert in the log, on one line: what any installation has, whatever channels it has beside."""
    code = f"{alert.code} " if alert.code else ""
    following = f" NEXT: {alert.next_action}" if alert.next_action and alert.state == "firing" else ""
    level = LEVELS.get(alert.severity, logging.INFO) if alert.state == "firing" else logging.INFO
    log.log(level, "%s", log_text(f"{code}{title_of(alert)}: {alert.text}{following}"))


def channel_of(shared: SharedSpec, name: str | None) -> AlertChannel | None:
    """Return a channel by its name, the default one where none is named, or ``None`` if there is none.

    The default is the connection ``windsock_alerts``, by its type, where it names a service. Without one,
    alerts are told in the log and in the table of findings.
    """
    try:
        channel = shared.alert_channel(name)
    except SpecError as error:
        log.warning("WS-ALERTS-003: %s; the default connection is used", error.message)
        channel = None
    return channel if channel is not None else default_channel()


class _Way(NamedTuple):
    """Where alerts of a channel's name go.

    :param name: what is kept of who took one.
    :param channel: ``None``: only the log tells it.
    """

    name: str
    channel: AlertChannel | None


def _way(shared: SharedSpec, name: str | None) -> _Way:
    if name == LOG:
        return _Way(LOG, None)
    channel = channel_of(shared, None if name == DEFAULT else name)
    if name is not None and name in shared.alert_channels:
        return _Way(name, channel)
    return _Way(DEFAULT if channel is not None else LOG, channel)


def _is_wanted(shared: SharedSpec, alert: Alert) -> bool:
    """Return whether a channel is told of an alert: of its end always, if it was told that it fires."""
    channel = shared.alert_channels.get(alert.channel) if alert.channel is not None else None
    if channel is None or alert.state == "resolved":
        return True
    return alert.severity.rank >= Severity(channel.minimum).rank


def _tried(way: Callable[[str | None], _Way], alert: Alert, now: datetime, slow: dict[str, str]) -> Alert:
    if alert.state == "firing":
        to = way(alert.channel)
        why = _refused(to.channel, alert, slow)
        return sent(alert, now, to.name) if why is None else alert.replace(refusal=why)
    left: dict[str, str] = {}
    for name in alert.told or (alert.channel,):  # one that was kept before knows only its channel of then
        to = way(name)
        if (why := _refused(to.channel, alert, slow)) is not None:
            left[to.name] = why
    return alert.replace(told=tuple(left), refusal=next(iter(left.values()))) if left else sent(alert, now)


def _refused(channel: AlertChannel | None, alert: Alert, slow: dict[str, str]) -> str | None:
    """Return why a channel did not take an alert; ``None``: it did, or the log has told it."""
    if channel is None:
        return None
    if channel.connection in slow:  # one that hangs must not hold up the looks of all models
        return slow[channel.connection]
    begun = time.monotonic()
    why = refusal_of(channel, alert)
    if why is not None and time.monotonic() - begun > PATIENCE_SECONDS:
        slow[channel.connection] = why
    return why


def deliver(channel: AlertChannel, alert: Alert) -> bool:
    """Hand an alert to a channel; return whether it was taken. What goes wrong is logged, never raised."""
    return refusal_of(channel, alert) is None


def refusal_of(channel: AlertChannel, alert: Alert) -> str | None:
    """Hand an alert to a channel; return why it was not taken, in plain words, or ``None`` if it was."""
    try:
        SENDERS[channel.kind](channel, alert)
    except Exception as error:
        why = f"{channel.kind}, connection {channel.connection}: {reason_of(error)}"
        log.warning(
            "WS-ALERTS-002: %s: alert %s was not taken by %s; it is kept and tried again. NEXT: `windsock "
            "alerts test` tries every channel",
            alert.model,
            alert.key,
            why,
        )
        return why
    log.info("%s: alert %s was sent by %s", alert.model, alert.key, channel.kind)
    return None


def failure_callback(owner: str, channel: AlertChannel | None, *, runbook: str = "") -> Callable[[Any], None]:
    """Return what tells a task's owner that it has failed for good; for ``on_failure_callback``.

    Airflow calls it after the last try only. Nothing is kept in the history: Airflow has it.

    :param owner: who answers for the model.
    :param channel: as :meth:`~windsock.spec.SharedSpec.alert_channel` gives it; ``None``: the default
        connection, if there is one when the task fails.
    :param runbook: where on-call reads more.
    """

    def tell(context: Any) -> None:
        try:
            used = channel or channel_of(SharedSpec(), None)
            alert = _task_alert(context, owner, runbook)
        except Exception as error:
            log.warning("WS-ALERTS-002: the task's failure was not told: %s", type(error).__name__)
            return
        log_alert(alert)
        if used is not None and alert.severity.rank >= Severity(used.minimum).rank:
            deliver(used, alert)

    return tell


def _task_alert(context: Any, owner: str, runbook: str) -> Alert:
    task = context["ti"]
    error = context.get("exception")
    # Only Windsock's own errors promise to hold neither a row nor a secret.
    why = str(error) if isinstance(error, WindsockError) else type(error).__name__ if error else "no error"
    now = datetime.now(UTC)
    name = f"{task.dag_id}.{task.task_id}"
    return Alert(
        model=task.dag_id.partition("__")[0],
        key=f"task:{name}",
        severity=Severity.HIGH,
        title=f"{name} has failed",
        text=f"Run {task.run_id}, try {task.try_number}: {one_line(why)}\nLog: {task.log_url}",
        owner=owner,
        runbook=runbook,
        first_at=now,
        last_at=now,
        pending=True,
    )
