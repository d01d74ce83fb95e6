"""What is counted at once: the hours of a stretch, and the parts of hours that its ends cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from windsock.adapters.log_columns import microseconds
from windsock.adapters.log_format import hour_of
from windsock.adapters.log_reading import HOUR, Bounds
from windsock.adapters.window_counts.files import DAY, SUFFIX
from windsock.records import Span
from windsock.spec.monitoring import EPOCH

ON_THE_DISK = timedelta(minutes=1)
"""How long after a time all rows that were received before it are on the disk."""
A_DAY = timedelta(days=1)


class Slice(NamedTuple):
    """A whole hour, or a part of one."""

    start: datetime
    end: datetime

    @property
    def hour(self) -> str:
        """The hour it lies in."""
        return hour_of(self.start)

    @property
    def day(self) -> str:
        """The day it lies in, such as ``20260501``."""
        return self.hour[:8]

    @property
    def moments(self) -> Bounds:
        """In microseconds since 1970."""
        return microseconds(self.start), microseconds(self.end)

    @property
    def hour_start(self) -> datetime:
        """When its hour begins."""
        return EPOCH + (self.start - EPOCH) // HOUR * HOUR

    @property
    def hour_moments(self) -> Bounds:
        """Those of its hour."""
        return microseconds(self.hour_start), microseconds(self.hour_start + HOUR)

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole hour."""
        return self.end - self.start == HOUR

    @property
    def name(self) -> str:
        """Its file, below the folder of the bundle."""
        if self.is_whole:
            return f"{self.day}/{self.hour[9:]}{SUFFIX}"
        begin = microseconds(self.start) % 3_600_000_000
        length = (self.end - self.start) // timedelta(microseconds=1)
        return f"{self.day}/{self.hour[9:]}-{begin}-{begin + length}{SUFFIX}"

    @property
    def neighbours(self) -> tuple[str, str]:
        """The hours before and after."""
        return hour_of(self.start - HOUR), hour_of(self.start + HOUR)

    def is_closed(self, now: datetime) -> bool:
        """Whether its rows are all on the disk."""
        return self.end + ON_THE_DISK <= now

    def is_over(self, now: datetime) -> bool:
        """Whether its hour is over, so that nothing is written to its segments any more."""
        return self.hour_start + HOUR + ON_THE_DISK <= now


class Day(NamedTuple):
    """A whole day in UTC, or the part of one that a stretch covers."""

    slices: tuple[Slice, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole day."""
        return self.slices[-1].end - self.slices[0].start == A_DAY

    @property
    def name(self) -> str:
        """Its file, below the folder of the bundle."""
        return f"{self.slices[0].day}/{DAY}"


def days_of(span: Span) -> Iterator[Day]:
    """Yield a stretch day by day, each with its slices."""
    for begin, end in pairwise(_cuts(span, A_DAY)):
        yield Day(tuple(Slice(*ends) for ends in pairwise(_cuts(Span(start=begin, end=end), HOUR))))


def _cuts(span: Span, length: timedelta) -> list[datetime]:
    """Return the ends of a stretch and the multiples of a length between them."""
    cuts = [span.start]
    while cuts[-1] < span.end:
        cuts.append(min(EPOCH + ((cuts[-1] - EPOCH) // length + 1) * length, span.end))
    return cuts
