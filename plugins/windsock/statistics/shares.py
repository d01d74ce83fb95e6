"""Metrics that are shares of counts, alone and in pairs: which rows carry each, and its interval.

A class's recall is a share of its rows, its precision a share of the rows answered with it, and its F1 is
``2J / (1 + J)`` of ``J``, the right ones among the rows that are of it or were answered with it. So each has
the exact interval of a share, as it is or bent with the same curve. A mean over classes adds the parts' reach
in squares, and is at least as wide as its own standard error says, which knows how the parts hang together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.statistics.found import Found, around, interval_between, too_few_entities, widest
from windsock.statistics.metrics import Scored, answered_classes
from windsock.statistics.proportions import LEVEL, clopper_pearson, effective_rows, tango, unseen_share
from windsock.statistics.units import Units, skewed_reach, standard_error

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Share(NamedTuple):
    """The share of right rows among those that carry it, or F1 as its curve.

    :param hits: shape (rows,): which rows count for it.
    :param carrying: shape (rows,): which rows it is of.
    :param what: what such a row is called.
    :param f1: whether the value is F1 of the share.
    """

    hits: NDArray[Any]
    carrying: NDArray[Any]
    what: str = "rows"
    f1: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows count, and of how many."""
        return int((self.hits & self.carrying).sum()), int(self.carrying.sum())

    @property
    def share(self) -> float:
        """The share; 0 where nothing carries it."""
        hits, rows = self.counts
        return hits / rows if rows else 0.0

    def value(self, share: float) -> float:
        """Return the metric of a share."""
        return 2 * share / (1 + share) if self.f1 else share

    @property
    def slope(self) -> float:
        """How much the metric moves with the share."""
        return 2 / (1 + self.share) ** 2 if self.f1 else 1.0

    def influence(self) -> NDArray[Any]:
        """Return how much each row moves the metric."""
        import numpy as np

        _, rows = self.counts
        if not rows:
            return np.zeros(self.hits.size)
        moved: NDArray[Any] = self.carrying * (self.hits - self.share) * (self.slope / rows)
        return moved


class Shares(NamedTuple):
    """A metric as the weighted mean of shares.

    :param parts: one for each class, or one in all.
    :param weights: of the parts; they sum to 1.
    :param moved: shape (rows,): how much a row moves the metric by moving the weights, where it does.
    """

    parts: tuple[Share, ...]
    weights: tuple[float, ...] = (1.0,)
    moved: NDArray[Any] | None = None

    @property
    def value(self) -> float:
        """The metric."""
        return sum(
            weight * part.value(part.share) for weight, part in zip(self.weights, self.parts, strict=True)
        )

    def influence(self) -> NDArray[Any]:
        """Return how much each row moves the metric."""
        moved: NDArray[Any] = sum(
            weight * part.influence() for weight, part in zip(self.weights, self.parts, strict=True)
        )  # type: ignore[assignment]
        return moved if self.moved is None else moved + self.moved

    def carried(self, units: Units) -> tuple[int, str]:
        """Return the number that carries the metric, of the part with the fewest, and what it counts."""
        part = min(self.parts, key=lambda one: units.among(one.carrying))
        if not units.clustered:
            return part.counts[1], part.what
        return units.among(part.carrying), "entities" if part.what == "rows" else f"entities with {part.what}"


SharesOf = Callable[[Scored], "Shares | None"]


def accuracy(scored: Scored) -> Shares:
    """Return the share of right answers."""
    import numpy as np

    right = answered_classes(scored) == scored.truth
    return Shares((Share(right, np.ones(right.size, dtype=bool)),))


def recall(scored: Scored) -> Shares | None:
    """Return the recall of the positive class, or the mean over the classes that occur."""
    return _by_class(scored, _recall)


def precision(scored: Scored) -> Shares | None:
    """Return the precision of the positive class, or the mean over the classes that occur."""
    return _by_class(scored, _precision)


def f1(scored: Scored) -> Shares | None:
    """Return F1 of the positive class, or the mean over the classes that occur."""
    return _by_class(scored, _f1)


def f1_macro(scored: Scored) -> Shares | None:
    """Return the mean F1 of the classes that occur, also of two."""
    return _by_class(replace(scored, positive=None), _f1)


def f1_weighted(scored: Scored) -> Shares | None:
    """Return the mean F1 of the classes, weighted by the rows of each; these weights are a sample, too."""
    import numpy as np

    whole = replace(scored, positive=None)
    rows = np.bincount(scored.truth, minlength=scored.classes)
    codes = np.flatnonzero(rows)
    if not codes.size:
        return None
    parts = tuple(_f1(whole, int(code)) for code in codes)
    weights = rows[codes] / rows.sum()
    values = np.zeros(scored.classes)
    values[codes] = [part.value(part.share) for part in parts]
    moved = (values[scored.truth] - weights @ values[codes]) / rows.sum()
    return Shares(parts, tuple(weights.tolist()), moved)


def balanced_accuracy(scored: Scored) -> Shares | None:
    """Return the mean recall of the classes that occur in the rows."""
    return _mean([_recall(scored, code) for code in range(scored.classes) if (scored.truth == code).any()])


def _recall(scored: Scored, code: int) -> Share:
    return Share(answered_classes(scored) == code, scored.truth == code, _class_rows(scored, code))


def _precision(scored: Scored, code: int) -> Share:
    what = "rows answered as positive" if code == scored.positive else "rows answered with the rarest class"
    return Share(scored.truth == code, answered_classes(scored) == code, what)


def _f1(scored: Scored, code: int) -> Share:
    of, answered = scored.truth == code, answered_classes(scored) == code
    named = "positive or answered so" if code == scored.positive else "of the rarest class or answered so"
    return Share(of & answered, of | answered, f"rows {named}", f1=True)


def _class_rows(scored: Scored, code: int) -> str:
    if scored.positive is None:
        return "rows of the rarest class"
    return "positives" if code == scored.positive else "negatives"


def _by_class(scored: Scored, of: Callable[[Scored, int], Share]) -> Shares | None:
    if scored.positive is not None:
        return Shares((of(scored, scored.positive),))
    answered = answered_classes(scored)
    occurring = [
        code for code in range(scored.classes) if (scored.truth == code).any() or (answered == code).any()
    ]
    return _mean([of(scored, code) for code in occurring])


def _mean(parts: Sequence[Share]) -> Shares | None:
    return Shares(tuple(parts), (1 / len(parts),) * len(parts)) if parts else None


def shares_found(shares: Shares, units: Units) -> Found:
    """Return the interval of a metric of shares."""
    n, what = shares.carried(units)
    reason = too_few_entities(n, units, what)
    if reason:
        return Found(None, n, what, reason)
    values, downs, ups = [], [], []
    for weight, part in zip(shares.weights, shares.parts, strict=True):
        low, high = _ends(part, units)
        values.append(weight * part.value(part.share))
        downs.append(weight * (part.value(part.share) - low))
        ups.append(weight * (high - part.value(part.share)))
    value = sum(values)
    ends = around(value, downs, ups)
    if len(shares.parts) > 1 and n > 1:
        reach = _reach_of(shares.influence(), units, n)
        ends = widest(ends, (value - reach, value + reach))
        if shares.moved is not None:  # the weights move together with the parts: reaches add, as they are
            ends = widest(ends, (value - sum(downs), value + sum(ups)))
    return Found(interval_between(max(0.0, ends[0]), min(1.0, ends[1])), n, what)


def _reach_of(influence: NDArray[Any], units: Units, n: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(max(1, n - 1), (1 + LEVEL) / 2)) * standard_error(influence, units)


def _ends(part: Share, units: Units) -> tuple[float, float]:
    """Return the ends of one part, by effective counts where rows share an entity."""
    rows = effective_of(part.hits, part.carrying, units)
    exact = clopper_pearson(part.share * rows, rows)
    return part.value(exact.low), part.value(exact.high)


def effective_of(hits: NDArray[Any], carrying: NDArray[Any], units: Units) -> float:
    """Return how many independent rows carry a share.

    Few errors say little about how errors gather in entities, so the design effect is measured with one more
    entity of the usual size, all of whose rows are of the rarer kind. Without any error each entity then
    counts once; without it, the bound was wrong up to four times as often as it says (simulated).
    """
    rows = float(carrying.sum())
    if not units.clustered or rows < 2:
        return rows
    sizes = units.totals(carrying.astype("float64"))
    right = units.totals((hits & carrying).astype("float64"))
    entities = int((sizes > 0).sum())
    size = float(sizes @ sizes) / rows
    rarer = 0.0 if right.sum() >= rows / 2 else 1.0
    share = (float(right.sum()) + rarer * size) / (rows + size)
    between = float(((right - share * sizes) ** 2).sum()) + (size * (rarer - share)) ** 2
    within = share * (1 - share) * (rows + size)
    return effective_rows(rows, entities, between / within)


def shares_compared(ours: Shares, theirs: Shares, units: Units) -> Found:
    """Return the interval of the difference of a metric of shares on the same rows, ours minus theirs.

    Where both are of the same rows: Tango's score interval of each part. Else, as of precision and F1, by the
    standard error of the difference, and never narrower than what rows that were not seen could change.
    """
    n, what = min(ours.carried(units), theirs.carried(units))
    reason = too_few_entities(n, units, what)
    if reason:
        return Found(None, n, what, reason)
    value = ours.value - theirs.value
    influence = ours.influence() - theirs.influence()
    if _of_same_rows(ours, theirs):
        ends = _tango_ends(ours, theirs, units, value)
        if len(ours.parts) > 1:
            reach = _reach_of(influence, units, n)
            ends = widest(ends, (value - reach, value + reach))
    else:
        skewed = skewed_reach(influence, units, freedom=n - 1, level=LEVEL)
        least = math.hypot(*(_least(ours, units)), *(_least(theirs, units)))
        ends = value - max(skewed.down, least), value + max(skewed.up, least)
    return Found(interval_between(max(-1.0, ends[0]), min(1.0, ends[1])), n, what)


def _least(shares: Shares, units: Units) -> list[float]:
    """Return how much each part could move by rows of which none was seen."""
    each = zip(shares.weights, shares.parts, strict=True)
    half = math.sqrt(0.5)
    return [
        half * weight * part.slope * unseen_share(max(1, units.among(part.carrying))) for weight, part in each
    ]


def _of_same_rows(ours: Shares, theirs: Shares) -> bool:
    return len(ours.parts) == len(theirs.parts) and all(
        not one.f1 and (one.carrying == other.carrying).all()
        for one, other in zip(ours.parts, theirs.parts, strict=True)
    )


def _tango_ends(ours: Shares, theirs: Shares, units: Units, value: float) -> tuple[float, float]:
    downs, ups = [], []
    for weight, one, other in zip(ours.weights, ours.parts, theirs.parts, strict=True):
        better = one.carrying & one.hits & ~other.hits
        worse = one.carrying & other.hits & ~one.hits
        rows = float(one.carrying.sum())
        part = _effective_pairs(better, worse, one.carrying, units) / max(1.0, rows)
        found = tango(better.sum() * part, worse.sum() * part, rows * part)
        apart = one.share - other.share
        downs.append(weight * (apart - found.low))
        ups.append(weight * (found.high - apart))
    return around(value, downs, ups)


def _effective_pairs(
    better: NDArray[Any], worse: NDArray[Any], carrying: NDArray[Any], units: Units
) -> float:
    """Return how many independent rows two answers to the same rows are worth, as for one share."""
    rows = float(carrying.sum())
    if not units.clustered or rows < 2:
        return rows
    apart = better.astype("float64") - worse
    sizes = units.totals(carrying.astype("float64"))
    sums = units.totals(apart)
    entities = int((sizes > 0).sum())
    size = float(sizes @ sizes) / rows
    mean = float(sums.sum()) / rows
    within = float(((apart[carrying] - mean) ** 2).sum()) + size
    between = float(((sums - mean * sizes) ** 2).sum()) + size * size
    return effective_rows(rows, entities, between / within)
