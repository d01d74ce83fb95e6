"""What ``windsock doctor`` says of alert channels: whether each connection holds what its sender needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from windsock.adapters.connections import ConnectionParts, connection_parts, variable_of
from windsock.cli.airflow_answers import airflow_access
from windsock.cli.airflow_rest import AirflowApiError
from windsock.cli.doctor_checks import Finding, State
from windsock.exceptions import SettingsError
from windsock.spec.loader import load_shared
from windsock.spec.shared import DEFAULT_CONNECTIONS, KINDS, AlertChannel, ChannelKind

CONFIG = '`config` in its extra, such as {"config": {"path": "mailtos://...", "tag": "alerts"}}'
NEEDED = "a password: the webhook's token, or the integration key"


def check_alerts(state: State) -> list[Finding]:
    """See that a channel is set up, and that its connection holds what its sender reads."""
    shared = load_shared(state.settings.shared_file)
    channels: dict[str, AlertChannel | None] = {**shared.alert_channels} or {"default": None}
    known = _connections(state)
    return [_found(name, channel, known) for name, channel in channels.items()]


def _found(name: str, channel: AlertChannel | None, known: Mapping[str, ConnectionParts] | None) -> Finding:
    conn_id = DEFAULT_CONNECTIONS["apprise"] if channel is None else channel.connection
    kind: ChannelKind = "apprise" if channel is None else channel.kind
    cure = f"Make the connection under Admin, Connections, or set {variable_of(conn_id)}"
    try:
        parts = connection_parts(conn_id, os.environ) or (known or {}).get(conn_id)
    except SettingsError as error:
        seen, cure = f"cannot be used ({error.code}: {error.message})", error.next_by_hand.rstrip(".")
    else:
        if parts is None:
            seen = "is not there" if known is not None else "is not known here: it may be in Airflow"
        else:
            kind = kind_of(parts) if channel is None else kind
            lacks = lacking(kind, parts)
            seen = f"names no service: it lacks {lacks}" if lacks else ""
            cure = f"Write it into the connection under Admin, Connections, or into {variable_of(conn_id)}"
    what = f"channel {name} ({kind}, connection {conn_id})"
    if not seen:
        return Finding(check="alerts", status="ok", what=f"{what} is set up")
    return Finding(
        check="alerts",
        status="warn",
        what=f"{what} {seen}",
        next_action=f"{cure}; until then alerts stay in the log and in the table of findings.",
    )


def kind_of(parts: ConnectionParts) -> ChannelKind:
    """Return what sends by a connection that no channel is written for."""
    return KINDS.get(parts.conn_type.lower().replace("-", "_"), "apprise")


def lacking(kind: ChannelKind, parts: ConnectionParts) -> str:
    """Return what a connection lacks without which its sender can send nothing; empty: it has all.

    :param kind: what sends.
    """
    if kind == "apprise":
        return "" if _names_a_service(parts.extra) else CONFIG
    if kind == "smtp":
        return "" if parts.host else "a host: the mail server"
    return "" if (parts.password or "").strip() else NEEDED


def _names_a_service(extra: Mapping[str, Any]) -> bool:
    """Return whether an extra has what Apprise's provider reads: one service's address, or several."""
    config = extra.get("config")
    try:
        config = json.loads(config) if isinstance(config, str) else config
    except ValueError:
        return False
    listed = config if isinstance(config, list) else [config]
    return bool(listed) and all(isinstance(one, dict) and one.get("path") for one in listed)


def _connections(state: State) -> dict[str, ConnectionParts] | None:
    """Return Airflow's connections, with asterisks for what is secret; ``None``: nobody can tell."""
    access = airflow_access(state.settings)
    if access.why:
        return None
    try:
        with access.api() as api:
            listed = api.request("GET", "/connections", params={"limit": 100})["connections"]
        return {str(one["connection_id"]): _parts(one) for one in listed}
    except (AirflowApiError, OSError, ValueError, KeyError, TypeError):
        return None


def _parts(listed: Mapping[str, Any]) -> ConnectionParts:
    try:
        extra = json.loads(listed.get("extra") or "{}")
    except ValueError:
        extra = {}
    return ConnectionParts(
        conn_type=str(listed.get("conn_type") or ""),
        host=str(listed.get("host") or ""),
        password=listed.get("password"),
        extra=extra if isinstance(extra, dict) else {},
    )
