"""A model that has not been judged for long: the numbers that say why, and the finding for its owner."""

from __future__ import annotations

from datetime import timedelta

from windsock.monitoring.performance_asked import asked_of
from windsock.monitoring.performance_case import Case, labelled_of
from windsock.monitoring.performance_checks import COVERAGE, DROP, POSITIVE_RATE, RELATIVE
from windsock.monitoring.unjudged import (
    BY_RATE,
    LOOKBACK_SPANS,
    UNDEFINED,
    WIDE,
    is_due,
    looked_since,
    row_of,
    unjudged_text,
)
from windsock.records import Interval, Status, WindowVerdict
from windsock.spec import parse_duration

WIDER = 1 + 1.28 / 1.96
"""So much narrower than the limit, an interval shows in 9 of 10 that there is no loss where there is none."""
HOUR = timedelta(hours=1)


def tell_unjudged(case: Case, verdict: WindowVerdict) -> tuple[WindowVerdict, tuple[str, ...]]:
    """Return a verdict with the numbers that say why there was none for long, and findings that say it.

    :param verdict: of the window at hand; not kept yet.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    verdict = verdict.replace(numbers={**verdict.numbers, **_flags(case)})
    if verdict.status is not Status.INSUFFICIENT:
        return verdict, ()
    covered = any(one.name == COVERAGE and one.passed for one in case.checks)
    if covered and (hours := _lookback_for(case)) is not None:
        verdict = verdict.replace(numbers={**verdict.numbers, WIDE: hours})
    spec, end = case.step.spec, verdict.window.end
    kept = case.ports.monitor.windows(spec.name, "performance", since=looked_since(spec.monitoring, end))
    before = [one for one in kept if one.window.end < end]
    row = row_of((*before, verdict))
    if not is_due(spec.monitoring, row):
        return verdict, ()
    told = unjudged_text(spec, (*before, verdict))
    return verdict, (told,) if told else ()


def _flags(case: Case) -> dict[str, float]:
    """Return what a verdict's word does not say: that a rate was judged, or that no metric is defined."""
    flags = {}
    if any(one.name == POSITIVE_RATE and one.passed for one in case.checks):
        flags[BY_RATE] = 1.0
    dropped = {one.name.partition(":")[2] for one in case.checks if one.name.partition(":")[0] == DROP}
    if dropped & set(case.realised.undefined):
        flags[UNDEFINED] = 1.0
    return flags


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
    needed = times * (elapsed / HOUR)
    enough = (one for one in map(parse_duration, LOOKBACK_SPANS) if one / HOUR >= needed)
    found = next(enough, None)
    return -1.0 if found is None else found / HOUR


def _half(interval: Interval | None) -> float:
    return (interval.high - interval.low) / 2 if interval else 0.0
