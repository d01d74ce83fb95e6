"""Windows in which nothing was asked: each has a verdict of its own, and all of them take one step."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from windsock.exceptions import StorageError
from windsock.monitoring.pending_windows import watched_kinds
from windsock.ports import Ports
from windsock.records import Champion, Span, Status, WindowVerdict
from windsock.spec import ModelSpec

log = logging.getLogger(__name__)

REASON = "empty: nobody asked the model in this window"


def keep_empty(spec: ModelSpec, ports: Ports, windows: Sequence[Span]) -> tuple[Span, ...]:
    """Keep the verdict ``empty`` of windows without any row of the log; return those that are left to judge.

    The last window is always left: whether nobody asks any more is a question of its own check.

    :param windows: closed windows without a verdict, in their order.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    champion = ports.ledger.champion(spec.name)
    earlier = windows[:-1]
    if champion is None or not earlier:
        return tuple(windows)
    try:
        without = ports.counter.without_rows(spec.name, earlier)
    except StorageError as error:
        log.warning("%s: windows are judged one by one: %s", error.code, error.message)
        return tuple(windows)
    keep_all_empty(spec, ports, champion, [window for window in earlier if window in without])
    return tuple(window for window in windows if window not in without)


def keep_all_empty(spec: ModelSpec, ports: Ports, champion: Champion, windows: Iterable[Span]) -> None:
    """Keep the verdict ``empty`` of windows of which is known that the log has no row of them.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    now = ports.now()
    for window, kind in ((window, kind) for window in windows for kind in watched_kinds(spec.monitoring)):
        ports.monitor.add_window(
            WindowVerdict(
                model=spec.name,
                kind=kind,
                window=window,
                version=champion.version,
                digest=champion.digest,
                status=Status.EMPTY,
                reason=REASON,
                numbers={"rows": 0.0},
                judged_at=now,
            )
        )
