"""What the last block of a log is made of."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from windsock import records as r
from windsock.texts import log_text


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What on-call reads first.

    :param word: PASS, FAIL, HOLD, KEEP, UNCHANGED, DRY RUN or ERROR.
    :param why: one sentence with the number against its limit.
    :param next_action: what to do now; ``nothing`` is an answer.
    :param ids: what to look things up by.
    """

    word: str
    why: str
    next_action: str = "nothing to do"
    ids: dict[str, str] = field(default_factory=dict)

    def level(self, *, red: bool) -> int:
        """Return the level at which the block is logged: what ends a task red is an error, the rest is not.

        A FAIL that leaves its task green is a finding, such as drift: a warning.

        :param red: whether the task ends red.
        """
        if red or self.word == "ERROR":
            return logging.ERROR
        return logging.WARNING if self.word == "FAIL" else logging.INFO

    def lines(self) -> tuple[str, str, str, str]:
        """Return the four lines of the block; no text of a file or of the data adds one."""
        ids = " ".join(f"{name}={log_text(value)}" for name, value in self.ids.items() if value) or "none"
        why, following = log_text(self.why), log_text(self.next_action)
        return (f"VERDICT: {self.word}", f"WHY: {why}", f"NEXT: {following}", f"IDS: {ids}")


def shorten(digest: str | None) -> str:
    """Return the first 12 digits of a digest; enough to find it, short enough to read."""
    return (digest or "")[:12]


def difference_text(estimate: r.Estimate) -> str:
    """Return a challenger's difference with its interval, or that there is none."""
    if estimate.difference is None:
        return "no value"
    if estimate.interval is None:
        return f"{estimate.difference:+.5g}"
    return f"{estimate.difference:+.5g} [{estimate.interval.low:+.5g}, {estimate.interval.high:+.5g}]"
