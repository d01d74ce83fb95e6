"""Intervals of the areas under the ROC and the precision-recall curve, alone and in pairs.

Each is the widest of two: one whose variance depends on the true area alone, which has width where the
ranking seen is perfect, and one by the rows' own components on the logit scale, which knows how scores are
spread. Its low end adds half a row of each class that is ranked no better than by chance, as half an error is
added to a count: ranks that a few rows of a class have not shown would else be taken not to exist.

- ROC: Newcombe's method 5 (2006), and DeLong's components (1988) on the logit scale.
- Average precision: Clopper and Pearson's interval of ``AP`` of so many rows of the rarer class, in place of
  the binomial variance of Boyd, Eng and Page (2013, ECML PKDD, LNCS 8190:451), which has no width at 1; and
  the rows' components on the logit scale, as there. Average precision is too high on few rows, since each
  positive is among those that its precision counts; the low end starts below it by that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.statistics.found import Found, interval_between, too_few_entities, widest
from windsock.statistics.metrics import Scored
from windsock.statistics.proportions import LEVEL, clopper_pearson, unseen_share
from windsock.statistics.units import Units, skewed_reach, standard_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_OF_CLASS = 20
"""On fewer rows of a class no interval of an area is given: its error would be above what it says."""
HALF = 0.5


class Area(NamedTuple):
    """An area of one class against the rest.

    :param value: the area.
    :param chance: its value for scores that know nothing.
    :param influence: shape (rows,): how much each row moves it.
    :param is_positive: shape (rows,): which rows are of the class.
    :param optimism: how much of it comes from each positive being among those that its precision counts.
    """

    value: float
    chance: float
    influence: NDArray[Any]
    is_positive: NDArray[Any]
    optimism: float = 0.0


class Areas(NamedTuple):
    """The mean over one class against the rest, or one area.

    :param parts: of two classes one, else one for each class that occurs.
    :param roc: whether under the ROC curve; else under the precision-recall curve.
    :param binary: whether there are two classes.
    """

    parts: tuple[Area, ...]
    roc: bool
    binary: bool

    @property
    def value(self) -> float:
        """The mean area."""
        return sum(part.value for part in self.parts) / len(self.parts)

    def influence(self) -> NDArray[Any]:
        """Return how much each row moves the mean."""
        import numpy as np

        moved: NDArray[Any] = np.mean([part.influence for part in self.parts], axis=0)
        return moved

    def carried(self, units: Units) -> tuple[int, str]:
        """Return how many units the rarest class has, and what they are."""
        counts = []
        for part in self.parts:
            names = ("positives", "negatives") if self.binary else ("rows of the rarest class",) * 2
            counts += [(units.among(part.is_positive), names[0]), (units.among(~part.is_positive), names[1])]
        n, what = min(counts, key=lambda one: one[0])
        return n, f"entities with {what}" if units.clustered else what


def roc_areas(scored: Scored) -> Areas | None:
    """Return the areas under the ROC curve; ``None`` where the rows are of one class."""
    return _areas(scored, roc=True)


def precision_areas(scored: Scored) -> Areas | None:
    """Return the average precisions; ``None`` where the rows are of one class."""
    return _areas(scored, roc=False)


def _areas(scored: Scored, *, roc: bool) -> Areas | None:
    binary = scored.positive is not None
    codes = range(scored.classes) if scored.positive is None else (scored.positive,)
    of = roc_area if roc else precision_area
    parts = [
        of(scored.truth == code, scored.answers[:, code])
        for code in codes
        if 0 < (scored.truth == code).sum() < scored.truth.size
    ]
    return Areas(tuple(parts), roc, binary) if parts else None


def roc_area(is_positive: NDArray[Any], scores: NDArray[Any]) -> Area:
    """Return the area under the ROC curve with each row's structural component (DeLong et al. 1988)."""
    import numpy as np

    above, below = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
    influence = np.empty(scores.size)
    beats = _share_below(below, scores[is_positive])
    value = float(beats.mean())
    influence[is_positive] = (beats - value) / above.size
    influence[~is_positive] = (1 - _share_below(above, scores[~is_positive]) - value) / below.size
    return Area(value, 0.5, influence, is_positive)


def _share_below(ordered: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """Return for each score which share of ordered ones it is above, equal ones by half."""
    import numpy as np

    both = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    share: NDArray[Any] = both / (2 * ordered.size)
    return share


def precision_area(is_positive: NDArray[Any], scores: NDArray[Any]) -> Area:
    """Return the average precision with its derivative by each row's weight; equal scores are one step."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order], is_positive[order].astype("float64")
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    step = np.cumsum(np.r_[0, np.diff(ordered) != 0])
    found, rows = np.add.reduceat(positive, starts), np.diff(np.r_[starts, scores.size])
    seen, total = np.cumsum(rows), float(positive.sum())
    precision = np.cumsum(found) / seen
    value = float(found @ precision / total)
    after = np.cumsum((found / seen)[::-1])[::-1][step]
    lost = np.cumsum((found * precision / seen)[::-1])[::-1][step]
    influence = np.empty(scores.size)
    influence[order] = (positive * (precision[step] - value + after) - lost) / total
    return Area(value, total / scores.size, influence, is_positive, float(after[0] - lost[0]) / total)


def too_few(areas: Areas, units: Units) -> str:
    """Return which rows are too few for an interval; empty where there are enough."""
    n, what = areas.carried(units)
    if n < LEAST_OF_CLASS:
        return f"{n} {what}, at least {LEAST_OF_CLASS} needed"
    return too_few_entities(units.effective, units)


def areas_found(areas: Areas, units: Units) -> Found:
    """Return the interval of a mean area; several classes hang together in an unknown way.

    Of several, the ends of the first kind are averaged, which is right however they hang together; those of
    the second come from the rows' components of the mean, which know.
    """
    n, what = areas.carried(units)
    reason = too_few(areas, units)
    if reason:
        return Found(None, n, what, reason)
    edges = [_edge(part, units, roc=areas.roc) for part in areas.parts]
    count = len(edges)
    ends = widest(
        (sum(low for low, _ in edges) / count, sum(high for _, high in edges) / count),
        *_by_components(areas, units, n),
    )
    return Found(interval_between(max(0.0, ends[0]), min(1.0, ends[1])), n, what)


def _edge(part: Area, units: Units, *, roc: bool) -> tuple[float, float]:
    positives, negatives = _effective(part, units)
    if roc:
        return newcombe(part.value, positives, negatives)
    fewest = min(positives, negatives)
    exact = clopper_pearson(part.value * fewest, fewest)
    return exact.low, exact.high


def _effective(part: Area, units: Units) -> tuple[float, float]:
    """Return how many independent rows of and not of the class the area is worth."""
    positives, negatives = float(part.is_positive.sum()), float((~part.is_positive).sum())
    if not units.clustered:
        return positives, negatives
    alone = standard_error(part.influence, Units(rows=units.rows))
    if alone <= 0:
        return float(units.among(part.is_positive)), float(units.among(~part.is_positive))
    effect = max(1.0, (standard_error(part.influence, units) / alone) ** 2)
    return max(1.0, positives / effect), max(1.0, negatives / effect)


def newcombe(area: float, positives: float, negatives: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval whose ends have Hanley and McNeil's variance at themselves.

    Method 5 of Newcombe 2006, Statistics in Medicine 25:559: it has width at 0 and 1.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    reach, both = float(ndtri((1 + level) / 2)), (positives + negatives) / 2 - 1

    def distance(true: float) -> float:
        spread = 1 + both * (1 - true) / (2 - true) + both * true / (1 + true)
        return abs(area - true) - reach * math.sqrt(true * (1 - true) * spread / (positives * negatives))

    tiny = 1e-12
    low = brentq(distance, tiny, area - tiny) if area > 1e-9 and distance(tiny) > 0 else 0.0
    high = brentq(distance, area + tiny, 1 - tiny) if area < 1 - 1e-9 and distance(1 - tiny) > 0 else 1.0
    return float(low), float(high)


def _by_components(areas: Areas, units: Units, n: int) -> list[tuple[float, float]]:
    """Return the logit intervals by the rows' components, as they are and with what few rows do not show.

    The second is cut where it goes beyond what any spread of scores allows: the variance of an area under the
    ROC curve is at most that of a share of the rarer class's rows (van Dantzig 1951; Birnbaum and Klose
    1957), and that of an average precision was in no simulation above that of half of them.
    """
    value, error = areas.value, standard_error(areas.influence(), units)
    count = len(areas.parts)
    chance = sum(part.chance for part in areas.parts) / count
    counts = [_effective(part, units) for part in areas.parts]
    fewest, most = min(min(one) for one in counts), min(max(one) for one in counts)
    if areas.roc:
        lost, bound = 0.0, fewest
        added = [HALF * (chance - value) ** 2 / (rows + HALF) ** 2 for rows in (fewest, most)]
    else:  # each positive counts itself, and one negative may yet rank anywhere among the positives
        among = value / min(one[0] for one in counts)
        lost, bound = sum(part.optimism for part in areas.parts) / count + among, fewest / 2
        added = [HALF * (chance - value) ** 2 / (fewest + HALF) ** 2, among**2]
    shrunk = ((value - lost) * fewest + HALF * chance) / (fewest + HALF)
    low, _ = logit_ends(shrunk, math.sqrt(error**2 + sum(added)), n - 1)
    return [
        logit_ends(value, error, n - 1),
        (max(low, clopper_pearson(value * bound, bound).low), value),
    ]


def logit_ends(value: float, error: float, freedom: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Return Student's t interval on the logit scale, back on its own; without width at 0, 1 or no error."""
    from scipy.special import expit, logit, stdtrit

    if not (0 < value < 1 and 0 < error < math.inf):
        return value, value
    half = float(stdtrit(max(1, freedom), (1 + level) / 2)) * error / (value * (1 - value))
    middle = float(logit(value))
    return float(expit(middle - half)), float(expit(middle + half))


def areas_compared(ours: Areas, theirs: Areas, units: Units) -> Found:
    """Return the interval of the difference of mean areas on the same rows, ours minus theirs.

    The rows' components differ in pairs (DeLong et al. 1988); it is never narrower than what rows that were
    not seen could change, so that two models that ranked all rows alike are not proved equal by few of them.
    """
    n, what = ours.carried(units)
    reason = too_few(ours, units)
    if reason:
        return Found(None, n, what, reason)
    value = ours.value - theirs.value
    reach = skewed_reach(ours.influence() - theirs.influence(), units, freedom=n - 1, level=LEVEL)
    least = math.fsum(_least(part, units, roc=ours.roc) for part in ours.parts) / len(ours.parts)
    low, high = value - max(reach.down, least), value + max(reach.up, least)
    return Found(interval_between(max(-1.0, low), min(1.0, high)), n, what)


def _least(part: Area, units: Units, *, roc: bool) -> float:
    """Return how much an area moves if rows that were not seen are ranked by chance by one of the two."""
    shares = [unseen_share(max(1, units.among(part.is_positive)))]
    if roc:
        shares.append(unseen_share(max(1, units.among(~part.is_positive))))
    return (1 - part.chance) * math.hypot(*shares)
