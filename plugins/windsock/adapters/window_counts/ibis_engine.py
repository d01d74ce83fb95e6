"""Counting by one query over all columns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from windsock.adapters.log_leaves import FEATURES, Fields, Leaf, Leaves, fields_of, is_typed, leaves_of
from windsock.adapters.log_reading import Bounds, HourLog
from windsock.adapters.window_counts.ibis_query import CATEGORIES, NUMBERS, Ends, Query
from windsock.adapters.window_counts.parquet_engine import TIMES
from windsock.adapters.window_counts.plan import SHADOW, Plan, fallbacks_of, no_rows
from windsock.adapters.window_counts.units import UNIT, tables_of, with_units
from windsock.adapters.window_counts.values import class_names, count_values
from windsock.exceptions import SettingsError
from windsock.records import ColumnKind, ColumnProfile
from windsock.spec.monitoring import EPOCH
from windsock.statistics.counting import LATENCY_EDGES, NUMERIC, ColumnCounts, WindowCounts

DIGESTS, VARIANTS, FALLBACKS, PREDICTIONS, LATENCY = -1, -2, -3, -4, -5
"""Parts of the result that are no column of the profile."""


@dataclass
class Source:
    """Rows to count.

    :param rows: an Ibis table, with features as a struct.
    """

    rows: Any
    leaves: Leaves
    fields: Fields


@dataclass
class Found:
    """The result of the query, by part.

    :param intervals: rows of each interval of a number.
    :param ends: lowest and highest number.
    :param names: rows of each category; ``None``: of those without a name.
    :param sealed: parts with encrypted texts.
    :param texts: rows of each text.
    """

    intervals: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    ends: dict[int, tuple[float, float]] = field(default_factory=dict)
    names: dict[int, dict[str | None, int]] = field(default_factory=lambda: defaultdict(dict))
    sealed: set[int] = field(default_factory=set)
    texts: dict[int, dict[str | None, int]] = field(default_factory=lambda: defaultdict(dict))


class IbisEngine:
    """Counts by Ibis, in DuckDB."""

    def __init__(self) -> None:
        self._connection: Any = None

    def count(self, hour: HourLog, moments: Bounds, plan: Plan, *, live: bool = True) -> WindowCounts:
        """Return the counts of an hour's rows of a stretch; lines that could not be read are not among them.

        :param live: whether segments count, too.
        :raises SettingsError: if Ibis or DuckDB is not installed.
        """
        counts = plan.nothing()
        for source in self._sources(hour, moments, live=live):
            counts += self._count(source, plan)
        return counts

    def _sources(self, hour: HourLog, moments: Bounds, *, live: bool) -> Iterator[Source]:
        connection, ibis = self._connect()
        archived, path = hour.archived, hour.source
        tables = hour.live_tables(moments) if live else iter(())
        if archived is not None and isinstance(path, Path) and is_typed(archived.schema_arrow):
            rows = connection.read_parquet(str(path))
            start, end = (ibis.literal(_time(moment), type="timestamp('UTC')") for moment in moments)
            rows = rows.filter((rows.receive_time >= start) & (rows.receive_time < end))
            yield Source(rows, leaves_of(archived.schema_arrow), fields_of(archived.schema_arrow))
        else:
            for table in hour.archived_tables(moments):
                yield Source(ibis.memtable(table), leaves_of(table.schema), fields_of(table.schema))
        for table in tables:
            yield Source(ibis.memtable(table), leaves_of(table.schema), fields_of(table.schema))

    def _connect(self) -> tuple[Any, Any]:
        try:
            import ibis

            self._connection = self._connection or ibis.duckdb.connect()
        except ImportError as error:
            raise SettingsError(
                f"counting with Ibis needs a package that is not installed: {error.name}",
                code="WS-MONITORING-013",
                next_action="Install airflow-windsock[ibis], or set WINDSOCK_COUNTER to parquet.",
            ) from error
        return self._connection, ibis

    def _count(self, source: Source, plan: Plan) -> WindowCounts:
        found = self._run(make_query(source, plan))
        sealed = [place for place in found.sealed if place in range(len(plan.names))]
        if sealed:  # they are read one by one
            again = Query(_without_shadows(source.rows))
            for place in sealed:
                again.texts(place, again.rows[FEATURES][plan.names[place]])
            found.texts.update(self._run(again).texts)
        return self._with_units(_assemble(found, source, plan), source, plan)

    def _with_units(self, counts: WindowCounts, source: Source, plan: Plan) -> WindowCounts:
        """Add how alike the rows of a unit are: that is read off the rows that have one."""
        rows = _without_shadows(source.rows)
        if UNIT not in rows.columns:
            return counts
        rows = rows.filter(rows[UNIT].notnull())
        kept = [name for name in (UNIT, "digest", "score", FEATURES) if name in rows.columns]
        for batch in self._connection.to_pyarrow(rows.select(*kept)).to_batches():
            more = with_units(plan.nothing(), tables_of(batch, source.leaves, plan))
            counts = counts + more
        return counts

    def _run(self, query: Query) -> Found:
        found = Found()
        for row in self._connection.to_pyarrow(query.expression()).to_pylist():
            part, count = row["part"], row["rows"]
            if row["source"] == NUMBERS:
                found.intervals[part][row["interval"]] = count
                low, high = found.ends.get(part, (row["lowest"], row["highest"]))
                found.ends[part] = min(low, row["lowest"]), max(high, row["highest"])
            elif row["source"] == CATEGORIES:
                names = found.names[part]
                names[row["text"]] = names.get(row["text"], 0) + count
                if row["interval"]:
                    found.sealed.add(part)
            else:
                found.texts[part][row["text"]] = count
        return found


def _time(moment: int) -> datetime:
    return (EPOCH + timedelta(microseconds=moment)).astimezone(UTC)


def _without_shadows(rows: Any) -> Any:
    return rows.filter(rows.variant != SHADOW)


def make_query(source: Source, plan: Plan) -> Query:
    """Return what counts rows of the log against a profile.

    :param source: the rows; its table may be of any backend.
    """
    query = Query(_without_shadows(source.rows))
    rows = query.rows
    own = rows.filter(rows.digest == plan.digest)
    for part, name in ((DIGESTS, "digest"), (VARIANTS, "variant"), (FALLBACKS, "fallback_for")):
        if name in rows.columns:
            query.texts(part, rows[name])
    query.texts(PREDICTIONS, own.prediction, own)
    times = [rows[name] for name in TIMES if name in rows.columns]
    if times:
        query.numbers(LATENCY, times[0].coalesce(*times[1:]), Ends.after(LATENCY_EDGES))
    for place, column in enumerate(plan.columns):
        if column is plan.profile.score:
            query.numbers(place, own.score, Ends.two_sided(plan.cuts[id(column)]), own)
        else:
            _add_column(query, place, column, source.leaves.get(column.name, Leaf.NOTHING), plan)
    return query


def _add_column(query: Query, place: int, column: ColumnProfile, leaf: Leaf, plan: Plan) -> None:
    if leaf is Leaf.NOTHING:
        return
    values = query.rows[FEATURES][column.name]
    if _is_number(column, leaf):
        query.numbers(place, values, Ends.two_sided(plan.cuts[id(column)]))
    elif _is_text(column, leaf):
        query.categories(place, values, column.categories)
    else:
        query.texts(place, values)


def _is_number(column: ColumnProfile, leaf: Leaf) -> bool:
    return column.kind in NUMERIC and leaf in (Leaf.NUMBER, Leaf.INTEGER)


def _is_text(column: ColumnProfile, leaf: Leaf) -> bool:
    """Return whether texts are counted by name in the query; not those that are counted in buckets, too."""
    known = column.kind in (ColumnKind.CATEGORY, ColumnKind.DATETIME)
    return leaf is Leaf.TEXT and known and column.many is None


def _assemble(found: Found, source: Source, plan: Plan) -> WindowCounts:
    digests = {text: count for text, count in found.texts[DIGESTS].items() if text is not None}
    total = sum(digests.values())
    columns = {}
    for place, column in enumerate(plan.profile.columns):
        known = source.fields
        absent = sum(count for digest, count in digests.items() if column.name not in known.get(digest, ()))
        counted = _column(column, source.leaves.get(column.name, Leaf.NOTHING), place, found, total, plan)
        columns[column.name] = replace(counted, nulls=counted.nulls - absent, absent=absent)
    score, own = plan.profile.score, digests.get(plan.digest, 0)
    classes: Counter[str] = Counter()
    predicted = [(text, count) for text, count in found.texts[PREDICTIONS].items() if text is not None]
    for name, count in class_names(predicted, has_classes=plan.has_classes):
        classes[name] += count
    latency = found.intervals[LATENCY]
    return WindowCounts(
        rows=total,
        columns=columns,
        scores=None if score is None else _numbers(score, len(plan.names), found, own),
        variants={text: count for text, count in found.texts[VARIANTS].items() if text is not None},
        fallbacks=fallbacks_of(found.texts[FALLBACKS]),
        predictions=dict(classes),
        latency=tuple(latency.get(interval, 0) for interval in range(len(LATENCY_EDGES) + 1)),
    )


def _column(
    column: ColumnProfile, leaf: Leaf, place: int, found: Found, total: int, plan: Plan
) -> ColumnCounts:
    if leaf is Leaf.NOTHING:
        return no_rows(column, nulls=total)
    if _is_number(column, leaf):
        return _numbers(column, place, found, total)
    if _is_text(column, leaf) and place not in found.sealed:
        return _categories(column, found.names[place], total)
    pairs = [(_read(text, leaf), count) for text, count in found.texts[place].items()]
    return count_values(column, pairs, leaf, plan.cipher)


def _read(text: str | None, leaf: Leaf) -> Any:
    """Return a leaf's value from its text."""
    if text is None:
        return None
    readers: dict[Leaf, Any] = {
        Leaf.NUMBER: float,
        Leaf.INTEGER: int,
        Leaf.BOOLEAN: lambda one: one == "true",
    }
    return readers.get(leaf, str)(text)


def _numbers(column: ColumnProfile, part: int, found: Found, total: int) -> ColumnCounts:
    import numpy as np

    counts = np.zeros(2 * len(column.edges) + 1, dtype=np.int64)
    for interval, count in found.intervals[part].items():
        counts[interval] = count
    sums = np.cumsum(counts)
    low, high = found.ends.get(part, (None, None))
    rows = int(sums[-1])
    return ColumnCounts(
        rows=rows, nulls=total - rows, below=sums[:-1:2], up_to=sums[1::2], lowest=low, highest=high
    )


def _categories(column: ColumnProfile, names: dict[str | None, int], total: int) -> ColumnCounts:
    import numpy as np

    rows = sum(names.values())
    if column.kind is ColumnKind.DATETIME:
        return ColumnCounts(rows=rows, nulls=total - rows)
    named = np.array([names.get(name, 0) for name in column.categories], dtype=np.int64)
    return ColumnCounts(rows=rows, nulls=total - rows, named=named, unseen=rows - int(named.sum()))
