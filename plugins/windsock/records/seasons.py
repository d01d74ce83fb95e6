"""What recurs in a column by weekday or by hour, as a drift profile keeps it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windsock.records.base import Record

Cycle = Literal["week", "day"]
"""What a season repeats in: its parts are the seven weekdays in UTC (Monday is 0), or the 24 hours of a time
zone."""
UTC_ZONE = "UTC"


class SeasonPart(Record):
    """Counts of one part of a cycle, around the column's own edges or by its own categories.

    :param rows: rows with a value.
    :param nulls: rows without one.
    :param below: for each edge of a number, how many values are smaller.
    :param up_to: for each edge of a number, how many values are smaller or equal.
    :param named: rows of each of the column's ``categories``, by name: stored profiles have them in another
        order than training had.
    """

    rows: int = Field(ge=0)
    nulls: int = Field(ge=0)
    below: tuple[int, ...] = ()
    up_to: tuple[int, ...] = ()
    named: dict[str, int] = Field(default_factory=dict)

    @property
    def total(self) -> int:
        """All its rows."""
        return self.rows + self.nulls


class Season(Record):
    """How a column differs from one part of a cycle to the next; counts of parts add up.

    :param cycle: what it repeats in.
    :param parts: the seven weekdays, or the 24 hours; ``None`` where one has too few rows to know.
    :param reference: rows of the column's reference by part, where the parts are counted on a longer history
        than that; empty where they are counted on the reference itself.
    :param zone: time zone of the hours, by its name in the IANA database.
    """

    cycle: Cycle
    parts: tuple[SeasonPart | None, ...] = Field(min_length=7, max_length=24)
    reference: tuple[int, ...] = ()
    zone: str = Field(default=UTC_ZONE, exclude_if=UTC_ZONE.__eq__)

    @property
    def is_own(self) -> bool:
        """Whether a window can be held against its like: else its limits are widened by the season."""
        return not self.reference

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each part; 0 where it is not known."""
        return tuple(part.total if part else 0 for part in self.parts)
