"""Version numbers by the ledger: which were used, and for which bundles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from windsock.records.base import Digest
from windsock.records.ledger import LedgerRow


def numbers_used(rows: Sequence[LedgerRow]) -> dict[str, frozenset[Digest]]:
    """Return every version number that a model's ledger knows, and the bundles that it names."""
    known: defaultdict[str, set[Digest]] = defaultdict(set)
    for row in rows:
        if not row.version.isdecimal():
            continue  # a decision, or an anchor: it names no version
        known[row.version].add(row.digest)
    return {number: frozenset(digests) for number, digests in known.items()}
