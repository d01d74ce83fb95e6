"""The as-of join of answers and labels: which label is whose, and what does not fit, counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windsock.records import InputSchema
from windsock.statistics.labels import meanings, plain_label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass
class Labels:
    """Labels known by a time, and what was left out.

    :param known: those that name a prediction: ``prediction_id, outcome, label_time``.
    :param by_unit: those that name a unit, with ``event_id`` and ``at`` as well.
    :param unusable: those without an outcome, or that name neither a prediction nor a unit.
    :param undated: those that only lack a time that can be read.
    """

    known: pd.DataFrame
    by_unit: pd.DataFrame
    late: int = 0
    unusable: int = 0
    undated: int = 0
    duplicates: int = 0


def collect_labels(pieces: Iterable[pd.DataFrame], as_of: datetime, *, timed: bool) -> Labels:
    """Bring pieces of labels together.

    :param pieces: with the columns of :data:`windsock.adapters.label_sources.COLUMNS`.
    :param timed: whether labels have a time; one without is then left out. Otherwise all are known always.
    """
    import pandas as pd

    kept: list[pd.DataFrame] = []
    late = unusable = undated = 0
    for piece in pieces:
        usable = _said(piece["outcome"]) & (piece["prediction_id"].notna() | piece["unit"].notna())
        unusable += int((~usable).sum())
        piece = piece[usable]
        if timed:
            dated = piece["label_time"].notna()
            undated += int((~dated).sum())
            piece = piece[dated]
        after = piece["label_time"] > as_of
        late += int(after.sum())
        kept.append(piece[~after])
    columns = ["prediction_id", "unit", "event_id", "outcome", "label_time", "at"]
    whole = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=columns)
    named = whole["prediction_id"].notna()
    labels = Labels(
        known=whole.loc[named, ["prediction_id", "outcome", "label_time"]],
        by_unit=whole.loc[~named].copy(),
        late=late,
        unusable=unusable,
        undated=undated,
    )
    _drop_repeated_events(labels)
    return labels


def _said(outcomes: pd.Series[Any]) -> pd.Series[Any]:
    """Return which outcomes are there: a blank one is none."""
    import pandas as pd

    there = [plain_label(outcome) is not None for outcome in outcomes.tolist()]
    return pd.Series(there, index=outcomes.index, dtype=bool)


def _drop_repeated_events(labels: Labels) -> None:
    """Keep the latest label of each event of a unit; those of one time may contradict each other."""
    known = labels.by_unit
    latest = known.groupby(["unit", "event_id"])["label_time"].transform("max")
    replaced = known["event_id"].notna() & (known["label_time"] < latest)
    labels.duplicates += int(replaced.sum())
    labels.by_unit = known[~replaced]


@dataclass
class Joined:
    """What came of a join.

    :param frame: the answers, with ``outcome`` and ``label_time``.
    :param conflicting: prediction ids whose labels contradict each other.
    :param by_order: prediction ids whose labels differ, and of which the order of arrival chose one.
    :param unmatched: prediction ids of labels that found no answer, and since when each is known (or NaT).
    :param unmatched_units: units of labels that found no answer, once for each label.
    """

    frame: pd.DataFrame
    unmatched: dict[str, np.datetime64] = field(default_factory=dict)
    unmatched_units: list[str] = field(default_factory=list)
    duplicates: int = 0
    conflicting: frozenset[str] = frozenset()
    by_order: frozenset[str] = frozenset()


def join(
    answers: pd.DataFrame, labels: Labels, units: pd.DataFrame, schema: InputSchema, *, ordered: bool
) -> Joined:
    """Give each answer its latest label.

    :param answers: with ``prediction_id``, each once.
    :param units: answers that labels by unit may belong to: ``prediction_id, unit, receive_time``; also those
        after the stretch.
    :param schema: of the model: what labels mean.
    :param ordered: whether labels came in the order in which they were written: of those of one time, or of
        none, the last one counts.
    """
    import numpy as np
    import pandas as pd

    by_unit, unmatched_units = _assign_units(labels.by_unit, units)
    known = pd.concat([labels.known, by_unit], ignore_index=True) if len(by_unit) else labels.known
    chosen = _choose(known, schema, ordered=ordered)
    latest = chosen.latest
    ids = pd.Index(answers["prediction_id"])
    rows = ids.get_indexer(pd.Index(latest["prediction_id"], dtype=ids.dtype))
    found = rows >= 0
    outcome = np.full(len(answers), None, dtype=object)
    outcome[rows[found]] = latest["outcome"].to_numpy(dtype=object)[found]
    times = np.full(len(answers), np.datetime64("NaT"), dtype="datetime64[us]")
    times[rows[found]] = _naive(latest["label_time"])[found]
    frame = answers.assign(
        outcome=pd.Series(outcome, index=answers.index, dtype=object),
        label_time=pd.Series(times, index=answers.index).dt.tz_localize("UTC"),
    )
    lost = dict(
        zip(
            latest["prediction_id"].to_numpy(dtype=object)[~found],
            _naive(latest["label_time"])[~found],
            strict=True,
        )
    )
    of_units = set(by_unit["prediction_id"])
    return Joined(
        frame=frame,
        unmatched={one: time for one, time in lost.items() if one not in of_units},
        unmatched_units=unmatched_units,
        duplicates=chosen.replaced,
        conflicting=frozenset() if ordered else chosen.differing,
        by_order=chosen.differing if ordered else frozenset(),
    )


def _naive(times: pd.Series[Any]) -> NDArray[Any]:
    """Return times in UTC as numpy knows them."""
    import pandas as pd

    naive: NDArray[Any] = pd.to_datetime(times, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")
    return naive


def _assign_units(by_unit: pd.DataFrame, units: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Give each label of a unit the latest answer to that unit before what it says happened."""
    import pandas as pd

    if by_unit.empty or units.empty:
        return by_unit.iloc[:0][["prediction_id", "outcome", "label_time"]], list(by_unit["unit"])
    left = by_unit.drop(columns=["prediction_id"]).sort_values("at", kind="stable")
    right = units[["unit", "receive_time", "prediction_id"]].sort_values("receive_time", kind="stable")
    right = right.astype({"unit": object})
    left = left.astype({"unit": object})
    left["at"] = pd.to_datetime(left["at"], utc=True).astype(right["receive_time"].dtype)
    met = pd.merge_asof(left, right, left_on="at", right_on="receive_time", by="unit")
    missed = met["prediction_id"].isna()
    return met.loc[~missed, ["prediction_id", "outcome", "label_time"]], list(met.loc[missed, "unit"])


@dataclass(frozen=True)
class _Chosen:
    """The label of each prediction.

    :param replaced: labels that a later one replaced, or that came twice.
    :param differing: prediction ids whose labels of the latest time mean different things.
    """

    latest: pd.DataFrame
    replaced: int = 0
    differing: frozenset[str] = frozenset()


def _choose(known: pd.DataFrame, schema: InputSchema, *, ordered: bool) -> _Chosen:
    """Choose the latest label of each prediction.

    Labels of the same latest time that mean different things contradict each other: none of them counts,
    unless they came in an order.
    """
    import pandas as pd

    again = known["prediction_id"].duplicated(keep=False).to_numpy(dtype=bool)
    if not again.any():
        return _Chosen(known)
    several = known[again]
    times = several["label_time"].fillna(pd.Timestamp(0, tz="UTC"))
    top = several[times.groupby(several["prediction_id"]).transform("max") == times]
    meant: dict[str, set[Any]] = {}
    for one, meaning in zip(top["prediction_id"], meanings(top["outcome"].tolist(), schema), strict=True):
        meant.setdefault(one, set()).add(meaning)
    differing = frozenset(one for one, meanings_of in meant.items() if len(meanings_of) > 1)
    last = top.drop_duplicates("prediction_id", keep="last")
    void = top["prediction_id"].isin(() if ordered else differing)
    latest = pd.concat([known[~again], last[~last["prediction_id"].isin(top.loc[void, "prediction_id"])]])
    return _Chosen(latest, len(known) - len(latest) - int(void.sum()), differing)
