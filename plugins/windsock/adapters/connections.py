"""Airflow connections -> SQLAlchemy URLs, without Airflow: ``AIRFLOW_CONN_<ID>`` as a URI or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from windsock.exceptions import SettingsError
from windsock.spec.faults import shown

PREFIX = "AIRFLOW_CONN_"
CONN_ID = re.compile(r"[A-Za-z0-9_.:#-]{1,250}")
NO_CONNECTION = "WS-SETTINGS-003"
BAD_CONNECTION = "WS-SETTINGS-004"
FORMS = "a URI such as postgres://USER:PASSWORD@HOST:5432/DATABASE, or JSON with conn_type, host, login ..."

DIALECTS = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mssql": "mssql",
    "sqlite": "sqlite",
}
"""Connection types that are databases, with SQLAlchemy's word for each."""

QUERY = frozenset(
    {
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "connect_timeout",
        "application_name",
        "options",
        "charset",
    }
)
"""Extras that go into the URL; others are meant for Airflow's own hooks."""


@dataclass(frozen=True, kw_only=True)
class ConnectionParts:
    """What a connection says; what may be secret shows in no text of it."""

    conn_type: str
    host: str = ""
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    port: int | None = None
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def connection_parts(conn_id: str, environment: Mapping[str, str]) -> ConnectionParts | None:
    """Return what ``AIRFLOW_CONN_<ID>`` says; ``None``: it is not set.

    :param conn_id: the connection, as the spec names it.
    :param environment: environment variables.
    :raises SettingsError: if it can be read neither as a URI nor as JSON; the message holds no password.
    """
    text = environment.get(variable_of(conn_id), "").strip() if CONN_ID.fullmatch(conn_id) else ""
    if not text:
        return None
    return _from_json(text, conn_id) if text.startswith("{") else _from_uri(text, conn_id)


def connection_url(conn_id: str, environment: Mapping[str, str]) -> str:
    """Return the SQLAlchemy URL of the connection that ``AIRFLOW_CONN_<ID>`` describes.

    :param conn_id: the connection, as the spec names it.
    :param environment: environment variables.
    :raises SettingsError: if there is none, or it describes no database; the message holds no password.
    """
    variable = variable_of(conn_id)
    parts = connection_parts(conn_id, environment)
    if parts is None:
        raise SettingsError(
            f"there is no connection {conn_id[:250]!r}: the variable {variable[:270]} is not set",
            code=NO_CONNECTION,
            next_action=f"Set it to {FORMS}.",
        )
    return _url(parts, conn_id)


def variable_of(conn_id: str) -> str:
    """Return the environment variable that describes a connection."""
    return f"{PREFIX}{conn_id.upper()}"


def connections_of(environment: Mapping[str, str]) -> Callable[[str], str]:
    """Return what turns a connection id into a SQLAlchemy URL by these environment variables."""
    return lambda conn_id: connection_url(conn_id, environment)


def url_from_airflow_uri(uri: str, conn_id: str) -> str:
    """Return the SQLAlchemy URL of a connection that Airflow has written as a URI.

    :param conn_id: the connection, for errors.
    :raises SettingsError: if it describes no database; the message holds no password.
    """
    return _url(_from_uri(uri, conn_id), conn_id)


def _from_uri(uri: str, conn_id: str) -> ConnectionParts:
    try:
        parts = urlsplit(uri)
        extra: Any = dict(parse_qsl(parts.query, keep_blank_values=True))
        if "__extra__" in extra:
            extra = json.loads(extra["__extra__"])
        return ConnectionParts(
            conn_type=parts.scheme,
            host=_host(parts),
            login=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            port=parts.port,
            schema=unquote(parts.path.removeprefix("/")),
            extra=_object(extra),
        )
    except (ValueError, TypeError):
        raise _broken(conn_id) from None  # the cause's text would hold parts of the URI


def _host(parts: SplitResult) -> str:
    if ":" in (parts.hostname or ""):
        return parts.hostname or ""  # IPv6
    # ``hostname`` is in small letters; the file of an SQLite connection must keep its own.
    return unquote(parts.netloc.rpartition("@")[2].partition(":")[0])


def _from_json(text: str, conn_id: str) -> ConnectionParts:
    try:
        content = json.loads(text)
        extra = content.get("extra") or {}
        if isinstance(extra, str):
            extra = json.loads(extra)
        port = content.get("port")
        return ConnectionParts(
            conn_type=str(content.get("conn_type") or ""),
            host=str(content.get("host") or ""),
            login=_text_or_none(content.get("login")),
            password=_text_or_none(content.get("password")),
            port=None if port in (None, "") else int(port),
            schema=str(content.get("schema") or ""),
            extra=_object(extra),
        )
    except (ValueError, TypeError, AttributeError):
        raise _broken(conn_id) from None


def _object(extra: Any) -> dict[str, Any]:
    if not isinstance(extra, dict):
        raise TypeError("the extra of a connection is a JSON object")
    return extra


def _text_or_none(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _broken(conn_id: str) -> SettingsError:
    return SettingsError(
        f"connection {conn_id!r} can be read neither as a URI nor as JSON",
        code=BAD_CONNECTION,
        next_action=f"Set {variable_of(conn_id)} to {FORMS}; write special letters in a URI as %XX.",
    )


def _url(parts: ConnectionParts, conn_id: str) -> str:
    from sqlalchemy import URL

    kind, _, driver = parts.conn_type.lower().replace("-", "_").partition("+")
    if kind not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise SettingsError(
            f"connection {conn_id!r} has the type {kind[:40]!r}; types of databases: {known}",
            code=BAD_CONNECTION,
            next_action="Name a connection to a database in the model's `data.source`.",
        )
    dialect = DIALECTS[kind]
    if dialect == "sqlite":
        return _sqlite_url(parts, conn_id)
    name = f"{dialect}+{driver}" if driver else _with_driver(dialect)
    query = {
        key: _query_text(key, value, conn_id)
        for key, value in parts.extra.items()
        if key in QUERY and value not in (None, "")
    }
    return URL.create(
        name,
        username=parts.login,
        password=parts.password,
        host=parts.host or None,
        port=parts.port,
        database=parts.schema or None,
        query=query,
    ).render_as_string(hide_password=False)


def _query_text(key: str, value: Any, conn_id: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(
            f"the extra of connection {conn_id!r} has {shown(value)} at {key}; allowed: a text or a number",
            code=BAD_CONNECTION,
            next_action=f"Mend {key} in the connection's extra.",
        )
    return str(value)


def _sqlite_url(parts: ConnectionParts, conn_id: str) -> str:
    # Airflow keeps the file in the host; in a URI of SQLAlchemy's own it is the path.
    path = parts.host or parts.schema
    if not path:
        raise SettingsError(
            f"connection {conn_id!r} names no file",
            code=BAD_CONNECTION,
            next_action=f"Set {variable_of(conn_id)} to sqlite:////ABSOLUTE/PATH.",
        )
    return f"sqlite:///{path}"


def _with_driver(dialect: str) -> str:
    """Return the dialect with the driver that is installed, where SQLAlchemy's own choice may not be."""
    if dialect == "postgresql" and find_spec("psycopg2") is None and find_spec("psycopg") is not None:
        return "postgresql+psycopg"
    return dialect
