"""What predictions of labels reach: AUC of a class against the rest, R2 of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ranks_of(values: NDArray[Any]) -> NDArray[Any]:
    """Return the ranks of numbers, from 1; equal ones share theirs."""
    import pandas as pd

    ranks: NDArray[Any] = pd.Series(values).rank().to_numpy(dtype=float)
    return ranks


def auc(points: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return how often a row of the class has a larger number than another row; 0.5 without either."""
    ours = int(truth.sum())
    others = len(truth) - ours
    if not ours or not others:
        return 0.5
    return float((ranks_of(points)[truth].sum() - ours * (ours + 1) / 2) / ours / others)


def r2(truth: NDArray[Any], points: NDArray[Any]) -> float:
    """Return the share of the spread that predictions explain; below 0 where the mean is nearer."""
    return 1 - float(((truth - points) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def line_through(values: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    """Return the values of the straight line of least squares, at each row."""
    import numpy as np

    centred = values - values.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (truth - truth.mean())) / spread if spread > 0 else 0.0
    line: NDArray[Any] = truth.mean() + slope * centred
    return line if np.isfinite(line).all() else np.full(len(truth), truth.mean())


def compared(one: NDArray[Any], other: NDArray[Any], truth: NDArray[Any]) -> tuple[float, float]:
    """Return the difference of two AUCs on the same rows, and its variance."""
    above, below = (_placements(points, truth) for points in (one, other))
    gained = [a - b for a, b in zip(above, below, strict=True)]
    return float(gained[0].mean()), sum(float(part.var() / len(part)) for part in gained)


def _placements(points: NDArray[Any], truth: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return for each row of a class the share of the others' below it, and for those of its rows above."""
    ranks = ranks_of(points)
    ours, others = int(truth.sum()), int((~truth).sum())
    return (ranks[truth] - ranks_of(points[truth])) / others, 1 - (
        ranks[~truth] - ranks_of(points[~truth])
    ) / ours
