"""The last block of the watchdog's log."""

from __future__ import annotations

from windsock import records as r
from windsock.steps.words import Verdict


def describe_watch(record: r.WatchReport) -> Verdict:
    """Return the block of what is due, and of what could not be looked at."""
    seen = f"models {record.models}, due {len(record.due)}, announced {len(record.announced)}"
    if record.emptied:
        seen += f", windows without rows judged {record.emptied}"
    if record.firing:
        seen += f", open findings {record.firing}"
    if record.faults:
        return Verdict(
            word="FAIL",
            why="; ".join((*record.faults[:3], seen)),
            next_action="do what the named code of docs/runbook.md says; the next look comes by itself",
        )
    return Verdict(word="PASS", why="; ".join((seen, *record.held[:3])))


__all__ = ["describe_watch"]
