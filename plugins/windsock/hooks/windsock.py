"""``WindsockHook``: connections and environment -> settings, specs and ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from windsock.exceptions import SettingsError, WindsockError
from windsock.hooks.connection_extra import read_extra
from windsock.hooks.mlflow_server import MlflowHook, connection_or_none
from windsock.settings import Settings

if TYPE_CHECKING:
    from windsock.ports import Ports
    from windsock.spec import ModelSpec


class WindsockHook(BaseHook):
    """The installation behind a connection of type ``windsock``.

    The connection's host is the serving app's address, its password the admin token; its extra may hold
    ``database_url``, ``storage_url``, ``models_dir``, ``home`` and ``admin_url``. What it does not say is
    taken from the environment.

    :param windsock_conn_id: the connection; where there is none, the environment alone holds.
    :param mlflow_conn_id: the connection to MLflow.
    """

    conn_name_attr = "windsock_conn_id"
    default_conn_name = "windsock_default"
    conn_type = "windsock"
    hook_name = "Windsock"

    def __init__(
        self, windsock_conn_id: str = default_conn_name, *, mlflow_conn_id: str = MlflowHook.default_conn_name
    ) -> None:
        super().__init__()
        self.windsock_conn_id = windsock_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def settings(self) -> Settings:
        """Return the environment's settings, overridden by the connections.

        :raises SettingsError: if a connection cannot be used, or its extra says what it may not.
        """
        base = Settings.from_environment()
        changed: dict[str, Any] = {}
        if (conn := connection_or_none(self.windsock_conn_id)) is not None:
            changed = read_extra(conn.extra, self.windsock_conn_id)
            if password := urlsplit(changed.get("database_url", "")).password:
                mask_secret(password)
            if address := server_address(conn):
                changed["server_url"] = address
                if address != base.server_url:  # the private listener of the environment is another server's
                    changed.setdefault("admin_url", None)
            if conn.password:
                changed["admin_token"] = conn.password
        if (uri := MlflowHook(self.mlflow_conn_id).tracking_uri()) is not None:
            changed["tracking_uri"] = uri
        return base.replace(**changed)

    def ports(self) -> Ports:
        """Return the outside world of this installation; nothing is contacted yet."""
        from windsock.adapters.build import build_ports

        return build_ports(self.settings(), connections=sqlalchemy_url)

    def model_spec(self, name: str) -> ModelSpec:
        """Return a model's spec by its name.

        :raises SpecError: if there is no such model, or its file is broken.
        """
        from windsock.spec.loader import find_model

        settings = self.settings()
        return find_model(settings.models_dir, name, shared_file=settings.shared_file)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the serving app for its health; for the button in the Connections page."""
        from windsock.adapters.server_client import server_health

        try:
            settings = self.settings()
            return True, server_health(settings.admin_address, settings)
        except WindsockError as error:
            return False, str(error)


def server_address(conn: Any) -> str | None:
    """Return the address that a connection's host, port and schema name, or ``None``."""
    host = (conn.host or "").rstrip("/")
    if not host:
        return None
    address = host if "://" in host else f"{conn.schema or 'http'}://{host}"
    return f"{address}:{conn.port}" if conn.port else address


def sqlalchemy_url(conn_id: str) -> str:
    """Return the SQLAlchemy URL of an Airflow connection to a database.

    :raises SettingsError: if there is no such connection, or its type is no database that is known.
    """
    from windsock.adapters.connections import url_from_airflow_uri

    conn = connection_or_none(conn_id)
    if conn is None:
        raise SettingsError(
            f"there is no connection {conn_id!r}",
            code="WS-SETTINGS-003",
            next_action=f"Create it under Admin > Connections, or set AIRFLOW_CONN_{conn_id.upper()}.",
        )
    return url_from_airflow_uri(conn.get_uri(), conn_id)
