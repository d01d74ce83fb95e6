"""What gives the target away in a snapshot: single columns, and rows on both sides of the split."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from windsock.data.entities import repeated_identity
from windsock.data.read_columns import NUMERIC
from windsock.records import ColumnKind, ColumnRole, DataSnapshot, held_out_mask
from windsock.spec import ModelSpec
from windsock.spec.column_leaks import column_leaks
from windsock.spec.column_strength import Column
from windsock.spec.leak_suspects import LeakSuspect

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

ORDERED = (*NUMERIC, ColumnKind.DATETIME)
SHARED_ROWS = 0.01
"""Share of the held-out rows from which equal rows on both sides are looked into."""
FEWEST_SHARED = 10
SAME_LABEL = 0.7
"""Agreement of their labels beyond chance. Rows that are alike by chance agree as far as the features explain
the label: 18 % of the rows of the 1994 census data are alike, and agree by 0.41."""


def leak_suspects(spec: ModelSpec, snapshot: DataSnapshot, frame: pd.DataFrame) -> tuple[LeakSuspect, ...]:
    """Return what a person must look at before a model that learns from it may serve; never a row's value.

    :param frame: the snapshot's rows, which passed the structural checks.
    """
    data = spec.data
    features = [
        column
        for column in snapshot.columns
        if (column.role is ColumnRole.FEATURE and column.name not in data.sensitive)
        or (column.role is ColumnRole.SENSITIVE and column.name in data.features)
    ]
    columns = [Column(name=one.name, values=frame[one.name], number=one.kind in ORDERED) for one in features]
    measured = partial(
        column_leaks,
        columns,
        frame[data.target],
        numbers=spec.task == "regression",
        times=frame[data.event_time] if data.event_time else None,
        known=data.known_leaks_checked,
    )
    found = measured(groups=frame[data.entity] if data.entity else None)
    if found and data.entity is None and (identity := repeated_identity(spec, snapshot, frame)):
        found = measured(groups=frame[identity])  # customers are known by what is theirs
    rows = None
    if not data.copied_rows_checked:
        rows = _rows_on_both_sides(spec, snapshot, frame, [column.name for column in features])
    return (*found, *([rows] if rows else []))


def _rows_on_both_sides(
    spec: ModelSpec, snapshot: DataSnapshot, frame: pd.DataFrame, names: list[str]
) -> LeakSuspect | None:
    """Return a suspect for rows of the source; those split by just these columns have equal rows on one side.

    Recent rows are requests that were answered: to ask again with the same values is ordinary.
    """
    data, source = spec.data, len(frame) - snapshot.recent_rows
    if data.event_time:
        names = [*names, data.event_time]
    elif data.entity is None and {*names, data.target} == set(frame.columns):
        return None
    digests = row_codes(frame[names][:source])
    if len(digests) - len(set(digests.tolist())) < FEWEST_SHARED:
        return None
    held_out = held_out_mask(frame, spec, snapshot.recent_rows, snapshot.onset_rows)[:source]
    return shared_rows(digests, frame[data.target][:source], held_out)


def row_codes(features: pd.DataFrame) -> NDArray[Any]:
    """Return a number for each row: the same where rows have the same values."""
    import pandas as pd

    codes: NDArray[Any] = pd.util.hash_pandas_object(features, index=False).to_numpy()
    return codes


def shared_rows(digests: NDArray[Any], labels: pd.Series[Any], held_out: NDArray[Any]) -> LeakSuspect | None:
    """Return a suspect where many held-out rows equal a training row and mostly have its label.

    :param digests: a number for each row, equal where the rows are.
    :param held_out: which rows are held out.
    """
    import numpy as np
    import pandas as pd

    codes = pd.factorize(labels)[0]
    order = np.argsort(digests[~held_out], kind="stable")
    known, answers = digests[~held_out][order], codes[~held_out][order]
    asked = digests[held_out]
    if not len(known) or not len(asked):
        return None
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    twins = known[places] == asked
    count, share = int(twins.sum()), float(twins.mean())
    if count < FEWEST_SHARED or share < SHARED_ROWS:
        return None
    truth, answered = codes[held_out][twins], answers[places[twins]]
    same = int((truth == answered).sum())
    chance = float(((np.bincount(truth) / count) ** 2).sum()) if (truth >= 0).all() else 1.0
    if chance >= 1 or same / count - chance < SAME_LABEL * (1 - chance):
        return None
    return LeakSuspect(kind="rows", measure="share", strength=share, rows=len(asked), filled=same)
