"""``FirstPass``: whether the DAG processor has stored the models' DAGs since the start of the stack."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from windsock.cli.airflow_rest import AirflowApi, AirflowApiError

FACTORY_FILE = "windsock_models.py"
# One DAG of that file which is there whatever the models folder holds; all of a file are stored together.
FACTORY_DAG = "windsock__housekeeping"
PATIENCE_SECONDS = 120.0


@dataclass(kw_only=True)
class FirstPass:
    """Asks Airflow whether the file that makes the models' DAGs was parsed after a point in time.

    Until then DAGs are missing or old, and the DAG processor holds the lock of a SQLite database for long.

    :param dags: the folder of DAG files; without the factory's file there is nothing to wait for.
    :param connect: makes a client of Airflow's REST interface.
    :param since: what was parsed earlier does not count; UTC.
    :param patience: seconds after which it is no longer waited for, from the first time that Airflow
        answered: it may never parse that file.
    """

    dags: Path
    connect: Callable[[], AirflowApi]
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    patience: float = PATIENCE_SECONDS
    is_late: bool = field(default=False, init=False)
    _answered: float | None = field(default=None, init=False)
    _api: AirflowApi | None = field(default=None, init=False)
    _done: bool = field(default=False, init=False)

    def done(self) -> bool:
        """Say whether it was, or is no longer waited for; ``False`` too while Airflow does not answer."""
        if not self._done:
            try:
                self._done = not (self.dags / FACTORY_FILE).exists() or self._stored() or self._refused()
            except AirflowApiError:
                return False
            self._answered = self._answered or time.monotonic()
            self.is_late = not self._done and time.monotonic() - self._answered >= self.patience
            self._done = self._done or self.is_late
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
