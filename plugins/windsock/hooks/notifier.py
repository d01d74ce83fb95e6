"""``WindsockNotifier``: Windsock's alert channels for any DAG's callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from windsock.hooks.alerts import channel_of, deliver, log_alert
from windsock.hooks.windsock import WindsockHook
from windsock.ports import utc_now
from windsock.records import Alert, Severity
from windsock.spec.loader import load_shared

if TYPE_CHECKING:
    from airflow.sdk import Context


class WindsockNotifier(BaseNotifier):
    """Tell people through a channel of ``include/windsock.yaml``, from ``on_failure_callback`` and the like.

    The log has it, too, and what the channel does not take; a callback never fails a task.

    Template fields: ``title``, ``text``.

    :param model: the model that it is about.
    :param title: one line.
    :param text: a few plain sentences; never a row's value.
    :param severity: ``low``, ``medium``, ``high`` or ``critical``.
    :param channel: the channel's name; ``None``: the connection ``windsock_alerts``.
    :param owner: who answers for it.
    :param windsock_conn_id: connection of type ``windsock``.
    """

    template_fields: Sequence[str] = ("title", "text")

    def __init__(
        self,
        *,
        model: str,
        title: str,
        text: str = "",
        severity: str = Severity.HIGH.value,
        channel: str | None = None,
        owner: str = "unknown",
        windsock_conn_id: str = "windsock_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.title = title
        self.text = text
        self.severity = severity
        self.channel = channel
        self.owner = owner
        self.windsock_conn_id = windsock_conn_id

    def notify(self, context: Context) -> None:
        """Send it."""
        settings = WindsockHook(self.windsock_conn_id).settings()
        found = channel_of(load_shared(settings.shared_file), self.channel)
        now = utc_now()
        alert = Alert(
            model=self.model,
            key=f"task:{context['ti'].dag_id}.{context['ti'].task_id}",
            severity=Severity(self.severity),
            title=self.title,
            text=self.text,
            owner=self.owner,
            channel=self.channel,
            first_at=now,
            last_at=now,
            pending=True,
        )
        log_alert(alert)
        if found is not None:
            deliver(found, alert)
