"""``FirstPass``: whether the DAG processor has stored the models' DAGs since the start of the stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from windsock.cli.airflow_rest import AirflowApi, AirflowApiError

FACTORY_FILE = "windsock_models.py"
# One DAG of that file which is there whatever the models folder holds; all of a file are stored together.
FACTORY_DAG = "windsock__housekeeping"


@dataclass(kw_only=True)
class FirstPass:
    """Asks Airflow whether the file that makes the models' DAGs was parsed after a point in time.

    Until then DAGs are missing or old, and the DAG processor holds the lock of a SQLite database for long.

    :param dags: the folder of DAG files; without the factory's file there is nothing to wait for.
    :param connect: makes a client of Airflow's REST interface.
    :param since: what was parsed earlier does not count; UTC.
    """

    dags: Path
    connect: Callable[[], AirflowApi]
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _api: AirflowApi | None = field(default=None, init=False)
    _done: bool = field(default=False, init=False)

    def done(self) -> bool:
        """Say whether it was; ``False`` too while Airflow does not answer."""
        if not self._done:
            try:
                self._done = not (self.dags / FACTORY_FILE).exists() or self._stored() or self._refused()
            except AirflowApiError:
                return False
            if self._done and self._api is not None:
                self._api.close()
        return self._done

    @property
    def _client(self) -> AirflowApi:
        self._api = self._api or self.connect()
        return self._api

    def _stored(self) -> bool:
        dag = self._client.dag(FACTORY_DAG)
        return dag is not None and self._is_new(dag.get("last_parsed_time"))

    def _refused(self) -> bool:
        errors = self._client.import_errors()
        return any(
            Path(error["filename"]).name == FACTORY_FILE and self._is_new(error.get("timestamp"))
            for error in errors
        )

    def _is_new(self, at: Any) -> bool:
        return at is not None and datetime.fromisoformat(at) >= self.since
