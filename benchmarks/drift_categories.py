"""Categories of thousands of values, and users with many rows: false alarms, and a value that takes over.

Profiles are described, windows counted and judged by the product's own code. A window's rows are drawn as
counts of each value (multinomial), which is exact and fast.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from harness import PROJECT, Bar, report

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.monitoring.drift_columns import judge_columns
from windsock.monitoring.drift_verdict import judge_window
from windsock.records import ColumnKind, ColumnProfile, DriftProfile, InputField, Status
from windsock.spec import DriftBlock
from windsock.statistics.clusters import bin_values, groups_of, tabulate
from windsock.statistics.counting import ColumnCounts, WindowCounts, count_categories, count_numbers
from windsock.statistics.profiling import build_profile, describe_column
from windsock.statistics.rare_values import BUCKETS, bucket_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

VALUES, EXPONENTS = (100, 1_000, 10_000), (0.0, 1.1, 1.3, 1.6, 2.0)
REFERENCES, WINDOWS = (4_000, 20_000), (300, 1_000, 5_000)
EACH, OF_ONE_REFERENCE = 500, 10
"""Windows of a cell, and how many of them are held against one reference; each reference is drawn anew."""
TAKEN, WITHIN, FEWEST = 0.05, 3, 1_000
"""A value takes over so much of the rows, to be found in so many windows of at least so many rows."""
TRIES = 100
USERS, MOST_ROWS = (200, 500, 2_000), 20
LIKENESS = (0.0, 0.5, 1.0)
"""Share of a number's variance, and of a category's rows, that is the user's own."""
CELL_LIMIT, LIMIT, FOUND = 5.0, 2.5, 90.0
FIELD = InputField(name="c", kind=ColumnKind.CATEGORY)
RULE = DriftBlock()


def shares_of(values: int, exponent: float) -> NDArray[np.float64]:
    """Return the shares of values that are equal (0), or fall by Zipf's law."""
    falling: NDArray[np.float64] = np.arange(1, values + 1) ** -exponent
    return falling / falling.sum()


@dataclass
class Category:
    """A population of values and a profile of rows drawn from it.

    :param shares: of each value; the last one comes never but where it takes over.
    """

    generator: np.random.Generator
    shares: NDArray[np.float64]
    rows: int
    names: NDArray[Any]
    buckets: NDArray[np.int64]
    profile: DriftProfile = field(init=False)
    kept: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        codes = self.generator.choice(self.shares.size, self.rows, p=self.shares)
        column = describe_column(pd.Series(self.names[codes]), FIELD)
        self.profile = DriftProfile(rows=self.rows, columns=(column,))
        self.kept = np.array([int(name[1:]) for name in column.categories])

    def window(self, rows: int, *, taken_by: int | None = None) -> Status:
        """Judge a window.

        :param taken_by: a value that has 5 % of its rows.
        """
        shares = self.shares
        if taken_by is not None:
            shares = shares * (1 - TAKEN)
            shares[taken_by] += TAKEN
        counts = self.generator.multinomial(rows, shares)
        named = counts[self.kept]
        rest = None
        if self.profile.columns[0].many is not None:
            counts[self.kept] = 0
            rest = np.bincount(self.buckets, weights=counts, minlength=BUCKETS).astype(np.int64)
        column = ColumnCounts(rows=rows, nulls=0, named=named, unseen=rows - int(named.sum()), rest=rest)
        found = WindowCounts(rows=rows, columns={"c": column})
        return judge_window(self.profile, found, judge_columns(self.profile, found, RULE), RULE).status

    def finds(self, value: int, rows: int) -> bool:
        """Return whether one of a few windows fails in which a value has 5 % of the rows."""
        return any(self.window(rows, taken_by=value) is Status.FAIL for _ in range(WITHIN))


@dataclass
class Cell:
    """What became of a cell's windows.

    :param tries: values that took over 5 % of the rows, of either kind.
    :param known: how many of those that were rare before were found.
    :param unknown: how many of those that were never there before were found.
    """

    values: int
    exponent: float
    reference: int
    rows: int
    windows: int = 0
    bad: int = 0
    tries: int = 0
    known: int = 0
    unknown: int = 0

    @property
    def name(self) -> str:
        """What the cell is of."""
        shape = f"Zipf {self.exponent:g}" if self.exponent else "equal"
        return f"{self.values:,} values, {shape}; {self.reference:,} / {self.rows:,} rows"


def judge_cell(cell: Cell, *, windows: int = EACH, tries: int = TRIES, seed: int = 1) -> Cell:
    """Judge a cell's windows without drift, and those in which a value takes over."""
    shares = np.append(shares_of(cell.values, cell.exponent), 0.0)
    names = np.array([f"m{place}" for place in range(shares.size)], dtype=object)
    buckets = np.array([bucket_of(name) for name in names])
    references = -(-windows // OF_ONE_REFERENCE)
    for number in range(references):
        place = [seed, cell.values, int(10 * cell.exponent), cell.reference, cell.rows, number]
        generator = np.random.default_rng(place)
        category = Category(generator, shares, cell.reference, names, buckets)
        for _ in range(min(OF_ONE_REFERENCE, windows - cell.windows)):
            cell.windows += 1
            cell.bad += category.window(cell.rows) is Status.FAIL
        if cell.rows < FEWEST:
            continue
        for _ in range(tries // references):
            cell.tries += 1
            cell.known += category.finds(rare_value(category), cell.rows)
            cell.unknown += category.finds(shares.size - 1, cell.rows)
    return cell


def rare_value(category: Category) -> int:
    """Return a value that is rare: one whose share is below 1 in 200, drawn by chance."""
    rare = np.flatnonzero((category.shares < 0.005) & (category.shares > 0))
    return int(category.generator.choice(rare if rare.size else [category.shares.size - 1]))


def users_of(generator: np.random.Generator, users: int, likeness: float) -> tuple[list[str], pd.DataFrame]:
    """Return whose each row is, and rows: 1 to 20 of each user; number and category are partly the user's."""
    of = np.repeat(np.arange(users), generator.integers(1, MOST_ROWS + 1, users))
    own, chance = generator.normal(size=users)[of], generator.normal(size=of.size)
    kinds = [f"v{place}" for place in range(8)]
    theirs, other = generator.choice(kinds, users)[of], generator.choice(kinds, of.size)
    frame = pd.DataFrame(
        {
            "x": likeness**0.5 * own + (1 - likeness) ** 0.5 * chance,
            "c": np.where(generator.random(of.size) < likeness, theirs, other).astype(object),
        }
    )
    run = int(generator.integers(1 << 30))
    return [f"{run}-{user}" for user in of.tolist()], frame


def clustered(users: int, likeness: float, *, shared: bool, windows: int, seed: int = 4) -> int:
    """Return how many windows of users fail without drift.

    :param shared: whether the training rows are of users with many rows, too; else of one row each.
    """
    fields = [InputField(name="x", kind=ColumnKind.NUMBER), FIELD]
    bad = 0
    for number in range(-(-windows // OF_ONE_REFERENCE)):
        generator = np.random.default_rng([seed, users, int(10 * likeness), shared, number])
        entities, frame = users_of(generator, 1_000 if shared else 10_000, likeness)
        if not shared:
            first = ~pd.Series(entities).duplicated().to_numpy()
            frame, entities = frame[first].reset_index(drop=True), [f"{row}" for row in range(first.sum())]
        profile = build_profile(frame, fields, entities=entities)
        for _ in range(OF_ONE_REFERENCE):
            units, rows = users_of(generator, users, likeness)
            groups = groups_of(units)
            columns = {column.name: _count(column, rows[column.name], groups) for column in profile.columns}
            counts = WindowCounts(rows=len(rows), columns=columns)
            status = judge_window(profile, counts, judge_columns(profile, counts, RULE), RULE).status
            bad += status is Status.FAIL
    return bad


def _count(column: ColumnProfile, values: pd.Series[Any], groups: NDArray[np.int64]) -> ColumnCounts:
    if column.kind is ColumnKind.NUMBER:
        counted = count_numbers(column, values.to_numpy())
    else:
        counted = count_categories(column, values.value_counts().to_dict(), 0)
    bins = bin_values(column, values.to_numpy(), values.isna().to_numpy())
    return replace(counted, groups=tabulate(groups, bins))


def measure(*, windows: int = EACH, tries: int = TRIES) -> tuple[list[tuple[str, ...]], list[Bar]]:
    """Return the rows of the table and the bars of all cells."""
    rows: list[tuple[str, ...]] = []
    bars: list[Bar] = []
    cells = []
    for values, exponent, reference, size in product(VALUES, EXPONENTS, REFERENCES, WINDOWS):
        cell = judge_cell(Cell(values, exponent, reference, size), windows=windows, tries=tries)
        cells.append(cell)
        counts = (cell.known, cell.unknown)
        found = [f"{100 * one / cell.tries:.0f} %" if cell.tries else "-" for one in counts]
        rows.append((cell.name, f"{100 * cell.bad / cell.windows:.1f} %", *found))
    worst = max(cells, key=lambda cell: cell.bad / cell.windows)
    share = 100 * sum(cell.bad for cell in cells) / sum(cell.windows for cell in cells)
    bars.append(_bar(f"worst cell ({worst.name})", 100 * worst.bad / worst.windows, CELL_LIMIT))
    bars.append(_bar(f"all {len(cells)} cells", share, LIMIT))
    for what in ("known", "unknown"):
        tried = [cell for cell in cells if cell.tries]
        least = min(tried, key=lambda cell: getattr(cell, what) / cell.tries)
        value = 100 * getattr(least, what) / least.tries
        name = f"a value {'rare' if what == 'known' else 'never seen'} before takes 5 % ({least.name}): found"
        bars.append(Bar(bar=name, value=value, limit=FOUND, unit="%", at_most=False))
    for shared, users, likeness in product((True, False), USERS, LIKENESS):
        share = 100 * clustered(users, likeness, shared=shared, windows=windows) / windows
        whose = "users as in training" if shared else "users, one row each in training"
        rows.append((f"{users:,} {whose}, {likeness:g} alike", f"{share:.1f} %", "-", "-"))
        bars.append(_bar(f"{users:,} {whose}, {likeness:g} alike", share, CELL_LIMIT))
    return rows, bars


def main() -> int:
    """Simulate, print the table, hold it against the bars."""
    begun = time.process_time()
    rows, bars = measure()
    bars.append(Bar(bar="processor time", value=time.process_time() - begun, unit="s"))
    header = ("categories; training rows / rows of a window", "false alarms", "rare, found", "new, found")
    return report("drift_categories", "Categories of many values, rows of users", header, rows, bars)


def _bar(name: str, value: float, limit: float) -> Bar:
    return Bar(bar=f"{name}: windows that fail without drift", value=value, limit=limit, unit="%")


if __name__ == "__main__":
    sys.exit(main())
