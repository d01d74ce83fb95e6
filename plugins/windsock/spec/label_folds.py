"""Labels with folds: what predictions reach that were never fitted on the row that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.spec.label_scores import auc, compared, line_through, r2, ranks_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FOLDS = 5
MOST_ROWS = 10_000
OF_EACH_CLASS = 300
"""So many rows of a rare class are taken, or all that there are."""
MOST_CLASSES = 20
"""Of more classes the rows of the most frequent ones are taken."""
FEWEST_ROWS = 50
FEWEST_OF_CLASS = 5
RIDGE = 1e-3
SEED = 20_240


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What one column, or several, say of each row's label.

    :param points: shape (rows, classes): larger where the class is likelier; of numbers shape (rows, 1).
    :param score: AUC or R2.
    :param of_ranks: of numbers: whether the ranks are predicted, not the numbers.
    :param of_classes: AUC of each class against the rest; empty for numbers.
    """

    points: NDArray[Any]
    score: float
    of_ranks: bool = False
    of_classes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """Labels of the rows that are looked at.

    :param numbers: whether they are numbers; else they are classes.
    :param places: which rows of the table these are.
    :param codes: the class of each row, from 0; of numbers all 0.
    :param points: shape (rows, classes): 1 in the row's class; of numbers shape (rows, 1).
    :param ranks: of numbers their ranks, shape (rows, 1), from 0 to 1.
    :param folds: the fold of each row.
    """

    numbers: bool
    places: NDArray[Any]
    codes: NDArray[Any]
    points: NDArray[Any]
    ranks: NDArray[Any]
    folds: NDArray[Any]

    @property
    def rows(self) -> int:
        """How many rows are looked at."""
        return len(self.places)

    @property
    def class_count(self) -> int:
        """How many classes there are."""
        return int(self.points.shape[1])

    def part(self, there: NDArray[Any]) -> Labels | None:
        """Return the labels of some of the rows; ``None`` where those are too few, or all alike."""
        return _made(
            self.numbers, self.places[there], self.points[there], self.codes[there], self.folds[there]
        )

    def of_class(self, code: int) -> Labels:
        """Return labels that say of each row whether it is of one class."""
        import numpy as np

        there = self.codes == code
        points = np.stack([~there, there], axis=1).astype(float)
        return replace(self, codes=there.astype(np.int64), points=points)

    def encoded(self, codes: NDArray[Any]) -> Prediction:
        """Return what the other folds' labels say of each row by its bin.

        :param codes: the bin of each row, from 0.
        """
        if not self.numbers:
            points = self._means(codes, self.points)
            of_classes = self._of_classes(points)
            return Prediction(
                points=points, score=sum(of_classes) / len(of_classes), of_classes=tuple(of_classes)
            )
        found = []
        for truth, of_ranks in ((self.points, False), (self.ranks, True)):
            points = self._means(codes, truth)
            found.append(Prediction(points=points, score=r2(truth, points), of_ranks=of_ranks))
        return max(found, key=lambda one: one.score)

    def ranked(self, values: NDArray[Any]) -> Prediction | None:
        """Return what the order of numbers says of two classes, or a straight line of numbers."""
        import numpy as np

        if self.numbers:
            ranks = ranks_of(values) / len(values)
            found = []
            for one, truth, of_ranks in ((values, self.points, False), (ranks, self.ranks, True)):
                points = line_through(one, truth[:, 0])[:, np.newaxis]
                found.append(Prediction(points=points, score=r2(truth, points), of_ranks=of_ranks))
            return max(found, key=lambda one: one.score)
        if self.class_count != 2:
            return None
        points = np.stack([-values, values], axis=1)
        score = self.score(points)
        return Prediction(points=points if score >= 0.5 else -points, score=max(score, 1 - score))

    def line(self, values: NDArray[Any]) -> float:
        """Return R2 of a straight line through numbers."""
        return r2(self.points, line_through(values, self.points[:, 0])[:, None])

    def separation(self, there: NDArray[Any]) -> float:
        """Return the AUC by which rows with a value are told from those without, of the best class."""
        if not self.numbers:
            shares = [auc(there.astype(float), truth > 0) for truth in self.points.T]
            return max(max(share, 1 - share) for share in shares)
        share = auc(self.points[:, 0], there)
        return max(share, 1 - share)

    def score(self, points: NDArray[Any]) -> float:
        """Return the mean AUC of the classes, each against the rest."""
        of_classes = self._of_classes(points)
        return sum(of_classes) / len(of_classes)

    def deviations(self, better: Prediction, worse: Prediction) -> float:
        """Return by how many standard errors one prediction is better than another on the same rows.

        Of AUC after DeLong, DeLong and Clarke-Pearson (1988); of R2 by the squared errors.
        """
        import numpy as np

        if self.numbers:
            gained = self._errors(worse) - self._errors(better)
            mean, variance = float(gained.mean()), float(gained.var() / len(gained))
        else:
            found = []
            for one, other, truth in zip(better.points.T, worse.points.T, self.points.T, strict=True):
                found.append(compared(one, other, truth > 0))
            mean = float(np.mean([each[0] for each in found]))
            variance = float(np.mean([each[1] for each in found]))  # classes are not independent
        return mean / variance**0.5 if variance > 0 else float("inf") if mean > 0 else 0.0

    def stacked(self, predictions: Sequence[Prediction]) -> float:
        """Return the AUC or R2 that encodings reach together, in a ridge regression of the other folds."""
        import numpy as np

        if self.numbers:
            beside = np.concatenate([one.points for one in predictions], axis=1)
            return max(r2(truth, self._ridge(beside, truth)) for truth in (self.points, self.ranks))
        points = []
        two = self.class_count == 2  # each is the other's mirror
        for place in range(1 if two else self.class_count):
            shares = np.stack([one.points[:, place] for one in predictions], axis=1).clip(1e-3, 1 - 1e-3)
            points.append(self._ridge(np.log(shares / (1 - shares)), self.points[:, [place]]))
        if two:
            return auc(points[0][:, 0], self.points[:, 0] > 0)
        return self.score(np.concatenate(points, axis=1))

    def _of_classes(self, points: NDArray[Any]) -> list[float]:
        if points.shape[1] == 2:  # each is the other's mirror
            return [auc(points[:, 1], self.points[:, 1] > 0)] * 2
        pairs = zip(points.T, self.points.T, strict=True)
        return [auc(point, truth > 0) for point, truth in pairs]

    def _errors(self, prediction: Prediction) -> NDArray[Any]:
        truth = self.ranks if prediction.of_ranks else self.points
        errors: NDArray[Any] = ((truth - prediction.points)[:, 0]) ** 2 / truth.var()
        return errors

    def _means(self, codes: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
        """Return the mean of the truth in each row's bin, over the other folds only."""
        import numpy as np

        bins = int(codes.max()) + 1
        cells = codes * FOLDS + self.folds
        counts = np.bincount(cells, minlength=bins * FOLDS).reshape(bins, FOLDS).astype(float)
        counts = counts.sum(axis=1, keepdims=True) - counts
        means = []
        for part in truth.T:
            overall = float(part.mean())
            sums = np.bincount(cells, weights=part, minlength=bins * FOLDS).reshape(bins, FOLDS)
            sums = sums.sum(axis=1, keepdims=True) - sums
            weight = 0.0 if self.numbers else 0.5
            with np.errstate(invalid="ignore"):
                mean = np.where(counts > 0, (sums + weight * overall) / (counts + weight), overall)
            means.append(mean[codes, self.folds])
        return np.stack(means, axis=1)

    def _ridge(self, beside: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        beside = (beside - beside.mean(axis=0)) / np.maximum(beside.std(axis=0), 1e-12)
        design = np.concatenate([np.ones((len(beside), 1)), beside], axis=1)
        points = np.zeros_like(truth)
        for fold in range(FOLDS):
            on = self.folds != fold
            if on.all() or not on.any():
                continue
            square = design[on].T @ design[on] + RIDGE * on.sum() * np.eye(design.shape[1])
            points[~on] = design[~on] @ np.linalg.solve(square, design[on].T @ truth[on])
        return points


def read_labels(
    target: pd.Series[Any],
    *,
    numbers: bool,
    groups: pd.Series[Any] | None = None,
    times: pd.Series[Any] | None = None,
    most: int = MOST_ROWS,
) -> Labels | None:
    """Return the labels of some rows, drawn with a fixed seed.

    :param target: missing where nobody knows it; such rows are left out.
    :param numbers: whether it is a number to predict; else it is classes.
    :param groups: rows of one value have one fold.
    :param times: without groups: folds are blocks in this order.
    :param most: about so many rows.
    :returns: ``None`` where they are too few, or all alike.
    """
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(SEED)
    places = np.flatnonzero(target.notna().to_numpy(dtype=bool))
    if numbers:
        values = pd.to_numeric(target.iloc[places], errors="coerce").to_numpy(dtype=float)
        places, values = places[np.isfinite(values)], values[np.isfinite(values)]
        chosen = np.sort(draw.permutation(len(places))[:most])
        codes = np.zeros(len(chosen), dtype=np.int64)
        points = values[chosen, np.newaxis]
    else:
        codes = pd.factorize(target.iloc[places])[0]
        chosen = _sample(codes, draw, most)
        codes = pd.factorize(codes[chosen])[0]
        points = np.eye(int(codes.max()) + 1)[codes] if len(codes) else np.zeros((0, 0))
    places = places[chosen]
    return _made(numbers, places, points, codes, _folds(places, codes, groups, times, draw))


def _made(
    numbers: bool, places: NDArray[Any], points: NDArray[Any], codes: NDArray[Any], folds: NDArray[Any]
) -> Labels | None:
    import numpy as np

    if not numbers:  # classes of too few rows are left out
        frequent = points.sum(axis=0) >= FEWEST_OF_CLASS
        kept = points[:, frequent].any(axis=1)
        places, points, folds = places[kept], points[kept][:, frequent], folds[kept]
        codes = points.argmax(axis=1) if points.shape[1] else codes[kept]
    if len(places) < FEWEST_ROWS or (points.shape[1] < 2 if not numbers else points.std() == 0):
        return None
    ranks = ranks_of(points[:, 0])[:, np.newaxis] / len(points)
    return Labels(numbers=numbers, places=places, codes=codes, points=points, ranks=ranks, folds=folds)


def _sample(codes: NDArray[Any], draw: np.random.Generator, most: int) -> NDArray[Any]:
    """Return the places of some rows: of each class as many as is its share, and of a rare one more."""
    import numpy as np

    counts = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    shrink = min(1.0, most / max(1, len(codes)))
    taken = []
    for code in np.argsort(-counts, kind="stable")[:MOST_CLASSES]:
        rows = draw.permutation(np.flatnonzero(codes == code))
        taken.append(rows[: max(round(shrink * len(rows)), OF_EACH_CLASS)])
    return np.sort(np.concatenate(taken)) if taken else np.zeros(0, dtype=np.int64)


def _folds(
    places: NDArray[Any],
    codes: NDArray[Any],
    groups: pd.Series[Any] | None,
    times: pd.Series[Any] | None,
    draw: np.random.Generator,
) -> NDArray[Any]:
    import numpy as np
    import pandas as pd

    rows = len(places)
    if groups is not None:
        whose = pd.factorize(groups.iloc[places])[0]
        alone = whose < 0
        whose[alone] = whose.max(initial=-1) + 1 + np.arange(alone.sum())
        folds: NDArray[Any] = draw.permutation(np.arange(whose.max(initial=0) + 1) % FOLDS)[whose]
        return folds
    order = np.lexsort([draw.random(rows), codes])
    folds = np.empty(rows, dtype=np.int64)
    if times is not None:
        order = np.argsort(times.iloc[places].to_numpy(), kind="stable")
        folds[order] = np.arange(rows) * FOLDS // max(1, rows)
    else:
        folds[order] = np.arange(rows) % FOLDS
    return folds
