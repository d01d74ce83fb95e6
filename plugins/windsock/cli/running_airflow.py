"""Airflow's REST interface of an installation, for commands that cannot do without it."""

from __future__ import annotations

from windsock.cli.airflow_answers import airflow_access
from windsock.cli.airflow_rest import AirflowApi
from windsock.exceptions import SettingsError
from windsock.settings import Settings


def running_airflow(settings: Settings) -> AirflowApi:
    """Return a client of the Airflow of this home's stack, or of the one that the environment names.

    :raises SettingsError: if there is no login.
    """
    access = airflow_access(settings)
    if access.why:
        raise SettingsError(
            f"Airflow cannot be asked: {access.why}",
            code="WS-SETTINGS-009",
            next_action="Start it with `windsock up`, or name another home with --home or WINDSOCK_HOME; or "
            "use Airflow's page of DAGs, filtered by the tag model:NAME.",
        )
    return AirflowApi(access.url, user=access.user, password=access.password)
