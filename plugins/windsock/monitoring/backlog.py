"""The closed windows that wait for a verdict: which are judged now, which later, and which never will be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import NamedTuple, TypeVar

from windsock.exceptions import DatabaseUnavailableError, StorageError, WindsockError
from windsock.monitoring.empty_windows import keep_empty
from windsock.monitoring.pending_windows import pending_windows, recent_since, watched_kinds
from windsock.ports import Ports
from windsock.records import (
    Champion,
    CheckDriftInput,
    CheckPerformanceInput,
    LedgerAction,
    LedgerRow,
    Record,
    Span,
    Status,
    WindowKind,
    WindowVerdict,
    live_since,
)
from windsock.spec import ModelSpec

log = logging.getLogger(__name__)

MOST = 200
"""Windows that one run of the monitor judges; what is left waits for the next run."""
SKIPPED_CODE = "WS-MONITORING-118"
Given = TypeVar("Given", CheckDriftInput, CheckPerformanceInput)
Made = TypeVar("Made", bound=Record)


class Backlog(NamedTuple):
    """What becomes of the windows that are closed and have no verdict.

    :param windows: to be judged now, the oldest first.
    :param waiting: how many are left to later runs.
    :param empty: how many had no row of the log: those have their verdict by now.
    :param skipped: a sentence for each stretch of windows that nobody can judge any more.
    """

    windows: tuple[Span, ...]
    waiting: int = 0
    empty: int = 0
    skipped: tuple[str, ...] = ()

    def told(self, window: str) -> str:
        """Return what there is, in one line.

        :param window: how long windows are, such as ``1h``.
        """
        empty = f"; {self.empty:,} more were empty" if self.empty else ""
        later = f"; {self.waiting:,} later ones wait for the next runs" if self.waiting else ""
        skipped = "".join(f"; {one}" for one in self.skipped)
        return f"{len(self.windows):,} closed windows of {window} without a verdict{empty}{later}{skipped}"


def take_backlog(spec: ModelSpec, ports: Ports, *, most: int | None = MOST) -> Backlog:
    """Return the windows to judge now; keep the verdict of those that need no judging, or can have none.

    Nothing is dropped: windows of which the log is gone, or that an earlier version answered long ago, have
    a verdict that says so. It asks for nothing.

    :param most: how many windows are judged at once; ``None``: all.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    rows, block = ports.ledger.rows(spec.name), spec.monitoring
    judged = ports.monitor.windows(spec.name)
    pending = pending_windows(block, judged, since=live_since(rows), now=ports.now())
    filled = _filled(spec, ports, rows, [one for one in judged if one.window not in pending])
    pending = tuple(sorted({*pending, *filled}, key=lambda window: window.end))
    pending, skipped = _skip(spec, ports, rows, pending)
    windows: list[Span] = []
    empty = 0
    while pending and (most is None or len(windows) < most):
        count = len(pending) if most is None else most - len(windows)
        chunk, pending = pending[:count], pending[count:]
        # The last one of all is judged even where it is empty.
        left = keep_empty(spec, ports, (*chunk, *pending[-1:]))
        windows += left[: len(left) - len(pending[-1:])]
        empty += len(chunk) + len(pending[-1:]) - len(left)
    return Backlog(tuple(windows), len(pending), empty, skipped)


def _filled(
    spec: ModelSpec, ports: Ports, rows: Sequence[LedgerRow], judged: Sequence[WindowVerdict]
) -> tuple[Span, ...]:
    """Return the windows of the last ones that were ``empty``, and of which the log has rows by now.

    They came late, or the window was judged before its time by a clock that was ahead. Only windows in which
    the version served are looked at: of others it has no rows.
    """
    champion = ports.ledger.champion(spec.name)
    if champion is None:
        return ()
    length, begins = spec.monitoring.window_length, recent_since(spec.monitoring, ports.now())
    serves = _serves_since(rows, champion)
    empty = {
        one.window
        for one in judged
        if one.status is Status.EMPTY
        and begins <= one.window.start
        and one.window.end - one.window.start == length
        and (serves is None or serves <= one.window.start)
    }
    if not empty:
        return ()
    try:
        without = ports.counter.without_rows(spec.name, sorted(empty, key=lambda window: window.end))
    except StorageError as error:
        log.warning("%s: whether empty windows have rows by now is not known: %s", error.code, error.message)
        return ()
    return tuple(empty - without)


def _skip(
    spec: ModelSpec, ports: Ports, rows: Sequence[LedgerRow], pending: tuple[Span, ...]
) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    """Keep a verdict of the windows that nobody can judge any more; return the others, and what was said.

    Only windows before the last ones are looked at: of those it is always tried.
    """
    now = ports.now()
    recent = recent_since(spec.monitoring, now)
    old = tuple(window for window in pending if window.end <= recent)
    champion = ports.ledger.champion(spec.name)
    if not old or champion is None:
        return pending, ()
    serves = _serves_since(rows, champion)
    begins = _log_begins(spec.name, ports)
    told: list[str] = []
    gone: set[Span] = set()
    for stretch in _stretches(old, begins, serves):
        reason = _reason(spec, stretch, begins, serves, champion)
        span = Span(start=stretch[0].start, end=stretch[-1].end)
        for kind in watched_kinds(spec.monitoring):
            ports.monitor.add_window(_verdict(spec, champion, kind, span, Status.EMPTY, reason, now))
        log.warning("%s: %s", spec.name, reason)
        told.append(reason)
        gone.update(stretch)
    return tuple(window for window in pending if window not in gone), tuple(told)


def _stretches(
    windows: Sequence[Span], begins: datetime | None, serves: datetime | None
) -> Iterator[list[Span]]:
    """Yield the windows that are skipped, those that follow each other for the same cause together."""
    stretch: list[Span] = []
    cause = ""
    for window in windows:
        found = _cause(window, begins, serves)
        if stretch and (found != cause or stretch[-1].end != window.start):
            yield stretch
            stretch = []
        if found:
            stretch.append(window)
        cause = found
    if stretch:
        yield stretch


def _cause(window: Span, begins: datetime | None, serves: datetime | None) -> str:
    if begins is not None and window.end <= begins:
        return "log"
    return "version" if serves is not None and window.end <= serves else ""


def _reason(
    spec: ModelSpec,
    stretch: Sequence[Span],
    begins: datetime | None,
    serves: datetime | None,
    champion: Champion,
) -> str:
    many = f"{len(stretch):,} windows of {spec.monitoring.window}" if len(stretch) > 1 else "a window"
    when = f"{stretch[0].start:%Y-%m-%d %H:%M} to {stretch[-1].end:%Y-%m-%d %H:%M} UTC"
    if _cause(stretch[0], begins, serves) == "log":
        why = f"the prediction log that is kept begins at {begins:%Y-%m-%d %H:%M}"
    else:
        why = f"version {champion.version} serves since {serves:%Y-%m-%d %H:%M}"
    return f"{SKIPPED_CODE} {many} from {when} skipped: {why}"


def _serves_since(rows: Sequence[LedgerRow], champion: Champion) -> datetime | None:
    """Return since when a version has served without a break."""
    since = None
    for row in reversed(rows):
        if row.action is LedgerAction.COMMIT:
            if row.digest != champion.digest:
                break
            since = row.at
    return since


def _log_begins(model: str, ports: Ports) -> datetime | None:
    try:
        return ports.counter.begins(model)
    except StorageError as error:
        log.warning("%s: where the log begins is not known: %s", error.code, error.message)
        return None


def _verdict(
    spec: ModelSpec,
    champion: Champion,
    kind: WindowKind,
    window: Span,
    status: Status,
    reason: str,
    now: datetime,
) -> WindowVerdict:
    return WindowVerdict(
        model=spec.name,
        kind=kind,
        window=window,
        version=champion.version,
        digest=champion.digest,
        status=status,
        reason=reason,
        judged_at=now,
    )


def tried_once(
    kind: WindowKind,
) -> Callable[[Callable[[Given, Ports, str], Made]], Callable[[Given, Ports, str], Made]]:
    """Let a check keep ``error`` as the verdict of an old window that it cannot judge, and raise as before.

    The last windows are tried again by each run. Of older ones the next must not wait behind one that can
    never be judged.
    """

    def wrap(check: Callable[[Given, Ports, str], Made]) -> Callable[[Given, Ports, str], Made]:
        @wraps(check)
        def judged(step: Given, ports: Ports, key: str) -> Made:
            with _kept(kind, step, ports):
                return check(step, ports, key)

        return judged

    return wrap


@contextmanager
def _kept(kind: WindowKind, step: CheckDriftInput | CheckPerformanceInput, ports: Ports) -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailableError:
        raise
    except WindsockError as error:
        now = ports.now()
        if step.window.end <= recent_since(step.spec.monitoring, now):
            champion = ports.ledger.champion(step.spec.name)
            if champion is not None:
                reason = f"{error.code}: {error.message}"
                ports.monitor.add_window(
                    _verdict(step.spec, champion, kind, step.window, Status.ERROR, reason, now)
                )
        raise
