"""Whether it is unusual that nobody asks a model, by the verdicts that are kept."""

from __future__ import annotations

from windsock.monitoring.performance_anomalies import ROWS, row_rate, usual_rows
from windsock.monitoring.performance_case import history_starts
from windsock.monitoring.performance_trend import series_start
from windsock.ports import Ports
from windsock.records import Span, Status
from windsock.spec import ModelSpec


def is_unusual_silence(spec: ModelSpec, ports: Ports, window: Span) -> bool:
    """Return whether the number of rows of an empty window is an alarm, or one stands that may be over.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    block = spec.monitoring
    if not block.performance_tracking:
        return False
    earliest = history_starts(block, window.end)
    series = ports.monitor.windows(
        spec.name, "performance", since=min(earliest, series_start(block, window.end))
    )
    usual = usual_rows([one for one in series if one.window.end > earliest], window, series)
    if row_rate(0, usual, block.performance).status is Status.FAIL:
        return True
    firing = ports.monitor.alerts(spec.name, firing=True)
    return any(one.key == f"performance:{ROWS}" for one in firing)


__all__ = ["is_unusual_silence"]
