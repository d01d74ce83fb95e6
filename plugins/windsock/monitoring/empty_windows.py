"""Windows in which nothing was asked: each has a verdict of its own, and all of them take one step."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.exceptions import StorageError
from windsock.ports import Ports
from windsock.records import Span, Status, WindowKind, WindowVerdict
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
    now, block = ports.now(), spec.monitoring
    kinds: tuple[tuple[WindowKind, bool], ...] = (
        ("drift", block.data_drift),
        ("performance", block.performance_tracking),
    )
    for window, kind in ((window, kind) for window in without for kind, is_on in kinds if is_on):
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
    return tuple(window for window in windows if window not in without)
