"""What a row of the ledger keeps besides its columns: one model for each action.

A row is held against its model before it is signed; one from before signatures when it is read. Fields with
a default are those that rows of earlier versions lack.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from windsock.records.base import Digest
from windsock.records.ledger import LedgerAction


class Body(BaseModel):
    """Base of all bodies; what a later version adds is read over, never written by this one.

    :param requester: the person who triggered the run; ``None`` for the scheduler.
    :param reason: one sentence for people.
    :param run: DAG and run of Airflow, where there is one.
    :param starter_unknown: whether a person may have started the run whom nobody can name.
    :param lost_seq: number of the last row that was missing at the end when this one was written; 0: none.
    :param lost_epoch: the highest epoch by then.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, protected_namespaces=(), defer_build=True
    )

    requester: str | None = None
    reason: str = ""
    run: dict[str, str | None] | None = None
    starter_unknown: bool = False
    lost_seq: int = 0
    lost_epoch: int = 0


class AcceptBody(Body):
    """A snapshot that passed validation: the contract that holds from now on, and what it looked like.

    :param contract: version of the contract; ``contract_uri`` is its document.
    :param statistics_uri: document of the snapshot's statistics.
    :param unproven: accepted documents that were lost by then, one sentence each; a person is asked about
        them until a version is promoted.
    """

    snapshot_digest: Digest
    contract: int
    contract_digest: Digest
    contract_uri: str
    statistics_digest: Digest
    statistics_uri: str
    unproven: list[str] = []


class DecideBody(Body):
    """What the gate said, whatever it said.

    :param decision: digest of the decision's record; ``evaluation`` and ``spec``: of what it was made from.
    """

    outcome: str
    decision: Digest
    evaluation: Digest
    spec: Digest
    policy_digest: Digest
    snapshot_digest: Digest
    tier: str
    run_id: str
    evidence_digest: Digest
    evidence_uri: str


class AnchorBody(Body):
    """How many rows from before signatures this row signs for, up to the hash that stands before it."""

    rows: int


class ReconcileBody(Body):
    """What a person has seen to be missing, so that work goes on without it.

    :param gaps: the places where rows are missing or were changed, by what tells each from the others.
    :param ended_claim: the run whose claim of the model the person has ended.
    :param left_out: the mark of the rows, not written by the installation, that the person has seen.
    """

    gaps: list[str]
    ended_claim: str | None = None
    left_out: str | None = None


class AcceptLossBody(Body):
    """The loss that a person has accepted: what later performance is held against from now on.

    :param metrics: as the latest judged window has them, each a :class:`~windsock.records.MetricValue`.
    :param window: the window that they are of.
    """

    metrics: list[dict[str, Any]]
    window: dict[str, str]


class AcceptDriftBody(Body):
    """The drift that a person has accepted: windows of this version are held against these rows from now on.

    :param profile_uri: document of the profile of the windows' rows.
    :param windows: from the first window's start to the last one's end.
    """

    profile_uri: str
    profile_digest: Digest
    rows: int
    windows: dict[str, str]


class RegisterBody(Body):
    """A version that passed the gate, and its evidence pack."""

    bundle_uri: str
    evidence_digest: Digest
    evidence_uri: str
    snapshot_digest: Digest
    run_id: str | None = None
    outcome: str = "promote"
    asks: list[str]
    policy_digest: Digest = ""
    tier: str
    opponent: Digest | None = None
    decision: Digest | None = None


class AnswerBody(Body):
    """One person's answer, to a version or to the promotion that a rollout has proved."""

    approver_id: str | None = None
    evidence_digest: Digest
    answered_at: str | None = None
    experiment: str | None = None


class QueueBody(Body):
    """A version that waits for its rollout."""

    bundle_uri: str
    evidence_digest: Digest
    approved_by: list[str] = []
    forced: bool = False


class SteerBody(Body):
    """What was done to a rollout: paused, resumed, a person asked."""

    experiment: str
    asked_until: str | None = None
    run: Any = None


class RouteBody(Body):
    """A change of traffic.

    :param plan: the route's plan, without model and epoch, which the row has itself.
    """

    bundle_uri: str = ""
    evidence_digest: Digest | None = None
    forced: bool = False
    plan: dict[str, Any]


class OtherChallenger(Body):
    """A further version that a rollout tries."""

    version: str
    digest: Digest
    bundle_uri: str
    evidence_digest: Digest
    queued: int


class ShiftBody(RouteBody):
    """A rollout's step.

    :param queued: ``seq`` of the row by which the version waited; with ``begins`` in the first step.
    :param outlook: what was told of the first step's margin and time; not written where that is nothing.
    :param others: of several challengers the further ones, each with ``version``, ``digest``,
        ``bundle_uri``, ``evidence_digest`` and ``queued``.
    :param withdrawn: bundles of those that were dropped.
    """

    champion_version: str
    champion_digest: Digest
    experiment: str
    step: int
    queued: int | None = None
    begins: dict[str, Any] | None = None
    outlook: list[str] = []
    others: list[OtherChallenger] = []
    withdrawn: list[Digest] = []
    decision: Digest | None = None
    decision_evidence: Digest | None = None


class SwitchBody(Body):
    """A change of the champion: what an intent or a roll back means to do, and its commit has done.

    :param replaced: bundle of the champion before.
    :param rolled_back: bundle that a roll back takes away.
    :param rolled_back_others: further ones: all challengers of the rollout that it ends.
    :param baseline: the version's metrics on held-out rows, where they are what is asked of the model from
        now on: it was proved better while no episode was open.
    :param baseline_digest: bundle that the baseline is of, where it is not the version's own: that of the
        champion before, in ledgers that had none.
    :param better_than_broken: since when performance was lost, where the version was promoted during a loss:
        it beats a broken champion, which is no recovery.
    """

    bundle_uri: str
    evidence_digest: Digest | None = None
    replaced: Digest | None = None
    approved_by: list[str] = []
    forced: bool = False
    experiment: str | None = None
    decision: Digest | None = None
    decision_evidence: Digest | None = None
    promotion_approved_by: list[str] = []
    rolled_back: Digest | None = None
    rolled_back_version: str | None = None
    rolled_back_others: list[Digest] = []
    outcome: str | None = None
    baseline: list[dict[str, Any]] = []
    baseline_digest: Digest | None = None
    better_than_broken: str | None = None


class OpenSwitchBody(SwitchBody):
    """The same while it is under way, with the plan that the server is to be given."""

    plan: dict[str, Any]


BODIES: dict[LedgerAction, type[Body]] = {
    LedgerAction.ACCEPT: AcceptBody,
    LedgerAction.DECIDE: DecideBody,
    LedgerAction.ANCHOR: AnchorBody,
    LedgerAction.RECONCILE: ReconcileBody,
    LedgerAction.ACCEPT_LOSS: AcceptLossBody,
    LedgerAction.ACCEPT_DRIFT: AcceptDriftBody,
    LedgerAction.REGISTER: RegisterBody,
    LedgerAction.APPROVE: AnswerBody,
    LedgerAction.REJECT: AnswerBody,
    LedgerAction.QUEUE: QueueBody,
    LedgerAction.PAUSE: SteerBody,
    LedgerAction.RESUME: SteerBody,
    LedgerAction.ASK: SteerBody,
    LedgerAction.DEPLOY: RouteBody,
    LedgerAction.SHIFT: ShiftBody,
    LedgerAction.INTEND: OpenSwitchBody,
    LedgerAction.COMMIT: SwitchBody,
    LedgerAction.ROLL_BACK: OpenSwitchBody,
    LedgerAction.ABANDON: RouteBody,
}
"""The model of each action's body."""


def fault_in_body(action: LedgerAction, body: dict[str, Any]) -> str:
    """Return what is wrong with a body, without its values; empty if nothing is."""
    try:
        BODIES[action].model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}"
    return ""


def unknown_keys(action: LedgerAction, body: dict[str, Any]) -> list[str]:
    """Return the keys of a body that its model does not know."""
    return sorted(set(body) - set(BODIES[action].model_fields))
