"""Register the plugin where this folder is mounted but the package is not installed.

An installed package registers it by its entry point. Airflow takes a second registration for an error, so
this file stands back then.
"""

from __future__ import annotations

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="windsock"):
    from windsock.plugin import WindsockPlugin  # noqa: F401
