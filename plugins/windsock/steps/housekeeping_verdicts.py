"""The last block of housekeeping's log."""

from __future__ import annotations

from windsock import records as r
from windsock.steps.words import Verdict
from windsock.texts import first_of

SYSTEMS = {
    "TRACKING": "MLflow",
    "DATABASE": "the control database",
    "STORAGE": "the storage root",
    "SERVING": "the server",
}
MIB = 1024**2
LOOK = "switch NAME__ab_rollout on, or say `windsock rollout judge NAME` or `windsock rollout stop NAME`"


def describe_housekeeping(record: r.HousekeepingReport) -> Verdict:
    """Return the block of what was tidied, and of what could not be."""
    if record.is_transport_only:
        systems = dict.fromkeys(
            SYSTEMS.get(code.split("-")[1], f"the system of {code}") for code in record.away
        )
        return Verdict(
            word="ERROR",
            why=first_of(record.faults, 3, separator="; "),
            next_action=f"see that {' and '.join(systems)} can be reached; the task is tried again by itself",
        )
    broken = [f"the ledger of {name} is broken" for name in record.broken_ledgers]
    bad = [*broken, *record.unattended, *record.faults]
    if bad:
        named = "read `windsock ledger NAME` and the named system's log" if broken or record.faults else ""
        cures = [named, LOOK if record.unattended else ""]
        return Verdict(
            word="FAIL", why=first_of(bad, 3, separator="; "), next_action="; ".join(filter(None, cures))
        )
    done = {
        "aliases repaired": len(record.aliases_repaired),
        "routes sealed again": len(record.routes_sealed),
        "runs closed": record.runs_closed,
        "log segments closed": record.segments_closed,
        "log segments removed": record.segments_removed,
        "counts of ended rollouts removed": record.rollouts_forgotten,
    }
    told = [f"{what}: {number:,}" for what, number in done.items() if number]
    told += [f"the report of rollout {name} says its end now" for name in record.rollouts_closed]
    told += _removed(record)
    return Verdict(word="PASS", why="; ".join(told) or "nothing was to be repaired or removed")


def _removed(record: r.HousekeepingReport) -> list[str]:
    """Return what the retention removed."""
    told = [f"{one.kind} removed: {one.items:,} ({one.bytes / MIB:.1f} MiB)" for one in record.removed]
    return [*told, "more goes with the next run"] if told and record.removal_goes_on else told
