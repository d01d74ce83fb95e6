"""Airflow's REST interface of the stack that runs in an installation's home."""

from __future__ import annotations

from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.stack import ROLES
from windsock.cli.stack_home import PASSWORDS, passwords
from windsock.exceptions import SettingsError
from windsock.locations import StackNote
from windsock.settings import Settings


def running_airflow(settings: Settings) -> AirflowApi:
    """Return a client of the Airflow that `windsock up` runs in this home, signed in as its administrator.

    :raises SettingsError: if no stack runs in this home.
    """
    note = StackNote.read(settings.home)
    if note is None or not note.runs or not note.airflow_url:
        raise SettingsError(
            f"no stack of `windsock up` runs in {settings.home}, so there is no login to its Airflow",
            code="WS-SETTINGS-009",
            next_action="Start it with `windsock up`, or name another home with --home or WINDSOCK_HOME; in "
            "another Airflow use its page of DAGs, filtered by the tag model:NAME.",
        )
    known = passwords(settings.home / "airflow" / PASSWORDS, ROLES)
    return AirflowApi(note.airflow_url, user="admin", password=known["admin"])
