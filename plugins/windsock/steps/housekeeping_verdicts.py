"""The last block of housekeeping's log."""

from __future__ import annotations

from windsock import records as r
from windsock.steps.words import Verdict

SYSTEMS = {
    "TRACKING": "MLflow",
    "DATABASE": "the control database",
    "STORAGE": "the storage root",
    "SERVING": "the server",
}
LOOK = "switch NAME__ab_rollout on, or say `windsock rollout judge NAME` or `windsock rollout stop NAME`"


def describe_housekeeping(record: r.HousekeepingReport) -> Verdict:
    """Return the block of what was tidied, and of what could not be."""
    if record.is_transport_only:
        systems = dict.fromkeys(
            SYSTEMS.get(code.split("-")[1], f"the system of {code}") for code in record.away
        )
        return Verdict(
            word="ERROR",
            why="; ".join(record.faults[:3]),
            next_action=f"see that {' and '.join(systems)} can be reached; the task is tried again by itself",
        )
    broken = [f"the ledger of {name} is broken" for name in record.broken_ledgers]
    bad = [*broken, *record.unattended, *record.faults]
    if bad:
        named = "read `windsock ledger NAME` and the named system's log" if broken or record.faults else ""
        cures = [named, LOOK if record.unattended else ""]
        return Verdict(word="FAIL", why="; ".join(bad[:3]), next_action="; ".join(filter(None, cures)))
    return Verdict(
        word="PASS",
        why=f"{len(record.aliases_repaired)} aliases repaired, {len(record.routes_sealed)} routes "
        f"sealed anew, {record.runs_closed} runs closed, "
        f"{record.segments_closed} log segments closed, {record.segments_removed} removed, counts of "
        f"{record.rollouts_forgotten} rollouts removed"
        + "".join(f"; the report of rollout {name} says its end now" for name in record.rollouts_closed),
    )


__all__ = ["describe_housekeeping"]
