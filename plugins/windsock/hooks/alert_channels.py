"""The services that take alerts, each by one of Airflow's providers, and why one did not."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError, URLError

from windsock.hooks.mlflow_server import connection_or_none
from windsock.records import Alert, Severity
from windsock.spec.shared import DEFAULT_CONNECTIONS, KINDS, AlertChannel, is_address
from windsock.texts import one_line, several_lines

ALL = "all"
"""Apprise's word for the services of every tag."""
DEFAULT_CONNECTION = DEFAULT_CONNECTIONS["apprise"]
WRITE_ONE = 'write one into its extra, such as {"config": {"path": "mailtos://...", "tag": "alerts"}}'
INSTALL = "pip install 'airflow-windsock[alerts]' where Airflow's tasks run"
STATUS = re.compile(r"[Ss]tatus [Cc]ode:? ?(\d{3})\b")
PAGERDUTY_SEVERITIES = {
    Severity.NONE: "info",
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}


class NotDeliveredError(Exception):
    """A channel did not take an alert; holds why, in words without a secret."""


def default_channel() -> AlertChannel | None:
    """Return the channel of the connection ``windsock_alerts``, by its type; ``None``: it names no service.

    The one that an installation may begin with, of type generic and empty, names none.
    """
    connection = connection_or_none(DEFAULT_CONNECTION)
    if connection is None:
        return None
    kind = KINDS.get(str(connection.conn_type or "").lower(), "apprise")
    if kind == "apprise":
        return AlertChannel(kind="apprise") if _names_a_service(connection) else None
    to = _addresses(connection) if kind == "smtp" else ()
    return AlertChannel(kind=kind, conn_id=DEFAULT_CONNECTION, to=to)


def _addresses(connection: Any) -> tuple[str, ...]:
    """Return the addresses that a mail connection's extra names under ``to``."""
    try:
        named = connection.extra_dejson.get("to") or ()
    except (ValueError, AttributeError):
        return ()
    listed = named.split(",") if isinstance(named, str) else named if isinstance(named, list) else ()
    found = tuple(str(one).strip() for one in listed)
    return tuple(one for one in found if is_address(one))


def reason_of(error: BaseException) -> str:
    """Return in plain words why a channel did not take an alert; an error's own text may hold its secret."""
    name = type(error).__name__
    if isinstance(error, NotDeliveredError):
        return str(error)
    if isinstance(error, ImportError):
        return f"its provider is not installed ({name}): {INSTALL}"
    if name == "AirflowNotFoundException":
        return "there is no such connection: make it under Admin > Connections in Airflow"
    if isinstance(error, smtplib.SMTPException):
        return _mail_reason(error)
    if (status := _status_of(error)) is not None:
        return f"the service answered {status}{STATUSES.get(status, '')} ({name})"
    if isinstance(error, TimeoutError):
        return f"the service did not answer in time ({name})"
    if isinstance(error, URLError | OSError):
        return f"its host cannot be reached, by the address that the connection names ({name})"
    if isinstance(error, KeyError | ValueError | TypeError | AttributeError):
        return f"the connection lacks what its provider reads, or has it in another form ({name})"
    return f"its provider failed ({name})"


STATUSES = {
    400: ", it does not understand what it was sent: see that the connection is of the right type",
    401: ", it does not take the login or key of the connection",
    403: ", it does not take the login or key of the connection",
    404: ", there is nothing at the address of the connection",
    410: ", what was at the address of the connection was removed",
    429: ", it was sent too much at once",
}


def _mail_reason(error: smtplib.SMTPException) -> str:
    name = type(error).__name__
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server refuses the login ({name})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the mail server refuses every address ({name})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {int(error.smtp_code)} ({name})"
    return f"the mail server ended the connection, or lacks what is asked of it ({name})"


def _status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error of a provider is about, where it is about one."""
    if isinstance(error, HTTPError):
        return int(error.code)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status
    found = STATUS.search(str(error))
    return int(found[1]) if found else None


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
    kind = NotifyType.WARNING if alert.severity.rank < Severity.HIGH.rank else NotifyType.FAILURE
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
