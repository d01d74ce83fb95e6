"""The reference of a window is its like: counts of the same weekdays or hours, as far as they differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ColumnProfile, DriftProfile, ReferenceChunks, Span
from windsock.records.profile import LossSeason
from windsock.records.seasons import UTC_ZONE, Cycle, Season, SeasonPart
from windsock.spec.monitoring import DAY, EPOCH
from windsock.spec.zones import zone_of
from windsock.statistics.counting import NUMERIC, count_categories, count_numbers
from windsock.statistics.significance import cramers_v

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR = timedelta(hours=1)
PARTS = {"week": 7, "day": 24}
LENGTHS = {"week": DAY, "day": HOUR}
MOST_RECURRING = 0.3
"""What comes and goes widens a limit by so much at most: a KS distance of 0.3 is a shift of 0.77 standard
deviations. So one of a whole standard deviation (0.38) is drift, whatever training has seen twice."""
MONDAY = 3
"""Place of the first day of 1970, a Thursday, in its week."""


def cycle_of(window: timedelta) -> Cycle:
    """Return what a window has a place in: the week, or the day where it is shorter than one."""
    return "week" if window >= DAY else "day"


def holds_whole_periods(length: timedelta) -> bool:
    """Return whether each weekday is in a stretch as often; of one shorter than a day, each hour."""
    return not length % (LENGTHS[cycle_of(length)] * PARTS[cycle_of(length)])


def parts_of(times: NDArray[Any], cycle: Cycle, zone: str = UTC_ZONE) -> NDArray[Any]:
    """Return the part of the cycle that each time lies in.

    :param times: ``datetime64`` in UTC.
    :param zone: time zone of the hours; weekdays are those of UTC, as windows of a day are.
    """
    import numpy as np

    unit = "D" if cycle == "week" else "h"
    numbers, places = np.unique(times.astype(f"datetime64[{unit}]").astype(np.int64), return_inverse=True)
    found: NDArray[Any] = np.array([_part(int(one), cycle, zone) for one in numbers], dtype=np.int64)
    return found[places]


def _part(number: int, cycle: Cycle, zone: str) -> int:
    """Return the part of a day, or of an hour, that is counted from 1970 on in UTC.

    People keep the hours of their clocks: where these are changed, what they do moves by an hour in UTC. An
    hour that is there twice on such a day is the same part twice, and one that is left out is none of it.
    """
    if cycle == "week":
        return (number + MONDAY) % PARTS[cycle]
    if zone == UTC_ZONE:
        return number % PARTS[cycle]
    return (EPOCH + number * HOUR).astimezone(zone_of(zone)).hour


def overlap(span: Span, cycle: Cycle, zone: str = UTC_ZONE) -> tuple[float, ...]:
    """Return how much of a stretch lies in each part of the cycle, in lengths of a part.

    :param zone: time zone of the hours.
    """
    length, parts = LENGTHS[cycle], PARTS[cycle]
    whole, rest = divmod(span.end - span.start, length * parts)
    found = [float(whole)] * parts
    moment: datetime = span.start
    while moment < span.start + rest:
        number = (moment - EPOCH) // length
        end = min(EPOCH + (number + 1) * length, span.start + rest)
        found[_part(number, cycle, zone)] += (end - moment) / length
        moment = end
    return tuple(found)


def like_profile(profile: DriftProfile, span: Span) -> DriftProfile:
    """Return the profile that a window is held against: each column with a season as its like has it."""
    return profile.replace(
        columns=tuple(like_column(column, span) for column in profile.columns),
        score=None if profile.score is None else like_column(profile.score, span),
        target=None if profile.target is None else like_column(profile.target, span),
    )


def like_column(column: ColumnProfile, span: Span) -> ColumnProfile:
    """Return a column as its reference is in the parts of the cycle that a window lies in.

    Where the reference itself is too short for that, its counts stay, and what windows of these parts differ
    from it by in the longer history is added to what is no drift.
    """
    season = column.season
    if column.recurring > MOST_RECURRING:
        column = column.replace(recurring=MOST_RECURRING)
    if season is None:
        return column
    now = weights_of(season, overlap(span, season.cycle, season.zone))
    if now is None:
        return column
    if season.is_own:
        return _mixed(column, season, now)
    return column.replace(recurring=min(1.0, column.recurring + offset(column, now, season.reference)))


def offset(column: ColumnProfile, now: Sequence[float], reference: Sequence[float]) -> float:
    """Return the effect size by which parts of the season differ: KS distance, or Cramer's V.

    :param now: weights of the parts on one side.
    :param reference: rows by part of the cycle on the other.
    """
    import numpy as np

    season = column.season
    then = None if season is None else weights_of(season, reference, by_rows=False)
    if season is None or then is None:
        return 0.0
    one, other = _shares(column, season, now), _shares(column, season, then)
    if column.kind in NUMERIC:
        return float(np.abs(one - other).max(initial=0.0))
    return cramers_v(one, other)


def span_offset(column: ColumnProfile, one: Span, other: Span) -> float:
    """Return the effect size by which two stretches differ because of their places in the cycle alone."""
    season = column.season
    if season is None:
        return 0.0
    now = weights_of(season, overlap(one, season.cycle, season.zone))
    places = overlap(other, season.cycle, season.zone)
    then = [share * rows for share, rows in zip(places, season.rows, strict=True)]
    return 0.0 if now is None else offset(column, now, then)


def like_chunks(chunks: ReferenceChunks, score: ColumnProfile | None, span: Span) -> ReferenceChunks:
    """Return what a window's estimate is held against: the mean of its weekdays or hours.

    :param score: the profile of the scores, whose season it is.
    """
    season = score.season if score else None
    if season is None or not chunks.season:
        return chunks
    weights = weights_of(season, overlap(span, season.cycle, season.zone))
    if weights is None:
        return chunks
    moved = sum(weight * off for weight, off in zip(weights, chunks.season, strict=True))
    return chunks.replace(mean=chunks.mean + moved)


def loss_offset(season: LossSeason, span: Span) -> float | None:
    """Return by how much a metric differs in a stretch because of its place in the cycle alone.

    ``None`` where the stretch, or what the baseline is of, lies in parts that are not known.
    """
    now = [
        much * rows for much, rows in zip(overlap(span, season.cycle, season.zone), season.rows, strict=True)
    ]
    moved = 0.0
    for sign, weights in ((1, now), (-1, season.reference)):
        pairs = [(off, weight) for off, weight in zip(season.parts, weights, strict=True) if off is not None]
        total = sum(weight for _, weight in pairs)
        if not total or total < sum(weights) / 2:
            return None
        moved += sign * sum(off * weight for off, weight in pairs) / total
    return moved


def weights_of(season: Season, parts: Sequence[float], *, by_rows: bool = True) -> tuple[float, ...] | None:
    """Return the share of each known part's rows in a stretch; ``None`` where no part of it is known.

    :param parts: how much of each part there is.
    :param by_rows: times the rows that the part has in the season.
    """
    found = [
        0.0 if part is None else much * (part.total if by_rows else 1)
        for much, part in zip(parts, season.parts, strict=True)
    ]
    total = sum(found)
    return tuple(one / total for one in found) if total else None


def _shares(column: ColumnProfile, season: Season, weights: Sequence[float]) -> NDArray[Any]:
    """Return the distribution of a mixture of parts."""
    import numpy as np

    found: Any = 0.0
    for part, weight in _used(season, weights):
        if column.kind in NUMERIC:
            counts = np.array([*part.below, *part.up_to]) / max(1, part.rows)
        else:
            named = _named(column, part)
            cells = [*named, part.rows - sum(named), part.nulls]
            counts = np.array(cells) / max(1, part.total)
        found = found + weight * counts
    shares: NDArray[Any] = found
    return shares


def _named(column: ColumnProfile, part: SeasonPart) -> list[int]:
    """Return a part's rows of each category, in the column's order."""
    return [part.named.get(name, 0) for name in column.categories]


def _used(season: Season, weights: Sequence[float]) -> list[tuple[SeasonPart, float]]:
    """Return the parts that have a weight, with it."""
    pairs = zip(season.parts, weights, strict=True)
    return [(part, weight) for part, weight in pairs if part is not None and weight > 0]


def _mixed(column: ColumnProfile, season: Season, weights: Sequence[float]) -> ColumnProfile:
    """Return a column with the counts of a mixture, of as many rows as its parts hold in these shares."""
    import numpy as np

    used = _used(season, weights)
    total = min(part.total / weight for part, weight in used)
    factors = np.array([total * weight / part.total for part, weight in used])

    def mix(counts: Sequence[Sequence[int]]) -> list[int]:
        return [int(count) for count in np.rint(factors @ np.array(counts, dtype="float64"))]

    parts = [part for part, _ in used]
    rows, nulls = mix([(part.rows, part.nulls) for part in parts])
    if not rows:
        return column
    share = rows / max(1, column.rows)
    changed: dict[str, Any] = {"rows": rows, "nulls": nulls}
    if column.kind in NUMERIC:
        changed["below"] = tuple(mix([part.below for part in parts]))
        changed["up_to"] = tuple(mix([part.up_to for part in parts]))
        changed["quantiles"] = _quantiles(column, changed["below"], changed["up_to"], rows)
    else:
        named = mix([_named(column, part) for part in parts])
        changed["categories"] = dict(zip(column.categories, named, strict=True))
        changed["other"] = max(0, rows - sum(named))
        for name in ("seen_once", "seen_twice"):
            seen = getattr(column, name)
            changed[name] = None if seen is None else round(seen * share)
    return column.replace(**changed)


def _quantiles(
    column: ColumnProfile, below: Sequence[int], up_to: Sequence[int], rows: int
) -> tuple[float, ...]:
    """Return a mixture's quantiles in the middle of equal parts, within the column's own."""
    import numpy as np

    own = column.quantiles
    if not own:
        return own
    values = np.concatenate([[own[0]], np.repeat(column.edges, 2), [own[-1]]])
    cumulated = np.empty(values.size)
    cumulated[0], cumulated[-1] = 0, rows
    cumulated[1:-1:2], cumulated[2:-1:2] = below, up_to
    ranks = (np.arange(len(own)) + 0.5) / len(own) * rows
    return tuple(np.interp(ranks, cumulated, np.maximum.accumulate(values)).tolist())


def count_part(column: ColumnProfile, values: Any) -> SeasonPart:
    """Count some of a column's values around its own edges, or by its categories.

    :param values: a series: numbers and booleans as floats, categories as text.
    """
    from collections import Counter

    if column.kind in NUMERIC:
        counted = count_numbers(column, values.to_numpy(dtype="float64"))
        below, up_to = counted.below, counted.up_to
        return SeasonPart(
            rows=counted.rows,
            nulls=counted.nulls,
            below=() if below is None else tuple(below.tolist()),
            up_to=() if up_to is None else tuple(up_to.tolist()),
        )
    known = values.dropna()
    if column.kind is ColumnKind.BOOLEAN:
        named = Counter("true" if one else "false" for one in known.tolist())
    else:
        named = Counter(str(one) for one in known.tolist())
    placed = count_categories(column, named, len(values) - len(known)).named
    return SeasonPart(
        rows=len(known),
        nulls=len(values) - len(known),
        named={} if placed is None else dict(zip(column.categories, placed.tolist(), strict=True)),
    )
