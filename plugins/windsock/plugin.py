"""The Airflow plugin: the pages of ``windsock.ui`` in Airflow's own screen."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from windsock.ui.app import LazyApp


class WindsockPlugin(AirflowPlugin):
    """Windsock's pages; operators and hooks need no plugin."""

    name = "windsock"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": "/windsock", "name": "Windsock"}]
    external_views: list[Any] = [
        {
            "name": "Models",
            "href": "windsock/models",
            "destination": "nav",
            "url_route": "windsock",
            "category": "browse",
        }
    ]
