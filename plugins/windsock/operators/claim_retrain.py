"""``ClaimRetrainOperator`` and ``CloseRetrainOperator``: one retrain of a model at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.door.approvals import NEEDED, different_people
from windsock.exceptions import ApprovalRefusedError
from windsock.operators.base import StepOperator, param
from windsock.operators.origin import origin_of
from windsock.operators.people import known_logins
from windsock.records import Outcome, Promotion, RetrainClaim, RetrainOutcome, Status
from windsock.spec import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from windsock.steps import StepResult


log = logging.getLogger("windsock.task")

RECENT = "recent"
"""XCom key of the stretch whose labelled rows are mixed in."""
ONSET = "onset"
"""XCom key of since when the world is another one, as the episode has it."""


class ClaimRetrainOperator(StepOperator, SkipMixin):
    """Claim the model for this run, and the episode that its event announces; skip the rest if it is taken.

    A retrain on schedule or by hand claims the model alone. Give the claim back with
    :class:`CloseRetrainOperator`.

    What the retrain needs at its end is looked at first: keys, storage, registry and server, and whether
    enough people may approve a version of the model's tier.

    Template fields: none.

    :param approvers: user ids that may approve a version of the model's tier; empty: anyone with the
        permission.
    """

    step = "claim_retrain"
    ui_color = "#fce8e6"
    inherits_from_skipmixin = True

    def __init__(self, *, approvers: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approvers = tuple(approvers)

    def execute(self, context: Context) -> Any:
        """See that the version can be approved, then claim."""
        with self._verdict_on_error():
            self._require_people(context)
        return super().execute(context)

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the episode that the run's asset event announces, or the outside event, or neither."""
        dry_run = {"dry_run": True} if param(context, "dry_run") else {}
        return {**announced_by(context.get("triggering_asset_events") or {}), **dry_run}

    def report(self, result: StepResult) -> None:
        """Log what the retrain will need and lacks now."""
        for finding in getattr(result.record, "findings", ()):
            log.warning("finding: %s", finding)

    def _require_people(self, context: Context) -> None:
        """See that enough people may approve a version, who asked for it not counted.

        :raises ApprovalRefusedError: if the list of approvers names too few.
        """
        spec, origin = self.model_spec(), origin_of(context)
        needed = NEEDED[spec.model.tier]
        if not needed or param(context, "dry_run"):
            return
        needed += origin.unknown
        able = different_people(self.approvers or known_logins(), without=(origin.person,))
        if len(able) >= needed or not (self.approvers or known_logins()):
            return
        where = "the approvers of its tier" if self.approvers else "Airflow's logins"
        why = (
            f"{spec.name}: a version of tier {spec.model.tier} will need {needed} people's approval, and "
            f"{where} are {len(able)} who may give it ({', '.join(able) or 'nobody'})"
        )
        if not self.approvers:
            log.warning("finding: %s; add logins of role op to Airflow before the approval is asked for", why)
            return
        raise ApprovalRefusedError(
            why,
            code="WS-APPROVAL-009",
            next_action=f"Add people to `approvers.{spec.model.tier}` in windsock.yaml; trigger it anew.",
        )

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the claim, and its recent stretch and onset apart; skip what follows if it was not granted."""
        pushed = super().finish(context, result)
        context["ti"].xcom_push(key=RECENT, value=pushed["recent"])
        context["ti"].xcom_push(key=ONSET, value=pushed.get("onset") or "")
        if isinstance(result.record, RetrainClaim) and not result.record.granted:
            context["ti"].xcom_push(key="return_value", value=pushed)
            self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))
        return pushed


def announced_by(events: Any) -> dict[str, str]:
    """Return what the last of the events that started a run asks for: an episode, or a retrain of its own.

    The monitor's own episode goes before events of outside systems. One of those names no episode: its
    ``event_id`` tells it from others, else what an asset watcher's trigger handed over, else its time.

    :param events: Airflow's ``triggering_asset_events``: events by asset.
    """
    found: list[Any] = [event for asset in events for event in events[asset]]
    if not found:
        return {}
    found.sort(key=lambda event: event.timestamp)
    episodes = [event.extra["episode"] for event in found if (event.extra or {}).get("episode")]
    if episodes:
        return {"episode_key": str(episodes[-1])}
    return {"event_id": _event_id(found[-1])}


def _event_id(event: Any) -> str:
    extra = event.extra or {}
    payload = extra.get("payload")
    named = extra.get("event_id") or (payload.get("event_id") if isinstance(payload, dict) else None)
    if named:
        return str(named)
    if payload is not None:
        return digest_of(payload)
    return f"{event.timestamp:%Y%m%dT%H%M%S.%f}"


class CloseRetrainOperator(StepOperator):
    """Give the claim of a retrain back, and close its episode with what the retrain came to.

    Template fields: ``claim``.

    :param claim: the ``RetrainClaim`` of the claiming task.
    :param evaluate_task_id: task whose ``Evaluation`` tells whether the rows could have shown a gain.
    :param gate_task_id: task whose ``GateDecision`` tells a kept champion from a refused version.
    :param register_task_id: task that makes the version which people are asked about.
    :param approve_task_ids: tasks that ask them.
    :param promote_task_id: task that has ended well if the new version serves.
    """

    step = "close_retrain"
    ui_color = "#f1f3f4"
    template_fields = ("claim",)

    def __init__(
        self,
        *,
        claim: Any,
        evaluate_task_id: str = "evaluate_model",
        gate_task_id: str = "gate_model",
        register_task_id: str = "register_model",
        approve_task_ids: Sequence[str] = ("approve_model",),
        promote_task_id: str = "promote_model",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.claim = claim
        self.evaluate_task_id = evaluate_task_id
        self.gate_task_id = gate_task_id
        self.register_task_id = register_task_id
        self.approve_task_ids = tuple(approve_task_ids)
        self.promote_task_id = promote_task_id

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the claim and the outcome, as the tasks before left it.

        The gate's own no goes with the difference to the champion that it is about; a person's no does not.
        """
        pull = context["ti"].xcom_pull
        promotion = pull(task_ids=self.promote_task_id, key="return_value")
        decision = pull(task_ids=self.gate_task_id, key="return_value")
        version = pull(task_ids=self.register_task_id, key="return_value")
        approvals = [pull(task_ids=task_id, key="return_value") for task_id in self.approve_task_ids]
        outcome = retrain_outcome(promotion, decision, version, approvals)
        if outcome is RetrainOutcome.PROMOTED and serves_since_before(promotion, self.claim):
            outcome = RetrainOutcome.UNCHANGED
        made = {"claim": self.claim, "outcome": outcome}
        if (decision or {}).get("outcome") in (Outcome.KEEP.value, Outcome.REFUSE.value):
            evaluation = pull(task_ids=self.evaluate_task_id, key="return_value")
            made["against"] = (evaluation or {}).get("against_champion")
        return made


def serves_since_before(promotion: Any, claim: Any) -> bool:
    """Return whether a version that serves did so before its retrain began: the same rows gave it again."""
    if not promotion.get("unchanged"):
        return False
    return Promotion.model_validate(promotion).committed_at < RetrainClaim.model_validate(claim).claimed_at


def retrain_outcome(
    promotion: Any, decision: Any, version: Any = None, approvals: Sequence[Any] = ()
) -> RetrainOutcome:
    """Return what a retrain came to.

    :param promotion: the promotion, or ``None``; one that waits says nothing yet, and where the version is
        held the champion was kept.
    :param decision: the gate's decision, or ``None`` where the run did not come so far.
    :param version: the version that people were asked about, or ``None``.
    :param approvals: their answers, ``None`` where none came. A no refuses like one of the gate, and no
        answer in time means no. Of several questions all but the last may end before all have answered.
    """
    if promotion:
        if promotion.get("held"):
            return RetrainOutcome.KEPT
        return RetrainOutcome.QUEUED if promotion.get("waiting") else RetrainOutcome.PROMOTED
    said_of = [(one or {}).get("status") for one in approvals]
    if version and said_of and (said_of[-1] != Status.PASS.value or Status.FAIL.value in said_of):
        return RetrainOutcome.REFUSED
    outcomes: Iterable[tuple[str, RetrainOutcome]] = (
        (Outcome.KEEP.value, RetrainOutcome.KEPT),
        (Outcome.REFUSE.value, RetrainOutcome.REFUSED),
    )
    said = str((decision or {}).get("outcome", ""))
    return dict(outcomes).get(said, RetrainOutcome.FAILED)
