"""A loss that a person accepts: what the model does now is what its performance is held against."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NoReturn

from windsock.door import append_once
from windsock.exceptions import MonitoringError, WindsockError
from windsock.monitoring.check_performance import check_performance
from windsock.monitoring.kept_metrics import metrics_of
from windsock.monitoring.performance_checks import LOSS
from windsock.ports import Ports
from windsock.records import (
    Baseline,
    Champion,
    CheckPerformanceInput,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Status,
    WindowVerdict,
    baseline_of,
    champion_of,
)
from windsock.spec import ModelSpec

log = logging.getLogger(__name__)

CODE = "WS-MONITORING-099"
JUDGED = (Status.PASS, Status.FAIL)


def accept_loss(spec: ModelSpec, ports: Ports, *, actor: str, reason: str) -> Baseline:
    """Make the metrics of the latest judged performance window the baseline, and judge that window anew.

    :param actor: the person who accepts it, as the ledger names them.
    :param reason: why, for the ledger.
    :returns: the baseline from now on.
    :raises MonitoringError: if no loss of the version that serves is there to be accepted.
    :raises VerdictError: if rows of the ledger are missing.
    """
    champion = ports.ledger.champion(spec.name)
    if champion is None:
        raise _nothing(spec.name, "no version serves, so it has no loss")
    verdict = _lost_window(spec, ports, champion)
    row = _write(ports, champion, verdict, actor=actor, reason=reason)
    log.info("%s: row %d of the ledger accepts the loss of version %s", spec.name, row.seq, row.version)
    try:
        check_performance(CheckPerformanceInput(spec=spec, window=verdict.window), ports, "")
    except WindsockError as error:
        log.warning("%s: the window is judged by the next run only: %s", error.code, error.message)
    found = baseline_of([one for one in ports.ledger.rows(spec.name) if one.seq <= row.seq])
    if found is None:
        raise _nothing(spec.name, f"row {row.seq} holds no metric")
    return found


def _nothing(model: str, what: str, advice: str = "") -> MonitoringError:
    return MonitoringError(
        f"{model}: {what}; nothing was accepted",
        code=CODE,
        next_action=advice or f"`windsock monitor {model}` shows the judged windows.",
    )


def _lost_window(spec: ModelSpec, ports: Ports, champion: Champion) -> WindowVerdict:
    """Return the latest judged window of the version that serves, which fails by a loss.

    :raises MonitoringError: if there is none, or it does not fail, or has no metric with an interval.
    """
    now = ports.now()
    judged = [
        one
        for one in ports.monitor.windows(spec.name, "performance")
        if one.digest == champion.digest and one.status in JUDGED and one.window.end <= now
    ]
    if not judged:
        what = f"no window of version {champion.version}, which serves, is judged by its labels yet"
        raise _nothing(spec.name, what, "Wait until labels are there and a window is judged, then try again.")
    last = judged[-1]
    about = f"the latest judged window, to {last.window.end:%Y-%m-%d %H:%M} UTC,"
    losses = [value for name, value in last.numbers.items() if name.partition(":")[0] == LOSS]
    if last.status is not Status.FAIL or not any(value > 0 for value in losses):
        raise _nothing(spec.name, f"{about} shows no loss against what is asked of the model")
    if not metrics_of(last.numbers):
        again = f"windsock monitor {spec.name} --check --window-end {last.window.end:%Y-%m-%dT%H:%M:%SZ}"
        raise _nothing(
            spec.name, f"{about} keeps no metric with an interval", f"Judge it again: `{again}`, then accept."
        )
    return last


def _write(ports: Ports, champion: Champion, verdict: WindowVerdict, *, actor: str, reason: str) -> LedgerRow:
    """Write the row, unless another version serves by now."""
    entry = LedgerEntry(
        model=champion.model,
        action=LedgerAction.ACCEPT_LOSS,
        epoch=0,
        version=champion.version,
        digest=champion.digest,
        actor=actor,
        body={
            "metrics": [one.model_dump(mode="json") for one in metrics_of(verdict.numbers)],
            "window": verdict.window.model_dump(mode="json"),
            "reason": reason,
            "requester": actor,
        },
    )

    def standing(rows: Sequence[LedgerRow]) -> None:
        serves = champion_of(rows)
        if serves is None or serves.digest != champion.digest:
            _changed(champion)

    return append_once(ports.ledger, entry, standing=standing)


def _changed(champion: Champion) -> NoReturn:
    raise _nothing(champion.model, f"version {champion.version} does not serve any more")
