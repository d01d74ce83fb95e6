"""Rows by group of units and coarse bin of each column: what says how alike the rows of a unit are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.adapters.column_cipher import PREFIX
from windsock.adapters.log_leaves import FEATURES, Leaf, Leaves
from windsock.adapters.window_counts.plan import Plan
from windsock.records import ColumnKind, ColumnProfile
from windsock.records.values import LARGEST
from windsock.statistics.clusters import BINS, bin_of_text, groups_of_bytes, tabulate
from windsock.statistics.counting import NUMERIC, WindowCounts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

UNIT = "unit"


class Tables(NamedTuple):
    """Rows with a unit, by group and bin.

    :param columns: of each feature of the profile; all in the last bin where its values are not plain.
    :param scores: of the profile's own version; ``None`` where the profile has no scores.
    """

    columns: Mapping[str, NDArray[Any]]
    scores: NDArray[Any] | None


def tables_of(batch: pa.RecordBatch, leaves: Leaves, plan: Plan) -> Tables | None:
    """Return a batch's rows by group of units and bin; ``None`` where no row has a unit."""
    import pyarrow.compute as pc

    if UNIT not in batch.schema.names or batch.column(UNIT).null_count == batch.num_rows:
        return None
    if batch.column(UNIT).null_count:
        batch = batch.filter(pc.is_valid(batch.column(UNIT)))
    groups = _groups(batch.column(UNIT))
    struct = batch.column(FEATURES) if leaves and FEATURES in batch.schema.names else None
    columns = {}
    for column in plan.profile.columns:
        leaf = leaves.get(column.name)
        bins = None
        if struct is not None and leaf is not None:
            bins = _bins(column, struct.field(column.name), leaf, plan)
        columns[column.name] = tabulate(groups, _unknown(groups) if bins is None else bins)
    return Tables(columns, _scores(batch, groups, plan))


def with_units(counts: WindowCounts, tables: Tables | None) -> WindowCounts:
    """Return counts with the tables of their rows that have a unit."""
    if tables is None:
        return counts
    columns = {name: replace(one, groups=tables.columns[name]) for name, one in counts.columns.items()}
    scores = None if counts.scores is None else replace(counts.scores, groups=tables.scores)
    return replace(counts, columns=columns, scores=scores)


def _scores(batch: pa.RecordBatch, groups: NDArray[Any], plan: Plan) -> NDArray[Any] | None:
    import pyarrow.compute as pc

    score = plan.profile.score
    if score is None:
        return None
    own = pc.equal(_plain_text(batch.column("digest")), plan.digest)
    bins = _number_bins(plan.ends[id(score)], batch.column("score"))
    places = _numbers(pc.indices_nonzero(own))
    return tabulate(groups[places], bins[places])


def _groups(units: pa.Array) -> NDArray[Any]:
    import pyarrow as pa

    if not pa.types.is_dictionary(units.type):
        units = units.dictionary_encode()
    names = units.dictionary.cast(pa.binary()).to_pylist()
    found: NDArray[Any] = groups_of_bytes(names)[_numbers(units.indices)]
    return found


def _unknown(groups: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.full(groups.size, BINS - 1, dtype=np.int64)


def _bins(column: ColumnProfile, values: pa.Array, leaf: Leaf, plan: Plan) -> NDArray[Any] | None:
    """Return each row's bin; ``None`` where its values are not plain ones of the profile's kind."""
    import pyarrow.compute as pc

    if column.kind in NUMERIC and leaf in (Leaf.NUMBER, Leaf.INTEGER):
        return _number_bins(plan.ends[id(column)], values)
    if column.kind is ColumnKind.BOOLEAN and leaf is Leaf.BOOLEAN:
        return _numbers(pc.fill_null(values.cast("int64"), BINS - 1))
    if column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN) and leaf is Leaf.TEXT:
        return _text_bins(column, values, plan)
    return None


def _number_bins(ends: Sequence[float], values: pa.Array) -> NDArray[Any]:
    """Return each number's bin: how many ends it is above. To ask so few ends is faster than to search."""
    import numpy as np
    import pyarrow.compute as pc

    if values.null_count:
        values = pc.fill_null(values.cast("float64", safe=False), float("nan"))
    numbers = _numbers(values).astype("float64", copy=False)
    bins = np.zeros(numbers.size, dtype=np.uint8)
    for end in ends:
        bins += numbers > end
    bins[~(np.abs(numbers) <= LARGEST)] = BINS - 1
    return bins


def _text_bins(column: ColumnProfile, values: pa.Array, plan: Plan) -> NDArray[Any] | None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    texts = values.dictionary
    if pc.any(pc.starts_with(texts, PREFIX)).as_py():
        return None
    if column.kind is ColumnKind.BOOLEAN:
        found = [int(text == column.true_word) for text in texts.to_pylist()]
    else:
        places = plan.places[id(column)]
        found = [bin_of_text(places.get(text, -1), text) for text in texts.to_pylist()]
    codes = _numbers(pc.fill_null(values.indices.cast("int64"), len(found)))
    bins: NDArray[Any] = np.array([*found, BINS - 1], dtype=np.int64)[codes]
    return bins


def _plain_text(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values


def _numbers(values: pa.Array) -> NDArray[Any]:
    """Return numbers without nulls; Arrow's own way would import pandas."""
    import numpy as np

    found: NDArray[Any] = np.from_dlpack(values)
    return found
