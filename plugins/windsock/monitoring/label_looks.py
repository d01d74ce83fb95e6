"""A look at the labels of the last months: how late they come, and which answers have one by now."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from windsock.exceptions import WindsockError
from windsock.monitoring.performance_case import ANSWERED, Case, within
from windsock.monitoring.performance_metrics import read_labels
from windsock.monitoring.unjudged import DELAY
from windsock.ports.left_out import BY_ORDER, CONFLICTING, FOREIGN, UNDATED, UNUSABLE
from windsock.records import Span, WindowVerdict
from windsock.spec import PerformanceBlock, parse_duration
from windsock.statistics.label_delay import LabelDelay, label_delay

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

TIMES, LONGEST = 4, timedelta(days=90)
"""Labels are looked for over so many look-backs, and at least so long."""
ANEW = timedelta(days=1)
"""How often they are looked at anew: it reads much of the log."""
PART = 0.5
"""While a model is young, sooner: after this part of the time that it had served by then."""
SPARE, STEP = 0.05, 0.05
"""A proposed coverage is so much less than what comes in the end, in round steps."""
HOUR = timedelta(hours=1)
MEASURED = f"{DELAY}:measured_at"
UNTIL = f"{DELAY}:until"
"""Number: up to when answers were looked at, the end of the window that looked."""
LONGEST_DELAY = f"{DELAY}:longest_hours"
"""Number: in what time the labels have come, where as many come as are asked."""


def reach_of(block: PerformanceBlock) -> timedelta:
    """Return how far back labels are looked for."""
    return max(TIMES * parse_duration(block.window), LONGEST)


def looked(case: Case) -> Case:
    """Return the case with what is known of how late labels come: of before, while that is not old.

    A look that fails is a finding: it never costs the verdict.
    """
    before = last_look(case)
    if not is_due(case, before):
        return replace(case, delay=before)
    try:
        return _look(case)
    except WindsockError as error:
        log.warning("the delay of labels was not measured: %s", error)
        told = f"{error.code}: how late labels come could not be measured"
        return replace(case, delay={}, wide=case.rows.iloc[:0], findings=[*case.findings, told])


def last_look(case: Case) -> Mapping[str, float]:
    """Return what the last look at labels found, of whatever version; empty: there was none."""
    return look_before(case.series, case.step.window.end)


def look_before(series: Sequence[WindowVerdict], end: datetime) -> Mapping[str, float]:
    """Return what the last look at labels found, with a window that ended by a time; empty: there was none.

    :param series: verdicts on performance in the order of their end.
    """
    known = (one.numbers for one in reversed(series) if one.window.end <= end)
    last = next((one for one in known if MEASURED in one), {})
    return {name: value for name, value in last.items() if name.startswith(f"{DELAY}:")}


def is_due(case: Case, last: Mapping[str, float]) -> bool:
    """Return whether labels are to be looked at anew.

    The last look is old by the clock, or by the windows: where many that waited are judged at once, it was
    taken a moment ago and knows nothing of the answers since.
    """
    return look_is_due(last, case.step.window, case.now)


def look_is_due(last: Mapping[str, float], window: Span, now: datetime) -> bool:
    """Return whether labels are to be looked at anew with a window; see :func:`is_due`.

    :param last: what the last look found; empty: there was none.
    """
    if not last:
        return True
    oldest = timedelta(hours=min(last.get(f"{DELAY}:hours", math.inf), ANEW / PART / HOUR))
    pause = min(ANEW, max(PART * oldest, window.end - window.start))
    passed = timedelta(seconds=now.timestamp() - last[MEASURED])
    later = timedelta(seconds=window.end.timestamp() - last.get(UNTIL, window.end.timestamp()))
    return later >= pause or not timedelta(0) <= passed < pause - timedelta(seconds=1)


def _look(case: Case) -> Case:
    block, end = case.step.spec.monitoring, case.step.window.end
    span = Span(start=end - reach_of(block.performance), end=end)
    joined = case.ports.rows.labelled(
        case.step.spec.name, span, block.labels, schema=case.schema, as_of=case.now, features=False
    )
    frame, foreign = joined.frame, 0
    if not frame.empty:
        frame = within(frame[frame["variant"].isin(ANSWERED)], span)
        frame, foreign = read_labels(frame, case.schema)
    counted = {
        "unknown": joined.unknown,
        FOREIGN: foreign,
        CONFLICTING: joined.conflicting,
        UNDATED: joined.undated,
        BY_ORDER: joined.by_order,
        UNUSABLE: joined.unusable,
    }
    numbers = {f"{DELAY}:{name}": float(count) for name, count in counted.items() if count}
    numbers |= {**_delay_numbers(case, frame), MEASURED: case.now.timestamp(), UNTIL: end.timestamp()}
    return replace(case, delay=numbers, wide=frame)


def _delay_numbers(case: Case, frame: pd.DataFrame) -> dict[str, float]:
    import pandas as pd

    if frame.empty:
        return {f"{DELAY}:answers": 0.0, f"{DELAY}:known": 0.0}
    ages = (pd.Timestamp(case.now) - frame["receive_time"]) / HOUR
    there = frame["label"].notna()
    numbers = {
        f"{DELAY}:answers": float(len(frame)),
        f"{DELAY}:known": float(there.sum()),
        f"{DELAY}:hours": float(ages.max()),
    }
    # A label without a time was always known.
    delays = ((frame["label_time"] - frame["receive_time"])[there] / HOUR).astype("float64").fillna(0.0)
    found = label_delay(delays.to_numpy(), ages[~there].to_numpy())
    if not found.final:
        return numbers
    return numbers | {
        f"{DELAY}:median_hours": found.quantile(0.5),
        f"{DELAY}:most_hours": found.quantile(0.9),
        f"{DELAY}:final": found.final,
        **_complete(case.step.spec.monitoring.performance, found),
    }


def _complete(block: PerformanceBlock, found: LabelDelay) -> dict[str, float]:
    """Return when labels are complete where enough of them come in the end; else the share to ask for."""
    if found.final >= block.coverage:
        return {LONGEST_DELAY: found.longest}
    reached = round(int((found.final - SPARE) / STEP + 1e-9) * STEP, 2)
    return {f"{DELAY}:coverage": reached} if reached > 0 else {}
