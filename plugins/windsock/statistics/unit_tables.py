"""Rows counted by unit of time and coarse cell of a column, and how far units lie from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ColumnProfile
from windsock.statistics.counting import NUMERIC
from windsock.statistics.ties import cuts_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MOST_CELLS = 32
"""Cells of a number, each of about as many rows of the profile."""
MOST_NAMED = 20
"""Categories that are cells of their own."""
FEWEST_ROWS = 30
"""In fewer rows nothing is compared."""
FEWEST_EXPECTED = 5.0
"""Rows that a unit must be expected to have of a category; the rarer ones are counted together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitTable:
    """A column's rows by unit of time and cell.

    :param counts: shape (units, cells); of a number without its missing values, of a category with them.
    :param ordered: whether cells have an order: units are compared by the KS distance, else by Cramer's V.
    """

    counts: NDArray[Any]
    ordered: bool

    @property
    def rows(self) -> NDArray[Any]:
        """Rows of each unit."""
        found: NDArray[Any] = self.counts.sum(axis=1)
        return found

    def shares(self) -> NDArray[Any]:
        """Return each unit's distribution; of a number, cumulated. Units without rows are NaN."""
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            found: NDArray[Any] = self.counts / self.rows[:, None]
        return found.cumsum(axis=1) if self.ordered else found


def tabulate_units(
    column: ColumnProfile, values: pd.Series[Any], unit: NDArray[Any], units: int
) -> UnitTable | None:
    """Count a column's rows by unit of time; rows of an entity that are alike count for less than one.

    :param values: numbers and booleans as floats, categories as text.
    :param unit: the unit of each; those below 0 and from ``units`` on are left out.
    :returns: ``None`` for a date, or a column without values in its profile.
    """
    import numpy as np

    inside = (unit >= 0) & (unit < units)
    values, unit = values[inside], unit[inside]
    if column.kind in NUMERIC:
        if not column.edges:
            return None
        numbers = values.to_numpy(dtype="float64")
        known = ~np.isnan(numbers)
        upper = cuts_of(column).upper
        places = np.unique(np.linspace(0, upper.size - 1, min(MOST_CELLS - 1, upper.size)).astype(int))
        codes = np.searchsorted(upper[places], numbers[known], "left")
        table = _table(unit[known], codes, units, places.size + 1)
        return UnitTable(counts=table / column.design_effect, ordered=True)
    if column.kind is ColumnKind.DATETIME or not column.rows:
        return None
    codes, cells = _codes(column, values)
    table = _table(unit, codes, units, cells)
    return UnitTable(counts=_merged(table) / column.design_effect, ordered=False)


def _codes(column: ColumnProfile, values: pd.Series[Any]) -> tuple[NDArray[Any], int]:
    import numpy as np
    import pandas as pd

    if column.kind is ColumnKind.BOOLEAN:
        numbers = values.to_numpy(dtype="float64")
        return np.where(np.isnan(numbers), 2, numbers == 1).astype(int), 3
    names = sorted(column.categories, key=lambda name: (-column.categories[name], name))[:MOST_NAMED]
    missing = values.isna().to_numpy(dtype=bool)
    found = pd.Index(names).get_indexer(values.astype(object).to_numpy())
    return np.where(missing, len(names) + 1, np.where(found < 0, len(names), found)), len(names) + 2


def _table(unit: NDArray[Any], codes: NDArray[Any], units: int, cells: int) -> NDArray[Any]:
    import numpy as np

    counted = np.bincount(unit * cells + codes, minlength=units * cells)
    table: NDArray[Any] = counted.reshape(units, cells).astype("float64")
    return table


def _merged(table: NDArray[Any]) -> NDArray[Any]:
    """Return a table in which cells that are rare in a usual unit are one."""
    import numpy as np

    total = table.sum()
    if not total:
        return table
    usual = np.median(table.sum(axis=1)[table.sum(axis=1) > 0])
    rare = table.sum(axis=0) / total * usual < FEWEST_EXPECTED
    if rare.sum() < 2:
        return table[:, table.sum(axis=0) > 0]
    merged: NDArray[Any] = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    return merged[:, merged.sum(axis=0) > 0]


def distances(
    ours: NDArray[Any], others: NDArray[Any], *, ordered: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return effect sizes and p-values of rows of counts, each against its own other side.

    :param ours: shape (pairs, cells).
    :param others: as many.
    :returns: NaN where one side has too few rows.
    """
    import numpy as np

    sizes, sides = ours.sum(axis=1), others.sum(axis=1)
    enough = (sizes >= FEWEST_ROWS) & (sides >= FEWEST_ROWS)
    effect, p = np.full(len(ours), np.nan), np.full(len(ours), np.nan)
    if not enough.any():
        return effect, p
    measure = _ks if ordered else _chi
    effect[enough], p[enough] = measure(ours[enough], others[enough])
    return effect, p


def _ks(ours: NDArray[Any], others: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np
    from scipy.special import kolmogorov

    rows, sides = ours.sum(axis=1), others.sum(axis=1)
    apart = ours.cumsum(axis=1) / rows[:, None] - others.cumsum(axis=1) / sides[:, None]
    effect = np.abs(apart).max(axis=1)
    root = np.sqrt(rows * sides / (rows + sides))
    return effect, kolmogorov((root + 0.12 + 0.11 / root) * effect)


def _chi(ours: NDArray[Any], others: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np
    from scipy.special import chdtrc

    rows, sides = ours.sum(axis=1)[:, None], others.sum(axis=1)[:, None]
    both = np.maximum(ours + others, 1e-300)
    statistic = (rows * sides * (ours / rows - others / sides) ** 2 / both).sum(axis=1)
    cells = np.maximum(1, (ours + others > 0).sum(axis=1) - 1)
    then, now = ours / rows, others / sides
    effect = np.sqrt(((then - now) ** 2 / np.maximum(then + now, 1e-300)).sum(axis=1) / 2)
    return effect, chdtrc(cells, statistic)
