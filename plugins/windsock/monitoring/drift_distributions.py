"""Both distributions of a column, by counts of all rows: what the drift report draws."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from windsock.ports import Bar, Distribution
from windsock.records import ColumnDrift, ColumnKind, ColumnProfile, DriftProfile, DriftReport, InputSchema
from windsock.statistics.counting import NUMERIC, ColumnCounts, WindowCounts

MOST_SHOWN = 12
"""Columns that are drawn: those that drifted, the worst first, then those that come closest."""
BARS = 20
MOST_VALUES = 12
"""Values of a number, or categories, up to which each has its own bar."""
TAIL = 0.005
"""The outermost bars of a number begin where so much of the reference is left."""


def distributions_of(
    report: DriftReport, profile: DriftProfile, counts: WindowCounts, schema: InputSchema
) -> tuple[Distribution, ...]:
    """Return the distributions of the columns that matter most, those of scores and outcomes first.

    Sensitive fields and dates are left out.

    :param profile: what the window was held against.
    """
    hidden = {field.name for field in schema.fields if field.sensitive}
    ranked = sorted(report.columns, key=_nearness, reverse=True)
    pairs: list[tuple[ColumnProfile | None, ColumnCounts | None]] = [
        (profile.score, counts.scores),
        (profile.target, counts.targets),
        *(
            (profile.column(one.name), counts.columns.get(one.name))
            for one in ranked
            if one.name not in hidden
        ),
    ]
    made = [_distribution(column, seen) for column, seen in pairs if column is not None and seen is not None]
    return tuple(one for one in made if one is not None)[:MOST_SHOWN]


def _nearness(column: ColumnDrift) -> float:
    return (column.effect or 0.0) / column.limit if column.limit else 0.0


def _distribution(column: ColumnProfile, seen: ColumnCounts) -> Distribution | None:
    if column.kind is ColumnKind.DATETIME or not column.rows + column.nulls or not seen.total:
        return None
    whole = column.rows + column.nulls, seen.total
    is_number = column.kind in NUMERIC
    bars = _number_bars(column, seen) if is_number else _category_bars(column, seen)
    counted = [*bars, ("(no value)", column.nulls, seen.total - seen.rows)]
    shown = [
        Bar(label=label, reference=before / whole[0], current=now / whole[1])
        for label, before, now in counted
        if before or now
    ]
    return Distribution(
        name=column.name,
        bars=tuple(shown),
        is_ordered=is_number,
        reference_rows=whole[0],
        current_rows=whole[1],
    )


Counted = tuple[str, float, float]


def _number_bars(column: ColumnProfile, seen: ColumnCounts) -> list[Counted]:
    if seen.below is None or seen.up_to is None or not column.edges:
        return []
    sides = (
        (column.below, column.up_to, column.rows),
        ([int(one) for one in seen.below], [int(one) for one in seen.up_to], seen.rows),
    )
    if len(column.edges) <= MOST_VALUES:
        return _by_value(column.edges, sides)
    return _by_range(column.edges, sides)


Side = tuple[Sequence[int], Sequence[int], int]


def _by_value(edges: Sequence[float], sides: Iterable[Side]) -> list[Counted]:
    (before, now) = (
        [
            *(high - low for low, high in zip(below, up_to, strict=True)),
            rows - sum(high - low for low, high in zip(below, up_to, strict=True)),
        ]
        for below, up_to, rows in sides
    )
    labels = [*(f"{edge:.6g}" for edge in edges), "(other values)"]
    return list(zip(labels, before, now, strict=True))


def _by_range(edges: Sequence[float], sides: Sequence[Side]) -> list[Counted]:
    below, _, rows = sides[0]
    first = edges[max(0, bisect_left(below, TAIL * rows) - 1)]
    last = edges[min(len(edges) - 1, bisect_left(below, (1 - TAIL) * rows))]
    if first >= last:
        first, last = edges[0], edges[-1]
    cuts = [first + (last - first) * place / BARS for place in range(1, BARS)]
    labels = [f"< {cuts[0]:.4g}", *(f"{one:.4g}" for one in cuts[:-1]), f">= {cuts[-1]:.4g}"]
    before, now = (_parts([_smaller(edges, side, cut) for cut in cuts], side[2]) for side in sides)
    return list(zip(labels, before, now, strict=True))


def _parts(running: Sequence[float], rows: int) -> list[float]:
    return [after - begun for begun, after in zip((0.0, *running), (*running, float(rows)), strict=True)]


def _smaller(edges: Sequence[float], side: Side, cut: float) -> float:
    """Return how many values are smaller than a number: exact at an edge, in proportion between two."""
    below, up_to, rows = side
    place = bisect_left(edges, cut)
    if place == len(edges):
        return float(up_to[-1])
    if edges[place] == cut or place == 0:
        return float(below[place])
    low, high = edges[place - 1], edges[place]
    part = (cut - low) / (high - low)
    return up_to[place - 1] + part * (below[place] - up_to[place - 1])


def _category_bars(column: ColumnProfile, seen: ColumnCounts) -> list[Counted]:
    named: Sequence[Any] = [] if seen.named is None else [int(one) for one in seen.named]
    pairs = list(zip(column.categories.items(), named, strict=False))
    ranked = sorted(pairs, key=lambda one: -max(one[0][1] / (column.rows or 1), one[1] / (seen.rows or 1)))
    bars: list[Counted] = [(str(name), before, now) for (name, before), now in ranked[:MOST_VALUES]]
    rest = ranked[MOST_VALUES:]
    others = (
        column.other + sum(before for (_, before), _ in rest),
        seen.unseen + sum(now for _, now in rest),
    )
    return [*bars, ("(all others)", *others)]


__all__ = ["distributions_of"]
