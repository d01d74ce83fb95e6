"""Airflow's REST interface of the stack that runs in an installation's home."""

from __future__ import annotations

import os
from pathlib import Path

from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.stack import Stack
from windsock.cli.stack_ports import StackPorts
from windsock.exceptions import SettingsError
from windsock.settings import Settings

PASSWORDS = Path("airflow") / "simple_auth_manager_passwords.json.generated"


def running_airflow(settings: Settings) -> AirflowApi:
    """Return a client of the Airflow that `windsock up` runs in this home, signed in as its administrator.

    :raises SettingsError: if no stack was ever started in this home.
    """
    if not (settings.home / PASSWORDS).exists():
        raise SettingsError(
            f"no stack of `windsock up` has run in {settings.home}, so there is no login to its Airflow",
            code="WS-SETTINGS-009",
            next_action="Go to the project's folder, or set WINDSOCK_HOME; in another Airflow use its "
            "page of DAGs, filtered by the tag model:NAME.",
        )
    stack = Stack(
        project=Path().absolute(), home=settings.home, ports=StackPorts.from_environment(os.environ)
    )
    return stack.api()
