"""``MlflowHook``: a connection of type ``mlflow`` -> the tracking URI."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow.sdk import BaseHook

from windsock.exceptions import WindsockError


def connection_or_none(conn_id: str) -> Any:
    """Return an Airflow connection, or ``None`` if there is none of this name."""
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


class MlflowHook(BaseHook):
    """MLflow behind a connection of type ``mlflow``.

    The connection's host is the tracking URI: ``http://mlflow.company.com:5000``, or
    ``sqlite:////var/lib/windsock/mlflow.db``. Login and password are for a server behind basic
    authentication.

    :param mlflow_conn_id: the connection; where there is none, the environment's setting holds.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id

    def tracking_uri(self) -> str | None:
        """Return the tracking URI that the connection names, or ``None``."""
        conn = connection_or_none(self.mlflow_conn_id)
        if conn is None or not conn.host:
            return None
        uri = conn.host if "://" in conn.host else f"{conn.schema or 'http'}://{conn.host}"
        if not uri.startswith(("http://", "https://")):
            return str(uri)
        return with_login(f"{uri}:{conn.port}" if conn.port else uri, conn.login, conn.password)

    def test_connection(self) -> tuple[bool, str]:
        """Ask MLflow for its experiments; for the button in the Connections page."""
        from windsock.adapters.mlflow_client import ping

        uri = self.tracking_uri()
        if uri is None:
            return False, f"connection {self.mlflow_conn_id} names no host (the tracking URI)"
        try:
            return True, ping(uri)
        except WindsockError as error:
            return False, str(error)


def with_login(uri: str, login: str | None, password: str | None) -> str:
    """Return the URI with the login in it, quoted."""
    if not login:
        return uri
    parts = urlsplit(uri)
    secret = f"{quote(login, safe='')}:{quote(password or '', safe='')}@{parts.netloc}"
    return urlunsplit((parts.scheme, secret, parts.path, parts.query, parts.fragment))
