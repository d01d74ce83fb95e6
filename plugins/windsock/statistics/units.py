"""What rows are of: each of its own, or several of one entity, which then counts once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

LEAST_ENTITIES = 30
"""On fewer effective entities their spread says too little: no interval is given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """The independent units of rows.

    :param rows: number of rows.
    :param codes: shape (rows,): the position of each row's entity; ``None``: each row is a unit of its own.
    """

    rows: int
    codes: NDArray[Any] | None = None

    @property
    def clustered(self) -> bool:
        """Whether some rows share an entity."""
        return self.codes is not None

    @property
    def count(self) -> int:
        """The number of units."""
        return self.rows if self.codes is None else int(self.codes.max()) + 1

    def totals(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of a value of each row over each unit."""
        import numpy as np

        if self.codes is None:
            return values
        totals: NDArray[Any] = np.bincount(self.codes, weights=values, minlength=self.count)
        return totals

    def among(self, rows: NDArray[Any]) -> int:
        """Return the effective number of the units that have these rows (Kish 1965): all, if of equal size.

        One entity with most of the rows says most of what is said, however many others there are.

        :param rows: shape (rows,), boolean.
        """
        if self.codes is None:
            return int(rows.sum())
        sizes = self.totals(rows.astype("float64"))
        return int(sizes.sum() ** 2 / (sizes @ sizes) + 1e-9) if sizes.any() else 0

    @property
    def effective(self) -> int:
        """The effective number of all units."""
        import numpy as np

        return self.among(np.ones(self.rows, dtype=bool))

    def left_out(self, influence: NDArray[Any]) -> NDArray[Any]:
        """Return how much an estimate that is nearly a mean moves without each unit: more than its sum says.

        :param influence: shape (rows,): derivative of the estimate by the row's weight.
        """
        import numpy as np

        totals = self.totals(influence)
        if self.codes is None:
            return totals
        shares = self.totals(np.ones(self.rows)) / self.rows
        moved: NDArray[Any] = totals / (1 - shares) if totals.size > 1 else totals
        return moved

    def part(self, rows: NDArray[Any]) -> Units:
        """Return the units of some of the rows; where none of these share one, each is its own."""
        return Units(rows=int(rows.sum())) if self.codes is None else _of_codes(self.codes[rows])


def units_of(entities: pd.Series[Any] | None, rows: int) -> Units:
    """Return the units of rows; a row without an entity is one of its own.

    :param entities: the rows' entities; ``None``: there are none.
    """
    import numpy as np
    import pandas as pd

    if entities is None:
        return Units(rows=rows)
    codes, known = pd.factorize(entities)
    return _of_codes(np.where(codes < 0, len(known) + np.arange(rows), codes))


def _of_codes(codes: NDArray[Any]) -> Units:
    import numpy as np

    distinct, dense = np.unique(codes, return_inverse=True)
    return Units(rows=codes.size, codes=dense if distinct.size < codes.size else None)


class Reach(NamedTuple):
    """How far a true value may lie below and above an estimate."""

    down: float
    up: float


def standard_error(influence: NDArray[Any], units: Units) -> float:
    """Return the standard error of an estimate from how much each row moves it.

    Of independent rows it is that of the linearised estimate; where rows share an entity, its sums are what
    varies (for the area under the ROC curve: DeLong et al. 1988, Biometrics 44:837, and Obuchowski 1997,
    Biometrics 53:567), each divided by the share of the rows that is not the entity's: the jackknife of a
    mean, which a large entity does not make look small.

    :param influence: shape (rows,): derivative of the estimate by the row's weight; they sum to 0.
    """
    moved = units.left_out(influence)
    if moved.size < 2:
        return math.inf
    factor = (moved.size - 1) / moved.size if units.clustered else moved.size / (moved.size - 1)
    return math.sqrt(float(moved @ moved) * factor)


def skewed_reach(influence: NDArray[Any], units: Units, *, freedom: int, level: float) -> Reach:
    """Return the reach of an estimate that is nearly a mean of units, with its skewness taken out.

    Student's t of Hall's monotone transform (Hall 1992, Journal of the Royal Statistical Society B 54:221):
    as good as a studentised bootstrap to the second order, without drawing.

    :param freedom: degrees of freedom.
    :param level: coverage of both sides together.
    """
    from scipy.special import stdtrit

    totals = units.left_out(influence)
    error = standard_error(influence, units)
    if not 0 < error < math.inf:
        return Reach(error, error)
    skewness = float((totals**3).mean() / (totals**2).mean() ** 1.5)
    reach = float(stdtrit(max(1, freedom), (1 + level) / 2))
    root = math.sqrt(max(2, units.effective))
    return Reach(
        error * _untransformed(reach, skewness, root), -error * _untransformed(-reach, skewness, root)
    )


def _untransformed(transformed: float, skewness: float, root: float) -> float:
    """Return the studentised value of a transformed one."""
    if abs(skewness) < 1e-6:
        return transformed
    slope, shift = skewness / (3 * root), skewness / (6 * root)
    inside = 1 + 3 * slope * (transformed - shift)
    return (math.copysign(abs(inside) ** (1 / 3), inside) - 1) / slope
