"""Held-out rows as models leave them: scores of several kinds, shares, and entities with several rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from windsock.statistics.areas import precision_area, roc_area
from windsock.statistics.metrics import Scored
from windsock.statistics.units import Units

Draw = Callable[[np.random.Generator, int], Any]
CUTS = np.array([-1.0, 0.0, 1.0, 2.0])
"""Between the levels of tied scores."""
MANY = 1_000_000


class Kind(NamedTuple):
    """How scores of positives and of negatives are spread, by how far they are apart."""

    positives: Callable[[float], Draw]
    negatives: Draw


def _normal(width: float) -> Callable[[float], Draw]:
    return lambda apart: lambda draw, rows: draw.normal(apart, width, rows)


KINDS: dict[str, Kind] = {
    "binormal": Kind(_normal(1.0), _normal(1.0)(0.0)),
    "positives spread": Kind(_normal(2.0), _normal(1.0)(0.0)),
    "negatives spread": Kind(_normal(1.0), _normal(2.0)(0.0)),
    "skewed": Kind(
        lambda apart: lambda draw, rows: draw.exponential(np.exp(apart), rows),
        lambda draw, rows: draw.exponential(1.0, rows),
    ),
    "tied": Kind(
        lambda apart: lambda draw, rows: np.digitize(draw.normal(apart, 1.0, rows), CUTS) * 1.0,
        lambda draw, rows: np.digitize(draw.normal(0.0, 1.0, rows), CUTS) * 1.0,
    ),
}


def apart_for(kind: str, area: float) -> float:
    """Return how far apart scores are that have this area under the ROC curve."""
    if kind == "skewed":
        return float(np.log(area / (1 - area)))
    if kind == "tied":

        def missed(apart: float) -> float:
            of = np.diff(np.r_[0, norm.cdf(CUTS), 1])
            above = np.diff(np.r_[0, norm.cdf(CUTS - apart), 1])
            return float((above * (np.cumsum(of) - of / 2)).sum()) - area

        return float(brentq(missed, 0, 6))
    return float(norm.ppf(area)) * (2.0 if kind == "binormal" else 5.0) ** 0.5


def scores(draw: np.random.Generator, kind: str, apart: float, positives: int, negatives: int) -> Scored:
    """Draw held-out rows with so many of each class."""
    made = KINDS[kind]
    score = np.r_[made.positives(apart)(draw, positives), made.negatives(draw, negatives)]
    return two_classes(np.r_[np.ones(positives, int), np.zeros(negatives, int)], score)


def two_classes(truth: Any, score: Any) -> Scored:
    """Return rows with the score as the positive class's answer; those above 0 are answered as positive."""
    return Scored(
        truth=truth,
        answers=np.column_stack([-score, score]),
        classes=2,
        positive=1,
        predicted=(score > 0).astype("int64"),
    )


def true_area(kind: str, apart: float, positives: int, negatives: int, *, roc: bool) -> float:
    """Return the area in the whole world, where the classes have these shares."""
    draw = np.random.default_rng(99)
    of = int(MANY * positives / (positives + negatives))
    scored = scores(draw, kind, apart, of, MANY - of)
    area = roc_area if roc else precision_area
    return area(scored.truth == 1, scored.answers[:, 1]).value


UNEQUAL: dict[str, tuple[int, float, int]] = {
    "100 entities of lognormal size": (100, 1.0, 0),
    "300 entities of lognormal size": (300, 1.2, 0),
    "200 entities, one with a tenth of the rows": (199, 0.0, 222),
    "200 entities, one with half the rows": (199, 0.0, 1_990),
}
"""How many entities of about 10 rows, how unequal they are (sigma of the logarithm), and one with so many."""


def unequal_sizes(kind: str, draw: np.random.Generator) -> Any:
    """Draw how many rows each entity has."""
    entities, sigma, huge = UNEQUAL[kind]
    sizes = np.ceil(10 * draw.lognormal(-(sigma**2) / 2, sigma, entities)).astype(int)
    return np.r_[sizes, huge] if huge else sizes


def equal_models(draw: np.random.Generator, sizes: Any, *, shared: float) -> tuple[Scored, Scored, Units]:
    """Draw rows of entities and two equally good models of them, each wrong on entities of its own.

    :param sizes: how many rows each entity has.
    :param shared: which part of the variance an entity's rows share, of the truth and of each model's error.
    """
    codes = np.repeat(np.arange(len(sizes)), sizes)

    def mixed() -> Any:
        of_entity, of_row = draw.normal(size=len(sizes))[codes], draw.normal(size=codes.size)
        return np.sqrt(shared) * of_entity + np.sqrt(1 - shared) * of_row

    signal = mixed()
    truth = (signal + 0.5 * mixed() > 0.4).astype("int64")
    one, other = (_as_probabilities(truth, signal - 0.4 + 0.7 * mixed()) for _ in range(2))
    return one, other, Units(rows=codes.size, codes=codes)


def _as_probabilities(truth: Any, logit: Any) -> Scored:
    chance = 1 / (1 + np.exp(-2.5 * logit))
    return Scored(truth=truth, answers=np.column_stack([1 - chance, chance]), classes=2, positive=1)


def three_classes(draw: np.random.Generator, rows: int, right: float) -> Scored:
    """Draw rows of three classes, the rarest of a tenth, of which a model answers a share rightly."""
    truth = draw.choice(3, rows, p=[0.6, 0.3, 0.1])
    wrong = (truth + draw.integers(1, 3, rows)) % 3
    answered = np.where(draw.random(rows) < right, truth, wrong)
    return Scored(truth=truth, answers=np.eye(3)[answered], classes=3, predicted=answered)
