"""Whether a version that was promoted during a loss serves in it still: it beat a broken champion alone."""

from __future__ import annotations

from windsock.monitoring.performance_case import Case
from windsock.records import BetterThanBroken, Status, better_than_broken_of
from windsock.records.stretches import open_stretch


def better_than_broken(case: Case, word: Status) -> BetterThanBroken | None:
    """Return how the version that serves was promoted, where the loss lasts; else ``None``.

    :param word: the verdict on the window at hand: only one that passes is a recovery.
    """
    found = better_than_broken_of(case.ledger)
    if found is None or word is Status.PASS:
        return None
    if word is Status.FAIL:
        return found
    window, name = case.step.window, case.step.spec.name
    kept = case.ports.monitor.windows(name, "performance", since=found.lost_since)
    others = [one for one in kept if one.window != window]
    return found if open_stretch(others, "performance", now=case.now) else None


def better_than_broken_text(found: BetterThanBroken | None, baseline_version: str) -> str:
    """Return the sentence for people; empty where there is nothing to say."""
    if found is None:
        return ""
    against = f"against the baseline of version {baseline_version} " if baseline_version else ""
    return (
        f"better than broken: version {found.version} serves since {found.serves_since:%Y-%m-%d %H:%M} UTC, "
        f"the loss {against}since {found.lost_since:%Y-%m-%d %H:%M} UTC stands"
    )
