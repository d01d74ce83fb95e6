"""Numbers and times against the accepted snapshots: another unit, one number for many, another epoch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windsock.data.remembered import Finding, History, known_rows
from windsock.data.statistics import FEW_NUMBERS, QUANTILES
from windsock.data.tolerance import REACH, Tolerance, what_was_seen
from windsock.records import ColumnKind, ColumnStatistics, NumberStatistics, SnapshotStatistics

FACTOR = Tolerance(narrow=math.log(4), wide=math.log(20), jump=math.log(20))
"""How far a quantile or a width may move, as a log ratio: 4 to 20 times. Units differ by 60, 100 or 1,000."""
WIDTHS = Tolerance(narrow=2.0, wide=3.0, jump=3.0)
"""How far the median of numbers of both signs may move, in widths of their middle 90 %."""
LEVELS = {0.25: "lower quartile", 0.5: "median", 0.75: "upper quartile"}
SPREADS = {(0.25, 0.75): "middle half", (0.05, 0.95): "middle 90 %", (0.01, 0.99): "middle 98 %"}
CALENDAR = 366
"""Whole numbers up to this, few different ones, may be months or days, which start again at 1."""
MOST_ERROR = 0.5
"""A mean counts where its error by chance is at most this share of it."""
MOST_ERROR_OF_FEW = 3.0
"""The same for few different whole numbers, whose tail cannot be heavy; then only a larger mean is judged."""
TAILS = (0.75, 0.95, 0.99)
BEYOND = 9.5
"""So many values beyond the largest of other snapshots are more than chance."""
TIMES_BEYOND = 20
MOST_LOGARITHM = 690.0
MOST_TIMES = math.exp(MOST_LOGARITHM)
YEAR = 366 * 86_400.0
Quantiles = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where a quantile, or a width between two, may lie by sampling alone."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One column of numbers, now and in accepted snapshots.

    :param number: its statistics now.
    :param numbers: its statistics in accepted snapshots, newest first.
    :param few: whether it holds few different whole numbers.
    :param rows: values now.
    :param least: values of the accepted snapshot that has fewest.
    """

    column: ColumnStatistics
    number: NumberStatistics
    numbers: list[NumberStatistics]
    few: bool
    rows: int
    least: int

    @property
    def now(self) -> Quantiles:
        """Its quantiles now."""
        return self.number.quantiles

    @property
    def before(self) -> list[Quantiles]:
        """Its quantiles in accepted snapshots."""
        return [one.quantiles for one in self.numbers]

    def reach(self, place: float) -> float:
        """Return by how much a quantile's rank may differ between two samples by chance.

        A quantile's interval by the ranks of order statistics holds for any distribution, heavy tails too
        (David and Nagaraja 2003, section 7.1).
        """
        return REACH * math.sqrt(place * (1 - place) * (1 / self.rows + 1 / self.least))

    def found(self, what: str, value: float | None = None, limit: float | None = None) -> Finding:
        """Return a finding about this column."""
        return Finding(
            column=self.column.name,
            what=f"{self.column.name}: {what}",
            value=value,
            limit=limit,
            relation=">=" if value is not None and limit is not None and value < limit else "<=",
            n=self.rows,
        )


def judge_numbers(column: ColumnStatistics, now: SnapshotStatistics, history: History) -> Finding | None:
    """Return what is wrong with a column of numbers, or ``None``.

    Units are multiplied, so quantiles and the widths between them are compared as ratios, on the log scale: a
    robust location and scale (Huber and Ronchetti 2009, chapter 5). Quantiles between the extremes also show
    a unit that changed in a part of the rows only.
    """
    compared = _compared(column, now, history)
    if compared is None or _is_constant(compared.now) and _is_constant(compared.before[0]):
        return None
    for judge in (_stuck, _another_sign, _another_width, _another_level, _another_place, _beyond):
        finding = judge(compared)
        if finding:
            return finding
    return None


def _compared(column: ColumnStatistics, now: SnapshotStatistics, history: History) -> Compared | None:
    described = [(one, snapshot) for one, snapshot in history if one.number]
    rows = known_rows(column, now)
    if column.number is None or not described or not rows:
        return None
    return Compared(
        column=column,
        number=column.number,
        numbers=[one.number for one, _ in described if one.number],
        few=_few(column) and all(_few(one) for one, _ in described),
        rows=rows,
        least=max(1, min(known_rows(*one) for one in described)),
    )


def _few(column: ColumnStatistics) -> bool:
    return column.kind is ColumnKind.INTEGER and column.distinct <= FEW_NUMBERS


def _at(quantiles: Quantiles, place: float) -> float:
    """Return a quantile between the kept ones; the chord lies outside of a tail that thins out."""
    right = min(max(bisect_right(QUANTILES, place), 1), len(QUANTILES) - 1)
    left = right - 1
    part = (place - QUANTILES[left]) / (QUANTILES[right] - QUANTILES[left])
    return quantiles[left] * (1 - part) + quantiles[right] * part


def _below(quantiles: Quantiles, place: float) -> float:
    """Return the next kept quantile at or below a place: there a chord could hide that all is zero."""
    return quantiles[max(bisect_right(QUANTILES, place) - 1, 0)]


def _is_constant(quantiles: Quantiles) -> bool:
    return _at(quantiles, 0.01) == _at(quantiles, 0.99)


def _width(quantiles: Quantiles, low: float, high: float) -> float:
    # Half of each, for a width may overflow where its ends do not.
    return _at(quantiles, high) / 2 - _at(quantiles, low) / 2


def _stuck(compared: Compared) -> Finding | None:
    if _width(compared.now, 0.01, 0.99) or not all(_width(one, 0.25, 0.75) for one in compared.before):
        return None
    return compared.found("nearly all values are one; accepted snapshots held many different ones")


def _another_sign(compared: Compared) -> Finding | None:
    for sign, tail in ((1, 0.05), (-1, 0.95)):
        always = all(sign * _at(one, tail) >= 0 for one in compared.before)
        if always and sign * _at(compared.now, 0.5) < 0:
            word = "negative" if sign > 0 else "positive"
            return compared.found(f"most values are {word}; in accepted snapshots hardly any were")
    return None


def _another_width(compared: Compared) -> Finding | None:
    for (low, high), name in SPREADS.items():
        down, up = compared.reach(low), compared.reach(high)
        if low - down < 0 or high + up > 1:
            continue

        def span(number: NumberStatistics, low: float = low, high: float = high, by: float = up) -> Span:
            one = number.quantiles
            tied = _at(one, 0.5) in (_at(one, low), _at(one, high)) or low + by >= high - by
            return Span(
                low=0.0 if tied else _width(one, low + by, high - by),
                value=_width(one, low, high),
                high=_width(one, low - by, high + by),
            )

        if finding := _ratio(compared, f"the {name} of the values is {{}} times as wide as", span):
            return finding
    return None


def _another_level(compared: Compared) -> Finding | None:
    """Compare quartiles of numbers that are not negative."""
    if any(_at(one, 0.05) < 0 for one in (compared.now, *compared.before)):
        return None
    for place, name in LEVELS.items() if not _is_calendar(compared) else ():
        by = compared.reach(place)
        if place - by < 0 or place + by > 1:
            continue

        def span(number: NumberStatistics, place: float = place, by: float = by) -> Span:
            one = number.quantiles
            return Span(low=_below(one, place - by), value=_at(one, place), high=_at(one, place + by))

        if finding := _ratio(compared, f"the {name} is {{}} times", span):
            return finding
    return _another_mean(compared)


def _another_mean(compared: Compared) -> Finding | None:
    """Compare the mean where it is known well: it shows the unit of a column that mostly is zero, too."""
    reach = REACH * math.sqrt(1 / compared.rows + 1 / compared.least)
    most = MOST_ERROR_OF_FEW if compared.few else MOST_ERROR
    if not all(one.mean > 0 and reach * one.sd / one.mean <= most for one in compared.numbers):
        return None

    def span(one: NumberStatistics) -> Span:
        error = reach * one.sd
        low = one.mean - error if error <= MOST_ERROR * one.mean else 0.0
        return Span(low=low, value=one.mean, high=one.mean + error)

    return _ratio(compared, "the mean is {} times", span)


def _is_calendar(compared: Compared) -> bool:
    alike = (compared.now, *compared.before)
    return compared.few and all(one[-1] <= CALENDAR and all(x % 1 == 0 for x in one) for one in alike)


def _ratio(compared: Compared, what: str, span: Callable[[NumberStatistics], Span]) -> Finding | None:
    """Compare a positive number on the log scale: with room, and with what sampling alone may explain."""
    now, spans = span(compared.number).value, [span(one) for one in compared.numbers]
    last = spans[0]
    if last.high <= 0 or any(one.value <= 0 for one in spans):
        return None
    seen = what_was_seen([math.log(one.value) for one in spans], FACTOR)
    base = math.log(last.value)
    most = _exp(seen.high - base + max(seen.room, math.log(last.high / last.value)))
    ratio = min(max(now / last.value, 0.0), MOST_TIMES)
    than = f"{what.format(f'{ratio:,.3g}')} that of the last accepted snapshot"
    if ratio > most:
        return compared.found(f"{than}; at most {most:,.3g} expected", ratio, most)
    if any(one.low <= 0 for one in spans):
        return None  # by chance it may as well be nothing
    least = _exp(seen.low - base - max(seen.room, math.log(last.value / last.low)))
    if ratio < least:
        return compared.found(f"{than}; at least {least:,.3g} expected", ratio, least)
    return None


def _exp(logarithm: float) -> float:
    return math.exp(min(logarithm, MOST_LOGARITHM))


def _another_place(compared: Compared) -> Finding | None:
    """Compare the median of numbers of both signs, in widths of their middle 90 %."""
    width = max(_width(one, 0.05, 0.95) for one in compared.before)
    if width <= 0 or all(_at(one, 0.05) >= 0 for one in (compared.now, *compared.before)):
        return None
    middles = [_at(one, 0.5) / width / 2 for one in compared.before]
    seen = what_was_seen(middles, WIDTHS)
    now = _at(compared.now, 0.5) / width / 2
    moved, limit = abs(now - middles[0]), max(seen.high - middles[0], middles[0] - seen.low) + seen.room
    if seen.low - seen.room <= now <= seen.high + seen.room:
        return None
    text = (
        f"the median moved by {moved:,.3g} times the width of the middle 90 % of accepted values; "
        f"at most {limit:,.3g} expected"
    )
    return compared.found(text, moved, limit)


def _beyond(compared: Compared) -> Finding | None:
    """Compare the upper values of one side with the largest of the other: of what mostly is zero, the rest.

    Of two samples of one distribution, whichever it is, one seldom has many values above the largest of the
    other (Rosenbaum 1954, "Tables for a nonparametric test of location"): ten with a chance of 1 in 1,000 for
    samples of one size, and far less where they are to be many times as large.
    """
    largest, smallest = max(one[-1] for one in compared.before), min(one[-1] for one in compared.before)
    for place in TAILS:
        before = min(_at(one, place) for one in compared.before)
        if smallest > 0 and compared.rows * (1 - place) >= BEYOND:
            ratio = min(_at(compared.now, place) / largest, MOST_TIMES)
            if ratio > TIMES_BEYOND:
                what = (
                    f"{1 - place:.0%} of the values are {ratio:,.3g} times the largest accepted one or more"
                )
                return compared.found(f"{what}; at most {TIMES_BEYOND} times expected", ratio, TIMES_BEYOND)
        if compared.now[-1] > 0 and compared.least * (1 - place) >= BEYOND:
            ratio = compared.now[-1] / before if before > 0 else 1.0
            if ratio < 1 / TIMES_BEYOND:
                what = (
                    f"the largest value is {ratio:,.3g} times what {1 - place:.0%} of accepted ones exceeded"
                )
                return compared.found(
                    f"{what}; at least {1 / TIMES_BEYOND} expected", ratio, 1 / TIMES_BEYOND
                )
    return None


def judge_times(column: ColumnStatistics, now: SnapshotStatistics, history: History) -> Finding | None:
    """Return what is wrong with a column of times, or ``None``.

    Times move on with the snapshots, and may go further by half the width of those that were accepted.
    """
    compared = _compared(column, now, history)
    if compared is None:
        return None
    if finding := _stuck(compared):
        return finding
    width = max(YEAR, *(_width(one, 0.05, 0.95) for one in compared.before))
    passed = max(0.0, (now.taken_at - history[0][1].taken_at).total_seconds())
    least = min(_at(one, 0.05) for one in compared.before)
    most = max(_at(one, 0.95) for one in compared.before) + passed
    middle = _at(compared.now, 0.5)
    off = max(least - middle, middle - most)
    if off <= width:
        return None
    text = (
        f"the median time lies {off / YEAR:,.1f} years outside of the times of accepted snapshots; "
        f"at most {width / YEAR:,.1f} expected"
    )
    return compared.found(text, off / YEAR, width / YEAR)
