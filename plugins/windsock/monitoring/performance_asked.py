"""What is asked of a model's performance: the accepted baseline, or what the version itself did."""

from __future__ import annotations

from windsock.monitoring.performance_case import Case
from windsock.records import Baseline, MetricValue, better_than_broken_of
from windsock.records.baseline import has_set_baseline
from windsock.statistics.metrics import direction
from windsock.statistics.seasons import holds_whole_periods, loss_offset

LACKS = "lacks_baseline"
"""Before a metric's name, in a verdict's numbers: the accepted baseline has no value of it."""
OWN = "on held-out rows"
LACKING_CODE = "WS-MONITORING-103"


def asked_of(case: Case, name: str) -> tuple[MetricValue | None, str]:
    """Return the value that a metric is held against, and where it comes from, in words.

    Without any accepted baseline it is what the version itself did on its held-out rows. Where there is one
    that lacks the metric, a version that has set a baseline itself is asked for its own value. Of any other
    one that would be a floor which sinks with each promotion: nothing is asked, and the words say what to do.
    Where the baseline's value has no interval, so that nothing can be judged against it, the version's own is
    asked, unless it came during a loss.
    """
    accepted = case.baseline.metric(name) if case.baseline else None
    realised = case.reference.realised if case.reference else ()
    own = next((one for one in realised if one.name == name), None)
    bare = accepted is None or (accepted.interval is None and own is not None and own.interval is not None)
    if case.baseline is None:
        return own, OWN
    if accepted is None and not has_set_baseline(case.ledger, case.champion.digest):
        return None, _lacking(case, case.baseline)
    if accepted is None or (bare and better_than_broken_of(case.ledger) is None):
        return own, OWN
    return accepted, source_of(case.baseline)


def _lacking(case: Case, baseline: Baseline) -> str:
    """Return that a baseline lacks a metric, and what to do."""
    return (
        f"{LACKING_CODE}: the accepted baseline, of version {baseline.version}, lacks it, and version "
        f"{case.champion.version} has set none: `windsock monitor {case.step.spec.name} --accept-loss "
        "--reason WHY` asks for what the model does now; else the next version that is proved better while "
        "all is well sets it"
    )


def of_its_like(
    case: Case, name: str, asked: MetricValue | None, source: str
) -> tuple[MetricValue | None, str]:
    """Return what is asked in a look-back of some weekdays or hours only: less where the model does worse.

    By what training saw on rows that the version was not fitted on, as the mixture of the look-back's parts.
    Never more is asked, and what a person accepted stays as it is: it is of a look-back itself.
    """
    known = case.reference.seasons if case.reference else ()
    season = next((one for one in known if one.metric == name), None)
    length = case.lookback.end - case.lookback.start
    if season is None or asked is None or asked.value is None or holds_whole_periods(length):
        return asked, source
    off = loss_offset(season, case.lookback)
    if (
        off is None
        or direction(name) * off >= 0
        or (case.baseline is not None and case.baseline.by is not None)
    ):
        return asked, source
    interval = asked.interval
    if interval is not None:
        interval = interval.replace(low=interval.low + off, high=interval.high + off)
    by = "weekday" if season.cycle == "week" else "hour"
    told = (
        f"{source}, moved by {off:+.3g}: it differs by {by}, and this look-back is no whole week "
        "(set `monitoring.performance.window: 7d`)"
    )
    return asked.replace(value=asked.value + off, interval=interval), told


def source_of(baseline: Baseline) -> str:
    """Return where a baseline comes from, for people; never who accepted it."""
    if baseline.by is not None:
        return f"that a person accepted of version {baseline.version} on {baseline.at:%Y-%m-%d}"
    return f"of version {baseline.version} on held-out rows, the baseline since {baseline.at:%Y-%m-%d}"
