"""``JudgeRolloutOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.operators.base import StepOperator, param
from windsock.operators.links import MlflowRunLink, MlflowVersionLink, RolloutReportLink
from windsock.operators.tables import log_checks
from windsock.records import RolloutDecision, running_rollout
from windsock.steps import Verdict, difference_text

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
        decision = result.record
        own = "rollout" if not decision.looks else f"version {decision.version}"
        log_checks(own, decision.checks, shown=0)
        for one in decision.looks:
            if one.digest != decision.digest and not one.withdrawn:
                log_checks(f"version {one.version}: {one.action.value}", one.checks, shown=0)
        for line in estimate_lines(decision):
            log.info("%s", line)

    def _keep_links(self, ports: Ports, result: StepResult) -> None:
        super()._keep_links(ports, result)
        if (uri := getattr(result.record, "report_uri", None)) is not None:
            self.links["rollout"] = str(uri)


def estimate_lines(decision: RolloutDecision) -> list[str]:
    """Return the units and the metric of all arms, and each difference with its interval, as sentences."""
    totals, estimate = decision.totals, decision.estimate
    if decision.looks:
        return several_lines(decision)
    lines = [
        f"champion {decision.champion_version}: {totals.champion.units:,} units",
        f"challenger {decision.version}: {totals.challenger.units:,} units",
    ]
    if estimate.champion is not None and estimate.challenger is not None:
        lines.append(f"{estimate.metric}: {estimate.champion:.5g} against {estimate.challenger:.5g}")
    lines.append(f"difference {difference_text(estimate)} ({estimate.method})")
    return lines


def several_lines(decision: RolloutDecision) -> list[str]:
    """Return the same of several challengers, a line each."""
    champion, *arms = decision.totals.arms
    lines = [f"champion {decision.champion_version}: {champion.units:,} units"]
    for one, arm in zip(decision.looks, arms, strict=False):
        if one.withdrawn:
            lines.append(f"challenger {one.version}: {arm.units:,} units; {one.reason}")
            continue
        made = one.estimate
        told = [f"{arm.units:,} units"]
        if made.champion is not None and made.challenger is not None:
            told.append(f"{made.metric} {made.champion:.5g} against {made.challenger:.5g}")
        told.append(f"difference {difference_text(made)} ({made.method})")
        why = "" if one.reason in decision.reason else f": {one.reason}"
        lines.append(f"challenger {one.version}: {', '.join(told)}; {one.action.value}{why}")
    return lines
