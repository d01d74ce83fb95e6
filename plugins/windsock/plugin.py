"""The Airflow plugin: the pages of ``windsock.ui`` in Airflow's own screen, and SQLite's one writer."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from windsock.ui.app import LazyApp
from windsock.ui.single_writer import api_middlewares


class WindsockPlugin(AirflowPlugin):
    """Windsock's pages; operators and hooks need no plugin."""

    name = "windsock"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": "/windsock", "name": "Windsock"}]
    fastapi_root_middlewares: list[Any] = api_middlewares(
        conf.get("database", "sql_alchemy_conn", fallback="")
    )
    external_views: list[Any] = [
        {
            "name": "Models",
            "href": "windsock/models",
            "destination": "nav",
            "url_route": "windsock",
            "category": "browse",
        }
    ]
