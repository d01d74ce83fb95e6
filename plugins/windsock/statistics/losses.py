"""Intervals of mean losses and what follows from them, alone and in pairs.

They are Student's t with skewness taken out. Where all losses are alike, or nothing was lost, that has no
width: then a share of the units, the largest of which so many may show none, is taken to lose nothing, or as
much as an answer that knows nothing: another class's loss, or the target's own spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.statistics.found import Found, interval_between, too_few_entities
from windsock.statistics.metrics import Scored
from windsock.statistics.proportions import LEVEL, unseen_share
from windsock.statistics.units import Units, skewed_reach

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_ROWS = 20
"""On fewer rows a skewed loss shows too little of its tail: no interval is given."""


class Loss(NamedTuple):
    """A metric of a mean loss.

    :param mean: the mean loss.
    :param influence: shape (rows,): how much each row moves the mean.
    :param ignorant: the mean loss of answers that know nothing of the rows.
    :param curve: the metric of a mean loss, rising or falling.
    :param slope: how much the metric moves with the mean.
    """

    mean: float
    influence: NDArray[Any]
    ignorant: float
    curve: Callable[[float], float]
    slope: float = 1.0


def log_loss(scored: Scored) -> Loss:
    """Return the mean of minus the logarithm of the true class's probability."""
    import numpy as np

    smallest = np.finfo("float64").eps
    rows = np.arange(scored.truth.size)
    logs = -np.log(np.clip(scored.answers, smallest, 1 - smallest))
    losses = logs[rows, scored.truth]
    others = (logs.sum(axis=1) - losses) / max(1, scored.classes - 1)
    return _mean_loss(losses, float(others.mean()))


def brier(scored: Scored) -> Loss:
    """Return the mean squared error of the probabilities."""
    import numpy as np

    if scored.positive is not None:
        apart = np.abs(scored.answers[:, scored.positive] - (scored.truth == scored.positive))
        return _mean_loss(apart**2, float(((1 - apart) ** 2).mean()))
    rows = np.arange(scored.truth.size)
    squares = (scored.answers**2).sum(axis=1) + 1
    losses = squares - 2 * scored.answers[rows, scored.truth]
    others = (1 - scored.answers[rows, scored.truth]) / max(1, scored.classes - 1)
    return _mean_loss(losses, float((squares - 2 * others).mean()))


def mae(scored: Scored) -> Loss:
    """Return the mean absolute error."""
    ignorant = float(abs(scored.truth - scored.truth.mean()).mean())
    return _mean_loss(abs(scored.truth - scored.answers), ignorant)


def rmse(scored: Scored) -> Loss:
    """Return the root of the mean squared error."""
    squared = _mean_loss((scored.truth - scored.answers) ** 2, float(scored.truth.var()))
    root = math.sqrt(squared.mean)
    return squared._replace(
        curve=lambda mean: math.sqrt(max(0.0, mean)), slope=1 / (2 * root) if root else 0.0
    )


def r2(scored: Scored) -> Loss | None:
    """Return one minus the squared error as a part of the target's variance; ``None`` for a constant one."""
    centred = (scored.truth - scored.truth.mean()) ** 2
    total = float(centred.sum())
    if total <= 0:
        return None
    squared = (scored.truth - scored.answers) ** 2
    part = float(squared.sum()) / total
    return Loss(part, (squared - part * centred) / total, 1.0, lambda mean: 1 - mean, -1.0)


def _mean_loss(losses: NDArray[Any], ignorant: float) -> Loss:
    mean = float(losses.mean())
    return Loss(mean, (losses - mean) / losses.size, ignorant, lambda value: value)


def _carried(units: Units) -> tuple[int, str, str]:
    """Return the number of units, what they are, and why they are too few."""
    n, what = units.effective, "entities" if units.clustered else "rows"
    reason = too_few_entities(n, units)
    if not reason and n < LEAST_ROWS:
        reason = f"{n} {what}, at least {LEAST_ROWS} needed"
    return n, what, reason


def loss_found(loss: Loss, units: Units) -> Found:
    """Return the interval of a metric of a mean loss."""
    n, what, reason = _carried(units)
    if reason:
        return Found(None, n, what, reason)
    reach = skewed_reach(loss.influence, units, freedom=n - 1, level=LEVEL)
    unseen = unseen_share(n)
    low = max(0.0, min(loss.mean - reach.down, loss.mean * (1 - unseen)))
    high = max(loss.mean + reach.up, loss.mean + unseen * max(0.0, loss.ignorant - loss.mean))
    if high <= low:
        return Found(None, n, what, "nothing was lost, and nothing could be: the target is constant")
    ends = sorted((loss.curve(low), loss.curve(high)))
    return Found(interval_between(*ends), n, what)


def loss_compared(ours: Loss, theirs: Loss, units: Units, *, sign: float) -> Found:
    """Return the interval of the difference of a metric on the same rows, ours minus theirs, times a sign."""
    n, what, reason = _carried(units)
    if reason:
        return Found(None, n, what, reason)
    value = sign * (ours.curve(ours.mean) - theirs.curve(theirs.mean))
    moved = sign * (ours.slope * ours.influence - theirs.slope * theirs.influence)
    reach = skewed_reach(moved, units, freedom=n - 1, level=LEVEL)
    unseen = unseen_share(n)
    least = max(_moved_by(one, unseen) for one in (ours, theirs))
    if least <= 0 and reach.down <= 0:
        return Found(None, n, what, "nothing was lost, and nothing could be: the target is constant")
    return Found(interval_between(value - max(reach.down, least), value + max(reach.up, least)), n, what)


def _moved_by(loss: Loss, unseen: float) -> float:
    """Return how much the metric moves if units that were not seen are answered without knowing anything."""
    worse = loss.mean + unseen * max(loss.ignorant, loss.mean)
    return abs(loss.curve(worse) - loss.curve(loss.mean))
