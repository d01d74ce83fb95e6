"""Counting with numpy, some ten thousand rows and one column at a time.

Sorting first makes the searches fast: a search of each value among the edges takes ten times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windsock.adapters.column_cipher import PREFIX
from windsock.adapters.log_leaves import FEATURES, Fields, Leaf, Leaves, fields_of, leaves_of
from windsock.adapters.log_reading import Bounds, HourLog
from windsock.adapters.window_counts.plan import SHADOW, Plan, fallbacks_of, no_rows
from windsock.adapters.window_counts.units import UNIT, tables_of, with_units
from windsock.adapters.window_counts.values import class_names, count_values
from windsock.records import ColumnKind, ColumnProfile
from windsock.records.values import LARGEST
from windsock.statistics.counting import (
    LATENCY_EDGES,
    NUMERIC,
    ColumnCounts,
    WindowCounts,
    count_ordered,
)
from windsock.statistics.rare_values import count_buckets
from windsock.statistics.ties import Cuts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

TIMES = ("request_ms", "inference_ms")
"""The time of a row's request; logs of before have the model's time alone."""
COLUMNS = ("digest", "variant", UNIT, "fallback_for", *TIMES, "score", "prediction", FEATURES)


class ParquetEngine:
    """Counts by reading the columns that are needed."""

    def count(self, hour: HourLog, moments: Bounds, plan: Plan, *, live: bool = True) -> WindowCounts:
        """Return the counts of an hour's rows of a stretch; lines that could not be read are not among them.

        :param live: whether segments count, too.
        """
        counts = plan.nothing()
        for table in hour.archived_tables(moments, columns=COLUMNS, features=plan.names):
            counts += count_table(table, plan)
        for table in hour.live_tables(moments) if live else ():
            counts += count_table(table, plan)
        return counts


def count_rows(hour: HourLog, moments: Bounds) -> int:
    """Return how many rows of an hour's stretch count, whatever they hold."""
    rows = 0
    for table in hour.tables(moments, columns=["variant"], features=()):
        for batch in table.to_batches():
            rows += batch.num_rows - tally(batch.column("variant")).get(SHADOW, 0)
    return rows


def count_table(table: pa.Table, plan: Plan) -> WindowCounts:
    """Return the counts of rows of the log.

    :param table: their columns, with features as typed leaves.
    """
    leaves, fields = leaves_of(table.schema), fields_of(table.schema)
    counts = plan.nothing()
    for batch in table.to_batches():
        counts += _count_batch(_without_shadows(batch), leaves, fields, plan)
    return counts


def _without_shadows(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    variants = batch.column("variant")
    if SHADOW not in tally(variants):
        return batch
    texts = variants.cast(pa.string()) if pa.types.is_dictionary(variants.type) else variants
    return batch.filter(pc.not_equal(texts, SHADOW))


def _count_batch(batch: pa.RecordBatch, leaves: Leaves, fields: Fields, plan: Plan) -> WindowCounts:
    import pyarrow as pa
    import pyarrow.compute as pc

    digests = tally(batch.column("digest"))
    struct = batch.column(FEATURES) if leaves and FEATURES in batch.schema.names else None
    columns = {}
    for column in plan.profile.columns:
        absent = sum(count for digest, count in digests.items() if column.name not in fields.get(digest, ()))
        leaf = leaves.get(column.name)
        if struct is None or leaf is None:
            columns[column.name] = no_rows(column, nulls=batch.num_rows - absent, absent=absent)
        else:
            counted = count_column(column, struct.field(column.name), leaf, plan)
            columns[column.name] = replace(counted, nulls=counted.nulls - absent, absent=absent)
    own = batch
    if digests.keys() - {plan.digest}:
        known = batch.column("digest")
        texts = known.cast(pa.string()) if pa.types.is_dictionary(known.type) else known
        own = batch.filter(pc.equal(texts, plan.digest))
    score = plan.profile.score
    counts = WindowCounts(
        rows=batch.num_rows,
        columns=columns,
        scores=None if score is None else count_numbers(own.column("score"), plan.cuts[id(score)]),
        variants=tally(batch.column("variant")),
        fallbacks=fallbacks_of(_tally_of(batch, "fallback_for")),
        predictions=_predictions(own, plan),
        latency=_latency(batch),
    )
    return with_units(counts, tables_of(batch, leaves, plan))


def _tally_of(batch: pa.RecordBatch, name: str) -> dict[str, int]:
    return tally(batch.column(name)) if name in batch.schema.names else {}


def _predictions(own: pa.RecordBatch, plan: Plan) -> dict[str, int]:
    if plan.has_classes is False:
        return {}
    found: Counter[str] = Counter()
    for name, count in class_names(tally(own.column("prediction")).items(), has_classes=plan.has_classes):
        found[name] += count
    return dict(found)


def _latency(batch: pa.RecordBatch) -> tuple[int, ...]:
    import numpy as np
    import pyarrow.compute as pc

    known = [batch.column(name) for name in TIMES if name in batch.schema.names]
    if not known:
        return (0,) * (len(LATENCY_EDGES) + 1)
    ordered = np.sort(_plain(pc.coalesce(*known)))
    ends = np.searchsorted(ordered, np.array(LATENCY_EDGES), "right")
    return tuple(np.diff(ends, prepend=0, append=ordered.size).tolist())


def count_column(column: ColumnProfile, values: pa.Array, leaf: Leaf, plan: Plan) -> ColumnCounts:
    """Return the counts of one leaf's values around a column of the profile."""
    if leaf is Leaf.NOTHING:
        return no_rows(column, nulls=len(values))
    if column.kind in NUMERIC and leaf in (Leaf.NUMBER, Leaf.INTEGER):
        return count_numbers(values, plan.cuts[id(column)])
    if leaf is Leaf.TEXT and column.kind in (ColumnKind.CATEGORY, ColumnKind.DATETIME):
        counted = _count_texts(column, values, plan)
        if counted is not None:
            return counted
    return count_values(column, _pairs(values), leaf, plan.cipher)


def count_numbers(values: pa.Array, cuts: Cuts) -> ColumnCounts:
    """Return the counts of numbers around edges; what is no number or beyond all measure is a null."""
    import numpy as np

    rows = len(values)
    ordered = np.sort(_plain(values).astype("float64", copy=False))
    first = np.searchsorted(ordered, -LARGEST, "left")
    last = np.searchsorted(ordered, LARGEST, "right")  # NaN stands behind all numbers
    ordered = ordered[first:last]
    return count_ordered(cuts, ordered, rows - ordered.size)


def _count_texts(column: ColumnProfile, values: pa.Array, plan: Plan) -> ColumnCounts | None:
    """Return the counts of texts; ``None`` if some of them are encrypted."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    texts, codes = values.dictionary, values.indices
    if pc.any(pc.starts_with(texts, PREFIX)).as_py():
        return None
    rows = len(codes) - codes.null_count
    if column.kind is ColumnKind.DATETIME:
        return ColumnCounts(rows=rows, nulls=codes.null_count)
    counts = np.bincount(_plain(codes), minlength=len(texts))
    known = plan.places[id(column)]
    words = texts.to_pylist()
    places = np.array([known.get(text, -1) for text in words], dtype=np.int64)
    seen = places >= 0
    named = np.zeros(len(column.categories), dtype=np.int64)
    np.add.at(named, places[seen], counts[seen])
    rest = None
    if column.many is not None:
        left = [number for number in np.flatnonzero(~seen).tolist() if counts[number]]
        rest = count_buckets((words[number], int(counts[number])) for number in left)
    return ColumnCounts(
        rows=rows, nulls=codes.null_count, named=named, unseen=rows - int(named.sum()), rest=rest
    )


def _plain(values: pa.Array) -> NDArray[Any]:
    """Return the numbers that are there, without a copy; Arrow's own way would import pandas."""
    import numpy as np

    found: NDArray[Any] = np.from_dlpack(values.drop_null() if values.null_count else values)
    return found


def tally(values: pa.Array) -> dict[str, int]:
    """Return the rows of each text; those without one are left out."""
    return {value: count for value, count in _pairs(values) if value is not None}


def _pairs(values: pa.Array) -> Iterator[tuple[Any, int]]:
    """Yield the different values, ``None`` among them, each with its rows."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        codes = values.indices
        counts = np.bincount(_plain(codes), minlength=len(values.dictionary)).tolist()
        for text, count in zip(values.dictionary.to_pylist(), counts, strict=True):
            if count:
                yield text, count
        if codes.null_count:
            yield None, codes.null_count
        return
    for pair in values.value_counts():
        yield pair["values"].as_py(), pair["counts"].as_py()
