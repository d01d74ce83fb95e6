"""Windows that waited for labels: judged again once those are there; what was said before is kept beside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from windsock.monitoring.label_looks import (
    is_due,
    last_look,
    look_before,
    look_is_due,
    looked,
    reach_of,
)
from windsock.monitoring.late_labels import coverages
from windsock.monitoring.performance_case import AWAITS, Case, between, knows_labels, labelled_of
from windsock.monitoring.performance_judging import coverage_of, judge_business, judge_realised
from windsock.monitoring.performance_verdict import Judgement, judge, numbers_of
from windsock.ports import Ports
from windsock.records import Champion, PerformanceReport, Span, Status, WindowVerdict
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

AGAIN = "WS-MONITORING-111"
MOST = 48
"""So many windows are judged again at once, the oldest first; the others by later runs."""


def look_for(case: Case) -> Case:
    """Return the case with a look at labels where windows wait for some and no look was taken of late."""
    if case.wide is not None or not any(_waits(case, one) for one in case.series):
        return case
    return looked(case) if is_due(case, last_look(case)) else case


def judge_again(case: Case) -> tuple[str, ...]:
    """Judge windows that had too few labels and have enough by now; return what is to be told of them.

    Only after a look at labels, and with the latest closed window, so that it is done once. A window's labels
    are there once its look-back has as many as are asked, up to its own end, and it has some itself. Labels
    alone are judged: what else was said of the window stands.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    block, end = case.step.spec.monitoring, case.step.window.end
    if case.wide is None or case.wide.empty or block.window_end(case.now) != end:
        return ()
    kept = case.ports.monitor.windows(
        case.step.spec.name, "performance", since=end - reach_of(block.performance)
    )
    rows = case.wide[case.wide["digest"] == case.champion.digest]
    waiting = [one for one in kept if _waits(case, one)]
    made: list[WindowVerdict] = []
    for verdict in _labelled_by_now(case, rows, waiting):
        if len(made) == MOST:
            break
        found = _judged(case, verdict, rows)
        if found is not None:
            made.append(case.ports.monitor.add_window(found))
    return _told(made)


def _waits(case: Case, verdict: WindowVerdict) -> bool:
    """Return whether a window of the version had too few labels to be judged by."""
    asked = case.step.spec.monitoring.performance.coverage
    return _waits_for_labels(verdict, case.champion, case.step.window, asked)


def _waits_for_labels(verdict: WindowVerdict, champion: Champion, now: Span, asked: float) -> bool:
    window = verdict.window
    return (
        verdict.status is Status.INSUFFICIENT
        and verdict.digest == champion.digest
        and window.end < now.end
        and window.end - window.start == now.end - now.start
        and (AWAITS in verdict.numbers or "coverage" in verdict.numbers)
        and not knows_labels(verdict, asked)
    )


def labels_may_tell(spec: ModelSpec, ports: Ports, champion: Champion, window: Span) -> bool:
    """Return whether windows wait for labels, and a look at those is due with a window.

    :param window: the latest closed one.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    block = spec.monitoring
    if not block.performance_tracking:
        return False
    since = window.end - reach_of(block.performance)
    judged = ports.monitor.judged({spec.name: since}).get(spec.name, ())
    if not any(one.kind == "performance" and one.status is Status.INSUFFICIENT for one in judged):
        return False
    series = ports.monitor.windows(spec.name, "performance", since=since)
    asked = block.performance.coverage
    if not any(_waits_for_labels(one, champion, window, asked) for one in series):
        return False
    return look_is_due(look_before(series, window.end), window, ports.now())


def _labelled_by_now(case: Case, rows: pd.DataFrame, waiting: list[WindowVerdict]) -> list[WindowVerdict]:
    """Return those of some windows whose look-backs have as many labels as are asked, the oldest first."""
    asked, length = case.step.spec.monitoring.performance.coverage, case.lookback.end - case.lookback.start
    ends = [one.window.end for one in waiting]
    shares = coverages(rows, ends, length)
    own = coverages(rows, ends, case.step.window.end - case.step.window.start)
    return [
        one
        for one, share, part in zip(waiting, shares, own, strict=True)
        if share > 0 and share >= asked and part > 0
    ]


def _judged(case: Case, verdict: WindowVerdict, rows: pd.DataFrame) -> WindowVerdict | None:
    """Return a window's verdict by the labels there are now; ``None``: nobody knows how many are lost."""
    length = case.lookback.end - case.lookback.start
    one = replace(
        case,
        step=case.step.replace(window=verdict.window),
        lookback=Span(start=verdict.window.end - length, end=verdict.window.end),
        rows=rows,
        checks=[],
        findings=[],
        numbers={},
        rates={},
        again=True,
    )
    own = between(one, one.lookback)
    labelled = labelled_of(own)
    coverage = coverage_of(one, own, labelled)
    if not coverage.passed:
        return None
    judge_realised(one)
    judge_business(one)
    judgement = judge(one)
    report = PerformanceReport(
        model=verdict.model,
        version=verdict.version,
        digest=verdict.digest,
        window=verdict.window,
        status=judgement.status,
        rows=len(own),
        labelled=len(labelled),
        coverage=coverage.value,
        realised=one.realised.metrics,
        reason=judgement.reason,
        judged_at=case.now,
    )
    numbers = {name: value for name, value in verdict.numbers.items() if name != AWAITS}
    numbers |= numbers_of(one, report)
    return verdict.replace(
        status=judgement.quality,
        severity=judgement.quality_severity,
        reason=_reason(judgement, labelled, verdict),
        numbers=numbers,
        lookback=one.lookback,
        judged_at=case.now,
    )


def _reason(judgement: Judgement, labelled: pd.DataFrame, verdict: WindowVerdict) -> str:
    return (
        f"judged again by {len(labelled):,} labels that are there now, {verdict.status.value} on "
        f"{verdict.judged_at:%Y-%m-%d %H:%M} UTC: {judgement.reason}"
    )


def _told(made: list[WindowVerdict]) -> tuple[str, ...]:
    if not made:
        return ()
    words = Counter(one.status.value for one in made)
    counted = ", ".join(f"{words[word]:,} {word}" for word in ("fail", "pass", "insufficient") if words[word])
    ends = [f"{made[at].window.end:%Y-%m-%d %H:%M}" for at in (0, -1)]
    which = (
        f"1 window, which ended at {ends[0]} UTC, is"
        if len(made) == 1
        else f"{len(made):,} windows, which ended from {ends[0]} to {ends[1]} UTC, are"
    )
    return (f"{AGAIN} {which} judged again, as the labels are there now: {counted}",)
