"""How estimates of performance differ by weekday or hour, and what they have done before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnProfile, ReferenceChunks, ReferencePerformance
from windsock.records.seasons import Season
from windsock.statistics.estimates import PREDICTION, apply_error_tree, cbpe, error_metrics
from windsock.statistics.season_finding import Found, units_of
from windsock.statistics.seasons import overlap, parts_of, weights_of
from windsock.statistics.unit_tables import FEWEST_ROWS
from windsock.statistics.variability import two_places

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """What the metrics of some dated rows are estimated from.

    :param reference: the version's: a calibration, or an error tree.
    :param scores: of the rows, in the order of their time.
    :param features: of the same rows.
    """

    reference: ReferencePerformance
    scores: NDArray[Any]
    features: pd.DataFrame

    def of(self, mask: NDArray[Any], metric: str) -> float:
        """Return a metric's estimate on some of the rows; NaN where they do not define it."""
        scores = self.scores[mask]
        if not scores.size:
            return math.nan
        if self.reference.errors is not None:
            tree = self.reference.errors
            names = [name for name in tree.inputs if name != PREDICTION]
            inputs = {name: self.features[name].to_numpy(dtype="float64")[mask] for name in names}
            found = error_metrics(*apply_error_tree(tree, {**inputs, PREDICTION: scores}))
        elif self.reference.calibration is not None:
            found = cbpe(self.reference.calibration, scores, scores > HALF, names=(metric,))
        else:
            return math.nan
        return found.get(metric, math.nan)


HALF = 0.5
"""Of two classes, a model answers with the one that has a larger score."""


def with_seasons(
    performance: ReferencePerformance,
    estimates: Estimates,
    found: Found,
    score: ColumnProfile | None,
    times: NDArray[Any],
) -> ReferencePerformance:
    """Return a version's performance, with what its estimates do by weekday or hour and have done before.

    :param found: what recurs.
    :param score: the scores, with their season.
    :param times: ``datetime64[us]`` of the rows of the estimates.
    """
    if score is None:
        return performance
    return performance.replace(
        estimated=tuple(
            _completed(chunks, estimates, found, score, times) for chunks in performance.estimated
        )
    )


def _completed(
    chunks: ReferenceChunks, estimates: Estimates, found: Found, score: ColumnProfile, times: NDArray[Any]
) -> ReferenceChunks:
    season = () if score.season is None else _by_part(chunks.metric, estimates, score.season, times)
    recurring = _recurring(chunks.metric, estimates, found, season, score, times)
    return chunks.replace(season=season, recurring=recurring)


def _by_part(metric: str, estimates: Estimates, season: Season, times: NDArray[Any]) -> tuple[float, ...]:
    """Return how far each part's estimate lies from the mean over the parts of the reference; or nothing."""
    import numpy as np

    place = parts_of(times, season.cycle, season.zone)
    values = np.array([estimates.of(place == number, metric) for number in range(len(season.parts))])
    rows = np.array(season.reference or season.rows, dtype="float64")
    known = np.isfinite(values) & (np.array(season.rows) > 0)
    if not (rows * known).sum():
        return ()
    mean = float((rows * known) @ np.where(known, values, 0.0) / (rows * known).sum())
    return tuple(np.where(known, values - mean, 0.0).tolist())


def _recurring(
    metric: str,
    estimates: Estimates,
    found: Found,
    by_part: Sequence[float],
    score: ColumnProfile,
    times: NDArray[Any],
) -> float:
    """Return how far estimates went in the windows of excursions that recur, the second farthest of them."""
    import numpy as np

    places = found.variability.places
    if not places:
        return 0.0
    length = found.windows[0].end - found.windows[0].start
    unit = units_of(times, length, found.windows[0].start)
    usual = estimates.of(np.ones(len(times), dtype=bool), metric)
    effects = []
    for place in places:
        value = estimates.of(unit == place, metric) if (unit == place).sum() >= FEWEST_ROWS else math.nan
        away = value - usual
        if by_part and score.season is not None:
            weights = weights_of(
                score.season, overlap(found.windows[place], score.season.cycle, score.season.zone)
            )
            away -= float(np.dot(weights, by_part)) if weights else 0.0
        effects.append(away if math.isfinite(away) else 0.0)
    signed = np.array(effects)
    same_way = np.multiply.outer(signed, signed) > 0
    return two_places(np.array(places), np.abs(signed), found.reach, same_way)[1]
