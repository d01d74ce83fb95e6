"""What recurs in a column by weekday or by hour, as a drift profile keeps it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windsock.records.base import Record

Cycle = Literal["week", "day"]
"""What a season repeats in: its parts are the seven weekdays (Monday is 0), or the 24 hours, in UTC."""


class SeasonGroup(Record):
    """Counts of the parts of a cycle that do not differ beyond chance, around the column's own edges.

    :param rows: rows with a value.
    :param nulls: rows without one.
    :param below: for each edge of a number, how many values are smaller.
    :param up_to: for each edge of a number, how many values are smaller or equal.
    :param named: rows of each category, in the order of the column's ``categories``.
    """

    rows: int = Field(ge=0)
    nulls: int = Field(ge=0)
    below: tuple[int, ...] = ()
    up_to: tuple[int, ...] = ()
    named: tuple[int, ...] = ()


class Season(Record):
    """How a column differs from one part of a cycle to the next; counts of parts add up.

    :param cycle: what it repeats in.
    :param group_of: for each part its place in ``groups``; -1 where it has too few rows to know.
    :param rows: for each part its rows.
    :param groups: at least two, which differ beyond chance.
    :param reference: rows of the column's reference by part, where the groups are counted on a longer history
        than that; empty where they are counted on the reference itself.
    """

    cycle: Cycle
    group_of: tuple[int, ...] = Field(min_length=7, max_length=24)
    rows: tuple[int, ...]
    groups: tuple[SeasonGroup, ...] = Field(min_length=2)
    reference: tuple[int, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether a window can be held against its like: else its limits are widened by the season."""
        return not self.reference
