"""Row sets: which rows a retrain learns from, where it is known since when the world is another one.

All rows, the recent ones and those since the onset compete, and the latest parts of the last two: a world
that goes on changing is best known by its latest rows. Each set is scored on the same rows, the latest of
those since the onset, by cross-validation: a set is fitted without the rows of a fold, and scored on these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.records import CrossValidation, DataSnapshot, LearnedFrom, RowSetScore
from windsock.records.rows import recent_mask
from windsock.spec import ModelSpec
from windsock.statistics.metrics import direction
from windsock.training.cross_validation import TrainingRows, cross_validate
from windsock.training.folds import Folds, entity_codes, make_block_folds
from windsock.training.target import read_labels, time_order

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

LEARNED_FROM = "learned_from"
"""Name of what the sets came to in a bundle's facts."""
ENOUGH = 200
"""Training rows that a latest part must have: fewer would be chosen by noise.

A part of the recent rows must have twice as many as there are since the onset, else it is nearly these."""
SCORED = 400
"""Latest training rows since the onset that sets are scored on; more where a class has too few among them.

On all of them the latest rows could not win in a world that goes on changing: they are best at its end.
"""
ENOUGH_OF_CLASS = 40
"""And as many of each of two classes."""

NO_FOLDS = Folds(kind="", pairs=())
"""Of rows that are not scored as a whole, but by their sets."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowSet:
    """Rows that a candidate may be fitted on.

    :param name: ``all``, ``recent``, ``onset``, or with ``/2``, ``/4`` ... the latest part of these.
    :param rows: their positions among the training rows.
    :param folds: how it is scored.
    """

    name: str
    rows: NDArray[np.int64]
    folds: Folds


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """The row set that a candidate is fitted on.

    :param chosen: the set.
    :param result: its scores.
    :param record: what the sets came to.
    """

    chosen: RowSet
    result: CrossValidation
    record: LearnedFrom


def make_row_sets(
    frame: pd.DataFrame,
    held_out: NDArray[np.bool_],
    labels: NDArray[Any],
    snapshot: DataSnapshot,
    spec: ModelSpec,
) -> tuple[RowSet, ...]:
    """Return the row sets that compete, the largest first; none where no row is marked as since an onset.

    They are scored on the latest of the rows since the onset; where all of these are too few for folds, on
    the recent ones.

    :param frame: rows of the snapshot.
    :param held_out: which of them are held out.
    :param labels: targets of the training rows, in the order of time.
    """
    import numpy as np

    if not snapshot.onset_rows:
        return ()
    training = frame[~held_out]
    order = time_order(training, spec)
    places = np.flatnonzero(~held_out)[order]
    named = {"all": np.arange(len(places))}
    onset = _since(places, len(frame) - snapshot.onset_rows)
    named |= _parts("recent", _since(places, len(frame) - snapshot.recent_rows), 2 * len(onset), labels, spec)
    named |= _parts("onset", onset, ENOUGH, labels, spec)
    training, known = training.iloc[order].reset_index(drop=True), set(labels.tolist())
    wanted = (_scored(onset, labels, spec), named["onset"], named["recent"])
    blocks = _blocks(training, labels, wanted, spec)
    if blocks is None:
        return ()
    kind, outside = blocks
    groups = entity_codes(training, spec)
    sets: dict[bytes, RowSet] = {}
    for name, rows in named.items():
        if spec.task == "regression" or set(labels[rows].tolist()) == known:
            pairs = tuple((_without(rows, block, groups), block) for block in outside)
            sets.setdefault(rows.tobytes(), RowSet(name=name, rows=rows, folds=Folds(kind=kind, pairs=pairs)))
    return tuple(sorted(sets.values(), key=lambda one: -len(one.rows)))


def labels_of_now(
    frame: pd.DataFrame, held_out: NDArray[np.bool_], snapshot: DataSnapshot, spec: ModelSpec
) -> NDArray[Any]:
    """Return the targets that a model which knows nothing is made of: of training rows like the judged ones.

    Those since the onset, where they are marked and have more than one value; else of all.

    :param frame: rows of the snapshot.
    :param held_out: which of them are held out.
    """
    import numpy as np

    now = recent_mask(len(frame), snapshot.onset_rows)
    labels = read_labels(frame[~held_out & now], snapshot, spec)
    return labels if np.unique(labels).size > 1 else read_labels(frame[~held_out], snapshot, spec)


def _since(places: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Return the training rows from a place of the snapshot on, the latest first.

    :param places: of each training row; recent rows are there in the order in which they came.
    """
    import numpy as np

    rows = np.flatnonzero(places >= first)
    return rows[np.argsort(-places[rows], kind="stable")]


def _parts(
    name: str, newest: NDArray[np.int64], fewest: int, labels: NDArray[Any], spec: ModelSpec
) -> dict[str, NDArray[np.int64]]:
    """Return rows, and their latest half, quarter ... as long as these have enough.

    :param newest: positions of the rows, the latest first.
    :param fewest: rows that a part must have.
    """
    import numpy as np

    named, part = {name: np.sort(newest)}, 2
    while len(newest) >= part * max(fewest, ENOUGH) and _enough(labels[newest[: len(newest) // part]], spec):
        named[f"{name}/{part}"] = np.sort(newest[: len(newest) // part])
        part *= 2
    return named


def _scored(newest: NDArray[np.int64], labels: NDArray[Any], spec: ModelSpec) -> NDArray[np.int64]:
    """Return the latest rows that sets are scored on: twice as many, and so on, until classes have enough."""
    import numpy as np

    count = SCORED
    while count < len(newest) and not _enough(labels[newest[:count]], spec):
        count *= 2
    return np.sort(newest[:count])


def _enough(labels: NDArray[Any], spec: ModelSpec) -> bool:
    import numpy as np

    if spec.task == "regression":
        return True
    _, counts = np.unique(labels, return_counts=True)
    return int((counts >= ENOUGH_OF_CLASS).sum()) >= 2


def _blocks(
    training: pd.DataFrame, labels: NDArray[Any], wanted: Sequence[NDArray[np.int64]], spec: ModelSpec
) -> tuple[str, tuple[NDArray[np.int64], ...]] | None:
    """Return the rows of each fold, of the first of some sets that has enough for folds."""
    for rows in wanted:
        try:
            folds = make_block_folds(training.iloc[rows], labels[rows], spec)
        except TrainingRefusedError:
            continue
        return folds.kind, tuple(rows[outside] for _, outside in folds.pairs)
    return None


def _without(
    rows: NDArray[np.int64], block: NDArray[np.int64], groups: NDArray[Any] | None
) -> NDArray[np.int64]:
    """Return the rows of a set that are not in a fold, and of none of its entities."""
    import numpy as np

    same = np.isin(rows, block) if groups is None else np.isin(groups[rows], groups[block])
    return rows[~same]


def choose_rows(
    make: Callable[[pd.DataFrame], Pipeline],
    rows: TrainingRows,
    sets: Sequence[RowSet],
    snapshot: DataSnapshot,
) -> Learned:
    """Score every set, and return the best; of equals, the largest.

    A set that cannot be fitted or scored is out, unless none can.

    :param make: returns the unfitted pipeline for some rows.
    :param rows: all training rows.
    :param sets: what :func:`make_row_sets` gave.
    :raises TrainingRefusedError: if no set can be fitted and scored; the first one's reason is given.
    """
    scored: list[tuple[RowSet, CrossValidation]] = []
    scores: list[RowSetScore] = []
    refused: TrainingRefusedError | None = None
    for one in sets:
        row = RowSetScore(name=one.name, rows=len(one.rows))
        try:
            result = cross_validate(make, replace(rows, folds=one.folds))
        except TrainingRefusedError as error:
            refused = refused or error
            scores.append(row.replace(error=f"{error.code}: {error.message}"))
            continue
        scored.append((one, result))
        scores.append(row.replace(mean=result.mean, sd=result.sd))
    if not scored:
        raise refused or ValueError("no row set competes")
    chosen, result = max(scored, key=lambda pair: direction(pair[1].metric) * pair[1].mean)
    record = LearnedFrom(
        name=chosen.name,
        rows=len(chosen.rows),
        onset=snapshot.onset,
        scored_on=sum(len(outside) for _, outside in chosen.folds.pairs),
        sets=tuple(scores),
    )
    return Learned(chosen=chosen, result=result, record=record)
