"""One Ibis expression that counts all columns: for DuckDB, and for whatever else Ibis compiles to.

Numbers are placed among edges by a join: a uniform grid over the edges says in which few intervals a number
can lie, and the comparison with their ends, which decides, is exact. So neither the grid's rounding nor the
way in which a system reads numbers from SQL can change a count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.adapters.column_cipher import PREFIX
from windsock.records.values import LARGEST
from windsock.statistics.ties import Cuts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

GRID = 1024
"""Cells of the grid: about as many numbers as intervals."""
NEAREST = 1e-12
"""Part of a number by which a system that reads it as a decimal may be wrong."""
NUMBERS, CATEGORIES, TEXTS = "numbers", "categories", "texts"
"""The three kinds of rows of the result."""


class Ends(NamedTuple):
    """Where numbers are cut: interval ``i`` reaches from the ``i``-th end up to, but without, the next."""

    ends: NDArray[Any]

    @classmethod
    def two_sided(cls, cuts: Cuts) -> Ends:
        """Cut before and after each edge, so that ties are told apart."""
        import numpy as np

        return cls(np.ravel(np.column_stack([cuts.lower, np.nextafter(cuts.upper, np.inf)])))

    @classmethod
    def after(cls, edges: Sequence[float]) -> Ends:
        """Cut after each edge."""
        import numpy as np

        return cls(np.nextafter(np.array(edges), np.inf))

    @property
    def grid(self) -> tuple[float, float, float]:
        """Lowest and highest number that the grid tells apart, and its cells for each unit.

        Ends that lie so near to each other that a system may read both as one number have no grid.
        """
        if self.ends.size < 2:
            return 0.0, 0.0, 0.0
        low, high = float(self.ends[0]), float(self.ends[-1])
        if high - low <= NEAREST * max(abs(low), abs(high)):
            return low, high, 0.0
        scale = GRID / (high - low)
        return low, high, scale if scale < LARGEST else 0.0

    def intervals(self) -> dict[str, NDArray[Any]]:
        """Return each interval once for each cell of the grid that it may reach into."""
        import numpy as np

        low, high, scale = self.grid
        cells = np.floor((np.clip(self.ends, low, high) - low) * scale).astype(np.int64)
        first = np.concatenate([[0], cells]) - 1  # a system may round to the next cell
        last = np.concatenate([cells, [GRID if scale else 0]]) + 1
        spans = last - first + 1
        interval = np.repeat(np.arange(spans.size), spans)
        step = np.arange(interval.size) - np.repeat(np.cumsum(spans) - spans, spans)
        return {
            "cell": first[interval] + step,
            "interval": interval,
            "begin": np.concatenate([[-np.inf], self.ends])[interval],
            "end": np.concatenate([self.ends, [np.inf]])[interval],
        }


class Query:
    """Collects what is counted, and makes one expression of it.

    :param rows: an Ibis table of the rows to count.
    """

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self._numbers: list[Any] = []
        self._intervals: list[pa.Table] = []
        self._categories: list[Any] = []
        self._names: list[tuple[int, str]] = []
        self._texts: list[Any] = []

    def numbers(self, part: int, values: Any, ends: Ends, rows: Any = None) -> None:
        """Count numbers by interval.

        :param part: what they are called in the result.
        :param values: an Ibis column.
        :param rows: the table that it is of; default: all rows.
        """
        import pyarrow as pa

        low, high, scale = ends.grid
        rows = self.rows if rows is None else rows
        numbers = rows.select(part=_whole(part), number=values.cast("float64"))
        numbers = numbers.filter(numbers.number.between(-LARGEST, LARGEST))
        place = (numbers.number.clip(low, high) - low) * scale if scale else numbers.number * 0.0
        self._numbers.append(numbers.mutate(cell=place.floor().cast("int64")))
        intervals = pa.table(ends.intervals())
        named = pa.array([part] * intervals.num_rows, pa.int64())
        self._intervals.append(intervals.append_column("part", named))

    def categories(self, part: int, values: Any, names: Iterable[str]) -> None:
        """Count texts by name; those without one of the names are counted together."""
        texts = self.rows.select(part=_whole(part), text=values.cast("string"))
        self._categories.append(texts.filter(texts.text.notnull()))
        self._names += [(part, name) for name in names]

    def texts(self, part: int, values: Any, rows: Any = None) -> None:
        """Count different texts, and rows without one."""
        rows = self.rows if rows is None else rows
        self._texts.append(rows.select(part=_whole(part), text=values.cast("string")))

    def expression(self) -> Any:
        """Return one table: ``source, part, interval, text, rows, lowest, highest``.

        ``source`` is :data:`NUMBERS`, :data:`CATEGORIES` or :data:`TEXTS`. For categories ``interval`` is 1
        for encrypted texts, and ``text`` is null for those without a name.
        """
        import ibis

        made = []
        if self._numbers:
            made.append(self._counted_numbers())
        if self._categories:
            made.append(self._counted_categories())
        if self._texts:
            texts = _union(self._texts)
            counted = texts.group_by("part", "text").agg(rows=texts.count())
            made.append(_result(TEXTS, counted, interval=_whole(0), text=counted.text))
        return ibis.union(*made) if len(made) > 1 else made[0]

    def _counted_numbers(self) -> Any:
        import ibis
        import pyarrow as pa

        numbers = _union(self._numbers)
        intervals = ibis.memtable(pa.concat_tables(self._intervals))
        placed = numbers.join(
            intervals,
            [
                numbers.part == intervals.part,
                numbers.cell == intervals.cell,
                numbers.number >= intervals.begin,
                numbers.number < intervals.end,
            ],
        ).select(numbers.part, numbers.number, intervals.interval)
        counted = placed.group_by("part", "interval").agg(
            rows=placed.count(), lowest=placed.number.min(), highest=placed.number.max()
        )
        return _result(
            NUMBERS,
            counted,
            interval=counted.interval,
            text=ibis.null("string"),
            lowest=counted.lowest,
            highest=counted.highest,
        )

    def _counted_categories(self) -> Any:
        import ibis
        import pyarrow as pa

        texts = _union(self._categories)
        named: Mapping[str, Any] = {
            "part": pa.array([part for part, _ in self._names], pa.int64()),
            "name": pa.array([name for _, name in self._names], pa.string()),
        }
        names = ibis.memtable(pa.table(named))
        known = texts.left_join(names, [texts.part == names.part, texts.text == names.name]).select(
            texts.part, names.name, sealed=texts.text.startswith(PREFIX).cast("int64")
        )
        counted = known.group_by("part", "name", "sealed").agg(rows=known.count())
        return _result(CATEGORIES, counted, interval=counted.sealed, text=counted.name)


def _union(tables: Sequence[Any]) -> Any:
    import ibis

    return ibis.union(*tables) if len(tables) > 1 else tables[0]


def _whole(number: int) -> Any:
    import ibis

    return ibis.literal(number, type="int64")


def _result(source: str, counted: Any, **columns: Any) -> Any:
    import ibis

    nothing = ibis.null("float64")
    chosen = {"lowest": nothing, "highest": nothing, **columns}
    return counted.select(
        source=ibis.literal(source),
        part=counted.part,
        interval=chosen["interval"].cast("int64"),
        text=chosen["text"].cast("string"),
        rows=counted.rows.cast("int64"),
        lowest=chosen["lowest"].cast("float64"),
        highest=chosen["highest"].cast("float64"),
    )
