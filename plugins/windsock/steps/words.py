"""What the last block of a log is made of."""

from __future__ import annotations

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

    def lines(self) -> tuple[str, str, str, str]:
        """Return the four lines of the block; no text of a file or of the data adds one."""
        ids = " ".join(f"{name}={log_text(value)}" for name, value in self.ids.items() if value) or "none"
        why, following = log_text(self.why), log_text(self.next_action)
        return (f"VERDICT: {self.word}", f"WHY: {why}", f"NEXT: {following}", f"IDS: {ids}")


def shorten(digest: str | None) -> str:
    """Return the first 12 digits of a digest; enough to find it, short enough to read."""
    return (digest or "")[:12]


def limit_text(check: r.CheckResult) -> str:
    """Return a check's number against its limit, such as ``0.912 [0.9, 0.93] >= 0.8 (n=200)``."""
    if check.value is None:
        return check.message or check.status.value
    interval = f" [{check.interval.low:.4g}, {check.interval.high:.4g}]" if check.interval else ""
    limit = f" {check.relation} {check.limit:.6g}" if check.relation and check.limit is not None else ""
    unit = "" if check.unit == "rows" else f" {check.unit}"
    count = f" (n={check.n}{unit})" if check.n is not None else ""
    return f"{check.value:.6g}{interval}{limit}{count}"


def difference_text(estimate: r.Estimate) -> str:
    """Return a challenger's difference with its interval, or that there is none."""
    if estimate.difference is None:
        return "no value"
    if estimate.interval is None:
        return f"{estimate.difference:+.5g}"
    return f"{estimate.difference:+.5g} [{estimate.interval.low:+.5g}, {estimate.interval.high:+.5g}]"
