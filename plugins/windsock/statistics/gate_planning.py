"""How many held-out rows a gate's limits need: to pass with a given power, if a true value were known."""

from __future__ import annotations

import math
from typing import NamedTuple

from windsock.records import Interval, MetricValue, PairedDifference
from windsock.statistics.areas import LEAST_OF_CLASS
from windsock.statistics.losses import LEAST_ROWS
from windsock.statistics.proportions import LEVEL, rows_for_power
from windsock.statistics.units import LEAST_ENTITIES

POWER = 0.8
ALIKE = 0.8
"""How far two models' errors are taken to go together where no comparison has shown it."""
AREAS = ("roc_auc", "average_precision")
LOSSES = ("log_loss", "brier", "mae", "rmse", "r2")
USUAL = 0.8
"""What a champion is taken to reach where neither a minimum nor an evaluation says it."""


class Mix(NamedTuple):
    """What held-out rows are made of.

    :param positive: share of the rows that are of the positive class, or of the rarest of several; ``None``:
        a regression.
    :param binary: whether there are two classes.
    :param each: rows of one entity, on average; above 1 where rows share one.
    """

    positive: float | None
    binary: bool
    each: float = 1.0

    @property
    def name(self) -> str:
        """What rows of that class are called."""
        return "positives" if self.binary else "rows of the rarest class"

    @property
    def rarer(self) -> tuple[float, str]:
        """The share of the rarer of two classes, and what its rows are called."""
        share = self.positive or 0.5
        return (1 - share, "negatives") if self.binary and share > 0.5 else (share, self.name)


class Needed(NamedTuple):
    """What a decision needs.

    :param n: how many of ``unit``.
    :param unit: what carries the value.
    :param rows: held-out rows that have so many.
    """

    n: int
    unit: str
    rows: int


def needed_for_limit(
    metric: str,
    true: float,
    limit: float,
    *,
    rising: bool,
    mix: Mix,
    known: MetricValue | None,
    power: float = POWER,
) -> Needed | None:
    """Return what passes a limit with this power if the true value is this.

    :param known: the metric as it was measured last, where it was: its width is what is planned with.
    :returns: ``None`` where the value is not inside the limit, or nothing shows how the metric varies.
    """
    room = true - limit if rising else limit - true
    if room <= 0:
        return None
    if mix.each > 1 or metric not in ("accuracy", "recall") or not mix.binary:
        if known is not None and known.interval is not None and known.value is not None:
            return _by_width(metric, known, known.value, known.interval, room, rising, mix, power)
        if metric in LOSSES or mix.positive is None:
            return None
    return _least(metric, _by_formula(metric, true, limit, mix, power), mix)


def needed_for_interval(metric: str, mix: Mix) -> Needed:
    """Return what a metric needs to have an interval at all."""
    unit, rows = "rows", 1.0
    if metric in AREAS:
        rows, unit = 1 / mix.rarer[0], mix.rarer[1]
    return _least(metric, Needed(1, unit, math.ceil(rows)), mix)


def needed_beside(
    metric: str,
    other: float,
    gain: float,
    *,
    margin: float = 0.0,
    alike: float = ALIKE,
    mix: Mix,
    power: float,
) -> Needed | None:
    """Return what shows a difference to another model where no comparison was measured yet.

    :param other: what the other model truly reaches.
    :param gain: how much better this one truly is.
    :param margin: by how much it may be worse.
    :param alike: how far their errors go together.
    :returns: ``None`` where that cannot be, or nothing shows how the metric varies.
    """
    true, limit = other + gain, other - margin
    if true >= 1 or limit < 0 or metric in LOSSES:
        return None
    alone = needed_for_limit(
        metric, true, limit, rising=True, mix=mix._replace(each=1.0), known=None, power=power
    )
    if alone is None:
        return None
    part = 2 * (1 - alike)
    return _least(metric, Needed(math.ceil(alone.n * part), alone.unit, math.ceil(alone.rows * part)), mix)


def baseline_value(metric: str, mix: Mix) -> float | None:
    """Return what a model that knows only the classes' shares reaches; ``None`` where those do not say it."""
    share = mix.positive
    if share is None:
        return None
    if metric == "roc_auc":
        return 0.5
    if not mix.binary:
        return None
    often = max(share, 1 - share)
    of_often = 2 * often / (1 + often)
    found = {
        "accuracy": often,
        "balanced_accuracy": 0.5,
        "average_precision": share,
        "f1_macro": of_often / 2,
        "f1_weighted": often * of_often,
    }
    if share <= 0.5:
        found |= dict.fromkeys(("recall", "precision", "f1"), 0.0)
    return found.get(metric)


def needed_for_difference(
    metric: str,
    reach: float,
    known: MetricValue | PairedDifference,
    room: float,
    *,
    mix: Mix,
    power: float = POWER,
) -> Needed:
    """Return what shows a difference with this power.

    :param reach: how far the difference's interval reached down, on as many rows as ``known`` is of.
    :param known: what the rows were counted as.
    :param room: how far the true difference is inside its limit; above 0.
    """
    factor = (_both(power) / _both(0.5) * reach / room) ** 2
    made = Needed(math.ceil(known.n * factor), known.unit, math.ceil(known.on_rows * factor))
    return _least(metric, made, mix)


def independent_reach(known: MetricValue) -> float | None:
    """Return how far a difference would reach down, were two such models' errors to go together as usual."""
    if known.interval is None or known.value is None:
        return None
    half = (known.interval.high - known.interval.low) / 2
    return half * math.sqrt(2 * (1 - ALIKE))


def _both(power: float) -> float:
    """Return the standard errors between a limit and a true value that passes with this power."""
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2) + ndtri(power))


def _by_width(
    metric: str,
    known: MetricValue,
    value: float,
    interval: Interval,
    room: float,
    rising: bool,
    mix: Mix,
    power: float,
) -> Needed:
    reach = value - interval.low if rising else interval.high - value
    return needed_for_difference(metric, reach, known, room, mix=mix, power=power)


def _by_formula(metric: str, true: float, limit: float, mix: Mix, power: float) -> Needed:
    """Return what a metric of a classifier needs where nothing was measured yet."""
    share = mix.positive or 0.5
    rare, rarer = mix.rarer
    if metric == "accuracy":
        n = rows_for_power(true, limit, power=power) or 0
        return Needed(n, "rows", n)
    if metric == "roc_auc":
        rows = _roc_rows(true, limit, share, power)
        return Needed(math.ceil(rows * rare), rarer, rows)
    if metric in ("f1", "f1_macro", "f1_weighted"):
        union, least = (value / (2 - value) for value in (true, limit))
        n = rows_for_power(union, least, power=power) or 0
        positives = n * (1 + union) / 2  # as many are answered so as are of it
        return Needed(math.ceil(positives), mix.name, math.ceil(positives / share))
    n = rows_for_power(true, limit, power=power) or 0
    if metric == "balanced_accuracy":
        return Needed(n, rarer, math.ceil(n / rare))
    unit = "rows answered as positive" if metric == "precision" and mix.binary else mix.name
    return Needed(n, unit, math.ceil(n / share))


def _roc_rows(true: float, limit: float, rare: float, power: float) -> int:
    """Return the rows by Hanley and McNeil's variance (1982)."""

    def spread(area: float) -> float:
        one, two = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
        return one / rare + two / (1 - rare)

    sides = math.sqrt(spread(limit)) * _both(0.5) + math.sqrt(spread(true)) * (_both(power) - _both(0.5))
    return math.ceil((sides / (true - limit)) ** 2)


def _least(metric: str, needed: Needed, mix: Mix) -> Needed:
    """Return what is needed, and never less than an interval needs at all."""
    made = needed
    if mix.each > 1 and "entities" not in made.unit:
        made = Needed(made.n, f"entities with {made.unit}" if made.unit != "rows" else "entities", made.rows)
        made = made._replace(rows=math.ceil(made.rows * mix.each))
    least = LEAST_ENTITIES if "entities" in made.unit else 1
    if metric in AREAS:
        least = max(least, LEAST_OF_CLASS)
    if metric in LOSSES:
        least = max(least, LEAST_ROWS)
    if made.n >= least:
        return made
    rows = max(made.rows * least / max(1, made.n), least * mix.each)
    return Needed(least, made.unit, math.ceil(rows))
