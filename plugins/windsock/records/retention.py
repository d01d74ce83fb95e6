"""What is removed once nothing needs it any more: the policy, what was removed, and the note that stays."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from windsock.records.base import Digest, Moment, Record
from windsock.spec.shared import RetentionBlock

StoredKind = Literal["bundles", "snapshots", "evidence"]
"""The folders of the storage root that a retention removes from."""
Kind = Literal["trainings", "reports", "snapshots", "evidence", "logs"]
"""The keys of `retention` that housekeeping keeps to, beside the prediction log's."""


class RetentionPolicy(Record):
    """How many days each kind of thing is kept that nothing needs any more; 0: for ever.

    :param trainings: trainings that never became a version: the bundle and its run in MLflow.
    :param reports: runs in MLflow that hold a drift report.
    :param snapshots: snapshots that no version and no kept training was made of.
    :param evidence: evidence packs that no row of the ledger names.
    :param logs: logs of tasks and full logs of programs, of a shipped stack.
    """

    trainings: float = Field(default=0.0, ge=0)
    reports: float = Field(default=0.0, ge=0)
    snapshots: float = Field(default=0.0, ge=0)
    evidence: float = Field(default=0.0, ge=0)
    logs: float = Field(default=0.0, ge=0)

    @classmethod
    def of(cls, block: RetentionBlock) -> Self:
        """Return what the file of what models share says."""
        return cls(**{kind: block.days(kind) for kind in cls.model_fields})

    @property
    def removes_anything(self) -> bool:
        """Whether anything is not kept for ever."""
        return any(self.model_dump().values())


class RemovalNote(Record):
    """What stays of a thing that a retention removed.

    :param name: the key of a bundle, the digest of a snapshot.
    :param at: when it was removed.
    :param days: how long such things are kept by the policy.
    """

    kind: StoredKind
    model: str
    name: str
    at: Moment
    days: float

    @property
    def told(self) -> str:
        """The note as a part of a sentence."""
        return f"removed by retention on {self.at:%Y-%m-%d}, policy {self.days:g} days"


class RemovedKind(Record):
    """How much of one kind was removed.

    :param items: how many.
    :param bytes: their size, as far as it is known.
    """

    kind: Kind
    items: int = Field(ge=0)
    bytes: int = Field(default=0, ge=0)


class StoredThing(Record):
    """A bundle, a snapshot or an evidence pack in the storage root.

    :param name: its name in its model's folder.
    :param made_at: ``None``: nobody can tell, as it is not whole.
    :param digest: of a bundle or snapshot.
    :param snapshot: digest of the snapshot that a bundle was trained on.
    """

    kind: StoredKind
    model: str
    name: str
    made_at: Moment | None = None
    digest: Digest = ""
    snapshot: Digest = ""


class TrackedRun(Record):
    """A run of a model's experiment in MLflow.

    :param key: its idempotency key; empty where it has none.
    :param parent: run that it belongs to.
    :param bundle_uri: where its bundle lies; empty where it has none.
    :param is_open: whether it has not ended.
    :param being_removed: whether a retention has begun to remove it.
    """

    run_id: str
    key: str = ""
    begun_at: Moment
    parent: str = ""
    bundle_uri: str = ""
    is_open: bool = False
    being_removed: bool = False


__all__ = [
    "Kind",
    "RemovalNote",
    "RemovedKind",
    "RetentionPolicy",
    "StoredKind",
    "StoredThing",
    "TrackedRun",
]
