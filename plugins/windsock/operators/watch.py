"""``WatchOperator``."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windsock.exceptions import SpecError
from windsock.hooks.airflow_answers import TaskAirflow
from windsock.hooks.airflow_state import AirflowState
from windsock.hooks.findings import Told, find_and_tell
from windsock.operators.announce import announce
from windsock.operators.base import StepOperator
from windsock.records import WatchReport
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.loader import load_models, load_shared
from windsock.steps import verdict_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")


class WatchOperator(StepOperator):
    """Look at every model of the installation: announce the work that is due, say what cannot work.

    The model files are read when the task runs; a broken one is said, and the others have their look. Due
    work is announced by events of :func:`~windsock.operators.assets.due_asset`, which start the DAG that does
    it; :func:`~windsock.operators.assets.due_outlet` has to be among the outlets.

    Template fields: none.
    """

    step = "watch"
    ui_color = "#f1f3f4"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(spec="", **kwargs)

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the models of the folder, as they are now."""
        _, specs, broken = self._files()
        return {"specs": specs, "broken": broken}

    def _files(self) -> tuple[SharedSpec, tuple[ModelSpec, ...], tuple[str, ...]]:
        """Return the shared file and the models, and a sentence for each file that cannot be used."""
        settings, shared = self.hook.settings(), SharedSpec()
        said: tuple[str, ...] = ()
        try:
            shared = load_shared(settings.shared_file)
        except SpecError as error:
            said = (f"{error.code}: {error.message}",)
        specs, broken = load_models(settings.models_dir, shared)
        return shared, tuple(specs.values()), (*said, *(f"{one.code}: {one.message}" for one in broken))

    def finish(self, context: Context, result: StepResult) -> Any:
        """Announce what is due and push the report."""
        if isinstance(result.record, WatchReport):
            airflow = AirflowState(context)
            announced, held = announce(self, context, result.record.due, airflow)
            report = result.record.replace(announced=announced, held=held)
            result = replace(result, record=self._with_findings(report, airflow))
            self.verdict = verdict_of(result)
        return super().finish(context, result)

    def _with_findings(self, report: WatchReport, airflow: AirflowState) -> WatchReport:
        """Return the report with what cannot work, which is kept and told by now."""
        try:
            (shared, specs, broken), ports = self._files(), self.hook.ports()
            told = find_and_tell(specs, broken, shared, ports, TaskAirflow(airflow, ports.ledger))
        except Exception as error:  # due work is announced all the same, and the task stays green
            told = Told(faults=(f"findings: unexpected {type(error).__name__}",))
        return report.replace(
            firing=told.firing,
            opened=told.opened,
            resolved=told.resolved,
            faults=(*report.faults, *told.faults),
        )

    def report(self, result: StepResult) -> None:
        """Log what could not be looked at."""
        if isinstance(result.record, WatchReport):
            for fault in result.record.faults:
                log.warning("fault: %s", fault)
