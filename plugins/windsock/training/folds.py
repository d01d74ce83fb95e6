"""Folds of the training rows: for time, for repeated entities, for classes, for numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.spec import FOLDS, SEED, ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Folds:
    """The folds of one training.

    :param kind: name of scikit-learn's splitter.
    :param pairs: positions of the rows to fit on and of the rows to score on, for each fold.
    """

    kind: str
    pairs: tuple[tuple[NDArray[Any], NDArray[Any]], ...]


def make_folds(frame: pd.DataFrame, labels: NDArray[Any], spec: ModelSpec) -> Folds:
    """Split the training rows into folds.

    With an event time, each fold is scored on rows later than those it is fitted on (``frame`` must be
    sorted by it). Else an entity's rows stay together where an entity repeats, and classes keep their
    shares.

    :raises TrainingRefusedError: if there are too few rows, rows of a class, or entities.
    """
    needed = 2 * FOLDS
    if len(frame) < needed:
        raise _too_few(f"{len(frame)} training rows", needed)
    classes = spec.task == "classification"
    if classes and not spec.data.event_time:
        _require_each_class(labels)
    splitter, groups = _splitter(frame, spec)
    positions = labels if classes else None
    folds = Folds(
        kind=type(splitter).__name__, pairs=tuple(splitter.split(frame, y=positions, groups=groups))
    )
    if classes:
        _require_two_classes(labels, folds)
    return folds


def make_block_folds(frame: pd.DataFrame, labels: NDArray[Any], spec: ModelSpec) -> Folds:
    """Split rows into folds that together hold each row once, to score what is fitted on other rows, too.

    With an event time the folds are blocks of it (``frame`` must be sorted by it); else as :func:`make_folds`
    draws them.

    :raises TrainingRefusedError: if there are too few rows, rows of a class, or entities.
    """
    from sklearn import model_selection

    if not spec.data.event_time:
        return make_folds(frame, labels, spec)
    if len(frame) < 2 * FOLDS:
        raise _too_few(f"{len(frame)} training rows", 2 * FOLDS)
    classes = spec.task == "classification"
    if classes:
        _require_each_class(labels)
    splitter = (model_selection.StratifiedKFold if classes else model_selection.KFold)(n_splits=FOLDS)
    pairs = tuple(splitter.split(frame, y=labels if classes else None))
    folds = Folds(kind=type(splitter).__name__, pairs=pairs)
    if classes:
        _require_two_classes(labels, folds)
    return folds


def _splitter(frame: pd.DataFrame, spec: ModelSpec) -> tuple[Any, NDArray[Any] | None]:
    from sklearn import model_selection

    if spec.data.event_time:
        return model_selection.TimeSeriesSplit(n_splits=FOLDS), None
    shuffled = {"n_splits": FOLDS, "shuffle": True, "random_state": SEED}
    classes = spec.task == "classification"
    groups = _groups(frame, spec)
    if groups is None:
        kind = model_selection.StratifiedKFold if classes else model_selection.KFold
    else:
        kind = model_selection.StratifiedGroupKFold if classes else model_selection.GroupKFold
    return kind(**shuffled), groups


def _groups(frame: pd.DataFrame, spec: ModelSpec) -> NDArray[Any] | None:
    """Return :func:`entity_codes` for folds.

    :raises TrainingRefusedError: if there are fewer entities than folds.
    """
    import numpy as np

    codes = entity_codes(frame, spec)
    if codes is not None and (distinct := np.unique(codes).size) < FOLDS:
        raise _too_few(f"{distinct} entities in {len(codes):,} training rows", FOLDS)
    return codes


def entity_codes(frame: pd.DataFrame, spec: ModelSpec) -> NDArray[Any] | None:
    """Return a number for each row's entity, where one repeats; a row without an entity is one of its own."""
    import numpy as np
    import pandas as pd

    if spec.data.entity is None:
        return None
    codes, entities = pd.factorize(frame[spec.data.entity])
    codes = np.where(codes < 0, len(entities) + np.arange(len(codes)), codes)
    distinct = np.unique(codes).size
    return None if distinct == len(codes) else codes


def _require_each_class(labels: NDArray[Any]) -> None:
    import numpy as np

    _, counts = np.unique(labels, return_counts=True)
    if counts.min() < FOLDS:
        raise _too_few(f"{counts.min()} training rows of the rarest of {counts.size} classes", FOLDS)


def _require_two_classes(labels: NDArray[Any], folds: Folds) -> None:
    import numpy as np

    for number, pair in enumerate(folds.pairs, start=1):
        if any(np.unique(labels[rows]).size < 2 for rows in pair):
            raise _too_few(f"rows of one class only on one side of fold {number} ({folds.kind})", 2)


def _too_few(what: str, needed: int) -> TrainingRefusedError:
    return TrainingRefusedError(
        f"not enough for {FOLDS} folds: {what}; at least {needed} needed",
        code="WS-TRAINING-003",
        next_action="Bring more rows, or widen `data.data_window`.",
    )
