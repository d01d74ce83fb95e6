"""``SqlMonitor``: windows, episodes, claims and alerts in the control database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from windsock.adapters.database import reading, writing
from windsock.adapters.record_rows import raw_of, record_of, sortable
from windsock.adapters.retrain_table import SqlRetraining
from windsock.exceptions import MonitoringError
from windsock.records import Alert, Span, Status, WindowKind, WindowVerdict
from windsock.records.monitoring import JudgedWindow

if TYPE_CHECKING:
    from sqlalchemy import Connection

WINDOW = "model = :model AND kind = :kind AND window_end = :end AND window_start = :start"


class SqlMonitor(SqlRetraining):
    """Keeps what the monitor knows; see :class:`~windsock.ports.Monitor`.

    :param url: the control database.
    """

    def windows(
        self, model: str, kind: WindowKind | None = None, *, since: datetime | None = None
    ) -> tuple[WindowVerdict, ...]:
        """Return judged windows in the order of their end; with ``since``, those that ended after it."""
        from sqlalchemy import text

        conditions = ["model = :model"]
        if kind is not None:
            conditions.append("kind = :kind")
        if since is not None:
            conditions.append("window_end > :since")
        query = text(
            "SELECT kind, window_start, window_end, record FROM monitor_windows "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} ORDER BY window_end, window_start, kind"
        )
        asked = {"model": model, "kind": kind, "since": sortable(since) if since else None}
        with reading(self._url) as connection:
            found = connection.execute(query, {name: value for name, value in asked.items() if value})
            return tuple(
                record_of(
                    WindowVerdict,
                    raw,
                    model=model,
                    kind=kept,
                    window=Span(start=_time(start), end=_time(end)),
                )
                for kept, start, end, raw in found
            )

    def judged(self, since: Mapping[str, datetime]) -> dict[str, tuple[JudgedWindow, ...]]:
        """Return of some models which windows were judged that ended at a time or later."""
        from sqlalchemy import text

        query = text(
            "SELECT kind, window_start, window_end, status FROM monitor_windows "
            "WHERE model = :model AND kind = :kind AND window_end >= :since"
        )
        with reading(self._url) as connection:
            return {
                model: tuple(
                    JudgedWindow(found, _time(start), _time(end), Status(status))
                    for kind in ("drift", "performance")
                    for found, start, end, status in connection.execute(
                        query, {"model": model, "kind": kind, "since": sortable(moment)}
                    )
                )
                for model, moment in since.items()
            }

    def add_window(self, verdict: WindowVerdict) -> WindowVerdict:
        """Keep a window's verdict; return the one that stands."""
        from sqlalchemy import text

        values = {
            "model": verdict.model,
            "kind": verdict.kind,
            "end": sortable(verdict.window.end),
            "start": sortable(verdict.window.start),
            "digest": verdict.digest,
            "status": verdict.status.value,
            "record": raw_of(verdict),
        }
        with writing(self._url) as connection:
            new = connection.execute(
                text(
                    "INSERT INTO monitor_windows "
                    "(model, kind, window_end, window_start, digest, status, record) "
                    "VALUES (:model, :kind, :end, :start, :digest, :status, :record) "
                    "ON CONFLICT (model, kind, window_end, window_start) DO NOTHING"
                ),
                values,
            ).rowcount
            if new:
                return verdict
            lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
            raw = connection.execute(
                text(f"SELECT record FROM monitor_windows WHERE {WINDOW}{lock}"),  # noqa: S608
                values,
            ).scalar_one()
            before = record_of(
                WindowVerdict, raw, model=verdict.model, kind=verdict.kind, window=verdict.window
            )
            if before.stands_against(verdict):
                return before
            verdict = verdict.following(before)
            values["record"] = raw_of(verdict)
            connection.execute(
                text(
                    "UPDATE monitor_windows SET digest = :digest, status = :status, record = :record "  # noqa: S608
                    f"WHERE {WINDOW}"
                ),
                values,
            )
        return verdict

    def alerts(self, model: str, *, firing: bool | None = None) -> tuple[Alert, ...]:
        """Return the present state of a model's alerts, the one that was seen last at the end."""
        kept = [one for one in self._alert_rows(model) if one is not None]
        return tuple(one for one in kept if firing is None or (one.state == "firing") == firing)

    def unreadable_alerts(self, model: str) -> int:
        """Return how many rows of a model's alerts cannot be read."""
        return self._alert_rows(model).count(None)

    def alerted(self) -> tuple[str, ...]:
        """Return the names of all that alerts are kept about, in order."""
        from sqlalchemy import text

        query = text("SELECT DISTINCT model FROM alerts ORDER BY model")
        with reading(self._url) as connection:
            return tuple(str(name) for (name,) in connection.execute(query))

    def _alert_rows(self, model: str) -> list[Alert | None]:
        """Return a model's alerts by rows; ``None`` stands for one that cannot be read."""
        from sqlalchemy import text

        query = text("SELECT key, record FROM alerts WHERE model = :model ORDER BY last_at, key")
        with reading(self._url) as connection:
            return [_readable(raw, model, key) for key, raw in connection.execute(query, {"model": model})]

    def put_alert(self, alert: Alert) -> Alert:
        """Keep an alert's present state under its key; what is new about it goes to the history."""
        from sqlalchemy import text

        values = {
            "model": alert.model,
            "key": alert.key,
            "state": alert.state,
            "last_at": sortable(alert.last_at),
            "record": raw_of(alert),
        }
        with writing(self._url) as connection:
            before = _alert(connection, alert)
            connection.execute(
                text(
                    "INSERT INTO alerts (model, key, state, last_at, record) "
                    "VALUES (:model, :key, :state, :last_at, :record) "
                    "ON CONFLICT (model, key) DO UPDATE SET state = excluded.state, "
                    "last_at = excluded.last_at, record = excluded.record"
                ),
                values,
            )
            if alert.tells_more(before):
                connection.execute(
                    text("INSERT INTO alert_history (model, key, record) VALUES (:model, :key, :record)"),
                    values,
                )
        return alert

    def alert_history(self, model: str, *, limit: int = 100) -> tuple[Alert, ...]:
        """Return the latest changes of a model's alerts, the latest last."""
        from sqlalchemy import text

        query = text(
            "SELECT key, record FROM alert_history WHERE model = :model ORDER BY id DESC LIMIT :limit"
        )
        with reading(self._url) as connection:
            found = connection.execute(query, {"model": model, "limit": limit}).all()
        return tuple(record_of(Alert, raw, model=model, key=key) for key, raw in reversed(found))


def _time(column: str) -> datetime:
    return datetime.fromisoformat(column)


def _alert(connection: Connection, alert: Alert) -> Alert | None:
    from sqlalchemy import text

    raw = connection.execute(
        text("SELECT record FROM alerts WHERE model = :model AND key = :key"),
        {"model": alert.model, "key": alert.key},
    ).scalar()
    return _readable(raw, alert.model, alert.key) if raw else None


def _readable(raw: str, model: str, key: str) -> Alert | None:
    try:
        return record_of(Alert, raw, model=model, key=key)
    except MonitoringError:
        return None
