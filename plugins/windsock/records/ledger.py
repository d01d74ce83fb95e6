"""The ledger's rows: the truth about which version serves, and how it came to."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from windsock.records.base import Digest, Moment, Record
from windsock.records.ledger_form import FORM, hash_of
from windsock.spec.base import canonical_json

GENESIS: Digest = "0" * 64


class LedgerAction(StrEnum):
    """What a row says was done.

    ``deploy``, ``shift``, ``intend``, ``roll_back`` and ``abandon`` each take the next epoch; ``commit``
    closes the epoch of an intent (or a roll back); the others stand beside them and take none (epoch 0).
    ``shift`` gives a challenger its share of the traffic, ``queue`` lets a version wait for its rollout,
    ``ask`` says that a person is being asked about a promotion. ``accept`` keeps that a snapshot passed
    validation, with its data contract and its statistics, ``decide`` what the gate said;
    ``accept_loss`` and ``accept_drift`` are a person's: later performance is held against what the model does
    now, or drift against the rows that come now;
    ``anchor`` signs for the rows from before signatures, ``reconcile`` says that a person has seen what is
    missing.
    """

    ACCEPT = "accept"
    DECIDE = "decide"
    ANCHOR = "anchor"
    RECONCILE = "reconcile"
    ACCEPT_LOSS = "accept_loss"
    ACCEPT_DRIFT = "accept_drift"
    REGISTER = "register"
    APPROVE = "approve"
    REJECT = "reject"
    QUEUE = "queue"
    PAUSE = "pause"
    RESUME = "resume"
    ASK = "ask"
    DEPLOY = "deploy"
    SHIFT = "shift"
    INTEND = "intend"
    COMMIT = "commit"
    ROLL_BACK = "roll_back"
    ABANDON = "abandon"


ROUTING = frozenset(
    {
        LedgerAction.DEPLOY,
        LedgerAction.SHIFT,
        LedgerAction.INTEND,
        LedgerAction.ROLL_BACK,
        LedgerAction.ABANDON,
    }
)


class LedgerEntry(Record):
    """A row about to be written.

    :param version: registry version it is about.
    :param digest: bundle digest it is about.
    :param actor: who did it: a user id, or ``scheduler``.
    :param body: what else must be kept: evidence digest, bundle URI, reason; JSON values only.
    """

    model: str
    action: LedgerAction
    epoch: int = Field(ge=0)
    version: str
    digest: Digest
    actor: str
    body: dict[str, Any] = Field(default_factory=dict)


class LedgerRow(LedgerEntry):
    """A row as written: append-only, chained to the one before, signed by the installation.

    :param seq: place in the model's ledger; grows from row to row.
    :param previous: hash of the row before; 64 zeros for the first.
    :param hash: SHA-256 of the row's form (:mod:`windsock.records.ledger_form`).
    :param form: number of that form; 0: a row from before signatures.
    :param signature: Ed25519 signature of the form, as hexadecimal digits; empty for rows of form 0.
    """

    seq: int = Field(ge=1)
    at: Moment
    previous: Digest
    hash: Digest = ""
    form: int = FORM
    signature: str = ""

    def columns(self) -> dict[str, Any]:
        """Return the row's columns as they are stored."""
        content = self.model_dump(mode="json")
        return {**content, "body": canonical_json(content["body"])}

    def expected_hash(self) -> Digest:
        """Return the hash that this row must have."""
        return hash_of(self.columns())


class LeftOut(Record):
    """A row of the table that nobody believes, and why.

    :param seq: its number as it stands in the table; ``None``: what stands there is no number.
    :param mark: what tells it, as it stands there, from every other.
    """

    seq: int | None
    why: str
    mark: str = Field(default="", exclude_if=lambda mark: not mark)


class LedgerMark(Record):
    """How far a model's ledger had come, kept outside the database and signed.

    :param seq: number of the last row that was written.
    :param hash: its hash.
    :param epoch: the highest epoch by then.
    """

    model: str
    seq: int
    hash: Digest
    epoch: int


class Gap(NamedTuple):
    """A place at which the chain does not hold.

    :param at: number from which on rows are missing or were changed.
    :param link: what tells this gap from every other: the hashes on both sides of it.
    """

    at: int
    link: str


class LedgerView(NamedTuple):
    """What a model's ledger says, and what it cannot say.

    :param rows: the rows that the installation signed, in order.
    :param left_out: rows that stand in the table and are not believed.
    :param gaps: places where rows are missing or were changed, and that no person has reconciled.
    :param lost: the mark of rows at the end that are missing, unless a person has reconciled it.
    :param is_left_out_seen: whether a person has reconciled exactly the rows that are left out.
    """

    rows: tuple[LedgerRow, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    lost: LedgerMark | None = None
    is_left_out_seen: bool = False

    @property
    def unseen(self) -> tuple[LeftOut, ...]:
        """Return the rows that are left out, as long as no person has seen them."""
        return () if self.is_left_out_seen else self.left_out

    @property
    def is_whole(self) -> bool:
        """Whether no row that was ever written is missing, as far as can be told."""
        return not self.gaps and self.lost is None


class Champion(Record):
    """The version that serves by the ledger.

    :param epoch: epoch of the commit that made it champion.
    :param replaced: digest of the champion before it; ``None`` for the first.
    """

    model: str
    version: str
    digest: Digest
    bundle_uri: str
    epoch: int
    replaced: Digest | None = None


class ChainCheck(Record):
    """Whether a model's ledger is whole.

    :param rows: rows that are believed.
    :param broken_at: number of the first place at which a row is missing or was changed; ``None`` if whole.
    :param left_out: rows in the table that the installation did not write; they change nothing.
    """

    model: str
    rows: int
    broken_at: int | None = None
    left_out: tuple[LeftOut, ...] = ()


def next_epoch(rows: Sequence[LedgerRow], served: int = 0) -> int:
    """Return the epoch that the next routing row takes: one above the ledger's and the server's.

    :param served: epoch of what the server serves; above the ledger's where an older database was restored.
    """
    lost = (int(row.body.get("lost_epoch", 0)) for row in rows)
    return 1 + max(served, *lost, *(row.epoch for row in rows if row.action in ROUTING), 0)


def last_routing_row(rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the row of the latest routing change, or ``None``."""
    return next((row for row in reversed(rows) if row.action in ROUTING), None)


def commit_of(rows: Sequence[LedgerRow], epoch: int) -> LedgerRow | None:
    """Return the commit that closed an epoch, or ``None`` while it is open."""
    return next(
        (row for row in reversed(rows) if row.action is LedgerAction.COMMIT and row.epoch == epoch), None
    )


def open_switch(rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the intent or roll back that holds the route and was not committed yet, or ``None``."""
    row = last_routing_row(rows)
    if row is None or row.action not in (LedgerAction.INTEND, LedgerAction.ROLL_BACK):
        return None
    return None if commit_of(rows, row.epoch) else row


def champion_by(commit: LedgerRow) -> Champion:
    """Return the champion that a commit made."""
    return Champion(
        model=commit.model,
        version=commit.version,
        digest=commit.digest,
        bundle_uri=commit.body["bundle_uri"],
        epoch=commit.epoch,
        replaced=commit.body.get("replaced"),
    )


def champion_of(rows: Sequence[LedgerRow]) -> Champion | None:
    """Return the champion of the last commit, or ``None`` if there never was one."""
    last = next((row for row in reversed(rows) if row.action is LedgerAction.COMMIT), None)
    return champion_by(last) if last else None


def live_since(rows: Sequence[LedgerRow]) -> Moment | None:
    """Return when the model's first version went live, or ``None`` if none ever did."""
    return next((row.at for row in rows if row.action is LedgerAction.COMMIT), None)


def champion_line(rows: Sequence[LedgerRow]) -> tuple[LedgerRow, ...]:
    """Return the commits of the champions that stand one upon the other, the one that serves last.

    A roll back takes away what it rolled back: the champion before is the last but one.
    """
    rolled = {row.epoch for row in rows if row.action is LedgerAction.ROLL_BACK}
    line: list[LedgerRow] = []
    for row in rows:
        if row.action is not LedgerAction.COMMIT:
            continue
        digests = [kept.digest for kept in line]
        if row.epoch in rolled and row.digest in digests:
            last = len(digests) - 1 - digests[::-1].index(row.digest)
            del line[last:]
        line.append(row)
    return tuple(line)


def has_met(rows: Sequence[LedgerRow], registered: LedgerRow, champion: Digest | None) -> bool:
    """Return whether a version was judged against a champion, so that it may take its place.

    A version that was champion already may also take the place of the one that it replaced then.

    :param registered: the version's registration.
    :param champion: bundle of the champion that serves; ``None``: none does.
    """
    commits = [row for row in rows if row.action is LedgerAction.COMMIT and row.digest == registered.digest]
    return champion in {registered.body.get("opponent"), *(row.body.get("replaced") for row in commits)}


def taken_by(row: LedgerRow) -> tuple[Digest, ...]:
    """Return the bundles that a roll back takes away: of a rollout all that it tried."""
    taken = row.body.get("rolled_back")
    return (taken, *row.body.get("rolled_back_others", ())) if taken else ()


def was_rolled_back(rows: Sequence[LedgerRow], digest: Digest) -> bool:
    """Return whether a bundle was rolled back and has not been made champion by a person since.

    A roll back that was abandoned because its target did not answer holds nothing.
    """
    held, before, epoch = False, False, 0
    for row in rows:
        if row.action is LedgerAction.ROLL_BACK and digest in taken_by(row):
            held, before, epoch = True, held, row.epoch
        elif row.action is LedgerAction.SHIFT and digest in row.body.get("withdrawn", ()):
            held, before, epoch = True, True, row.epoch
        elif row.action is LedgerAction.ABANDON and row.epoch == epoch + 1:
            held = before
        elif row.action is LedgerAction.COMMIT and row.digest == digest:
            held = False
    return held
