"""``ApproveRolloutOperator``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from windsock.exceptions import ApprovalRefusedError, RolloutRefusedError
from windsock.operators.question import (
    OLD_PAGE,
    RESPONSE_TIMEOUT,
    TOO_LATE,
    ApprovalQuestion,
    is_waiting,
    too_late,
)
from windsock.records import (
    DROPPED,
    Approval,
    Digest,
    LedgerRow,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutState,
    Status,
    arms_of,
    concerned,
    running_rollout,
)
from windsock.records.check_text import measured_text
from windsock.steps import StepResult, Verdict, difference_text, shorten
from windsock.steps.rollout_moves import registered_version
from windsock.texts import inline, numbered, paragraph, table

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.spec import ModelSpec

log = logging.getLogger("windsock.task")


class ApproveRolloutOperator(ApprovalQuestion):
    """Ask people before a rollout's promotion, where its plan wants one; hold no worker meanwhile.

    One run asks; the others go on judging, and a roll back does not wait for the answer. The answer is
    written to the ledger with the rollout's name. No ends the rollout: the champion keeps serving. No answer
    in time means no promotion now; a later look asks again. Whoever asked for the rollout, or triggered the
    run, cannot approve it; such an answer is refused, and the question stays open.

    Template fields: ``decision``.

    :param decision: the ``RolloutDecision`` of the judging task.
    :param approvers: user ids that may answer; empty: anyone with the permission.
    :param response_timeout: how long to wait for all answers.
    """

    template_fields: Sequence[str] = ("decision",)

    def __init__(
        self,
        *,
        decision: Any,
        approvers: Sequence[str] = (),
        response_timeout: timedelta = RESPONSE_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="Promote the new version?",
            approvers=approvers,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.decision = decision

    def execute(self, context: Context) -> Any:
        """Skip itself where nobody has to be asked; else put the question and wait without a worker."""
        with self._verdict_on_error():
            return self._ask(context)

    def _ask(self, context: Context) -> Any:
        decision = RolloutDecision.model_validate(self.decision)
        rows = self._rows()
        rollout = asks_for(decision, rows)
        if rollout is None:
            self._say("PASS", "nobody has to be asked", decision)
            raise AirflowSkipException("nobody has to be asked")
        result = self.run(context, self._content(decision, rows))
        if not isinstance(result.record, Approval) or not is_waiting(result.record):
            return self.finish(context, result)
        if why := self._note_question(context, self.response_timeout or RESPONSE_TIMEOUT):
            return self._wait(context, why, decision)
        try:
            return self.ask(context, result.record)
        except ApprovalRefusedError as refusal:
            return self._not_asked(context, refusal, decision)

    def describe(self, context: Context, approval: Approval) -> None:
        """Show the decision and the rollout."""
        decision = RolloutDecision.model_validate(self.decision)
        rollout = asks_for(decision, self._rows())
        self.subject = f"Promote {decision.model} version {decision.version}?"
        self.body = rollout_body(self.model_spec(), rollout, decision) if rollout else ""

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
        """
        with self._verdict_on_error():
            return self._answered(context, event, until, refused)

    def _answered(
        self,
        context: Context,
        event: dict[str, Any],
        until: str | None,
        refused: Sequence[Mapping[str, Any]] | None,
    ) -> Any:
        decision = RolloutDecision.model_validate(self.decision)
        if "error" in event:
            return self._wait(context, _ask_again(too_late(None, refused)), decision)
        rows = self._rows()
        if asks_for(decision, rows) is None:
            return self._wait(
                context, f"rollout {decision.experiment} is over; nothing was written", decision
            )
        content = self._content(decision, rows)
        try:
            result = self.answer(context, event, content, until=until, refused=refused)
        except ApprovalRefusedError as refusal:
            return self._not_asked(context, refusal, decision)
        return self.finish(context, result)

    def _not_asked(self, context: Context, refusal: ApprovalRefusedError, decision: RolloutDecision) -> None:
        """Let the next look ask, which has a page and a time of its own; raise what it would meet as well."""
        self._note_question(context, timedelta(0))
        if refusal.code not in (TOO_LATE, OLD_PAGE):
            raise refusal
        self._wait(context, _ask_again(refusal), decision)

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the answer; skip what follows while somebody is still needed.

        A no is an answer, not a fault: the task is green, and the next one ends the rollout.
        """
        record = result.record
        if isinstance(record, Approval) and record.status is Status.INSUFFICIENT:
            context["ti"].xcom_push(key="return_value", value=record.model_dump(mode="json"))
            self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))
        return record.model_dump(mode="json")

    def _rows(self) -> Sequence[LedgerRow]:
        return self.hook.ports().ledger.rows(self._model_name())

    @staticmethod
    def _content(decision: RolloutDecision, rows: Sequence[LedgerRow]) -> dict[str, Any]:
        return {"version": registered_version(decision, rows), "experiment": decision.experiment}

    def _note_question(self, context: Context, length: timedelta) -> str | None:
        """Keep in the ledger how long this run asks, so that no other does; return why it must not ask."""
        until = self.hook.ports().now() + length
        content = {"model": self._model_name(), "action": "ask", "asked_until": until}
        try:
            state = self.run(context, content, step="steer_rollout").record
        except RolloutRefusedError as refusal:
            return refusal.message
        asks = state.rollout if isinstance(state, RolloutState) else None
        if asks is None or asks.asked_by == str(context["run_id"]):
            return None
        return f"run {asks.asked_by} is asking already, until {asks.asked_until:%Y-%m-%d %H:%M} UTC"

    def _wait(self, context: Context, why: str, decision: RolloutDecision) -> None:
        """End green without an answer; nothing is promoted by this run."""
        self._say("HOLD", why, decision)
        self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))

    def _say(self, word: str, why: str, decision: RolloutDecision) -> None:
        version = ",".join(one.version for one in concerned(decision))
        ids = {"model": decision.model, "version": version, "rollout": decision.experiment}
        self.verdict = Verdict(word=word, why=why, ids=ids)


def asks_for(decision: RolloutDecision, rows: Sequence[LedgerRow]) -> Rollout | None:
    """Return the rollout about whose promotion a person must be asked; ``None``: nobody must."""
    rollout = running_rollout(rows)
    if rollout is None or rollout.experiment != decision.experiment or not rollout.plan.approve:
        return None
    return rollout if decision.action is RolloutAction.PROMOTE and not decision.dry_run else None


def _ask_again(late: ApprovalRefusedError) -> str:
    return f"{late.message}; a later look asks again"


def rollout_body(spec: ModelSpec, rollout: Rollout, decision: RolloutDecision) -> str:
    """Return the page that the reviewer sees, in Markdown: decision and checks first, then the rollout."""
    estimate = decision.estimate
    promoted = rollout.challenger(decision.digest)
    version, digest = (promoted.version, promoted.digest) if promoted else (rollout.version, rollout.digest)
    champion, *units = [f"{arm.units:,}" for arm in decision.totals.arms]
    lane = next((place for place, one in enumerate(rollout.challengers) if one.digest == digest), 0)
    checks = [(check.name, check.status.value, measured_text(check)) for check in decision.checks]
    lines = [
        f"Decision: **{decision.action.value}**, {inline(decision.reason)}",
        "",
        *table(("check", "status", "value"), checks),
        "",
        f"**{spec.name}**, owned by {inline(spec.model.owner)}, tier {spec.model.tier}",
        "",
        f"- new version: {version}, bundle `{shorten(digest)}`",
        f"- share: {decision.share // len(rollout.challengers) / 100:g} % of the units",
        f"- champion: {rollout.champion_version}, bundle `{shorten(rollout.champion_digest)}`",
        f"- rollout: {rollout.experiment}, {rollout.plan.strategy}, look {decision.number}",
        f"- since: {rollout.started_at:%Y-%m-%d %H:%M} UTC",
        f"- units: {champion} champion, {units[lane] if lane < len(units) else '0'} new version",
        f"- {paragraph(estimate.metric)}: difference {difference_text(estimate)} ({estimate.method})",
    ]
    if estimate.chance_better is not None:
        lines.append(f"- chance that it is better, for information: {estimate.chance_better:.1%}")
    if decision.report_uri:
        lines.append(f"- report: {inline(decision.report_uri)}")
    lines += others_lines(rollout, decision, digest)
    held = "this version is held" if not rollout.others else f"{rollout.named} are held"
    lines += ["", f"No ends the rollout: the champion keeps serving and {held}."]
    return "\n".join(lines)


def others_lines(rollout: Rollout, decision: RolloutDecision, promoted: Digest) -> list[str]:
    """Return, where several versions are tried, what was seen of all and what becomes of the others."""
    if not rollout.others:
        return []
    rows = [
        (
            arm.version,
            arm.state,
            f"{arm.share / 100:g} %",
            "-" if arm.units is None else f"{arm.units:,}",
            "-" if arm.value is None else f"{arm.value:.5g}",
            difference_text(arm.estimate) if arm.estimate else "-",
            arm.judged.action.value if arm.judged and arm.state != DROPPED else "-",
        )
        for arm in arms_of(rollout, decision)
    ]
    head = ("version", "state", "share", "units", decision.estimate.metric, "difference", "comes to")
    told = f"Yes promotes version {decision.version} and ends the rollout"
    if rest := [one.version for one in rollout.active if one.digest != promoted]:
        told += f"; {numbered(rest)} {'are' if len(rest) > 1 else 'is'} not tried any more"
    if gone := [one.version for one in rollout.dropped]:
        verbs = ("were", "stay") if len(gone) > 1 else ("was", "stays")
        told += f"; {numbered(gone)} {verbs[0]} dropped before and {verbs[1]} held"
    return ["", *table(head, rows), "", f"{told}."]
