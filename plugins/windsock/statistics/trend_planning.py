"""Which slide of a metric the trend finds, planned with the variance that it has once it has fallen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from windsock.statistics.proportions import clopper_pearson
from windsock.statistics.trends import look_error

POWER = 0.8
STEPS, PARTS = 60, 400
"""Steps in which the smallest loss is looked for, and parts of the chance that windows vary."""
LARGEST_LOSS = 10.0
"""An error may become so many times larger."""
CHANCE = 0.5
"""Area under the ROC curve of scores that know nothing: it does not fall below it."""
SHARES = (
    "accuracy",
    "recall",
    "precision",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "f1_weighted",
    "average_precision",
)
ERRORS = ("rmse", "mae", "log_loss", "brier")
Curve = Callable[[float], float]
"""Takes a loss and returns a variance on one row."""


class Slide(NamedTuple):
    """How a metric varies while it falls.

    :param tested: its variance on one row by the interval, as the trend takes it, after a loss.
    :param true: its variance on one row, after a loss.
    :param largest: no loss is larger.
    """

    tested: Curve
    true: Curve
    largest: float = math.inf


def slide_of(name: str, value: float, *, spread: float, variance: float, rows: float) -> Slide:
    """Return how a metric varies while it falls from a value.

    A share's variance is ``p (1 - p)``, and its exact interval is wider by what few rows need; that of an
    area under the ROC curve is Hanley and McNeil's (1982) at itself, as Newcombe's interval has it; that of
    an error grows with its square, as where all errors grow alike. Of another metric it stays.

    :param spread: its variance on one row now, by its interval.
    :param variance: the same by its standard error.
    :param rows: that both were measured on.
    """
    if name in SHARES and 0 < value < 1:
        carrying = value * (1 - value) * rows / variance
        tested = _grown(lambda share: _reach(share, carrying), value, -1, spread)
        return Slide(tested, _grown(_share, value, -1, variance), value)
    if name == "roc_auc" and CHANCE < value < 1:
        tested, true = (_grown(_area, value, -1, of) for of in (spread, variance))
        return Slide(tested, true, value - CHANCE)
    if name in ERRORS and value > 0:
        tested, true = (_grown(lambda error: error * error, value, 1, of) for of in (spread, variance))
        return Slide(tested, true, LARGEST_LOSS * value)
    return Slide(lambda loss: spread, lambda loss: variance)


def _grown(of: Curve, value: float, sign: int, now: float) -> Curve:
    """Return what a variance comes to after a loss."""
    return lambda loss: now * of(value + sign * loss) / of(value)


def _share(value: float) -> float:
    return value * (1 - value)


def _reach(share: float, rows: float) -> float:
    exact = clopper_pearson(share * rows, rows)
    return (exact.high - exact.low) ** 2


def _area(value: float) -> float:
    return value * (1 - value) * ((1 - value) / (2 - value) + value / (1 + value))


def seen_loss(
    rows: float, slide: Slide, *, windows: int, look: int, limit: float, recent: int = 1
) -> float | None:
    """Return the smallest loss over evenly spaced windows that a look finds with a chance of :data:`POWER`.

    :param rows: labelled rows of each window.
    :param limit: what the loss must exceed as it is estimated.
    :param recent: windows, the last ones, by whose rows the look knows the variance.
    :returns: ``None`` where no loss is found so often.
    """
    from scipy.optimize import brentq

    def lacking(loss: float) -> float:
        return POWER - found_share(loss, rows, slide, windows=windows, look=look, limit=limit, recent=recent)

    error = math.sqrt(12 * slide.tested(0.0) / (rows * windows))
    most = min(slide.largest, limit + 20 * error)
    low = limit
    for number in range(1, STEPS + 1):
        high = limit + number * (most - limit) / STEPS
        if lacking(high) <= 0:
            return float(brentq(lacking, low, high, xtol=1e-9)) if lacking(low) > 0 else low
        low = high
    return None


def found_share(
    loss: float, rows: float, slide: Slide, *, windows: int, look: int, limit: float, recent: int = 1
) -> float:
    """Return the chance that a look finds a loss, as :func:`windsock.statistics.trends.fit_line` judges it.

    The parameters are those of :func:`seen_loss`. About every other series of windows varies by chance more
    than its rows say; it is then taken for uneven, and a larger loss is needed to be sure of.
    """
    import numpy as np
    from scipy.special import chdtri, ndtr, ndtri, stdtrit

    place = np.linspace(0, 1, windows)
    each = np.array([slide.true(loss * one) for one in place]) / rows
    apart = (place - 0.5) ** 2
    moment = float(apart.sum())
    known = slide.tested(loss * (1 - (min(recent, windows) - 1) / 2 / (windows - 1))) / rows
    freedom, tail = windows - 2, look_error(look)
    chances = (np.arange(PARTS) + 0.5) / PARTS
    uneven = float(each.mean()) / known * chdtri(freedom, chances) / freedom
    reach = np.where(
        uneven <= 1, ndtri(1 - tail), stdtrit(freedom, 1 - tail) * np.sqrt(np.maximum(1, uneven))
    )
    error = math.sqrt(float((apart * each).sum())) / moment
    needed = np.maximum(reach * math.sqrt(known / moment), limit)
    return float(ndtr((loss - needed) / error).mean()) if error else float((loss > needed).mean())
