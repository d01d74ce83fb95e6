"""A loss that a person accepts: what the model does now is what its performance is held against."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import NoReturn

from pydantic import ValidationError

from windsock.door import append_once
from windsock.exceptions import MonitoringError, WindsockError
from windsock.monitoring.accepted_alerts import end_alerts
from windsock.monitoring.check_performance import check_performance, look_anew
from windsock.monitoring.kept_metrics import REALISED, metrics_of, numbers_of_intervals
from windsock.monitoring.performance_asked import LACKS, asked_of
from windsock.monitoring.performance_case import Case
from windsock.monitoring.performance_checks import DROP
from windsock.ports import Ports
from windsock.records import (
    Baseline,
    Champion,
    CheckPerformanceInput,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    MetricValue,
    Span,
    Status,
    WindowVerdict,
    baseline_of,
    champion_of,
)
from windsock.spec import ModelSpec
from windsock.statistics.metrics import direction

log = logging.getLogger(__name__)

CODE = "WS-MONITORING-099"
JUDGED = (Status.PASS, Status.FAIL)


def accept_loss(
    spec: ModelSpec,
    ports: Ports,
    *,
    actor: str,
    reason: str,
    show: Callable[[Span, Sequence[MetricValue]], None] | None = None,
) -> Baseline:
    """Make the metrics of the latest judged performance window the baseline, and judge that window anew.

    The metrics are computed anew from log and labels, and must be those of the kept verdict. One that is
    better than what was asked does not rise by this. The alert of the loss
    is over, and windows up to that one ask for no retrain any more.

    :param actor: the person who accepts it, as the ledger names them.
    :param reason: why, for the ledger.
    :param show: is given the look-back and the metrics that are accepted, before they are written.
    :returns: the baseline from now on.
    :raises MonitoringError: if no loss of the version that serves is there to be accepted.
    :raises VerdictError: if rows of the ledger are missing.
    """
    champion = ports.ledger.champion(spec.name)
    if champion is None:
        raise _nothing(spec.name, "no version serves, so it has no loss")
    verdict = _lost_window(spec, ports, champion)
    metrics = _computed_anew(spec, ports, champion, verdict)
    if show is not None:
        show(verdict.lookback or verdict.window, metrics)
    row = _write(ports, champion, verdict, metrics, actor=actor, reason=reason)
    log.info("%s: row %d of the ledger accepts the loss of version %s", spec.name, row.seq, row.version)
    end_alerts(
        spec, ports, _is_of_loss, f"{actor} has accepted this loss, row {row.seq} of the ledger: {reason}"
    )
    try:
        check_performance(CheckPerformanceInput(spec=spec, window=verdict.window), ports, "")
    except WindsockError as error:
        log.warning("%s: the window is judged by the next run only: %s", error.code, error.message)
    found = baseline_of([one for one in ports.ledger.rows(spec.name) if one.seq <= row.seq])
    if found is None:
        raise _nothing(spec.name, f"row {row.seq} holds no metric")
    return found


def _is_of_loss(key: str) -> bool:
    """Return whether an alert tells of the loss against the baseline; minimum and the like stay."""
    return key.startswith(f"performance:{DROP}:")


def _nothing(model: str, what: str, advice: str = "") -> MonitoringError:
    return MonitoringError(
        f"{model}: {what}; nothing was accepted",
        code=CODE,
        next_action=advice or f"`windsock monitor {model}` shows the judged windows.",
    )


def _lost_window(spec: ModelSpec, ports: Ports, champion: Champion) -> WindowVerdict:
    """Return the latest judged window of the version that serves, which fails by a loss, or lacks a floor.

    :raises MonitoringError: if there is none, or it does not fail, or has no metric with an interval.
    """
    now = ports.now()
    judged = [
        one
        for one in ports.monitor.windows(spec.name, "performance")
        if one.digest == champion.digest
        and (one.status in JUDGED or _lacks_baseline(one))
        and one.window.end <= now
    ]
    if not judged:
        what = f"no window of version {champion.version}, which serves, is judged by its labels yet"
        raise _nothing(spec.name, what, "Wait until labels are there and a window is judged, then try again.")
    last = judged[-1]
    about = f"the latest judged window, to {last.window.end:%Y-%m-%d %H:%M} UTC,"
    if last.status is not Status.FAIL and not _lacks_baseline(last):
        raise _nothing(spec.name, f"{about} shows no loss against what is asked of the model")
    if not _kept_metrics(last):
        what = f"{about} keeps no metric with an interval"
        raise _nothing(spec.name, what, _again(spec.name, last))
    return last


def _lacks_baseline(verdict: WindowVerdict) -> bool:
    """Return whether the judged metric could be held against nothing, as the baseline has no value of it."""
    return any(name.startswith(f"{LACKS}:") for name in verdict.numbers)


def _again(model: str, verdict: WindowVerdict) -> str:
    end = f"{verdict.window.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"Judge it again: `windsock monitor {model} --check --window-end {end}`, then accept."


def _kept_metrics(verdict: WindowVerdict) -> dict[str, MetricValue]:
    """Return the metrics of a kept verdict; none where its numbers cannot be any."""
    try:
        return {one.name: one for one in metrics_of(verdict.numbers)}
    except ValidationError:
        return {}


def _computed_anew(
    spec: ModelSpec, ports: Ports, champion: Champion, verdict: WindowVerdict
) -> tuple[MetricValue, ...]:
    """Return what is accepted: the metrics by log and labels as they are, none better than what was asked.

    The control database is not signed, and what is accepted is: its numbers are compared, never copied.

    :raises MonitoringError: if they are others than the kept ones, or performance is not what fails.
    """
    case = look_anew(CheckPerformanceInput(spec=spec, window=verdict.window), ports, champion)
    made = {one.name: one for one in metrics_of(_numbers(case))}
    if not _are_alike(made, _kept_metrics(verdict)):
        what = "the kept verdict has other metrics than log and labels give now, so it may have been edited"
        raise _nothing(spec.name, what, _again(spec.name, verdict))
    is_lost = any(_is_of_drop(one.name) and one.status is Status.FAIL for one in case.checks)
    if not is_lost and not any(name.startswith(f"{LACKS}:") for name in case.numbers):
        advice = (
            "What fails is `gate.minimum`, `business` or the like: change that limit in the model's file, or "
            "see that the model gets better."
        )
        raise _nothing(spec.name, "the window fails, and not by a loss against the baseline", advice)
    known = {one.name: one for one in case.baseline.metrics} if case.baseline else {}
    return tuple({**known, **{name: _no_better(case, one) for name, one in made.items()}}.values())


def _is_of_drop(name: str) -> bool:
    return name.partition(":")[0] == DROP


def _numbers(case: Case) -> dict[str, float]:
    metrics = [one for one in case.realised.metrics if one.value is not None]
    return {
        **{f"{REALISED}:{one.name}": one.value for one in metrics if one.value is not None},
        **numbers_of_intervals(metrics),
    }


def _are_alike(made: Mapping[str, MetricValue], kept: Mapping[str, MetricValue]) -> bool:
    return made.keys() == kept.keys() and all(
        math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
        for name, one in made.items()
        for ours, theirs in zip(_parts(one), _parts(kept[name]), strict=True)
    )


def _parts(metric: MetricValue) -> tuple[float, ...]:
    interval = metric.interval
    ends = (interval.low, interval.high) if interval else ()
    return (metric.value or 0.0, float(metric.n or 0), *ends)


def _no_better(case: Case, made: MetricValue) -> MetricValue:
    """Return a metric, or what was asked of it where that is less: the baseline never rises by a person."""
    asked, _ = asked_of(case, made.name)
    if asked is None or asked.value is None or asked.interval is None or made.value is None:
        return made
    return asked if direction(made.name) * (made.value - asked.value) > 0 else made


def _write(
    ports: Ports,
    champion: Champion,
    verdict: WindowVerdict,
    metrics: Sequence[MetricValue],
    *,
    actor: str,
    reason: str,
) -> LedgerRow:
    """Write the row, unless another version serves by now."""
    entry = LedgerEntry(
        model=champion.model,
        action=LedgerAction.ACCEPT_LOSS,
        epoch=0,
        version=champion.version,
        digest=champion.digest,
        actor=actor,
        body={
            "metrics": [one.model_dump(mode="json") for one in metrics],
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
