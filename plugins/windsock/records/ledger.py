"""The ledger's rows: the truth about which version serves, and how it came to."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from windsock.records.base import Digest, Moment, Record
from windsock.spec.base import digest_of

GENESIS: Digest = "0" * 64


class LedgerAction(StrEnum):
    """What a row says was done.

    ``deploy``, ``intend``, ``roll_back`` and ``abandon`` each take the next epoch; ``commit`` closes the epoch
    of an intent (or a roll back); ``approve`` and ``reject`` stand beside them and take none.
    """

    APPROVE = "approve"
    REJECT = "reject"
    DEPLOY = "deploy"
    INTEND = "intend"
    COMMIT = "commit"
    ROLL_BACK = "roll_back"
    ABANDON = "abandon"


ROUTING = frozenset({LedgerAction.DEPLOY, LedgerAction.INTEND, LedgerAction.ROLL_BACK, LedgerAction.ABANDON})


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
    """A row as written: append-only, chained to the one before.

    :param seq: 1, 2, 3 ... for each model.
    :param previous: hash of the row before; 64 zeros for the first.
    :param hash: SHA-256 of this row's canonical JSON without ``hash``.
    """

    seq: int = Field(ge=1)
    at: Moment
    previous: Digest
    hash: Digest = ""

    def expected_hash(self) -> Digest:
        """Return the hash that this row must have."""
        return digest_of(self.model_dump(mode="json", exclude={"hash"}))


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

    :param rows: rows read.
    :param broken_at: ``seq`` of the first row whose hash, predecessor or number is wrong; ``None`` if whole.
    """

    model: str
    rows: int
    broken_at: int | None = None
