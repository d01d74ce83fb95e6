"""The mixture: all recent rows, and as many of the source's as the policy allows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.data.reading import EXACT, read_column
from windsock.data.recent import RecentRows, answer_schema, read_recent
from windsock.data.roles import listed
from windsock.data.row_filter import take_recent
from windsock.data.structure import MIN_HELD_OUT
from windsock.ports import Ports
from windsock.records import (
    ColumnKind,
    ColumnSchema,
    Span,
    TakeSnapshotInput,
    digest_order,
    held_out_mask,
    row_digests,
)
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MIN_SINCE_ONSET = 30
"""With fewer held-out rows since the onset recent ones decide: an interval of fewer proves nothing."""
MIN_OF_CLASS = 5
"""And as many of them must be of each of two classes."""


class Mixture(NamedTuple):
    """Rows to learn from.

    :param frame: rows of the source, then the recent ones.
    :param columns: what its columns are; roles and kinds are those of the source.
    :param recent_rows: so many rows, the last ones, are recent.
    :param findings: what came from where.
    :param onset_rows: so many of the recent rows, the last ones, are younger than the onset.
    """

    frame: pd.DataFrame
    columns: tuple[ColumnSchema, ...]
    recent_rows: int = 0
    findings: tuple[str, ...] = ()
    onset_rows: int = 0


def mix_recent(
    step: TakeSnapshotInput, source: pd.DataFrame, columns: tuple[ColumnSchema, ...], ports: Ports
) -> Mixture:
    """Return the source's rows, with the labelled answers of the recent window where one is asked for.

    Where too few answers have labels to hold some out, the source stays alone, and the findings say so. Those
    younger than the onset are marked where enough of them are held out to judge a model by.

    :param source: the source's typed rows.
    :param columns: their columns.
    :raises StorageError: if the prediction log or the labels cannot be read.
    """
    if step.recent is None:
        return Mixture(source, columns)
    spec = step.spec
    joined = ports.rows.labelled(
        spec.name,
        step.recent,
        spec.monitoring.labels,
        schema=answer_schema(source, columns, spec),
        as_of=ports.now(),
    )
    recent = read_recent(joined, step.recent, source, columns, spec)
    taken, filtered = take_recent(recent.frame, columns, spec)
    recent = replace(
        recent,
        frame=taken.reset_index(drop=True),
        findings=(*recent.findings, *filtered),
        received=tuple(recent.received[place] for place in taken.index),
    )
    mixture = mix(step.recent, source, columns, recent, spec)
    held_out = held_out_mask(mixture.frame, spec, mixture.recent_rows)
    judged = int(held_out[len(held_out) - mixture.recent_rows :].sum())
    if judged < MIN_HELD_OUT:
        alone = (
            f"WS-DATA-060: {judged:,} of {mixture.recent_rows:,} recent rows would be held out, "
            f"{MIN_HELD_OUT} are needed: no recent row is mixed in, the source alone is learned from and "
            "judged on"
        )
        return Mixture(source, columns, findings=(*recent.findings, alone))
    mixture = mixture._replace(findings=(*recent.findings, *mixture.findings))
    if step.onset is None:
        return mixture
    since = sum(moment >= step.onset for moment in recent.received)
    return _marked(mixture, since, f"since the onset, {step.onset:%Y-%m-%d %H:%M} UTC", spec)


def _marked(mixture: Mixture, since: int, onset: str, spec: ModelSpec) -> Mixture:
    """Mark the rows since the onset, where a model can be judged by those of them that are held out.

    :param since: how many of the recent rows, the last ones, are younger.
    :param onset: the onset in words.
    """
    held_out = held_out_mask(mixture.frame, spec, mixture.recent_rows, since)
    place = len(held_out) - since
    judged = mixture.frame[spec.data.target].iloc[place:][held_out[place:]]
    few = f"{len(judged):,} of {since:,} rows {onset}, would be held out, {MIN_SINCE_ONSET} are needed"
    if len(judged) >= MIN_SINCE_ONSET:
        if _knows_two_classes(judged, spec):
            said = f"{since:,} rows are {onset}; {len(judged):,} of them are held out, and decide"
            return mixture._replace(onset_rows=since, findings=(*mixture.findings, said))
        few = f"of {len(judged):,} held-out rows {onset}, fewer than {MIN_OF_CLASS} are of a second class"
    why = f"WS-DATA-180: {few}: none is marked, recent rows are learned from and decide"
    return mixture._replace(findings=(*mixture.findings, why))


def _knows_two_classes(judged: pd.Series[Any], spec: ModelSpec) -> bool:
    if spec.task == "regression":
        return True
    counts = judged.value_counts()
    return int((counts >= MIN_OF_CLASS).sum()) >= 2


def mix(
    window: Span, source: pd.DataFrame, columns: Sequence[ColumnSchema], recent: RecentRows, spec: ModelSpec
) -> Mixture:
    """Mix recent rows with the source's by the policy: all recent ones, and some others for each of them.

    A row that came both ways is there once: as the source has it, and recent. Each recent row takes at most
    one of the source's for itself. What is left out of the source is chosen by the rows' digests: the same
    rows give the same mixture, in whatever order they come.

    :param window: the recent window; a row of the source that is dated before it came one way only.
    """
    import numpy as np

    history = spec.monitoring.retrain.history
    count = len(recent.frame)
    digests = row_digests(source)
    twins = _twins(source, digests, recent, _may_be_recent(window, source, spec), spec)
    others = np.setdiff1d(np.arange(len(source)), np.array(list(twins.values()), dtype=np.int64))
    wanted = len(others) if history is None else min(len(others), math.floor(history * count))
    if wanted < len(others):
        others = np.sort(others[digest_order(digests[others])[:wanted]])
    places = [*others.tolist(), *(twins.get(place, len(source) + place) for place in range(count))]
    stacked = {name: _stacked(source[name], recent.frame[name]) for name in source.columns}
    frame = _taken(stacked, places)
    return Mixture(
        frame,
        tuple(_recounted(column, frame[column.name]) for column in columns),
        count,
        _told(source, recent, history, mixed=len(others), twins=len(twins)),
    )


def _told(
    source: pd.DataFrame, recent: RecentRows, history: float | None, *, mixed: int, twins: int
) -> tuple[str, ...]:
    policy = "all of them" if history is None else f"at most {history:g} for each recent one"
    absent = [name for name in source.columns if name not in recent.carried]
    return (
        (
            f"mixed: {len(recent.frame):,} recent rows and {mixed:,} of {len(source):,} rows of the source "
            f"({policy})"
        ),
        *([f"{twins:,} rows came both ways: each counts once, as a recent one"] if twins else []),
        *([f"no request carries {listed(absent)}: missing in recent rows"] if absent else []),
    )


def _may_be_recent(window: Span, source: pd.DataFrame, spec: ModelSpec) -> NDArray[np.bool_]:
    import numpy as np

    if spec.data.event_time is None:
        return np.ones(len(source), dtype=bool)
    dated: NDArray[np.bool_] = (source[spec.data.event_time] >= window.start).to_numpy(dtype=bool)
    return dated


def _twins(
    source: pd.DataFrame,
    digests: NDArray[np.uint8],
    recent: RecentRows,
    possible: NDArray[np.bool_],
    spec: ModelSpec,
) -> dict[int, int]:
    """Return for recent rows that are in the source too the place of that one: all but the time is equal."""
    carried = [name for name in recent.carried if name != spec.data.event_time]
    waiting: dict[bytes, list[int]] = defaultdict(list)
    own = row_digests(recent.frame[carried])
    for place in digest_order(row_digests(recent.frame)).tolist():
        waiting[own[place].tobytes()].append(place)
    theirs = row_digests(source[carried])
    found = [place for place, key in enumerate(theirs) if possible[place] and key.tobytes() in waiting]
    twins: dict[int, int] = {}
    for place in sorted(found, key=lambda place: digests[place].tobytes()):
        if mine := waiting[theirs[place].tobytes()]:
            twins[mine.pop(0)] = place
    return twins


def _stacked(source: pd.Series[Any], recent: pd.Series[Any]) -> pd.Series[Any]:
    """Put values on each other; whole numbers beyond what a double holds become names, as in a source."""
    import pandas as pd

    if source.dtype.kind == "i" and recent.dtype.kind == "f" and len(source) and source.abs().max() > EXACT:
        both = [*source.tolist(), *(None if value != value else int(value) for value in recent.tolist())]
        return read_column(pd.Series(both, dtype=object), str(source.name)).values
    return pd.concat([source, recent], ignore_index=True)


def _taken(stacked: dict[str, pd.Series[Any]], places: list[int]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(stacked, axis=1).iloc[places].reset_index(drop=True)


def _recounted(column: ColumnSchema, values: pd.Series[Any]) -> ColumnSchema:
    known = values.dropna()
    kind = column.kind
    if kind is ColumnKind.INTEGER and values.dtype == object:
        kind = ColumnKind.CATEGORY
    elif kind is ColumnKind.INTEGER and (known % 1 != 0).any():
        kind = ColumnKind.NUMBER
    counts = {"nulls": len(values) - len(known), "distinct": int(known.nunique())}
    return column.replace(**counts, kind=kind)
