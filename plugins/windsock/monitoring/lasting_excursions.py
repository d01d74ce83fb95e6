"""What comes and goes has a wider limit, but not for longer than training has seen it last."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from windsock.monitoring.drift_columns import judge_columns
from windsock.records import ColumnProfile, DriftProfile, Span, Status
from windsock.spec import DriftBlock
from windsock.statistics.counting import WindowCounts
from windsock.statistics.seasons import like_profile

MOST_LOOKED_AT = 7
"""Of a long excursion, such as days in windows of an hour, so many of the windows before are counted."""


def without_what_lasts(
    profile: DriftProfile,
    window: Span,
    counts: WindowCounts,
    count: Callable[[Span], WindowCounts],
    rule: DriftBlock,
) -> tuple[DriftProfile, tuple[str, ...]]:
    """Return the profile with the ordinary limit of columns that are away for longer than in training.

    Such a column is beyond its ordinary limit in this window, and in as many before it as its longest
    excursion in training took. The windows before are counted only where a column is beyond.

    :param profile: as training, or a person, has made it: not yet the window's like.
    :param count: counts the answers of a stretch.
    :returns: the profile, and the names of the columns.
    """
    kept = {one.name: one.lasted for one in _columns(profile) if one.recurring and one.lasted}
    if not kept:
        return profile, ()
    ordinary, length = _replaced(profile, kept), window.end - window.start

    @cache
    def beyond_at(back: int) -> set[str]:
        span = Span(start=window.start - back * length, end=window.end - back * length)
        return _beyond(ordinary, span, count(span), rule)

    lasting = {
        name
        for name in kept.keys() & _beyond(ordinary, window, counts, rule)
        if all(name in beyond_at(back) for back in _looked_at(kept[name]))
    }
    return _replaced(profile, lasting), tuple(name for name in kept if name in lasting)


def _looked_at(lasted: int) -> list[int]:
    """Return which windows before are looked at, the farthest first: all, or some of many evenly."""
    return sorted(
        {-(-lasted * part // MOST_LOOKED_AT) for part in range(1, MOST_LOOKED_AT + 1)}, reverse=True
    )


def _columns(profile: DriftProfile) -> list[ColumnProfile]:
    return [*profile.columns, *([profile.score] if profile.score else [])]


def _replaced(profile: DriftProfile, names: set[str] | dict[str, int]) -> DriftProfile:
    """Return a profile in which what recurs in some columns widens no limit."""

    def one(column: ColumnProfile) -> ColumnProfile:
        return column.replace(recurring=0.0) if column.name in names else column

    return profile.replace(
        columns=tuple(one(column) for column in profile.columns),
        score=None if profile.score is None else one(profile.score),
    )


def _beyond(profile: DriftProfile, window: Span, counts: WindowCounts, rule: DriftBlock) -> set[str]:
    """Return the names of what drifts in a window."""
    judged = judge_columns(like_profile(profile, window), counts, rule)
    every = [*judged.columns, *([judged.score] if judged.score else [])]
    return {one.name for one in every if one.status is Status.FAIL}
