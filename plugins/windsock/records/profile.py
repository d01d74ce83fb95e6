"""The drift profile: what is kept of the training rows to hold later windows against."""

from __future__ import annotations

from pydantic import Field

from windsock.records.base import MetricValue, Record
from windsock.records.data import ColumnKind
from windsock.records.seasons import UTC_ZONE, Cycle, Season
from windsock.spec import DriftBlock

EDGES = 256
"""Quantile edges of a number: the exact KS distance is then known to within about 0.004."""
MOST_CATEGORIES = 1000
"""Categories counted by name; the rarer ones are counted together."""


class ManyValues(Record):
    """A category with more values than its training rows can have seen: shares of a held-out half of them.

    One half of the rows chooses which values are counted by name, the other half measures their shares: what
    one half has by chance, the other has not. All other values are counted in buckets of a hash, so that
    nothing here grows with their number.

    :param rows: rows of the measuring half with a value.
    :param nulls: its rows without one.
    :param named: its rows of each of the profile's ``categories``.
    :param rest: its rows of all other values, by bucket.
    """

    rows: int = Field(ge=0)
    nulls: int = Field(ge=0)
    named: dict[str, int]
    rest: tuple[int, ...]


class ColumnProfile(Record):
    """One feature on the training rows; or the scores, or the target, on the held-out rows.

    :param rows: rows with a value.
    :param nulls: rows without one.
    :param edges: different quantiles in rising order; empty for categories and dates.
    :param below: for each edge, how many values are smaller.
    :param up_to: for each edge, how many values are smaller or equal; the difference tells ties apart.
    :param quantiles: the middle quantile of each of the equal parts, for the Wasserstein distance.
    :param sd: standard deviation of a number.
    :param categories: rows of each category; a boolean's are ``true`` and ``false``.
    :param other: rows of categories that are too many to be named.
    :param seen_once: values of a category that one row has (or one entity, where rows share some); ``None``
        in profiles of before.
    :param seen_twice: values of a category that two rows have.
    :param many: what a category is held against that has more values than the rows can have seen.
    :param design_effect: so many rows say as much as one would if no two were of one entity; 1 where rows
        share none.
    :param true_word: for a boolean that is text in requests: the word that means true.
    :param importance: share of the model's permutation importance, 0 to 1; ``None`` where not measured.
    :param wobble: effect size (KS distance, or Cramer's V) that parts of the training rows, in the order of
        their time, reach among themselves beyond chance; of profiles of before.
    :param season: what recurs by weekday or by hour; ``None`` where nothing does or rows have no time.
    :param recurring: effect size that parts of the training time as long as a window have reached in two
        separate places at least: so much more is no drift.
    :param lasted: how many windows in a row the longest of these took; what lasts longer has the ordinary
        limit. 0: not known, in profiles of before.
    """

    name: str
    kind: ColumnKind
    rows: int = Field(ge=0)
    nulls: int = Field(ge=0)
    edges: tuple[float, ...] = ()
    below: tuple[int, ...] = ()
    up_to: tuple[int, ...] = ()
    quantiles: tuple[float, ...] = ()
    sd: float | None = None
    categories: dict[str, int] = Field(default_factory=dict)
    other: int = Field(default=0, ge=0)
    seen_once: int | None = Field(default=None, ge=0)
    seen_twice: int | None = Field(default=None, ge=0)
    many: ManyValues | None = None
    design_effect: float = Field(default=1.0, ge=1)
    true_word: str | None = None
    importance: float | None = Field(default=None, ge=0, le=1)
    wobble: float = Field(default=0.0, ge=0)
    season: Season | None = None
    recurring: float = Field(default=0.0, ge=0)
    lasted: int = Field(default=0, ge=0)


class Calibration(Record):
    """Probability of the positive class as a step-free, rising function of the score (isotonic regression).

    :param scores: rising scores; between two of them the probability is interpolated, beyond them it stays.
    :param probabilities: as many, never falling.
    """

    scores: tuple[float, ...] = Field(min_length=1)
    probabilities: tuple[float, ...] = Field(min_length=1)


class ErrorTree(Record):
    """Expected absolute and squared error of a regression, by a small regression tree.

    :param inputs: what is split on: ``prediction``, or the name of a numeric feature.
    :param split: for each node the place in ``inputs``; -1 for a leaf.
    :param threshold: for each node; a value at most as large goes left, a missing one to the right.
    :param left: for each node its left child; -1 for a leaf.
    :param right: for each node its right child; -1 for a leaf.
    :param absolute: for each node the mean absolute error of the rows that come there.
    :param squared: for each node the mean squared error.
    """

    inputs: tuple[str, ...] = Field(min_length=1)
    split: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    absolute: tuple[float, ...]
    squared: tuple[float, ...]


class ReferenceChunks(Record):
    """How a metric varies among equal parts of the held-out rows: what its estimate is held against.

    :param metric: such as ``roc_auc``.
    :param mean: mean of the realised metric over the chunks.
    :param sd: its standard deviation over the chunks (ddof 0); an estimate beyond three of them is an alarm.
    :param chunks: how many.
    :param rows: rows in each.
    :param season: by weekday or hour, as the scores' season has it, how far estimates lie from their mean;
        empty where scores have none.
    :param recurring: how far estimates have gone in windows of the training time, twice at least.
    """

    metric: str
    mean: float
    sd: float = Field(ge=0)
    chunks: int = Field(ge=1)
    rows: int = Field(ge=1)
    season: tuple[float, ...] = ()
    recurring: float = Field(default=0.0, ge=0)


class LossSeason(Record):
    """How a metric differs by weekday or by hour, on rows that the model was not fitted on.

    :param cycle: what it repeats in.
    :param parts: the metric in each of the seven weekdays, or 24 hours, minus their mean by rows; ``None``
        where one has too few days (hours) to know.
    :param rows: rows of each part.
    :param reference: rows of each part among those that the version's realised metrics are of.
    :param zone: time zone of the hours, by its name in the IANA database.
    """

    metric: str
    cycle: Cycle
    parts: tuple[float | None, ...] = Field(min_length=7, max_length=24)
    rows: tuple[int, ...]
    reference: tuple[int, ...]
    zone: str = Field(default=UTC_ZONE, exclude_if=UTC_ZONE.__eq__)


class ReferencePerformance(Record):
    """What the version did on its held-out rows: what later performance is held against.

    :param rows: held-out rows.
    :param realised: metrics with intervals: the baseline.
    :param calibration: for estimates of a binary classifier.
    :param errors: for estimates of a regression.
    :param estimated: for each metric that can be estimated, what its estimate is held against; empty where
        the held-out rows are too few.
    :param seasons: metrics that differ by weekday or hour, where look-backs hold no whole periods.
    """

    rows: int = Field(ge=0)
    realised: tuple[MetricValue, ...] = ()
    calibration: Calibration | None = None
    errors: ErrorTree | None = None
    estimated: tuple[ReferenceChunks, ...] = ()
    seasons: tuple[LossSeason, ...] = Field(default=(), exclude_if=().__eq__)


class DriftProfile(Record):
    """All features of a model on its training rows, and its answers on the held-out ones.

    :param rows: number of training rows.
    :param rule: the drift rule of the model's file when the version was trained; ``None`` in profiles of
        before.
    :param windows: how many windows of how many ask for a retrain, by that file.
    :param minimum_rows: windows with fewer rows get no verdict: in so few a large shift would not show.
    :param score: the scores (or predicted numbers) on held-out rows.
    :param target: the target on held-out rows.
    :param performance: how good the answers were there.
    :param accepted: whether it is of answered rows whose drift a person has accepted, in place of the
        version's own.
    :param noticed: sentences for people: what recurs, windows of the training time that would alarm, and
        which window would hold what recurs.
    """

    rows: int = Field(ge=0)
    columns: tuple[ColumnProfile, ...] = Field(min_length=1)
    minimum_rows: int = Field(default=0, ge=0)
    rule: DriftBlock | None = None
    windows: tuple[int, int] | None = None
    score: ColumnProfile | None = None
    target: ColumnProfile | None = None
    performance: ReferencePerformance | None = None
    accepted: bool = Field(default=False, exclude_if=False.__eq__)
    noticed: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnProfile | None:
        """Return a feature by name, or ``None``."""
        return next((column for column in self.columns if column.name == name), None)
