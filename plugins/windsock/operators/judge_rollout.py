"""``JudgeRolloutOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.operators.base import StepOperator, param
from windsock.operators.links import MlflowRunLink, MlflowVersionLink, RolloutReportLink
from windsock.operators.tables import log_checks
from windsock.records import Estimate, RolloutDecision, running_rollout
from windsock.steps import Verdict

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.ports import Ports
    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")


class JudgeRolloutOperator(StepOperator, SkipMixin):
    """Look at a rollout: count what was seen, decide, keep the decision.

    A decision against the new version is a finding, not a fault: the task is green. A rollout that has ended
    meanwhile is not judged, and what follows is skipped.

    Template fields: ``rollout``.

    :param rollout: name of the rollout, as :class:`~windsock.sensors.rollout.RolloutSensor` gives it; empty:
        the one that is under way.
    """

    step = "judge_rollout"
    ui_color = "#fef7e0"
    inherits_from_skipmixin = True
    template_fields = ("rollout",)
    operator_extra_links = (MlflowRunLink(), MlflowVersionLink(), RolloutReportLink())

    def __init__(self, *, rollout: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return whether the decision is only shown."""
        return {"dry_run": bool(param(context, "dry_run"))}

    def execute(self, context: Context) -> Any:
        """Judge; skip what follows where the rollout is over."""
        with self._verdict_on_error():
            running = running_rollout(self.hook.ports().ledger.rows(self._model_name()))
        name = running.experiment if running else None
        if running is None or (self.rollout and name != self.rollout):
            self.verdict = Verdict(
                word="UNCHANGED",
                why=f"rollout {self.rollout or ''} is over; {name or 'none'} is under way".replace("  ", " "),
                ids={"model": self._model_name()},
            )
            self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))
            return None
        return super().execute(context)

    def report(self, result: StepResult) -> None:
        """Log the checks, those that did not pass first, and the estimate."""
        if not isinstance(result.record, RolloutDecision):
            return
        log_checks("Rollout", result.record.checks)
        for line in estimate_lines(result.record):
            log.info("%s", line)

    def _keep_links(self, ports: Ports, result: StepResult) -> None:
        super()._keep_links(ports, result)
        if (uri := getattr(result.record, "report_uri", None)) is not None:
            self.links["rollout"] = str(uri)


def estimate_lines(decision: RolloutDecision) -> list[str]:
    """Return the units and the metric of both arms, and their difference with its interval, as sentences."""
    totals, estimate = decision.totals, decision.estimate
    lines = [
        f"champion {decision.champion_version}: {totals.champion.units:,} units",
        f"challenger {decision.version}: {totals.challenger.units:,} units",
    ]
    if estimate.champion is not None and estimate.challenger is not None:
        lines.append(f"{estimate.metric}: {estimate.champion:.5g} against {estimate.challenger:.5g}")
    lines.append(f"difference {difference_text(estimate)} ({estimate.method})")
    return lines


def difference_text(estimate: Estimate) -> str:
    """Return the difference with its interval, or that there is none."""
    if estimate.difference is None:
        return "no value"
    if estimate.interval is None:
        return f"{estimate.difference:+.5g}"
    return f"{estimate.difference:+.5g} [{estimate.interval.low:+.5g}, {estimate.interval.high:+.5g}]"
