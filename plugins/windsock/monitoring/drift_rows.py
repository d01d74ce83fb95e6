"""Rows for what counts cannot tell: a sample of the window beside one of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.exceptions import MonitoringError
from windsock.monitoring.drift_tests import RowTest, Weights, weights_of
from windsock.ports import LoadedBundle, Ports
from windsock.records import (
    CheckDriftInput,
    ColumnKind,
    ColumnProfile,
    DataSnapshot,
    DriftProfile,
    InputField,
    InputSchema,
    Span,
)
from windsock.records.rows import held_out_mask, reference_mask
from windsock.records.values import LARGEST, category_text
from windsock.spec import SEED
from windsock.statistics.counting import NUMERIC, WindowCounts
from windsock.statistics.distances import ks_interval
from windsock.statistics.seasons import overlap, parts_of
from windsock.statistics.significance import chi_square, ks_p
from windsock.statistics.ties import snap_to

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CODE = "WS-MONITORING-028"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Two frames with a column for each field of the schema.

    :param reference: training rows, at most as many as asked for; numbers and booleans as floats,
        categories as text.
    :param current: rows of the window, typed alike.
    """

    reference: pd.DataFrame
    current: pd.DataFrame


def take_samples(
    step: CheckDriftInput, ports: Ports, bundle: LoadedBundle, accepted: Span | None = None
) -> Samples:
    """Return a sample of the window and one of what it is held against.

    :param accepted: windows whose drift a person has accepted: their rows; ``None``: the training rows.
    :raises MonitoringError: if there are no rows on one side.
    :raises StorageError: if the log or the snapshot cannot be read.
    """
    limit, name = step.spec.monitoring.drift.sample_rows, step.spec.name
    current = ports.rows.sample(name, step.window, schema=bundle.schema, limit=limit, seed=SEED)
    if not len(current):
        raise MonitoringError(
            "the prediction log gave no rows of the window to sample",
            code=CODE,
            next_action="Nothing has to be done: the window is judged by its counts.",
        )
    if accepted is not None:
        rows = ports.rows.sample(
            name, accepted, schema=bundle.schema, digest=bundle.digest, limit=limit, seed=SEED
        )
        if not len(rows):
            raise MonitoringError(
                "the prediction log has no rows any more of the windows whose drift was accepted",
                code=CODE,
                next_action="Nothing has to be done: the window is judged by its counts.",
            )
        return Samples(reference=to_schema(rows, bundle.schema), current=to_schema(current, bundle.schema))
    snapshot = ports.snapshots.find(name, bundle.manifest.snapshot_digest)
    if snapshot is None:
        raise MonitoringError(
            f"snapshot {bundle.manifest.snapshot_digest[:12]}, which the version was trained on, is gone",
            code=CODE,
            next_action="Keep snapshots as long as their versions serve; the window is judged by its counts.",
        )
    training = _training_rows(ports.snapshots.load(snapshot), step, snapshot)
    training = _like(training, step, bundle.profile)
    if len(training) > limit:
        training = training.sample(limit, random_state=SEED)
    return Samples(reference=to_schema(training, bundle.schema), current=to_schema(current, bundle.schema))


def _training_rows(frame: pd.DataFrame, step: CheckDriftInput, snapshot: DataSnapshot) -> pd.DataFrame:
    """Return the rows that the version's profile describes: not held out; since an onset, or recent.

    :raises MonitoringError: if the spec names other columns by now than the snapshot has.
    """
    try:
        marked = snapshot.recent_rows, snapshot.onset_rows
        held_out = held_out_mask(frame, step.spec, *marked)
        return frame[~held_out & reference_mask(held_out, *marked)]
    except (KeyError, TypeError, ValueError) as error:
        raise MonitoringError(
            f"the spec's `data` block does not fit the version's snapshot ({type(error).__name__})",
            code=CODE,
            next_action="Nothing has to be done: the window is judged by its counts until the next retrain.",
        ) from None


def _like(frame: pd.DataFrame, step: CheckDriftInput, profile: DriftProfile | None) -> pd.DataFrame:
    """Return the rows of the weekdays or hours of the window, where a column is held against those alone."""
    import numpy as np
    import pandas as pd

    name = step.spec.data.event_time
    own = [one.season for one in (profile.columns if profile else ()) if one.season and one.season.is_own]
    if not own or name is None or name not in frame:
        return frame
    cycle, zone = own[0].cycle, own[0].zone
    moments = pd.to_datetime(frame[name], utc=True).dt.tz_localize(None)
    known = frame[moments.notna()]
    parts = parts_of(moments[moments.notna()].to_numpy().astype("datetime64[us]"), cycle, zone)
    alike = known[np.array(overlap(step.window, cycle, zone))[parts] > 0]
    return alike if len(alike) else frame


def to_schema(frame: pd.DataFrame, schema: InputSchema) -> pd.DataFrame:
    """Return a column for each field: numbers and booleans as floats, categories as text, dates as times.

    What is missing, infinite or of another kind is missing; a field that is not there is a column of missing
    values.
    """
    import pandas as pd

    columns = {field.name: _typed(frame, field) for field in schema.fields}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))


def _typed(frame: pd.DataFrame, field: InputField) -> Any:
    import numpy as np
    import pandas as pd

    if field.name not in frame.columns:
        return np.full(len(frame), np.nan)
    values = frame[field.name]
    if field.kind is ColumnKind.DATETIME:
        times = pd.to_datetime(values, utc=True, errors="coerce", format="mixed")
        return times.dt.tz_localize(None).to_numpy()
    if field.kind is ColumnKind.CATEGORY:
        return np.array(
            [np.nan if pd.isna(value) else category_text(value) for value in values.tolist()], dtype=object
        )
    if field.kind is ColumnKind.BOOLEAN:
        words = {word: number for word, number in ((field.true_word, 1.0), (field.false_word, 0.0)) if word}
        values = values.map(lambda value: words.get(value, value) if isinstance(value, str) else value)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype="float64", na_value=np.nan).copy()
    numbers[~(np.abs(numbers) <= LARGEST)] = np.nan
    return numbers


def exact_tests(samples: Samples, profile: DriftProfile, counts: WindowCounts) -> dict[str, RowTest]:
    """Test the samples' values exactly: scipy's two-sample Kolmogorov-Smirnov test, chi-square on counts.

    Columns without values on one side, and dates, are left out: the share of missing values tells. Numbers
    that are one value of the profile but for the last digits are that value, and rows of the same unit count
    as they do in the counts.

    :param profile: of the training rows.
    :param counts: of the window.
    """
    found = {}
    for column in profile.columns:
        if column.kind is ColumnKind.DATETIME or column.name not in samples.reference:
            continue
        sides = samples.reference[column.name], samples.current[column.name]
        window = counts.columns.get(column.name)
        weights = Weights() if window is None else weights_of(column, window)
        tested = _ks(column, sides, weights) if column.kind in NUMERIC else _chi_square(*sides, weights)
        if tested is not None:
            found[column.name] = tested
    return found


def _ks(column: ColumnProfile, frames: tuple[pd.Series, pd.Series], weights: Weights) -> RowTest | None:
    from scipy.stats import ks_2samp

    sides = [snap_to(column, _values(side)) for side in frames]
    if not all(len(side) for side in sides):
        return None
    test = ks_2samp(*sides, method="asymp")
    if weights == (1.0, 1.0):
        return RowTest(float(test.statistic), float(test.pvalue))
    rows = [max(1, round(len(side) * weight)) for side, weight in zip(sides, weights, strict=True)]
    return RowTest(float(test.statistic), ks_p(float(test.statistic), *rows))


def _values(column: pd.Series) -> NDArray[Any]:
    values: NDArray[Any] = column.dropna().to_numpy(dtype="float64")
    return values


def _chi_square(reference: pd.Series, current: pd.Series, weights: Weights) -> RowTest | None:
    if not reference.notna().any() or not current.notna().any():
        return None
    sides = [column.value_counts(dropna=False) for column in (reference, current)]
    names = sides[0].index.union(sides[1].index, sort=False)
    counts = [
        side.reindex(names, fill_value=0).to_numpy() * weight
        for side, weight in zip(sides, weights, strict=True)
    ]
    test = chi_square(*counts)
    return None if test is None else RowTest(test.cramers_v, test.p)


def decide_exactly(
    profile: DriftProfile, counts: WindowCounts, names: tuple[str, ...], samples: Samples
) -> Mapping[str, RowTest]:
    """Return tests of numbers that counts could not decide, by the distance of the samples.

    The counts' bounds hold all rows' distance; a sample's is brought within them.
    """
    from scipy.stats import ks_2samp

    found = {}
    for name in names:
        column, window = profile.column(name), counts.columns[name]
        if column is None:
            continue
        sides = [snap_to(column, _values(side[name])) for side in (samples.reference, samples.current)]
        if not all(len(side) for side in sides):
            continue
        low, high = ks_interval(column, window)
        distance = min(max(float(ks_2samp(*sides, method="asymp").statistic), low), high)
        weights = weights_of(column, window)
        rows = round(column.rows * weights.reference), round(window.rows * weights.window)
        found[name] = RowTest(distance, ks_p(distance, max(1, rows[0]), max(1, rows[1])))
    return found
