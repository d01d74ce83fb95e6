"""How late labels are, measured where a model has not been judged for long; and the finding for its owner."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from windsock.exceptions import WindsockError
from windsock.monitoring.performance_case import ANSWERED, Case, labelled_of
from windsock.monitoring.performance_checks import COVERAGE, DROP, POSITIVE_RATE, RELATIVE
from windsock.monitoring.performance_floor import asked_of
from windsock.monitoring.performance_metrics import read_labels
from windsock.monitoring.unjudged import (
    BY_RATE,
    DELAY,
    LOOKBACK_SPANS,
    UNDEFINED,
    WIDE,
    is_due,
    looked_since,
    row_of,
    unjudged_text,
)
from windsock.ports import LabelledRows
from windsock.ports.left_out import BY_ORDER, CONFLICTING, FOREIGN, UNDATED, UNUSABLE
from windsock.records import Interval, Span, Status, WindowVerdict
from windsock.spec import parse_duration
from windsock.statistics.label_delay import LabelDelay, label_delay

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

TIMES, LONGEST = 4, timedelta(days=90)
"""Labels are looked for over so many look-backs, and at least so long."""
ANEW = timedelta(days=1)
"""How often the delay is measured anew: it reads much of the log."""
SPARE = 0.05
"""A proposed look-back reaches so much more than the asked coverage, or half of what there is to spare."""
STEP = 0.05
WIDER = 1 + 1.28 / 1.96
"""So much narrower than the limit, an interval shows in 9 of 10 that there is no loss where there is none."""
HOUR = timedelta(hours=1)
MEASURED = f"{DELAY}:measured_at"


def tell_unjudged(case: Case, verdict: WindowVerdict) -> tuple[WindowVerdict, tuple[str, ...]]:
    """Return a verdict with the numbers that say why there was none for long, and findings that say it.

    A delay that cannot be measured is a finding: it never costs the verdict.

    :param verdict: of the window at hand; not kept yet.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    verdict = verdict.replace(numbers={**verdict.numbers, **_flags(case)})
    if verdict.status is not Status.INSUFFICIENT:
        return verdict, ()
    spec, end = case.step.spec, verdict.window.end
    kept = case.ports.monitor.windows(spec.name, "performance", since=looked_since(spec.monitoring, end))
    before = [one for one in kept if one.window.end < end]
    row = row_of((*before, verdict))
    if not is_due(spec.monitoring, row):
        return verdict, ()
    findings: tuple[str, ...] = ()
    coverage = next((one for one in case.checks if one.name == COVERAGE), None)
    if coverage is not None and coverage.value is not None and not coverage.passed:
        try:
            measured = _measured(case, row[:-1])
        except WindsockError as error:  # the verdict is kept all the same
            log.warning("the delay of labels was not measured: %s", error)
            measured, findings = {}, (f"{error.code}: how late labels come could not be measured",)
        verdict = verdict.replace(numbers={**verdict.numbers, **measured})
    elif (hours := _lookback_for(case)) is not None:
        verdict = verdict.replace(numbers={**verdict.numbers, WIDE: hours})
    told = unjudged_text(spec, (*before, verdict))
    return verdict, (*findings, *((told,) if told else ()))


def _flags(case: Case) -> dict[str, float]:
    """Return what a verdict's word does not say: that a rate was judged, or that no metric is defined."""
    flags = {}
    if any(one.name == POSITIVE_RATE and one.passed for one in case.checks):
        flags[BY_RATE] = 1.0
    dropped = {one.name.partition(":")[2] for one in case.checks if one.name.partition(":")[0] == DROP}
    if dropped & set(case.realised.undefined):
        flags[UNDEFINED] = 1.0
    return flags


def _measured(case: Case, before: tuple[WindowVerdict, ...]) -> dict[str, float]:
    """Return what is known of the labels' delay: of before, while that is not old."""
    last = next((one.numbers for one in reversed(before) if MEASURED in one.numbers), {})
    now = case.now.timestamp()
    if last and 0 <= now - last[MEASURED] < ANEW.total_seconds() - 1:
        return {name: value for name, value in last.items() if name.startswith(f"{DELAY}:")}
    joined = _read(case)
    frame, foreign = joined.frame, 0
    if not frame.empty:
        frame, foreign = read_labels(frame[frame["variant"].isin(ANSWERED)], case.schema)
    counted = {
        "unknown": joined.unknown,
        FOREIGN: foreign,
        CONFLICTING: joined.conflicting,
        UNDATED: joined.undated,
        BY_ORDER: joined.by_order,
        UNUSABLE: joined.unusable,
    }
    numbers = {f"{DELAY}:{name}": float(count) for name, count in counted.items() if count}
    return {**numbers, **_delay_numbers(case, frame), MEASURED: now}


def _read(case: Case) -> LabelledRows:
    """Return the answers of all versions with their labels, further back than the look-back."""
    block, end = case.step.spec.monitoring, case.step.window.end
    length = max(TIMES * parse_duration(block.performance.window), LONGEST)
    return case.ports.rows.labelled(
        case.step.spec.name,
        Span(start=end - length, end=end),
        block.labels,
        schema=case.schema,
        as_of=case.now,
        features=False,
    )


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
        **_proposed(case, found),
    }


def _lookback_for(case: Case) -> float | None:
    """Return the hours of a look-back whose labels would show that there is no loss; -1: there is none.

    An interval of the loss has a part of the labels, which shrinks with the root of their number, and one of
    the baseline, which stays.

    :returns: ``None`` where no interval spans the limit.
    """
    dropped = next((one for one in case.checks if one.name.partition(":")[0] == DROP), None)
    if dropped is None or dropped.interval is None or dropped.value is None or dropped.passed:
        return None
    name = dropped.name.partition(":")[2]
    ours = next((one for one in case.realised.metrics if one.name == name), None)
    theirs, _ = asked_of(case, name)
    if ours is None or ours.interval is None or theirs is None:
        return None
    block = case.step.spec.monitoring.performance
    unit = abs(theirs.value or 1.0) if name in RELATIVE else 1.0
    room = block.drop / WIDER
    fixed = _half(theirs.interval) / unit
    if room <= fixed:
        return -1.0
    times = (_half(ours.interval) / unit) ** 2 / (room**2 - fixed**2)
    oldest = labelled_of(case.rows)["receive_time"].min()
    elapsed = min(parse_duration(block.window), (case.now - oldest).to_pytimedelta())
    enough = (one for one in map(parse_duration, LOOKBACK_SPANS) if one >= times * elapsed)
    found = next(enough, None)
    return -1.0 if found is None else found / HOUR


def _half(interval: Interval | None) -> float:
    return (interval.high - interval.low) / 2 if interval else 0.0


def _proposed(case: Case, found: LabelDelay) -> dict[str, float]:
    """Return the look-back that reaches the asked coverage; where none does, the coverage that is reached."""
    block = case.step.spec.monitoring.performance
    own = parse_duration(block.window)
    needed = block.coverage + min(SPARE, max(0.0, found.final - block.coverage) / 2)
    for length in map(parse_duration, LOOKBACK_SPANS):
        if length > own and found.coverage(length / HOUR) >= needed:
            return {f"{DELAY}:lookback_hours": length / HOUR}
    reached = round(int((found.coverage(own / HOUR) - SPARE) / STEP) * STEP, 2)
    return {f"{DELAY}:coverage": reached} if 0 < reached < block.coverage else {}
