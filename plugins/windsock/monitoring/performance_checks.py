"""Checks of how good the answers are: each turns numbers into pass, fail, insufficient or error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from windsock.records import (
    CheckResult,
    Interval,
    MetricValue,
    ReferenceChunks,
    Status,
)
from windsock.records.check_text import SHARE, against_limit, limit_words, number_text
from windsock.spec import PerformanceBlock
from windsock.statistics.estimates import estimate_reach
from windsock.statistics.intervals import difference
from windsock.statistics.metrics import direction

Relation = Literal[">=", "<=", ">", "<", "=="]

COVERAGE = "label_coverage"
DROP = "performance_drop"
MINIMUM = "performance_minimum"
KNOWS_NOTHING = "performance_knows_nothing"
TREND = "performance_trend"
ESTIMATE = "estimated_performance"
BUSINESS = "business"
POSITIVE_RATE = "positive_rate"
REALISED = (DROP, TREND)
"""Checks that labels decide; without any no answer is known to be good."""
FLOOR = (DROP, MINIMUM, KNOWS_NOTHING)
"""Checks of what is asked of the answers: the first must pass, and none of the others may fail."""
QUALITY = (DROP, MINIMUM, KNOWS_NOTHING, TREND, ESTIMATE, BUSINESS, POSITIVE_RATE)
"""Checks that say how good the answers are; the others say how many there are and how they are given."""

CODES = {
    DROP: "WS-MONITORING-030",
    TREND: "WS-MONITORING-031",
    ESTIMATE: "WS-MONITORING-032",
    COVERAGE: "WS-MONITORING-033",
    BUSINESS: "WS-MONITORING-034",
    POSITIVE_RATE: "WS-MONITORING-040",
    MINIMUM: "WS-MONITORING-097",
    KNOWS_NOTHING: "WS-MONITORING-098",
}
RELATIVE = ("rmse", "mae")
"""Metrics in the target's own unit: a loss is a share of the baseline."""
LOSS = "loss"
"""Number of a verdict, with the metric behind a colon: the loss against what is asked of the model."""
FEWEST_CHUNKS = 2
ONE_SIDED = 0.90
"""A two-sided interval of 90 % has bounds that hold with 95 % each."""


def result(
    name: str, status: Status, message: str, *, code: str | None = None, **numbers: object
) -> CheckResult:
    """Return a check's result under its code.

    :param name: the check, with what it looks at behind a colon.
    """
    known = code or CODES[name.partition(":")[0]]
    return CheckResult.model_validate(
        {"name": name, "status": status, "code": known, "message": message, **numbers}
    )


def interval_status(interval: Interval, limit: float, *, least: bool = False) -> Status:
    """Return pass when the whole interval is within a limit, fail when it is beyond, insufficient between.

    :param least: whether the limit is the least that is allowed, not the most.
    """
    low, high = (interval.low, interval.high) if not least else (-interval.high, -interval.low)
    bound = -limit if least else limit
    if high <= bound:
        return Status.PASS
    return Status.FAIL if low > bound else Status.INSUFFICIENT


def label_coverage(labelled: int, rows: int, least: float) -> CheckResult:
    """Check that enough of the answers have a label; too few are no failure, but no verdict either."""
    if not rows:
        return result(COVERAGE, Status.INSUFFICIENT, "no answers in the look-back", limit=least, n=0)
    share = labelled / rows
    status = Status.PASS if labelled > 0 and share >= least else Status.INSUFFICIENT
    n = f"{labelled:,} of {rows:,} answers"
    return result(
        COVERAGE,
        status,
        against_limit("labelled answers", share, ">=", least, status=status, n=n, unit=SHARE),
        value=share,
        limit=least,
        relation=">=",
        n=rows,
    )


def unknown_coverage(labelled: int, rows: int) -> CheckResult:
    """Say that nobody knows how many outcomes are lost, where only positive ones come."""
    return result(
        COVERAGE,
        Status.INSUFFICIENT,
        f"next to none but positive outcomes came, of {labelled:,} of {rows:,} answers: coverage is unknown, "
        "as an outcome that did not come and one that was lost look alike; positive_rate goes by what was "
        "shown",
        n=rows,
    )


def missing_labels(missing: str, labelled: int, rows: int) -> CheckResult:
    """Say that labels of one class are late or lost, so that those that came say nothing of the model."""
    return result(
        COVERAGE,
        Status.INSUFFICIENT,
        f"labels of the class {missing} are late or lost: {labelled:,} of {rows:,} answers have a "
        "label, and far fewer of that class than held-out rows had; set `monitoring.performance.coverage: "
        "0.95`, or send all labels at once",
        n=rows,
    )


def performance_drop(
    name: str,
    realised: MetricValue | None,
    baseline: MetricValue | None,
    block: PerformanceBlock,
    *,
    undefined: bool,
    source: str = "on held-out rows",
    lacking: str = "",
) -> CheckResult:
    """Check that a realised metric has not fallen behind the baseline.

    The interval is that of the difference: both have one.

    :param undefined: whether the labelled rows do not define the metric, such as with one class only.
    :param source: where the baseline comes from, in words.
    :param lacking: why there is none, in words.
    """
    check = f"{DROP}:{name}"
    if realised is None or realised.value is None:
        rows = realised.on_rows if realised else 0
        status = Status.INSUFFICIENT if undefined or realised is None else Status.ERROR
        return result(check, status, f"{name} is not defined by {rows:,} labelled rows", n=rows)
    if baseline is None or baseline.value is None:
        message = f"{name} {realised.value:.4g}, and {lacking or 'the version has no baseline of it'}"
        return result(check, Status.INSUFFICIENT, message, value=None, n=realised.n)
    sign = direction(name)
    unit = abs(baseline.value) if name in RELATIVE else 1.0
    if unit == 0:
        return result(check, Status.INSUFFICIENT, f"the baseline of {name} is 0", n=realised.n)
    loss = sign * (baseline.value - realised.value) / unit
    apart = difference(baseline.value, baseline.interval, realised.value, realised.interval)
    interval = None
    if apart is not None:
        ends = sorted((sign * apart.low / unit, sign * apart.high / unit))
        interval = Interval(low=ends[0], high=ends[1], level=apart.level)
    status = Status.INSUFFICIENT if interval is None else interval_status(interval, block.drop)
    why = f" ({realised.reason})" if realised.reason else ""
    return result(
        check,
        status,
        against_limit(
            f"loss of {name}",
            loss,
            "<=",
            block.drop,
            status=status,
            interval=interval,
            aside="" if interval else f"without an interval{why}",
            n=realised.on("labelled rows"),
        )
        + f"; {name} {number_text(realised.value)} against {number_text(baseline.value)} {source}",
        value=loss,
        limit=block.drop,
        relation="<=",
        interval=interval,
        n=realised.n,
        unit=realised.unit,
    )


def estimated_performance(
    metric: MetricValue | None, chunks: ReferenceChunks, block: PerformanceBlock
) -> CheckResult:
    """Check that an estimate is no worse than the reference chunks' mean by so many standard deviations.

    One that is better than that is no loss, and is told: the model is surer than on its held-out rows.

    The limits are those of :func:`windsock.statistics.estimates.estimate_reach`: never narrower than the
    window's own sampling error.

    :param metric: the estimate; ``None`` where the window's rows allow none.
    """
    check = f"{ESTIMATE}:{chunks.metric}"
    if metric is None or metric.value is None or not metric.on_rows:
        return result(check, Status.INSUFFICIENT, f"no row to estimate {chunks.metric} on", n=0)
    rows = metric.on_rows
    if chunks.chunks < FEWEST_CHUNKS:
        message = f"{chunks.chunks} chunk of the reference shows no spread of {chunks.metric}"
        return result(check, Status.INSUFFICIENT, message, value=metric.value, n=rows)
    reach = estimate_reach(chunks, rows, block.estimate_sd)
    inside, sign = abs(metric.value - chunks.mean) <= reach, direction(chunks.metric)
    worse = sign * (metric.value - chunks.mean) < 0
    limit, relation = (chunks.mean - reach, ">=") if sign > 0 else (chunks.mean + reach, "<=")
    status = Status.FAIL if worse and not inside else Status.PASS
    better = "" if inside or worse else "; better than usual, which is no loss: what is asked has changed"
    return result(
        check,
        status,
        against_limit(
            f"estimated {chunks.metric}",
            metric.value,
            relation,
            limit,
            status=status,
            about=f"{block.estimate_sd:g} sd of {chunks.chunks} reference chunks",
            n=f"{rows:,} answers",
        )
        + better,
        value=metric.value,
        limit=limit,
        relation=relation,
        n=rows,
    )


def business_metric(value: float | None, rows: int, block: PerformanceBlock) -> CheckResult:
    """Check a number of the business against its limits.

    :param value: ``None`` where the rows do not define it.
    """
    asked = block.business
    if asked is None:
        raise ValueError("the spec has no number of the business")
    check = f"{BUSINESS}:{asked.name}"
    if value is None:
        return result(check, Status.INSUFFICIENT, f"{rows:,} answers do not define {asked.name}", n=rows)
    low, high = asked.minimum, asked.maximum
    too_low, too_high = low is not None and value < low, high is not None and value > high
    limit, relation = (high, "<=") if too_high or low is None else (low, ">=")
    status, n = Status.FAIL if too_low or too_high else Status.PASS, f"{rows:,} answers"
    if limit is None:
        message = f"{asked.name} {number_text(value)} without a limit, n={n}"
        return result(check, status, message, value=value, n=rows)
    both = (
        f"{limit_words('>=', low)} and {limit_words('<=', high)}"
        if low is not None and high is not None
        else ""
    )
    return result(
        check,
        status,
        against_limit(asked.name, value, relation, limit, status=status, condition=both, n=n),
        value=value,
        limit=limit,
        relation=relation,
        n=rows,
    )


def judged_metric(asked: str, known: Mapping[str, MetricValue]) -> str:
    """Return the metric that is judged: the spec's, else the first that the log can tell."""
    if asked in known or not known:
        return asked
    return next(iter(known))
