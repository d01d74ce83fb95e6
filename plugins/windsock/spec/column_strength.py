"""How nearly a column alone gives the target away: by its values, where they are, and by having one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.spec.label_folds import Labels, Prediction

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

BINS = 16
BINS_OF_CLASS = 6
"""A number is cut into 16 bins of equal size, with many classes into 6 for each: more would tell customers
whose rows come again by their numbers."""
ROWS_OF_BIN = 5
FEWEST_FILLED = 100
"""A column's values alone are judged from so many rows with a value."""
FEWEST_OF_SIDE = 10
COPIED = 0.98
"""Such a share of rows in which a value means one class is a copy of the target, written otherwise."""
COPIED_OF_CLASS = 0.9
LINE = 0.9999
"""R2 of a straight line through a copy of a number."""
PERFECT = {False: 0.998, True: 0.9975}
"""From here on a column is named whatever the others reach, in enough rows."""
PERFECT_ROWS = 150


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column to be judged.

    :param values: one for each row, missing where there is none.
    :param number: whether they have an order: numbers and times.
    """

    name: str
    values: pd.Series[Any]
    number: bool


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How nearly a column alone gives the target away.

    :param alone: AUC or R2 out of sample, 0 where it cannot be measured.
    :param absence: AUC by which having a value separates the target; 0.5: not at all.
    :param copy: whether each value means one class, or the target is a straight line of the values.
    :param filled: rows with a value.
    :param of_classes: AUC of each class against the rest, in all rows; empty for numbers.
    """

    alone: float
    absence: float
    copy: bool
    filled: int
    of_classes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A column with its strength."""

    column: Column
    strength: Strength


def judge(column: Column, labels: Labels) -> Judged:
    """Return a column with what it reaches alone, also on the rows where it has a value."""
    values, there = values_of(column, labels)
    filled = int(there.sum())
    absence = labels.separation(there) if min(filled, labels.rows - filled) >= FEWEST_OF_SIDE else 0.5
    best, copy = (
        _best(*predictions_of(values, there, column.number, labels)),
        there.all() and _is_copy(values, column.number, labels),
    )
    of_classes = best.of_classes if best else ()
    if max(FEWEST_FILLED, labels.rows // 25) <= filled < labels.rows:
        part = labels.part(there)
        if part is not None and part.rows == filled:  # the values alone, where there are some
            some, has = values[there], there[there]
            of_part = _best(*predictions_of(some, has, column.number, part))
            few = filled < labels.rows // 10  # of few rows only what is perfect counts
            if not few or (of_part and filled >= PERFECT_ROWS and of_part.score >= PERFECT[labels.numbers]):
                best = _best(best, of_part)
                copy = _is_copy(some, column.number, part)
    strength = Strength(
        alone=max(0.0, best.score) if best else 0.0,
        absence=absence,
        copy=bool(copy),
        filled=filled,
        of_classes=of_classes,
    )
    return Judged(column=column, strength=strength)


def prediction_of(column: Column, labels: Labels) -> Prediction | None:
    """Return what a column says of all rows; computed again: thousands of them need much room."""
    return _best(*predictions_of(*values_of(column, labels), column.number, labels))


def _best(*predictions: Prediction | None) -> Prediction | None:
    there = [one for one in predictions if one is not None]
    return max(there, key=lambda one: one.score, default=None)


def values_of(column: Column, labels: Labels) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of the rows that are looked at, and which of them are there."""
    import numpy as np
    import pandas as pd

    values = column.values.iloc[labels.places]
    there = values.notna().to_numpy(dtype=bool)
    if not column.number:
        return pd.factorize(values)[0], there
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        read = values.astype("int64").to_numpy(dtype=float)
    else:
        read = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    there = there & np.isfinite(read)
    return np.where(there, read, 0.0), there


def predictions_of(
    values: NDArray[Any], there: NDArray[Any], number: bool, labels: Labels
) -> tuple[Prediction | None, Prediction | None]:
    """Return what a column's bins say, and what the order of its numbers does."""
    import numpy as np
    import pandas as pd

    if not there.any():
        return None, None
    codes, words = pd.factorize(values)
    bins = max(BINS, min(BINS_OF_CLASS * labels.class_count, int(there.sum()) // ROWS_OF_BIN))
    if number and len(words) > bins:
        ranks = pd.Series(values[there]).rank(pct=True).to_numpy()
        codes = np.full(len(values), bins + 1, dtype=np.int64)
        codes[there] = (ranks * bins).astype(np.int64)
    else:
        codes = np.where(there, codes, len(words))
    return labels.encoded(codes), labels.ranked(values) if number and there.all() else None


def _is_copy(values: NDArray[Any], number: bool, labels: Labels) -> bool:
    """Return whether each value means one class, or a straight line leads to the target."""
    import numpy as np
    import pandas as pd

    if labels.numbers:
        return number and labels.line(values) >= LINE
    codes, words = pd.factorize(values)
    classes = labels.class_count
    if len(words) != classes:
        return False
    counts = np.zeros((classes, classes))
    np.add.at(counts, (codes, labels.codes), 1)
    means = counts.argmax(axis=1)
    if len(set(means.tolist())) < classes:
        return False
    right = counts[np.arange(classes), means]
    of_class = counts.sum(axis=0)[means]
    return bool(right.sum() >= COPIED * counts.sum() and (right >= COPIED_OF_CLASS * of_class).all())
