"""``ApproveModelOperator``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from windsock.monitoring.claim_retrain import holder_of
from windsock.operators.base import run_context
from windsock.operators.question import RESPONSE_TIMEOUT, ApprovalQuestion, is_waiting, too_late
from windsock.records import Approval, RegisteredVersion
from windsock.records.check_text import measured_text
from windsock.records.retraining import LEASE
from windsock.steps import StepResult, Verdict, shorten
from windsock.texts import inline, table

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.records import GateDecision
    from windsock.spec import ModelSpec

log = logging.getLogger("windsock.task")


class ApproveModelOperator(ApprovalQuestion):
    """Ask people, where the model's tier (or an insufficient check) wants one; hold no worker meanwhile.

    The answer is written to the ledger with the version, its digest and the user that the server named. A
    timeout means no. Whoever triggered the run cannot approve it; such an answer is refused, and the question
    stays open. A run that has claimed the model for its retrain keeps the claim while it waits.
    Where several people must approve, a DAG has a task for each: Airflow shows one page for a task, and that
    of the second one says who has answered the first, and when.

    Template fields: ``version``, ``decision``.

    :param version: the ``RegisteredVersion`` of the registration task.
    :param decision: the ``GateDecision``, shown to the reviewer.
    :param number: which of the DAG's questions about the version this is, from 1.
    :param of: how many there are; each but the last ends with one yes more than the one before it.
    :param approvers: user ids that may answer; empty: anyone with the permission.
    :param response_timeout: how long to wait for all answers.
    """

    template_fields: Sequence[str] = ("version", "decision")

    def __init__(
        self,
        *,
        version: Any,
        decision: Any = None,
        number: int = 1,
        of: int = 1,
        approvers: Sequence[str] = (),
        response_timeout: timedelta = RESPONSE_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="Approve a model version",
            approvers=approvers,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.version = version
        self.decision = decision
        self.number = number
        self.of = of

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the version, without an answer yet."""
        return {"version": self.version}

    def execute(self, context: Context) -> Any:
        """Go on where nobody is needed; else put the question to people and wait without a worker."""
        result = self.run(context, self.step_input(context))
        if not isinstance(result.record, Approval) or not self.asks_on(result.record):
            return self.finish(context, result)
        self._keep_claim(context, result.record.model)
        with self._verdict_on_error():
            return self.ask(context, result.record)

    def missing(self, approval: Approval) -> int:
        """Return how many people must still say yes here; the question after this one asks for the others."""
        wanted = approval.needed if self.number >= self.of else min(self.number, approval.needed)
        return wanted - len(approval.approvers)

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the answers; where a later question asks for more, say so."""
        record = result.record
        if isinstance(record, Approval) and is_waiting(record):
            given = "; ".join(f"{one.who} approved at {one.at:%Y-%m-%d %H:%M} UTC" for one in record.given)
            self.verdict = Verdict(
                word="PASS",
                why=f"{record.reason}; {given}" if given else record.reason,
                next_action="nothing to do here; the next task asks another person",
                ids={"model": record.model, "version": record.version},
            )
        return super().finish(context, result)

    def describe(self, context: Context, approval: Approval) -> None:
        """Show the gate's decision and the version."""
        version = RegisteredVersion.model_validate(self.version)
        several = f" (answer {self.number} of {self.of})" if self.of > 1 else ""
        self.subject = f"Approve {version.model} version {version.version}?{several}"
        self.body = approval_body(self.model_spec(), version, self.decision)

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        until: str | None = None,
        refused: Sequence[Mapping[str, Any]] | None = None,
    ) -> Any:
        """Write the answer to the ledger; ask on where it does not count, or more people are needed.

        :param until: when the time to answer is over.
        :param refused: answers that were refused before.
        :raises ApprovalRefusedError: if not enough people answered in time, or the answer is no.
        """
        with self._verdict_on_error():
            if "error" in event:
                raise too_late(None, refused)
            content = self.step_input(context)
            return self.finish(context, self.answer(context, event, content, until=until, refused=refused))

    def _keep_claim(self, context: Context, model: str) -> None:
        """Let the run's claim of the model outlast the wait; a run of a DAG that claims nothing has none."""
        ports, run = self.hook.ports(), run_context(context)
        now = ports.now()
        until = now + (self.response_timeout or RESPONSE_TIMEOUT) + LEASE
        if ports.monitor.renew(model, holder=holder_of(model, run), until=until, now=now):
            log.info("%s: this run keeps its claim until %s UTC", model, f"{until:%Y-%m-%d %H:%M}")
        else:
            log.info("%s: this run holds no claim of the model that could be kept", model)


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
    checks = [(check.name, check.status.value, measured_text(check)) for check in judged.checks]
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
