"""How often drift is seen where there is none, and how soon where there is: Windsock's rule beside others.

A day is drawn as counts between a profile's edges: those of a window of the prediction log are multinomial,
so this is exact and fast. Profile, column tests and the window's verdict are the product's own code.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import drift_categories
import numpy as np
import pandas as pd
from harness import PROJECT, Bar, report
from scipy import stats

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.monitoring.drift_columns import judge_columns
from windsock.monitoring.drift_verdict import judge_window
from windsock.records import ColumnDrift, ColumnKind, DriftProfile, InputField, Status
from windsock.spec import DriftBlock
from windsock.statistics.counting import NUMERIC, ColumnCounts, WindowCounts
from windsock.statistics.profiling import build_profile, describe_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from windsock.records import ColumnProfile

NUMBERS, CATEGORIES = 40, 10
REFERENCE_ROWS, HELD_OUT_ROWS = 20_000, 4_000
SIZES = (200, 1_000, 10_000, 100_000)
DAYS, MODELS = 100, 40
"""Undrifted days of each model, and models: each has a reference of its own."""
SHIFTED, SHIFT_DAYS, LARGEST_SHIFT = 5, 60, 0.5
DELAYS = {200: 40, 1_000: 14}
"""Rows a day, and within how many days a shift that grows to 0.5 sd in 60 days must be found."""
WOBBLE = 0.02
LEVELS = (2, 3, 5, 8, 12, 20, 50, 100, 200, 500)
"""Categories of the categorical columns; their frequencies fall like 1 / rank."""
K_OF_N = 2
OURS = "Windsock, 2 of 2 days"


@dataclass(frozen=True)
class Number:
    """A number's distribution, which may move.

    :param moved: the distribution, moved by so many standard deviations: a normal one as it is, a lognormal
        one in its logarithm, a count in its mean.
    :param nulls: share of rows without a value.
    """

    moved: Callable[[float], Any]
    nulls: float = 0.0

    def draw(self, generator: np.random.Generator, rows: int) -> NDArray[np.float64]:
        """Return rows of the reference."""
        values: NDArray[np.float64] = self.moved(0.0).rvs(size=rows, random_state=generator).astype(float)
        values[generator.random(rows) < self.nulls] = np.nan
        return values

    def shares(self, edges: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
        """Return the probability below, at and between the edges, after a shift."""
        distribution = self.moved(shift)
        steps = np.empty(2 * edges.size)
        steps[::2] = distribution.cdf(np.nextafter(edges, -np.inf))
        steps[1::2] = distribution.cdf(edges)
        return np.diff(np.r_[0, np.maximum.accumulate(steps), 1])


def number(place: int) -> Number:
    """Return one of four kinds of numbers: normal, lognormal, and counts with many ties."""
    sigma, mean, most = 0.5 + 0.02 * place, 1 + place % 7, 5 + place
    kinds: tuple[Callable[[float], Any], ...] = (
        lambda shift: stats.norm(loc=shift),
        lambda shift: stats.lognorm(s=sigma, scale=np.exp(shift * sigma)),
        lambda shift: stats.poisson(mean + shift * mean**0.5),
        lambda shift: stats.binom(most, 0.3 + shift * (0.21 / most) ** 0.5),
    )
    return Number(kinds[place % len(kinds)], nulls=0.1 if place % 5 == 0 else 0.0)


SCORE = Number(lambda shift: stats.beta(2, 5))
"""What the model answers; it never drifts here, but it may fail a window like a column."""


def frequencies(levels: int) -> NDArray[np.float64]:
    falling = 1 / np.arange(1, levels + 1)
    return falling / falling.sum()


@dataclass
class Model:
    """A model's population and its profile, from reference rows drawn once."""

    generator: np.random.Generator
    numbers: list[Number] = field(init=False)
    profile: DriftProfile = field(init=False)
    extremes: dict[str, tuple[float, float]] = field(init=False)

    calm: dict[str, NDArray[np.float64]] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = [number(place) for place in range(NUMBERS)]
        drawn: dict[str, object] = {
            f"n{place}": one.draw(self.generator, REFERENCE_ROWS) for place, one in enumerate(self.numbers)
        }
        for place, levels in enumerate(LEVELS):
            codes = self.generator.choice(levels, REFERENCE_ROWS, p=frequencies(levels))
            drawn[f"c{place}"] = [f"v{code}" for code in codes]
        frame = pd.DataFrame(drawn)
        fields = [
            InputField(name=name, kind=ColumnKind.NUMBER if name[0] == "n" else ColumnKind.CATEGORY)
            for name in frame.columns
        ]
        score = SCORE.draw(self.generator, HELD_OUT_ROWS)
        described = describe_column(pd.Series(score), InputField(name="score", kind=ColumnKind.NUMBER))
        self.profile = build_profile(frame, fields).model_copy(update={"score": described})
        self.extremes = {name: (frame[name].min(), frame[name].max()) for name in frame if name[0] == "n"}
        self.extremes["score"] = float(score.min()), float(score.max())
        pairs = [*zip(self.profile.columns, self.numbers, strict=False), (described, SCORE)]
        self.calm = {column.name: one.shares(np.array(column.edges), 0.0) for column, one in pairs}

    def day(self, rows: int, shifts: NDArray[np.float64] = np.zeros(NUMBERS)) -> WindowCounts:  # noqa: B008
        """Return the counts of a day.

        :param shifts: how many standard deviations each number has moved.
        """
        counts: dict[str, ColumnCounts] = {}
        for place, one in enumerate(self.numbers):
            column = self.profile.columns[place]
            counts[column.name] = self._number(column, one, rows, float(shifts[place]))
        for place, levels in enumerate(LEVELS):
            column = self.profile.columns[NUMBERS + place]
            drawn = self.generator.multinomial(rows, frequencies(levels))
            named = np.array([drawn[int(name[1:])] for name in column.categories], dtype=np.int64)
            counts[column.name] = ColumnCounts(
                rows=rows, nulls=0, named=named, unseen=rows - int(named.sum())
            )
        assert self.profile.score is not None
        scores = self._number(self.profile.score, SCORE, rows, 0.0)
        return WindowCounts(rows=rows, columns=counts, scores=scores)

    def _number(self, column: ColumnProfile, one: Number, rows: int, shift: float) -> ColumnCounts:
        nulls = int(self.generator.binomial(rows, one.nulls)) if one.nulls else 0
        shares = one.shares(np.array(column.edges), shift) if shift else self.calm[column.name]
        steps = self.generator.multinomial(rows - nulls, shares).cumsum()[:-1]
        low, high = self.extremes[column.name]  # near enough: the Wasserstein distance alone reads them
        return ColumnCounts(
            rows=rows - nulls,
            nulls=nulls,
            below=steps[::2],
            up_to=steps[1::2],
            lowest=low,
            highest=high,
        )


@dataclass
class Tally:
    """What a rule says of day after day.

    :param bad: days that it calls drifted.
    :param episodes: runs of at least K bad days in a row.
    :param insufficient: days without a verdict.
    """

    days: int = 0
    bad: int = 0
    episodes: int = 0
    insufficient: int = 0
    row: int = 0

    def add(self, status: Status, needed: int) -> bool:
        """Note a day; return whether an episode begins with it."""
        self.days += 1
        self.insufficient += status is Status.INSUFFICIENT
        is_bad = status is Status.FAIL
        self.bad += is_bad
        self.row = self.row + 1 if is_bad else 0
        begins = self.row == needed
        self.episodes += begins
        return begins

    def upper(self) -> float:
        """Return the upper 95 % limit (two-sided, Clopper-Pearson) of episodes per 100 days."""
        return 100 * float(stats.beta.ppf(0.975, self.episodes + 1, self.days - self.episodes))


Rule = Callable[[DriftProfile, WindowCounts, tuple[ColumnDrift, ...], Status], Status]


def _status(drifted: bool) -> Status:
    return Status.FAIL if drifted else Status.PASS


def naive(profile: DriftProfile, day: WindowCounts, columns: tuple[ColumnDrift, ...], ours: Status) -> Status:
    """Test each column at 5 %; any of them is drift."""
    return _status(any(column.p is not None and column.p < 0.05 for column in columns))


def evidently(
    profile: DriftProfile, day: WindowCounts, columns: tuple[ColumnDrift, ...], ours: Status
) -> Status:
    """Do as Evidently's preset does beyond 1,000 reference rows: distances of 0.1, half of the columns."""
    moved = [_evidently_column(column) for column in columns]
    return _status(sum(moved) >= 0.5 * len(moved))


def evidently_any(
    profile: DriftProfile, day: WindowCounts, columns: tuple[ColumnDrift, ...], ours: Status
) -> Status:
    """Take the same distances; any column is drift."""
    return _status(any(_evidently_column(column) for column in columns))


def _evidently_column(column: ColumnDrift) -> bool:
    value = column.wasserstein if column.kind in NUMERIC else column.jensen_shannon
    return value is not None and value >= 0.1


def windsock(
    profile: DriftProfile, day: WindowCounts, columns: tuple[ColumnDrift, ...], ours: Status
) -> Status:
    """Repeat the product's own verdict."""
    return ours


RULES: Mapping[str, tuple[Rule, int]] = {
    OURS: (windsock, K_OF_N),
    "p < 0.05, any column": (naive, 1),
    "Evidently's distances, any column": (evidently_any, 1),
    "Evidently's preset, half the columns": (evidently, 1),
}


def judged(model: Model, day: WindowCounts, rule: DriftBlock) -> tuple[tuple[ColumnDrift, ...], Status]:
    """Judge a day by the product's own code."""
    found = judge_columns(model.profile, day, rule)
    return found.columns, judge_window(model.profile, day, found, rule).status


def quiet_days(rows: int, *, models: int, days: int, wobble: float = 0.0, seed: int = 1) -> dict[str, Tally]:
    """Judge days without drift.

    :param wobble: standard deviation of a daily shift of each number, in its own standard deviations.
    """
    tallies = {name: Tally() for name in RULES}
    for part in range(models):
        generator = np.random.default_rng([seed, rows, part])
        model = Model(generator)
        for tally in tallies.values():
            tally.row = 0
        for _ in range(days):
            moves = generator.normal(0, wobble, NUMBERS) if wobble else np.zeros(NUMBERS)
            day = model.day(rows, moves)
            columns, status = judged(model, day, DriftBlock())
            for name, (rule, needed) in RULES.items():
                tallies[name].add(rule(model.profile, day, columns, status), needed)
    return tallies


def delays(rows: int, *, runs: int, seed: int = 2, others_until: int = SHIFT_DAYS) -> dict[str, list[float]]:
    """Return for each rule after how many days it finds a shift that grows; never is infinite.

    Five columns of 50 move from 0 to half a standard deviation in 60 days; all wobble by 0.02 from day to
    day.

    :param others_until: once Windsock has found it, the other rules are looked at up to this day.
    """
    found: dict[str, list[float]] = {name: [] for name in RULES}
    for run in range(runs):
        generator = np.random.default_rng([seed, rows, run])
        model = Model(generator)
        moving = np.isin(np.arange(NUMBERS), generator.choice(NUMBERS, SHIFTED, replace=False))
        tallies = {name: Tally() for name in RULES}
        open_rules = set(RULES)
        for today in range(1, SHIFT_DAYS + 1):
            moves = generator.normal(0, WOBBLE, NUMBERS) + moving * LARGEST_SHIFT * today / SHIFT_DAYS
            day = model.day(rows, moves)
            columns, status = judged(model, day, DriftBlock())
            for name in tuple(open_rules):
                rule, needed = RULES[name]
                if tallies[name].add(rule(model.profile, day, columns, status), needed):
                    found[name].append(today)
                    open_rules.discard(name)
            if OURS not in open_rules and today >= others_until:
                break
        for name in open_rules:
            found[name].append(float("inf"))
    return found


def main() -> int:
    """Simulate, print what each rule did, hold Windsock's against the bars."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--columns", action="store_true", help="the 50 columns alone, without categories")
    columns_alone = asked.parse_args().columns
    rows: list[tuple[str, ...]] = []
    bars: list[Bar] = []
    begun = time.process_time()
    for size in SIZES:
        tallies = quiet_days(size, models=MODELS, days=DAYS)
        rows += [_told(f"no drift, {size:,}", name, tally) for name, tally in tallies.items()]
        tally = tallies[OURS]
        bars.append(
            Bar(
                bar=f"{size:,} rows a day, no drift: upper 95 % limit of false episodes",
                value=tally.upper(),
                limit=0.2,
                unit=f"per 100 windows ({tally.episodes} in {tally.days})",
            )
        )
        if size >= 1_000:
            share = 100 * tally.insufficient / tally.days
            bars.append(Bar(bar=f"{size:,} rows a day: insufficient", value=share, limit=5.0, unit="%"))
    tallies = quiet_days(100_000, models=5, days=DAYS, wobble=WOBBLE, seed=3)
    rows += [_told("wobble 0.02 sd, 100,000", name, tally) for name, tally in tallies.items()]
    bars.append(
        Bar(
            bar="100,000 rows a day, every number wobbles by 0.02 sd: bad days",
            value=tallies[OURS].bad,
            limit=0,
            unit=f"of {tallies[OURS].days}",
        )
    )
    for size, limit in DELAYS.items():
        found = delays(size, runs=40)
        for name, days in found.items():
            missed = sum(day == float("inf") for day in days)
            rows.append(
                (f"growing shift, {size:,}", name, "-", "-", "-", f"{median(days):g}", f"{missed}/40")
            )
        bars.append(
            Bar(
                bar=f"{size:,} rows a day: median delay of a growing shift",
                value=median(found[OURS]),
                limit=limit - 0.5,
                unit="days",
            )
        )
    bars.append(Bar(bar="processor time", value=time.process_time() - begun, unit="s"))
    header = ("days", "rule", "bad days", "episodes", "upper 95 %/100", "median delay", "missed")
    missed = report("drift_alarms", "False alarms and delays, 50 columns", header, rows, bars)
    return missed if columns_alone else drift_categories.main() or missed


def _told(what: str, name: str, tally: Tally) -> tuple[str, ...]:
    return (
        what,
        name,
        f"{100 * tally.bad / tally.days:.1f} %",
        f"{tally.episodes} of {tally.days}",
        f"{tally.upper():.3g}",
        "-",
        "-",
    )


if __name__ == "__main__":
    sys.exit(main())
