"""What an open breaker tells: which retrains did not help and why, and how a person lets it go on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from windsock.records import Episode, PairedDifference, RetrainOutcome
from windsock.records.retraining import AGAINST, USELESS, Trigger

SHOWN = 2
"""So many of the latest retrains are named of each breaker: what follows must have its place in an alert."""


def reset_command(model: str) -> str:
    """Return the command that lets the breaker forget, as it is typed."""
    return f"windsock monitor {model} --reset --reason WHY"


def tried_text(episodes: Sequence[Episode], digest: str, stopped: Collection[Trigger]) -> str:
    """Return which retrains of a version did not help, against what each breaker is for; empty: none.

    :param episodes: in the order in which they were opened.
    :param digest: bundle that serves.
    :param stopped: what asks in vain, because its breaker is open.
    """
    told = []
    for against in dict.fromkeys(AGAINST[one] for one in stopped):
        useless = [
            one for one in episodes if AGAINST[one.trigger] == against and _counts(one, digest, stopped)
        ]
        if useless:
            shown = [_one(one) for one in useless[-SHOWN:]]
            before = f" and {len(useless) - SHOWN} before" if len(useless) > SHOWN else ""
            told.append(f"retrains against {against} that did not help: {', '.join(shown)}{before}")
    return "; ".join(told)


def _counts(episode: Episode, digest: str, stopped: Collection[Trigger]) -> bool:
    showed_nothing = episode.trigger == "event" and episode.outcome is RetrainOutcome.TOO_FEW
    is_useless = episode.outcome in USELESS or (showed_nothing and "event" in stopped)
    return episode.digest == digest and is_useless and episode.forgiven_by is None


def _one(episode: Episode) -> str:
    parts = []
    if episode.rows is not None:
        parts.append(f"{episode.rows:,} labelled answers since the change")
    if episode.difference is not None:
        parts.append(_difference(episode.difference))
    began = f"{episode.claimed_at:%Y-%m-%d %H:%M} UTC" if episode.claimed_at else episode.key
    ended = episode.outcome.value if episode.outcome else "closed"
    return f"{began} {ended} ({'; '.join(parts)})" if parts else f"{began} {ended}"


def _difference(made: PairedDifference) -> str:
    told = f"{made.metric} against the champion"
    if made.value is None:
        return f"{told} not known"
    width = "without an interval"
    if made.interval is not None:
        width = f"[{made.interval.low:+.3g}, {made.interval.high:+.3g}]"
    return f"{told} {made.value:+.3g} {width} on {made.on_rows:,} rows"
