"""``ApproveModelOperator``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from windsock.exceptions import ApprovalRefusedError
from windsock.monitoring.claim_retrain import holder_of
from windsock.operators.base import StepOperator, run_context
from windsock.records import Approval, RegisteredVersion, Status
from windsock.records.retraining import LEASE
from windsock.steps import StepResult, limit_text, shorten, verdict_of, verdict_of_error
from windsock.texts import inline, table

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.records import GateDecision
    from windsock.spec import ModelSpec

log = logging.getLogger("windsock.task")

RESPONSE_TIMEOUT = timedelta(days=3)


class ApproveModelOperator(StepOperator, ApprovalOperator):
    """Ask a person, where the model's tier (or an insufficient check) wants one; hold no worker meanwhile.

    The answer is written to the ledger with the version, its digest and the user that the server named. A
    timeout means no. Whoever triggered the run cannot approve it. A run that has claimed the model for its
    retrain keeps the claim while it waits.

    Template fields: ``version``, ``decision``.

    :param version: the ``RegisteredVersion`` of the registration task.
    :param decision: the ``GateDecision``, shown to the reviewer.
    :param approvers: user ids that may answer; empty: anyone with the permission.
    :param response_timeout: how long to wait for an answer.
    """

    step = "approve_model"
    ui_color = "#fce8e6"
    template_fields: Sequence[str] = ("version", "decision")

    def __init__(
        self,
        *,
        version: Any,
        decision: Any = None,
        approvers: Sequence[str] = (),
        response_timeout: timedelta = RESPONSE_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="Approve a model version",
            assigned_users=[{"id": user, "name": user} for user in approvers] or None,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.version = version
        self.decision = decision

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the version, without an answer yet."""
        return {"version": self.version}

    def execute(self, context: Context) -> Any:
        """Go on where nobody is needed; else put the question to a person and wait without a worker."""
        result = self.run(context, self.step_input(context))
        if self._is_settled(result):
            return self.finish(context, result)
        version = RegisteredVersion.model_validate(self.version)
        self.subject = f"Approve {version.model} version {version.version}?"
        self.body = approval_body(self.model_spec(), version, self.decision)
        for line in verdict_of(result).lines():
            log.info("%s", line)
        self._keep_claim(context, version.model)
        return ApprovalOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Write the answer to the ledger.

        :raises ApprovalRefusedError: if nobody answered in time, the answer is no, or the wrong person
            gave it.
        """
        self._end_with_verdict()
        if "error" in event:
            refused = ApprovalRefusedError(
                "nobody answered in time; a timeout means no",
                code="WS-APPROVAL-003",
                next_action="clear this task to ask again",
            )
            self.verdict = verdict_of_error(refused, {"model": self._model_name()})
            raise refused
        user = event.get("responded_by_user") or {}
        chosen = event["chosen_options"][0]
        content = {
            **self.step_input(context),
            "answer": "approve" if chosen == self.APPROVE else "reject",
            "approver": user.get("name") or user.get("id"),
            "approver_id": user.get("id"),
            "answered_at": event.get("responded_at"),
        }
        return self.finish(context, self.run(context, content))

    def _keep_claim(self, context: Context, model: str) -> None:
        """Let the run's claim of the model outlast the wait; a run of a DAG that claims nothing has none."""
        ports, run = self.hook.ports(), run_context(context)
        now = ports.now()
        until = now + (self.response_timeout or RESPONSE_TIMEOUT) + LEASE
        if ports.monitor.renew(model, holder=holder_of(model, run), until=until, now=now):
            log.info("%s: this run keeps its claim until %s UTC", model, f"{until:%Y-%m-%d %H:%M}")
        else:
            log.info("%s: this run holds no claim of the model that could be kept", model)

    def _is_settled(self, result: StepResult) -> bool:
        return isinstance(result.record, Approval) and result.record.status is not Status.INSUFFICIENT


def approval_body(spec: ModelSpec, version: RegisteredVersion, decision: Mapping[str, Any] | None) -> str:
    """Return the page that the reviewer sees, in Markdown: the gate's table first, then the version.

    What people wrote into the model's file is escaped and kept to one line each.

    :param decision: the gate's decision as JSON content, where the DAG hands it over.
    """
    from windsock.records import GateDecision

    judged = GateDecision.model_validate(dict(decision)) if decision else None
    return "\n".join([*_gate_lines(judged), *_version_lines(spec, version)])


def _gate_lines(judged: GateDecision | None) -> list[str]:
    """Return what the gate decided; it stands above all that people wrote."""
    if judged is None:
        return []
    checks = [(check.name, check.status.value, limit_text(check)) for check in judged.checks]
    lines = [
        f"Gate: **{judged.outcome.value}**, {inline(judged.reason)}",
        "",
        *table(("check", "status", "value"), checks),
        "",
    ]
    if judged.asks:
        asked = ", ".join(inline(name) for name in judged.asks)
        lines += [f"The evidence was not enough for: {asked}. You are asked to decide.", ""]
    return lines


def _version_lines(spec: ModelSpec, version: RegisteredVersion) -> list[str]:
    return [
        f"**{spec.name}**, owned by {inline(spec.model.owner)}, tier {spec.model.tier}",
        "",
        f"- version: {version.version}, bundle `{shorten(version.digest)}`",
        f"- snapshot: `{shorten(version.snapshot_digest)}`",
        f"- evidence: {inline(version.evidence_uri)} (sha256 `{shorten(version.evidence_digest)}`)",
        f"- intended use: {inline(spec.gate.card.intended_use)}",
        f"- limitations: {inline(spec.gate.card.limitations)}",
    ]
