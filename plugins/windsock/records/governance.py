"""Records of the governance room: gate, registration, approval, promotion."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field

from windsock.records.base import CheckResult, Digest, Moment, Record, RunContext, Status
from windsock.records.data import ValidationReport
from windsock.records.ledger import LedgerAction, LedgerRow
from windsock.records.training import Evaluation
from windsock.spec import ModelSpec
from windsock.spec.base import is_none


class Outcome(StrEnum):
    """What the gate says."""

    PROMOTE = "promote"
    KEEP = "keep"
    REFUSE = "refuse"


class GateModelInput(Record):
    """Input of ``gate_model``.

    :param dry_run: only say what the gate would say; no evidence and no row is written.
    """

    spec: ModelSpec
    validation: ValidationReport
    evaluation: Evaluation
    run: RunContext = RunContext()
    nonce: str | None = None
    dry_run: bool = False


class GateDecision(Record):
    """The gate's answer, with every check behind it.

    :param outcome: promote, keep (the champion is not beaten) or refuse.
    :param required: names of the checks that the policy asks for.
    :param checks: the checks that ran; promote needs this set to be the required one and each to pass.
    :param first_model: whether there was no champion to beat.
    :param asks: names of insufficient checks that a person is asked about (``on_insufficient: ask``).
    :param policy_digest: digest of the gate section it was judged by.
    :param bundle_digest: the model it is about.
    :param reason: one sentence: the number against the limit that decided.
    :param validation: the report on the snapshot, kept for the evidence pack.
    :param requested_by: the person who triggered the run that was judged; ``None`` for the scheduler.
    :param opponent: bundle digest of the champion that the model met; ``None`` for the first model.
    """

    model: str
    outcome: Outcome
    required: tuple[str, ...] = Field(min_length=1)
    checks: tuple[CheckResult, ...]
    first_model: bool
    asks: tuple[str, ...] = ()
    policy_digest: Digest
    snapshot_digest: Digest
    bundle_digest: Digest
    run_id: str
    reason: str
    decided_at: Moment
    validation: ValidationReport | None = None
    requested_by: str | None = None
    opponent: Digest | None = None

    @property
    def has_error(self) -> bool:
        """Whether a check could not be computed: such a decision is not final and is never reused."""
        return any(check.status is Status.ERROR for check in self.checks)


class RegisterModelInput(Record):
    """Input of ``register_model``."""

    spec: ModelSpec
    decision: GateDecision
    evaluation: Evaluation
    run: RunContext = RunContext()
    nonce: str | None = None


class RegisteredVersion(Record):
    """A version in the registry that went through the gate; the ledger's row proves that it did.

    :param version: number in the registry, as text.
    :param digest: bundle digest.
    :param evidence_digest: SHA-256 of the evidence pack.
    :param evidence_uri: where the signed evidence pack lies.
    """

    model: str
    version: str
    digest: Digest
    bundle_uri: str
    run_id: str
    snapshot_digest: Digest
    evidence_digest: Digest
    evidence_uri: str
    asks: tuple[str, ...] = ()
    registered_at: Moment

    def registration(self, rows: Sequence[LedgerRow]) -> LedgerRow | None:
        """Return the row by which the ledger knows this very version, bundle and evidence, or ``None``."""
        row = registration_of(
            rows, self.version, self.digest, self.evidence_digest, bundle_uri=self.bundle_uri
        )
        return row if row is not None and row.model == self.model else None

    @classmethod
    def of_row(cls, row: LedgerRow) -> Self:
        """Return the version that a registration is about; rows of old do not name the tracking run."""
        return cls(
            model=row.model,
            version=row.version,
            digest=row.digest,
            bundle_uri=row.body["bundle_uri"],
            run_id=row.body.get("run_id") or "",
            snapshot_digest=row.body["snapshot_digest"],
            evidence_digest=row.body["evidence_digest"],
            evidence_uri=row.body["evidence_uri"],
            asks=tuple(row.body["asks"]),
            registered_at=row.at,
        )


def registration_of(
    rows: Sequence[LedgerRow],
    version: str,
    digest: Digest,
    evidence_digest: Digest | None,
    *,
    bundle_uri: str | None = None,
) -> LedgerRow | None:
    """Return the row that registers a version with this bundle and this evidence, or ``None``.

    :param rows: one model's rows; a bundle may have been registered more than once, with other evidence.
    :param bundle_uri: where the bundle must lie by that row; ``None``: wherever it says.
    """
    about = (version, digest, evidence_digest)
    for row in rows:
        known = row.action is LedgerAction.REGISTER and bundle_uri in (None, row.body["bundle_uri"])
        if known and (row.version, row.digest, row.body["evidence_digest"]) == about:
            return row
    return None


class ApproveModelInput(Record):
    """Input of ``approve_model``: one person's answer, as the server gave it.

    :param experiment: the answer is about the promotion that this rollout has proved; without one it is about
        the registered version.
    :param answer: what the person chose; ``None`` while nobody is needed.
    :param approver: the person's name from the server, or the user id where there is none; never from text.
    :param approver_id: the person's user id from the server.
    """

    spec: ModelSpec
    version: RegisteredVersion
    experiment: str | None = None
    answer: Literal["approve", "reject"] | None = None
    approver: str | None = None
    approver_id: str | None = None
    answered_at: Moment | None = None
    run: RunContext = RunContext()


class GivenApproval(Record):
    """One person's yes to a version.

    :param at: when the person answered.
    """

    who: str
    at: Moment


class Approval(Record):
    """What the people said about a version.

    :param status: pass (enough said yes, or nobody is needed), fail (somebody said no),
        insufficient (somebody is still needed).
    :param needed: approvals that the tier (and insufficient checks) ask for.
    :param approvers: people who said yes to this version and digest, as the server named them.
    :param barred: names and user ids of people whose yes does not count: they asked for it.
    :param given: each yes that counts with its time, in the order of ``approvers``.
    """

    model: str
    version: str
    digest: Digest
    status: Status
    needed: int
    approvers: tuple[str, ...] = ()
    reason: str = ""
    barred: tuple[str, ...] = ()
    given: tuple[GivenApproval, ...] = ()


class PromoteModelInput(Record):
    """Input of ``promote_model``; the approval itself is read from the ledger.

    :param experiment: the rollout that has proved the version; without one, a version whose spec asks for a
        rollout waits for it.
    """

    spec: ModelSpec
    version: RegisteredVersion
    experiment: str | None = None
    run: RunContext = RunContext()
    force: bool = False


class Promotion(Record):
    """A version that serves.

    :param epoch: the ledger's epoch of the commit.
    :param previous_version: the champion before; ``None`` for the first.
    :param alias_mirrored: whether the registry's alias could be set; housekeeping repairs it if not.
    :param unchanged: whether it was champion already, or is held back by a roll back.
    :param waiting: whether it does not serve, but waits for its rollout.
    :param held: whether it does not serve, because it was rolled back.
    :param better_than_broken: since when performance was lost, where it beats a broken champion: no recovery.
    :param follows: what is not done yet and housekeeping does, as a sentence; empty: nothing.
    """

    model: str
    version: str
    digest: Digest
    epoch: int
    previous_version: str | None = None
    alias_mirrored: bool = True
    unchanged: bool = False
    waiting: bool = False
    held: bool = False
    better_than_broken: Moment | None = Field(default=None, exclude_if=is_none)
    reason: str = ""
    follows: str = Field(default="", exclude_if="".__eq__)
    committed_at: Moment
