"""Labels that come late: performance looks back from where they are complete enough, and says its age."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from windsock.monitoring import performance_checks as checks
from windsock.monitoring.label_looks import LONGEST_DELAY, looked
from windsock.monitoring.performance_case import (
    ANSWERED,
    AWAITS,
    Case,
    between,
    knows_labels,
    labelled_of,
    new_labels,
)
from windsock.monitoring.performance_judging import coverage_of
from windsock.monitoring.performance_metrics import read_labels
from windsock.monitoring.performance_severity import kind_of
from windsock.monitoring.unjudged import span_words
from windsock.records import Span, Status
from windsock.records.stretches import judged_until

if TYPE_CHECKING:
    import pandas as pd

LATE = "WS-MONITORING-110"
DAY = timedelta(days=1)


def reach_back(case: Case) -> Case:
    """Return the case with a look-back that has as many labels as are asked, where there is one.

    It ends with the window, if its labels are there; else as late as they let it, in steps of a window (of a
    day, where windows are longer), and never earlier than the longest delay of labels explains: what an
    outage takes away is not late but missing. Where all of its labels were told of before, it stays.
    """
    rows = between(case, case.lookback)
    if rows.empty or coverage_of(case, rows, labelled_of(rows)).passed:
        return case
    case = looked(case)
    hours = case.delay.get(LONGEST_DELAY)
    if hours is None:
        return case
    window = case.step.window
    step = min(window.end - window.start, DAY)
    steps = math.ceil((window.end - (case.now - timedelta(hours=hours))) / step)
    if steps <= 0:
        return case
    earlier = _read(case, case.lookback.start - steps * step)
    for span in _fitting(earlier, step, steps):
        found = replace(earlier, lookback=span)
        rows = between(found, span)
        labelled = labelled_of(rows)
        if coverage_of(found, rows, labelled).passed:
            return case if new_labels(found, labelled).empty else found
    return case


def _read(case: Case, start: datetime) -> Case:
    """Return the case with the version's answers since a time."""
    joined = case.ports.rows.labelled(
        case.step.spec.name,
        Span(start=start, end=case.step.window.end),
        case.step.spec.monitoring.labels,
        schema=case.schema,
        digest=case.champion.digest,
        as_of=case.now,
        features=False,
    )
    frame, foreign = joined.frame, 0
    if not frame.empty:
        frame, foreign = read_labels(frame[frame["variant"].isin(ANSWERED)], case.schema)
    return replace(case, joined=joined, rows=frame, foreign=foreign)


def _fitting(case: Case, step: timedelta, steps: int) -> Iterator[Span]:
    """Yield look-backs with as many labelled answers as are asked, the latest first."""
    asked, length = case.step.spec.monitoring.performance.coverage, case.lookback.end - case.lookback.start
    ends = [case.lookback.end - step * back for back in range(1, steps + 1)]
    for end, share in zip(ends, coverages(case.rows, ends, length), strict=True):
        if share > 0 and share >= asked:
            yield Span(start=end - length, end=end)


def coverages(rows: pd.DataFrame, ends: list[datetime], length: timedelta) -> list[float]:
    """Return the share of labelled answers in each of some stretches; 0 where there is no answer.

    :param rows: answers, with ``label``.
    """
    import numpy as np
    import pandas as pd

    if rows.empty or not ends:
        return [0.0] * len(ends)
    rows = rows.sort_values("receive_time", kind="stable")
    received = pd.DatetimeIndex(rows["receive_time"])
    known = np.concatenate([[0], np.cumsum(rows["label"].notna().to_numpy(dtype=bool))])
    firsts = received.searchsorted(pd.DatetimeIndex([end - length for end in ends]))
    lasts = received.searchsorted(pd.DatetimeIndex(ends))
    counts = np.maximum(lasts - firsts, 1)
    shares: list[float] = ((known[lasts] - known[firsts]) / counts).tolist()
    return shares


def told_age(case: Case, status: Status) -> str:
    """Return up to when labels tell, and what the estimate says of the time since; empty: up to now.

    :param status: of the window: where it has no verdict, labels told last of what was judged before.
    """
    until = case.lookback.end
    if until == case.step.window.end:
        if status is not Status.INSUFFICIENT or AWAITS not in case.numbers:
            return ""
        asked = case.step.spec.monitoring.performance.coverage
        before = [
            judged_until(one)
            for one in case.series
            if one.digest == case.champion.digest
            and one.status in (Status.PASS, Status.FAIL)
            and one.window.end < until
            and knows_labels(one, asked)
        ]
        if not before:
            return ""
        until = max(before)
    estimates = [check.status for check in case.checks if kind_of(check) == checks.ESTIMATE]
    said = {Status.PASS: "which is within its limits", Status.FAIL: "which is outside of its limits"}
    estimate = said.get(estimates[0] if estimates else Status.INSUFFICIENT, "and there is none")
    return (
        f"labels tell of answers up to {until:%Y-%m-%d %H:%M} UTC, {span_words(case.now - until)} old; of "
        f"later ones only the estimate does, {estimate}"
    )
