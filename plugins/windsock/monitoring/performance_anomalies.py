"""Checks of how answers are given: scores, rates, missing and stand-in answers, time. From counts alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import timedelta

from windsock.monitoring.performance_checks import interval_status, result
from windsock.records import (
    CheckResult,
    ColumnProfile,
    Interval,
    Span,
    Status,
    WindowVerdict,
)
from windsock.records.check_text import SHARE, against_limit, limit_words, number_text
from windsock.spec import PerformanceBlock
from windsock.statistics.counting import LATENCY_EDGES, WindowCounts
from windsock.statistics.distances import ks_by_chance, ks_interval
from windsock.statistics.intervals import poisson, wilson

SCORES = "score_anomaly"
ROWS = "row_rate"
NULLS = "null_answers"
FALLBACKS = "fallback_rate"
LATENCY = "latency_p95"
SLA = "latency_sla"
CODES = {
    SCORES: "WS-MONITORING-035",
    ROWS: "WS-MONITORING-036",
    NULLS: "WS-MONITORING-037",
    FALLBACKS: "WS-MONITORING-038",
    LATENCY: "WS-MONITORING-039",
    SLA: "WS-MONITORING-049",
}
EARLIER = 3
"""Windows before that are needed to say what is usual."""
MOST_NULLS, MOST_FALLBACKS = 0.01, 0.05
"""Shares of answers without a score, and of answers by another version than the one asked."""
LATE_SHARE = 0.05
FEWEST, SMALL = 20, 200
"""On fewer answers nobody can speak of a 95 % quantile; up to how many all ranks are tried for its bounds."""
DAY, WEEK = timedelta(days=1), timedelta(days=7)
ONE_SIDED = 0.90


def score_anomaly(
    now: WindowCounts,
    before: WindowCounts,
    profile: ColumnProfile | None,
    block: PerformanceBlock,
    *,
    natural: float = 0.0,
) -> CheckResult:
    """Check that the scores are distributed as in the windows before, by the Kolmogorov-Smirnov distance.

    The distance is known from counts to within bounds; the interval adds what chance does to two samples of
    these sizes with 5 % (Smirnov's quantile).

    :param profile: the profile's scores, around whose edges both were counted.
    :param natural: distance that the window's weekday or hour has from those before anyway, or that windows
        have reached before; so much more is allowed.
    """
    here, there = now.scores, before.scores
    if profile is None or not profile.edges:
        return _result(SCORES, Status.INSUFFICIENT, "the profile has no scores to count by", n=0)
    if here is None or there is None or not here.rows or there.below is None or there.up_to is None:
        rows, earlier = here.rows if here else 0, there.rows if there else 0
        message = f"{rows:,} scores in the window and {earlier:,} before"
        return _result(SCORES, Status.INSUFFICIENT, message, n=rows)
    earlier_scores = ColumnProfile(
        name=profile.name,
        kind=profile.kind,
        rows=there.rows,
        nulls=there.nulls,
        edges=profile.edges,
        below=tuple(there.below.tolist()),
        up_to=tuple(there.up_to.tolist()),
    )
    if not there.rows:
        return _result(SCORES, Status.INSUFFICIENT, "no scores in the windows before", n=here.rows)
    low, high = ks_interval(earlier_scores, here)
    chance, limit = ks_by_chance(here.rows, there.rows), min(1.0, block.score_anomaly + natural)
    interval = Interval(low=max(0.0, low - chance), high=min(1.0, high + chance))
    status = interval_status(interval, limit)
    return _result(
        SCORES,
        status,
        against_limit(
            "KS distance of the scores from the windows before",
            low,
            "<=",
            limit,
            status=status,
            interval=interval,
            about=f"{number_text(natural)} of it natural" if natural else "",
            n=here.rows,
        ),
        value=low,
        limit=limit,
        relation="<=",
        interval=interval,
        n=here.rows,
    )


def usual_rows(
    windows: Sequence[WindowVerdict], window: Span, longer: Sequence[WindowVerdict] = ()
) -> list[float]:
    """Return the rows of earlier windows that can be compared: as long, and at the same time of the day.

    :param windows: judged windows, with their ``rows`` among their numbers.
    """
    like = _rows_every(longer, window, WEEK)
    return like if len(like) >= EARLIER else _rows_every(windows, window, DAY)


def _rows_every(windows: Sequence[WindowVerdict], window: Span, step: timedelta) -> list[float]:
    """Return the rows of earlier windows of the same length that are whole steps before a window."""
    length = window.end - window.start
    found = {
        one.window.end: one.numbers["rows"]
        for one in windows
        if "rows" in one.numbers
        and one.window.end <= window.start
        and one.window.end - one.window.start == length
        and (window.end - one.window.end) % step == timedelta()
    }
    return [rows for _, rows in sorted(found.items())]


def row_rate(rows: int, usual: Sequence[float], block: PerformanceBlock) -> CheckResult:
    """Check that a window has neither many times more nor many times fewer rows than usual.

    Usual is the median of earlier windows; the interval is that of a count (Poisson).
    """
    if len(usual) < EARLIER:
        message = f"{rows:,} rows; {len(usual)} earlier windows of this time of the day, {EARLIER} needed"
        return _result(ROWS, Status.INSUFFICIENT, message, value=float(rows), n=rows)
    middle = statistics.median(usual)
    low, high = middle / block.rate_anomaly, middle * block.rate_anomaly
    seen = poisson(rows)
    if seen.high < low or seen.low > high:
        status = Status.FAIL
    else:
        status = Status.PASS if low <= seen.low and seen.high <= high else Status.INSUFFICIENT
    limit, relation = (low, ">=") if rows < middle else (high, "<=")
    return _result(
        ROWS,
        status,
        against_limit(
            "rows",
            rows,
            relation,
            limit,
            status=status,
            interval=seen,
            condition=f"{limit_words('>=', low)} and {limit_words('<=', high)}",
            about=f"a {block.rate_anomaly:g}th and {block.rate_anomaly:g} times the median of {len(usual)} "
            "earlier windows",
        ),
        value=float(rows),
        limit=limit,
        relation=relation,
        interval=seen,
        n=rows,
    )


def null_answers(counts: WindowCounts) -> CheckResult:
    """Check that next to all answers of the version have a score."""
    if counts.scores is None:
        return _result(NULLS, Status.INSUFFICIENT, "answers of this model have no score", n=0)
    return _share(NULLS, "answers without a score", counts.scores.nulls, counts.scores.total, MOST_NULLS)


def fallback_rate(counts: WindowCounts) -> CheckResult:
    """Check that few answers were given by another version, or a constant, than the one asked."""
    return _share(
        FALLBACKS, "answers in place of a failed one", counts.fallbacks, counts.rows, MOST_FALLBACKS
    )


def _share(check: str, what: str, hits: int, rows: int, limit: float) -> CheckResult:
    if not rows:
        return _result(check, Status.INSUFFICIENT, "no answers in the window", limit=limit, n=0)
    interval = wilson(hits, rows, level=ONE_SIDED)
    status, n = interval_status(interval, limit), f"{hits:,} of {rows:,} answers"
    return _result(
        check,
        status,
        against_limit(what, hits / rows, "<=", limit, status=status, interval=interval, n=n, unit=SHARE),
        value=hits / rows,
        limit=limit,
        relation="<=",
        interval=interval,
        n=rows,
    )


def latency_p95(counts: WindowCounts, limit: float, check: str = LATENCY) -> CheckResult:
    """Check the 95 % quantile of a request's time in the server, row by row.

    Its interval is that of order statistics: the ranks between which the quantile lies are binomial (David
    and Nagaraja 2003, section 7.1). Counts know how many rows lie up to each of their edges, so it reaches
    to the next ones.
    """
    rows = sum(counts.latency)
    if rows < FEWEST:
        message = f"{rows:,} timed answers; at least {FEWEST} needed"
        return _result(check, Status.INSUFFICIENT, message, limit=limit, relation="<=", n=rows)
    value, interval = latency_quantile(counts.latency)[1], latency_interval(counts.latency)
    status = Status.FAIL if interval.low >= limit else interval_status(interval, limit)
    return _result(
        check,
        status,
        against_limit(
            "time of 95 % of the answers, from request to log,",
            value,
            "<=",
            limit,
            status=status,
            interval=interval,
            n=f"{rows:,} answers",
            unit=" ms",
        ),
        value=value,
        limit=limit,
        relation="<=",
        interval=interval,
        n=rows,
    )


def latency_interval(latency: Sequence[int], share: float = 1 - LATE_SHARE) -> Interval:
    """Return bounds of a quantile, each of which holds with 95 %, from counts up to edges.

    :param latency: rows up to each edge, and beyond the last one; at least one row.
    """
    from scipy.special import bdtr

    rows, tail = sum(latency), (1 - ONE_SIDED) / 2
    ranks = range(1, rows + 1) if rows <= SMALL else _near(rows, share)
    # The r-th smallest lies above the quantile with P(less than r rows below it), below it with the rest.
    low = max((rank for rank in ranks if 1 - bdtr(rank - 1, rows, share) >= 1 - tail), default=0)
    high = min((rank for rank in ranks if bdtr(rank - 1, rows, share) >= 1 - tail), default=None)
    edges = (0.0, *LATENCY_EDGES, 10 * LATENCY_EDGES[-1])
    return Interval(
        low=edges[_bin(latency, low)] if low else 0.0,
        high=edges[_bin(latency, high) + 1] if high is not None else edges[-1],
        level=ONE_SIDED,
    )


def _near(rows: int, share: float) -> range:
    """Return the ranks that may bound a quantile: five standard errors around it."""
    reach = int(5 * (rows * share * (1 - share)) ** 0.5) + 2
    middle = int(rows * share)
    return range(max(1, middle - reach), min(rows, middle + reach) + 1)


def _bin(latency: Sequence[int], rank: int) -> int:
    """Return the place of the count that holds the row of a rank, from 1."""
    seen = 0
    for place, rows in enumerate(latency):
        seen += rows
        if seen >= rank:
            return place
    return len(latency) - 1


def latency_quantile(latency: Sequence[int], share: float = 1 - LATE_SHARE) -> tuple[float, float]:
    """Return the edges between which a quantile lies, in milliseconds.

    :param latency: rows up to each edge, and beyond the last one; at least one row.
    """
    edges = (0.0, *LATENCY_EDGES, 10 * LATENCY_EDGES[-1])
    place = _bin(latency, math.ceil(share * sum(latency)))
    return edges[place], edges[place + 1]


def _result(check: str, status: Status, message: str, **numbers: object) -> CheckResult:
    return result(check, status, message, code=CODES[check], **numbers)
