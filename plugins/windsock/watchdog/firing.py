"""What fires, as commands and pages show it."""

from __future__ import annotations

from collections.abc import Iterable

from windsock.ports import Monitor
from windsock.records import Alert, Severity


def alerts_of(monitor: Monitor, names: Iterable[str], *, resolved: bool = False) -> list[Alert]:
    """Return the alerts of models, the gravest first; what only says that somebody has looked is none.

    :param resolved: whether those that are over are among them.
    """
    found = [one for name in names for one in monitor.alerts(name) if one.severity is not Severity.NONE]
    kept = [one for one in found if resolved or one.state == "firing"]
    return sorted(kept, key=lambda one: (one.state, -one.severity.rank, one.model, one.key))


def reached(alert: Alert) -> str:
    """Return since when an alert fires and whom it reached."""
    since = f"since {alert.first_at:%Y-%m-%d %H:%M} UTC"
    if alert.pending:
        why = f": {alert.refusal}" if alert.refusal else ""
        return f"{since}; not taken by its channel yet{why}"
    if alert.sent_at is None:
        return f"{since}; kept only, its channel takes graver ones"
    to = alert.channel or "the log, and the connection windsock_alerts where it names a service"
    often = "once" if alert.times == 1 else f"{alert.times} times"
    return f"{since}; told {often} to {to}, last {alert.sent_at:%Y-%m-%d %H:%M} UTC"


__all__ = ["alerts_of", "reached"]
