"""Alerts on their way to people: through Airflow's providers, by the connection of a channel."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from windsock.exceptions import SpecError, WindsockError
from windsock.hooks.mlflow_server import connection_or_none
from windsock.monitoring.alerts import (
    RANKS,
    Condition,
    conditions_of,
    decide_alerts,
    sent,
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
from windsock.spec import ModelSpec, SharedSpec, parse_duration
from windsock.spec.shared import DEFAULT_CONNECTIONS, AlertChannel, is_address
from windsock.texts import one_line, several_lines

log = logging.getLogger(__name__)

ALL = "all"
"""Apprise's word for the services of every tag."""
DEFAULT_CONNECTION = DEFAULT_CONNECTIONS["apprise"]
WRITE_ONE = 'write one into its extra, such as {"config": {"path": "mailtos://...", "tag": "alerts"}}'
PAGERDUTY_SEVERITIES = {
    Severity.NONE: "info",
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}


class NotDeliveredError(Exception):
    """A channel did not take an alert; holds why, in words without a secret."""


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


def _send(
    spec: ModelSpec,
    shared: SharedSpec,
    monitor: Monitor,
    conditions: Iterable[Condition],
    now: datetime,
) -> tuple[Alert, ...]:
    plan = decide_alerts(
        conditions,
        monitor.alerts(spec.name),
        now,
        parse_duration(spec.monitoring.alert_repeat),
        spec=spec,
    )
    for alert in plan.note:
        monitor.put_alert(alert)
    # Kept first: whatever happens on the way, the next run knows that they are due.
    due = [monitor.put_alert(alert) for alert in plan.send]
    if not due:
        return ()
    channel = channel_of(shared, due[0].channel)
    if channel is None:
        log.warning(
            "WS-ALERTS-001: %s: %d alerts are kept and not sent: no channel, and no connection %s that names"
            " a service; %s",
            spec.name,
            len(due),
            DEFAULT_CONNECTION,
            WRITE_ONE,
        )
        return tuple(due)
    return tuple(monitor.put_alert(_tried(channel, alert, now)) for alert in due)


def channel_of(shared: SharedSpec, name: str | None) -> AlertChannel | None:
    """Return a channel by its name, the default one where none is named, or ``None`` if there is none.

    The default is Apprise on the connection ``windsock_alerts``, where that connection names a service: the
    one that a development installation begins with names none.
    """
    try:
        channel = shared.alert_channel(name)
    except SpecError as error:
        log.warning("WS-ALERTS-003: %s; the default connection is used", error.message)
        channel = None
    if channel is not None:
        return channel
    default = connection_or_none(DEFAULT_CONNECTION)
    return AlertChannel(kind="apprise") if default is not None and _names_a_service(default) else None


def _tried(channel: AlertChannel, alert: Alert, now: datetime) -> Alert:
    if RANKS[alert.severity] < RANKS[Severity(channel.minimum)]:
        return alert.replace(pending=False)
    return sent(alert, now) if deliver(channel, alert) else alert


def deliver(channel: AlertChannel, alert: Alert) -> bool:
    """Hand an alert to a channel; return whether it was taken. What goes wrong is logged, never raised."""
    try:
        SENDERS[channel.kind](channel, alert)
    except Exception as error:
        # The text of a tool's error may hold the address, and in it the secret.
        why = str(error) if isinstance(error, NotDeliveredError) else type(error).__name__
        log.warning(
            "WS-ALERTS-002: %s: alert %s was not taken by %s (connection %s): %s; it is kept and tried again",
            alert.model,
            alert.key,
            channel.kind,
            channel.connection,
            why,
        )
        return False
    log.info("%s: alert %s was sent by %s", alert.model, alert.key, channel.kind)
    return True


def title_of(alert: Alert) -> str:
    """Return the line that is read first: severity, or that it is over, and what it is about."""
    word = "RESOLVED" if alert.state == "resolved" else alert.severity.value.upper()
    return f"[{word}] {one_line(alert.title)}"


def text_of(alert: Alert) -> str:
    """Return what follows it: a few sentences, the owner, where to read on; no row and no secret.

    Each fact is one line, and no text of a model's file looks like another fact.
    """
    since = f"since {alert.first_at:%Y-%m-%d %H:%M} UTC"
    facts = [f"Owner: {alert.owner}", f"Alert: {alert.key} {since}"]
    if alert.code:
        facts.append(f"Code: {alert.code}")
    if alert.next_action:
        facts.append(f"Next: {alert.next_action}")
    if alert.episode:
        facts.append(f"Episode: {alert.episode}")
    if alert.channel:
        facts.append(f"Channel: {alert.channel}")
    if alert.runbook:
        facts.append(f"Runbook: {alert.runbook}")
    return "\n".join([several_lines(alert.text), "", *map(one_line, facts)])


def _send_apprise(channel: AlertChannel, alert: Alert) -> None:
    from airflow.providers.apprise.hooks.apprise import AppriseHook
    from apprise import Apprise, NotifyFormat, NotifyType

    # The provider's own `notify` does not say whether a service took it: only its reading of the connection
    # is used.
    hook = AppriseHook(apprise_conn_id=channel.connection)
    services, connection = Apprise(), hook.get_connection(channel.connection)
    if not _names_a_service(connection):
        raise NotDeliveredError(f"the connection names no service: {WRITE_ONE}")
    hook.set_config_from_conn(conn=connection, apprise_obj=services)
    kind = NotifyType.WARNING if RANKS[alert.severity] < RANKS[Severity.HIGH] else NotifyType.FAILURE
    taken = services.notify(
        title=title_of(alert),
        body=text_of(alert),
        body_format=NotifyFormat.TEXT,  # else a service that shows HTML or Markdown takes it for that
        notify_type=NotifyType.SUCCESS if alert.state == "resolved" else kind,
        tag=channel.tag or ALL,
    )
    if taken is None:
        raise NotDeliveredError(f"the connection names no service of the tag {channel.tag or ALL}")
    if not taken:
        raise NotDeliveredError(f"not all of its {len(services)} services took it")


def _names_a_service(connection: Any) -> bool:
    """Return whether a connection's extra has what the provider reads: one service's address, or several."""
    try:
        config = connection.extra_dejson.get("config")
        config = json.loads(config) if isinstance(config, str) else config
    except (ValueError, AttributeError):
        return False
    listed = config if isinstance(config, list) else [config]
    return bool(listed) and all(isinstance(one, dict) and one.get("path") for one in listed)


def _send_slack(channel: AlertChannel, alert: Alert) -> None:
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    hook = SlackWebhookHook(slack_webhook_conn_id=channel.connection, timeout=20)
    text = f"{_plain(title_of(alert))}\n{_plain(text_of(alert))}"
    hook.send_dict({"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False})


def _plain(text: str) -> str:
    """Return text that Slack shows as it is: nobody is mentioned, no other text stands for a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _send_smtp(channel: AlertChannel, alert: Alert) -> None:
    from html import escape

    from airflow.providers.smtp.hooks.smtp import SmtpHook

    to = channel.to or ((alert.owner,) if is_address(alert.owner) else ())
    if not to:
        raise NotDeliveredError("the channel names no address (to), and the owner is none")
    with SmtpHook(smtp_conn_id=channel.connection) as hook:
        hook.send_email_smtp(
            to=list(to), subject=title_of(alert), html_content=f"<pre>{escape(text_of(alert))}</pre>"
        )


def _send_pagerduty(channel: AlertChannel, alert: Alert) -> None:
    from airflow.providers.pagerduty.hooks.pagerduty_events import PagerdutyEventsHook

    hook = PagerdutyEventsHook(pagerduty_events_conn_id=channel.connection)
    runbook = alert.runbook if alert.runbook.startswith(("http://", "https://")) else None
    hook.send_event(
        summary=title_of(alert)[:1024],
        severity=PAGERDUTY_SEVERITIES[alert.severity],
        source=f"windsock:{alert.model}",
        action="resolve" if alert.state == "resolved" else "trigger",
        dedup_key=f"windsock:{alert.model}:{alert.key}"[:255],
        component=alert.model,
        class_type=alert.key.partition(":")[0],
        custom_details={"text": text_of(alert)},
        links=[{"href": runbook, "text": "Runbook"}] if runbook else None,
    )


SENDERS: dict[str, Callable[[AlertChannel, Alert], None]] = {
    "apprise": _send_apprise,
    "slack": _send_slack,
    "smtp": _send_smtp,
    "pagerduty": _send_pagerduty,
}


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
        if used is None:
            log.info(
                "WS-ALERTS-001: nobody is told: no channel, no connection %s with a service",
                DEFAULT_CONNECTION,
            )
        elif RANKS[alert.severity] >= RANKS[Severity(used.minimum)]:
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
