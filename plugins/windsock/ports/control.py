"""Ports: the ledger of routes and champions, and the first record of each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from windsock.records import ChainCheck, Champion, LedgerEntry, LedgerRow, LedgerView


class Ledger(Protocol):
    """The append-only, signed and hash-chained truth about routes and champions."""

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        """Return a model's rows in order: those that the installation wrote."""
        ...

    def read(self, model: str) -> LedgerView:
        """Return the rows, and with them what is left out and what is missing."""
        ...

    def champion(self, model: str) -> Champion | None:
        """Return the version of the last commit, or ``None`` if there never was one.

        :raises DatabaseUnavailableError: if the database does not answer: this is never "no champion".
        """
        ...

    def append(self, entry: LedgerEntry, *, after_seq: int) -> LedgerRow:
        """Append a row if the model's last row is still ``after_seq`` (0: no row yet).

        :raises StaleEpochError: if another row came first, or the epoch is taken.
        :raises VerdictError: if rows are missing and this one gives traffic or proves something.
        """
        ...

    def verify(self, model: str) -> ChainCheck:
        """Prove a model's whole ledger anew."""
        ...

    def models(self) -> tuple[str, ...]:
        """Return the names of all models that have rows."""
        ...


class StepRecords(Protocol):
    """The first record of each idempotency key."""

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the stored record's JSON, or ``None`` where there is none that was signed for."""
        ...

    def add(self, key: str, *, step: str, model: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Store a record unless the key has one; return the one that stands."""
        ...

    def forget(self, key: str) -> None:
        """Remove a key's record, so that its work is done again; a key without one is fine."""
        ...

    def attest(self, step: str, record: Mapping[str, Any], under: str) -> None:
        """Sign for it that a step came to this very record.

        :param under: what it counts for: a digest of spec and run.
        """
        ...

    def is_attested(self, step: str, record: Mapping[str, Any], under: str) -> bool:
        """Return whether the installation signed for it that the step came to this record, for this."""
        ...


class Preflight(Protocol):
    """What a retrain needs at its end and could lack, looked at before it begins."""

    def check(self, model: str, *, deploys: bool) -> tuple[str, ...]:
        """Refuse a retrain that could not come to its end; return what may still be put right meanwhile.

        :param deploys: whether the retrain is meant to bring a version to the server.
        :raises SettingsError: if a key or the admin token is missing or cannot be used.
        :raises StorageError: if the storage cannot be written.
        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...


class NoPreflight:
    """Looks at nothing."""

    def check(self, model: str, *, deploys: bool) -> tuple[str, ...]:
        """See :meth:`Preflight.check`: nothing is lacking."""
        return ()
