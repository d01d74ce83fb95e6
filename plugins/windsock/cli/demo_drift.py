"""The demo's chapter on drift: the world moves, the monitor sees it, one retrain makes a challenger."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.console import say
from windsock.cli.demo_agree import pause_once_over
from windsock.cli.demo_traffic import ROWS, MovedRow, moved_rows, send_traffic
from windsock.cli.follow import ENDED, RunFollower
from windsock.cli.surroundings import open_ports
from windsock.exceptions import WindsockError
from windsock.records import DriftReport, InputSchema, LedgerAction, RetrainClaim, Status
from windsock.settings import Settings
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    from windsock.ports import Ports

SHORT = {
    "window": "1m",
    "lateness": "5s",
    "retrain": {"windows": 1, "of": 1, "cooldown": "1m", "per_day": 100, "recent": "1h", "history": 0.1},
}
"""What the demo asks of the monitor instead of the model file: a day is too long to wait for."""
EARLY_SECONDS = 20.0
"""Traffic is not begun in the last seconds of a window, so that it lies in one."""
WAIT_SECONDS = 240.0


class DriftNotAnsweredError(WindsockError):
    """The demo's drift did not end with a new version that waits for its rollout."""

    default_code = "WS-CORE-022"
    default_next = "Do what the block above says, then run the demo again."


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What came of the drift.

    :param version: the new version.
    :param rows: what the world is like now.
    """

    version: str
    rows: list[MovedRow]


def with_short_windows(spec: ModelSpec) -> ModelSpec:
    """Return a model whose windows are short enough to be waited for."""
    block = spec.monitoring.model_dump(mode="json", exclude_unset=True)
    content = spec.model_dump(mode="json", exclude_unset=True)
    retrain = {**block.get("retrain", {}), **SHORT["retrain"]}  # type: ignore[dict-item]
    return ModelSpec.model_validate({**content, "monitoring": {**block, **SHORT, "retrain": retrain}})


class DriftChapter:
    """From moved traffic to the version that has learned from it and waits to be tried.

    :param schema: what the served version is asked with.
    :param pause: sleeps; raises when the user asks to stop.
    """

    def __init__(
        self,
        *,
        api: AirflowApi,
        spec: ModelSpec,
        schema: InputSchema,
        settings: Settings,
        pause: Callable[[float], None],
    ) -> None:
        self.api = api
        self.spec = spec
        self.schema = schema
        self.settings = settings
        self.pause = pause
        self.ports: Ports = open_ports(settings)
        self.monitor, self.retrain = f"{spec.name}__monitor", f"{spec.name}__drift_retrain"

    def tell(self) -> Learned:
        """Tell the chapter; return what came of it.

        :raises DriftNotAnsweredError: if no new version waits at its end, or not in time.
        """
        paused = [dag_id for dag_id in (self.monitor, self.retrain) if self._is_paused(dag_id)]
        for dag_id in paused:
            self.api.set_paused(dag_id, paused=False)
        try:
            learned = self._tell()
            for dag_id in paused:
                pause_once_over(self.api, dag_id, self.pause)
            return learned
        finally:
            with suppress(AirflowApiError):  # what ended the chapter may have ended Airflow, too
                for dag_id in paused:
                    self.api.set_paused(dag_id, paused=True)

    def _is_paused(self, dag_id: str) -> bool:
        dag = self.api.dag(dag_id)
        return dag is None or bool(dag["is_paused"])

    def _tell(self) -> Learned:
        rows, closes = self._send()
        self._follow(self.monitor, self._await_run(self.monitor, self._comes_of(closes)))
        report = self._drift_until(closes)
        say(f"Drift    {report.status.value}, severity {report.severity.value}: {report.reason}")
        if report.status is not Status.FAIL:
            raise DriftNotAnsweredError(f"the moved window was judged {report.status.value}.")
        run_id = self._await_run(self.retrain, self._comes_of(closes))
        self._follow(self.retrain, run_id)
        claim = RetrainClaim.model_validate(self.api.xcom(self.retrain, run_id, "claim_retrain"))
        queued = [row for row in self.ports.ledger.rows(self.spec.name) if row.action is LedgerAction.QUEUE]
        if not queued or queued[-1].at < closes:
            raise DriftNotAnsweredError("no new version waits for its rollout.")
        row = queued[-1]
        seconds = (row.at - closes).total_seconds()
        episode = claim.episode.key if claim.episode else "none"
        say(f"Retrain  episode {episode}: version {row.version} is ready to be tried")
        say(f"Time     {seconds:.0f} s from the end of the moved window to the new version behind the server")
        return Learned(version=row.version, rows=rows)

    def _send(self) -> tuple[list[MovedRow], datetime]:
        """Send moved rows with their outcomes within one window; return them and when it ends."""
        length = self.spec.monitoring.window_length
        now = datetime.now(UTC)
        closes = self.spec.monitoring.window_end(now + self.spec.monitoring.lateness_allowance) + length
        if (closes - now).total_seconds() < EARLY_SECONDS:
            self.pause((closes - now).total_seconds() + 0.5)
            closes += length
        snapshot = self.ports.snapshots.latest(self.spec.name)
        if snapshot is None:
            raise DriftNotAnsweredError(f"no snapshot of {self.spec.name} is stored.")
        rows = moved_rows(self.ports.snapshots.load(snapshot), self.schema, self.spec)
        told = send_traffic(self.settings.server_url, self.spec.name, rows)
        say(
            f"Traffic  {ROWS:,} requests whose numbers are mirrored, {told:,} outcomes; "
            f"the window ({self.spec.monitoring.window} in the demo) ends at {closes:%H:%M:%S} UTC"
        )
        return rows, closes

    def _comes_of(self, closes: datetime) -> Callable[[dict[str, Any]], bool]:
        """Return whether a run came of the window that closes at a time."""
        return lambda run: datetime.fromisoformat(run["run_after"]) >= closes

    def _await_run(self, dag_id: str, fits: Callable[[dict[str, Any]], bool]) -> str:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = [run for run in self.api.runs(dag_id) if fits(run)]
            if found:
                return str(min(found, key=lambda run: run["run_after"])["dag_run_id"])
            self.pause(1.0)
        raise DriftNotAnsweredError(f"Airflow started no run of {dag_id} within {WAIT_SECONDS:.0f} s.")

    def _follow(self, dag_id: str, run_id: str) -> None:
        say(f"Run      {dag_id}, started by Airflow: {run_id}")
        follower = RunFollower(api=self.api, dag_id=dag_id, run_id=run_id, say=say, pause=self.pause)
        if follower.follow() != ENDED[0]:
            for task in follower.failed_tasks():
                say(f"The last block of {task.label}:")
                for line in follower.block_of(task) or ["(none: read its log in Airflow)"]:
                    say(f"  {line}")
            raise DriftNotAnsweredError(f"the run of {dag_id} is red.")

    def _drift_until(self, closes: datetime) -> DriftReport:
        """Return the verdict on the window that ends at a time; a run before may have judged it, too."""
        for run in self.api.runs(self.monitor):
            run_id = run["dag_run_id"]
            for task in self.api.tasks(self.monitor, run_id):
                if task.task_id != "check_drift" or task.state != ENDED[0]:
                    continue
                pushed = self.api.xcom(self.monitor, run_id, task.task_id, map_index=task.map_index)
                report = DriftReport.model_validate(pushed)
                if report.window.end == closes:
                    return report
        raise DriftNotAnsweredError(f"the monitor did not judge the window to {closes:%H:%M:%S} UTC.")
