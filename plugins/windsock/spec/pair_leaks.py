"""Two columns that only together give the target away: a line, also of their logarithms, or their cells.

All pairs are never fitted. One regression of all numbers names the two that carry it; pairs of columns with
few values, or of numbers cut at their quartiles, are counted. A pair is named where it is all but perfect on
rows that nothing was fitted on, and neither column is strong alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.spec.label_scores import auc, r2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from windsock.spec.label_folds import Labels

ROWS, MOST_COLUMNS = 3_000, 60
"""So many rows, and of the strongest columns so many, are looked at."""
FEW_VALUES, QUARTERS = 8, 4
PAIRS_TRIED = 3
PERFECT_PAIR, PERFECT_LINE = 0.998, 0.9999
"""AUC, and R2 of numbers, from which two columns give the target away."""
MOST_ALONE = {False: 0.95, True: 0.99}
"""AUC or R2 of the better one alone: two honest columns of AUC 0.95 that err apart reach 0.99 together."""
FEWEST_OF_SIDE, FEWEST_ROWS = 30, 150


class PairColumn(NamedTuple):
    """A column that may be one of two.

    :param values: one for each row of the labels, codes where they have no order.
    :param alone: what it reaches alone.
    """

    name: str
    values: NDArray[Any]
    number: bool
    alone: float


class PairLeak(NamedTuple):
    """Two columns that give the target away."""

    one: str
    other: str
    strength: float


def pair_leak(columns: Sequence[PairColumn], labels: Labels) -> PairLeak | None:
    """Return the strongest pair of columns that are filled in all rows; of three classes none is sought."""
    import numpy as np

    if labels.rows < FEWEST_ROWS or (not labels.numbers and labels.class_count != 2):
        return None
    if not labels.numbers and min(np.bincount(labels.codes)) < FEWEST_OF_SIDE:
        return None
    taken = sorted(columns, key=lambda one: -one.alone)[:MOST_COLUMNS]
    rows = np.linspace(0, labels.rows - 1, min(ROWS, labels.rows)).astype(np.int64)
    truth = labels.points[rows, -1]
    if truth.std() == 0:
        return None
    found = [*_on_a_line(taken, truth, rows, numbers=labels.numbers)]
    if not labels.numbers:
        found += _in_cells(taken, truth, rows, labels)
    best = max(found, key=lambda leak: leak.strength, default=None)
    if best is None:
        return None
    alone = max(one.alone for one in taken if one.name in (best.one, best.other))
    return best if alone <= MOST_ALONE[labels.numbers] else None


def _on_a_line(
    columns: Sequence[PairColumn], truth: NDArray[Any], rows: NDArray[Any], *, numbers: bool
) -> Iterator[PairLeak]:
    """Give the pair that carries a regression of all numbers, or of their logarithms, alone."""
    import numpy as np

    ordered = [one for one in columns if one.number]
    for logs in (False, True):
        kept = [one for one in ordered if not logs or one.values[rows].min() > 0]
        if len(kept) < 2 or (logs and numbers and truth.min() <= 0):
            continue
        values = np.stack([one.values[rows] for one in kept], axis=1).astype(float)
        values, aim = (np.log(values), np.log(truth) if numbers else truth) if logs else (values, truth)
        spread = values.std(axis=0)
        values = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        weights = np.abs(np.linalg.lstsq(values, aim - aim.mean(), rcond=None)[0])
        first, second = np.argsort(-weights)[:2]
        reached = _line_of(values[:, [first, second]], aim, numbers=numbers)
        if reached >= (PERFECT_LINE if numbers else PERFECT_PAIR):
            yield PairLeak(kept[first].name, kept[second].name, reached)


def _line_of(two: NDArray[Any], aim: NDArray[Any], *, numbers: bool) -> float:
    """Return what a line through two columns reaches on the half of the rows that it was not fitted on."""
    import numpy as np

    fitted = np.arange(len(aim)) % 2 == 0
    design = np.column_stack([two, np.ones(len(aim))])
    points = design[~fitted] @ np.linalg.lstsq(design[fitted], aim[fitted], rcond=None)[0]
    return r2(aim[~fitted], points) if numbers else auc(points, aim[~fitted] > 0)


def _in_cells(
    columns: Sequence[PairColumn], truth: NDArray[Any], rows: NDArray[Any], labels: Labels
) -> Iterator[PairLeak]:
    """Give pairs whose cells of values hold one class each, such as an exclusive or."""
    import numpy as np

    ours = truth > 0
    coded = [(one, codes) for one in columns if (codes := _few(one, labels.rows)) is not None]
    weighed: list[tuple[int, int, int]] = []
    for (i, (_, a)), (j, (_, b)) in combinations(enumerate(coded), 2):
        cells = a[rows] * (FEW_VALUES + 1) + b[rows]
        counts = np.bincount(cells[ours], minlength=(FEW_VALUES + 1) ** 2)
        others = np.bincount(cells[~ours], minlength=(FEW_VALUES + 1) ** 2)
        weighed.append((int(np.maximum(counts, others).sum()), i, j))
    for _, i, j in sorted(weighed, reverse=True)[:PAIRS_TRIED]:
        (one, a), (other, b) = coded[i], coded[j]
        reached = labels.encoded(a * (FEW_VALUES + 1) + b).score
        if reached >= PERFECT_PAIR:
            yield PairLeak(one.name, other.name, reached)


def _few(column: PairColumn, rows: int) -> NDArray[Any] | None:
    """Return codes of few values, or of the quarters of a number; ``None`` of many words."""
    import numpy as np
    import pandas as pd

    codes, words = pd.factorize(column.values)
    if len(words) <= FEW_VALUES:
        some: NDArray[Any] = codes + 1
        return some
    if not column.number:
        return None
    cuts = np.quantile(column.values, np.arange(1, QUARTERS) / QUARTERS)
    quarters: NDArray[Any] = np.searchsorted(cuts, column.values)
    return quarters
