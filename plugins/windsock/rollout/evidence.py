"""The evidence pack of a rollout: everything behind the decision that ends it, as one JSON document."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from windsock import __version__
from windsock.records import LedgerRow, Rollout, RolloutDecision
from windsock.spec import canonical_json, digest_of

FORMAT = 1


def evidence_uri(decision: RolloutDecision) -> str:
    """Return where the evidence pack of a decision lies, as a path under the storage root.

    The name holds the decision itself: of two that were made at once each has its own pack.
    """
    told = digest_of(decision.model_dump(mode="json"))[:12]
    return f"evidence/{decision.model}/rollout-{decision.experiment}-{decision.number}-{told}.json"


def evidence_bytes(
    rollout: Rollout,
    decisions: Sequence[RolloutDecision],
    rows: Sequence[LedgerRow],
    report: bytes | None,
    *,
    before: RolloutDecision | None = None,
) -> bytes:
    """Return the pack's one JSON text: plan, decisions with what was seen, the ledger's rows, the report.

    :param decisions: the rollout's course by number, all planned looks among them; the last one is what it
        comes to.
    :param rows: the model's rows; those of the rollout and of its versions are kept, with their hashes.
    :param report: the page, of which the digest is kept; ``None`` where it could not be written.
    :param before: the decision that this one repeats: its pack, which is named, holds the rest.
    """
    tried = {one.digest for one in rollout.challengers}
    kept = [row for row in rows if row.digest in tried or row.body.get("experiment") == rollout.experiment]
    content = {
        "format": FORMAT,
        "model": rollout.model,
        "experiment": rollout.experiment,
        "rollout": rollout.model_dump(mode="json"),
        "decision": decisions[-1].model_dump(mode="json"),
        "report": hashlib.sha256(report).hexdigest() if report is not None else None,
        "versions": {"windsock": __version__},
    }
    if before is not None:
        content["before"] = {"digest": before.evidence_digest, "uri": before.evidence_uri}
    else:
        content["decisions"] = [one.model_dump(mode="json") for one in decisions]
        content["ledger"] = [row.model_dump(mode="json") for row in kept]
    return canonical_json(content).encode()


__all__ = ["evidence_bytes", "evidence_uri"]
