"""What of a model nothing may remove, by its ledger: all that its rows name, but for what the gate refused.

A version has a number once the gate said yes and it was registered. Whatever belongs to one stays, for ever:
its bundle, its tracking run, its snapshot, its evidence. So a roll back may go to any former champion, a
rollout and a question find what they are about, and an auditor finds what went live.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from windsock.records import LedgerAction, LedgerRow, Outcome
from windsock.records.retention import StoredThing

NOT_TAKEN = (Outcome.KEEP.value, Outcome.REFUSE.value)


@dataclass(frozen=True)
class Needs:
    """What the ledger of a model names.

    :param words: every digest, tracking run and address that a row names which gives or takes traffic, counts
        a version, asks or answers; so of what the gate said yes to, too.
    :param packs: file names of all evidence packs, those of refusals, too.
    :param digests: digests of all bundles that any row is about.
    """

    words: frozenset[str]
    packs: frozenset[str]
    digests: frozenset[str]

    @property
    def bundle_names(self) -> frozenset[str]:
        """Names of the bundles whose addresses are named."""
        parts = (word.split("/") for word in self.words if "/bundles/" in f"/{word}")
        return frozenset(part[-1] for part in parts if len(part) >= 3 and part[-3] == "bundles")

    def has_bundle(self, thing: StoredThing) -> bool:
        """Return whether a bundle is of a version."""
        return thing.digest in self.words or thing.name in self.bundle_names


def needs_of(rows: Sequence[LedgerRow]) -> Needs:
    """Return what a model's rows name."""
    words = {word for row in rows if not _is_passing(row) for word in (row.digest, *_words(row.body))}
    uris = (str(row.body.get("evidence_uri") or "") for row in rows)
    packs = {uri.rpartition("/")[2] for uri in uris if uri}
    return Needs(frozenset(words), frozenset(packs), frozenset(row.digest for row in rows))


def _is_passing(row: LedgerRow) -> bool:
    """Return whether a row gives nothing a number: a snapshot was accepted, the gate did not say yes."""
    if row.action is LedgerAction.DECIDE:
        return row.body.get("outcome") in NOT_TAKEN
    return row.action is LedgerAction.ACCEPT


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _words(inner)


__all__ = ["Needs", "needs_of"]
