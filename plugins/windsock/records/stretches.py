"""Stretches of bad windows: from the onset of drift or loss to the recovery, whatever was tried between."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from windsock.records.base import Record, Span, Status
from windsock.records.monitoring import WindowKind, WindowVerdict


class Stretch(Record):
    """Bad windows from an onset on, and no recovery yet.

    :param span: from the first bad window's start to the last one's end.
    :param windows: how many of the windows in between are bad.
    :param first: the verdict on the first bad one.
    :param latest: the verdict on the last bad one.
    """

    kind: WindowKind
    span: Span
    windows: int
    first: WindowVerdict
    latest: WindowVerdict


def judged_until(verdict: WindowVerdict) -> datetime:
    """Return up to when a window's verdict knows the answers: later windows may know no more."""
    return verdict.lookback.end if verdict.lookback is not None else verdict.window.end


def open_stretch(windows: Iterable[WindowVerdict], kind: WindowKind, *, now: datetime) -> Stretch | None:
    """Return the stretch that no recovery has ended, or ``None``.

    A window that fails opens it, and one that passes ends it, whichever versions they are of: a promotion is
    no recovery. Windows without a verdict, and those that lie in the future, do neither.

    :param windows: kept verdicts, in any order.
    """
    bad: list[WindowVerdict] = []
    judged = [one for one in windows if one.kind == kind and one.window.end <= now]
    for one in sorted(judged, key=lambda one: (judged_until(one), one.window.end)):
        if one.status is Status.FAIL:
            bad.append(one)
        elif one.status is Status.PASS:
            bad.clear()
    if not bad:
        return None
    span = Span(start=bad[0].window.start, end=bad[-1].window.end)
    return Stretch(kind=kind, span=span, windows=len(bad), first=bad[0], latest=bad[-1])
