"""Times as people write them: dates by the one format that a column's words fit, clock times, epoch times."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import Fit, as_numpy, matches
from windsock.data.spelled_words import has_month, in_english, with_offset
from windsock.records import ColumnKind, ValueForm

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

SECOND = 1_000_000
DAY = 86_400 * SECOND
EARLIEST, LATEST = 946_684_800, 4_102_444_800
"""Seconds since 1970 at the beginnings of 2000 and 2100: numbers between them may be times."""
EPOCHS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
MOST = 0.95
"""Share of values that must be of one form where others are possible."""
ORDERS = ("day_first", "month_first")
TIME_NAME = re.compile(
    r"(?i)(.*[_\-. ])?(at|on|time|times|timestamp|date|datetime|ts|epoch|when|dt)(_?(s|ms|us|ns|utc))?"
)
CAMEL_TIME_NAME = re.compile(r".*[a-z](At|On|Time|Timestamp|Date|Ts|TS)")
CLOCK = (
    r"(?i)(?:(?:T|,?\s+)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<part>[0-9]{1,9}))?)?\s?(?P<half>[ap]\.?m\.?)?\s?"
    r"(?P<zone>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?(?:\[[A-Za-z_]+(?:/[A-Za-z_+-]+)*\])?"
    r"|(?:UTC|GMT)[+-][0-9]{1,2}(?::?[0-9]{2})?)?)?$"
)
SEPARATED = r"(?P<a>[0-9]{%s})(?P<one>[-/.])(?P<b>[0-9]{1,2})(?P<two>[-/.])(?P<c>[0-9]{%s})"
ISO = "^" + SEPARATED % ("4", "1,2") + CLOCK
WRITTEN = "^" + SEPARATED % ("1,2", "4") + CLOCK
DAY_OR_MONTH = r"(0?[1-9]|[12][0-9]|3[01])"
SHORT_YEAR = rf"^{DAY_OR_MONTH}[-/.]{DAY_OR_MONTH}[-/.][0-9]{{2}}(\s+[0-9]{{1,2}}:[0-9]{{2}}.*)?$"
HALF_DAY = "0?[1-9]|1[0-2]"
WITH_MONTHS = (
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%d %b %Y %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M %z",
    "%d %b %Y %H:%M:%S %z",
    "%d %b %Y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y %H:%M",
    "%d/%b/%Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d. %B %Y",
    "%d. %B %Y %H:%M",
    "%d. %B %Y, %H:%M",
    "%d de %B de %Y",
    "%d %B %Y г.",
    "%b %d %Y",
    "%b %d, %Y %I:%M %p",
    "%b %d, %Y, %I:%M %p",
    "%b %d, %Y, %I:%M:%S %p",
    "%b %d, %Y %H:%M",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
)
"""Dates with the name of a month, long or short, in English or another language that is known."""
CJK = tuple(
    date + clock
    for date in ("%Y年%m月%d日", "%Y年 %m月 %d日", "%Y년 %m월 %d일", "%Y년%m월%d일", "%Y. %m. %d.")
    for clock in ("", " %H:%M", " %H:%M:%S")
)
OF_DAY = {
    "%H:%M": r"^(?P<hour>[0-9]{1,3}):(?P<minute>[0-5][0-9])(?P<second>)(?P<half>)$",
    "%H:%M:%S": r"^(?P<hour>[0-9]{1,3}):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9](?:\.[0-9]+)?)"
    r"(?P<half>)$",
    "%H.%M.%S": r"^(?P<hour>[0-9]{1,2})\.(?P<minute>[0-5][0-9])\.(?P<second>[0-5][0-9])(?P<half>)$",
    "%I:%M %p": rf"^(?P<hour>{HALF_DAY}):(?P<minute>[0-5][0-9])(?P<second>)\s?(?P<half>[AaPp])\.?[Mm]\.?$",
    "%I:%M:%S %p": rf"^(?P<hour>{HALF_DAY}):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9])\s?"
    r"(?P<half>[AaPp])\.?[Mm]\.?$",
}
UNCLEAR = (
    "dates whose day and month cannot be told apart; "
    "`data.source.dates` (day_first or month_first) settles it"
)
BUDDHIST = (2480, 2600)
"""Years of the Thai calendar that are 1937 to 2057 of the common era: 543 fewer."""
SHORT = "dates with years of two digits; `data.source.dates`, a pattern such as %d.%m.%y, settles it"


def says_time(name: str) -> bool:
    """Return whether a column's name says that it holds times."""
    return bool(TIME_NAME.fullmatch(name) or CAMEL_TIME_NAME.fullmatch(name))


def read_times(
    words: pa.Array, counts: NDArray[Any], form: ValueForm | None, *, held: bool = False
) -> Fit | None:
    """Return the times among a column's different words, by the one form that most of them fit.

    :param form: what is known of the form; its ``dates`` count before any other.
    :param held: no other form is tried.
    :returns: ``None`` if no word is a time.
    """
    known = form.dates if form else ""
    fits: list[Fit | None] = []
    if known.startswith("%") and known not in OF_DAY:
        fits.append(_by_pattern(words, known))
    if held and known.startswith("%"):
        return fits[0] if fits else None
    if known in ("", *ORDERS) or not held:
        if not held or not known:
            fits.append(_parsed(words, ISO, ValueForm()))
        if not held or known in ORDERS:
            fits.append(_in_order(words, counts, known))
    if not held and not any(fit is not None and fit.reach.any() for fit in fits):
        fits += _named_months(words)
        fits.append(_short_years(words, counts))
    weighed = [(int(counts[fit.reach].sum()), fit) for fit in fits if fit is not None]
    weight, best = max(weighed, key=lambda entry: entry[0], default=(0, None))
    return best if weight else None


def of_buddhist_years(fit: Fit) -> bool:
    """Return whether all times of a column would lie centuries ahead, as years of the Thai calendar do."""
    import numpy as np

    if fit.kind is not ColumnKind.DATETIME or fit.doubt or not fit.fits.any():
        return False
    years = fit.values[fit.fits].astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
    return bool(years.min() >= BUDDHIST[0] and years.max() <= BUDDHIST[1])


def read_clock(words: pa.Array, counts: NDArray[Any], form: ValueForm | None) -> Fit | None:
    """Return clock times and durations such as 12:34 as minutes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[tuple[int, Fit]] = []
    known = form.dates if form and form.dates in OF_DAY else ""
    for pattern in (known,) if known else OF_DAY:
        parts = pc.extract_regex(words, OF_DAY[pattern])
        fits = parts.is_valid().to_numpy(zero_copy_only=False)
        if fits.any():
            seconds = pc.struct_field(parts, "second")
            seconds = pc.cast(pc.if_else(pc.equal(seconds, ""), "0", seconds), pa.float64())
            values = 60 * _hours(parts) + _whole(parts, "minute")
            values = values + pc.fill_null(seconds, 0).to_numpy(zero_copy_only=False) / 60
            fit = Fit(
                kind=ColumnKind.NUMBER,
                values=np.asarray(values, dtype=np.float64),
                fits=fits,
                form=ValueForm(dates=pattern),
                remarks=("clock times were read as minutes",),
            )
            found.append((int(counts[fits].sum()), fit))
    return max(found, key=lambda entry: entry[0])[1] if found else None


def _hours(parts: pa.Array) -> NDArray[Any]:
    import numpy as np
    import pyarrow.compute as pc

    hour, half = _whole(parts, "hour"), pc.utf8_lower(pc.fill_null(pc.struct_field(parts, "half"), ""))
    late, halved = as_numpy(pc.equal(half, "p")), as_numpy(pc.not_equal(half, ""))
    hours: NDArray[Any] = np.where(halved, hour % 12 + 12 * late, hour)
    return hours


def as_epoch(fit: Fit, form: ValueForm | None, *, sure: bool = False) -> Fit | None:
    """Return numbers as times since 1970, if all of them lie between 2000 and 2100.

    :param form: its ``dates`` may name the unit.
    :param sure: they are times; where the unit is known, whatever years they are of.
    """
    import numpy as np

    known = form.dates if form and form.dates in EPOCHS else ""
    values = fit.values[fit.fits].astype(np.float64)
    if not len(values) or fit.form.unit or not np.isfinite(values).all():
        return None
    for unit, parts in EPOCHS.items():
        fitting = values.min() >= EARLIEST * parts and values.max() < LATEST * parts
        if unit == known and (sure or fitting) or (not known and fitting):
            return replace(
                fit, kind=ColumnKind.DATETIME, values=_since_1970(fit, parts), form=ValueForm(dates=unit)
            )
    return None


def _since_1970(fit: Fit, parts: int) -> NDArray[Any]:
    import numpy as np

    values = np.where(fit.fits, fit.values, 0)
    if values.dtype.kind in "iu":
        return values * (SECOND // parts) if parts <= SECOND else values // (parts // SECOND)
    return np.floor(values * (SECOND / parts) + 0.5).astype(np.int64)


def as_calendar(fit: Fit) -> Fit | None:
    """Return whole numbers such as 20261231 as dates, if all of them are some."""
    import numpy as np

    values = fit.values[fit.fits]
    if fit.kind is not ColumnKind.INTEGER or not len(values) or fit.form.unit:
        return None
    if values.min() < 19_000_101 or values.max() > 21_001_231:
        return None
    numbers = np.where(fit.fits, fit.values, 19_700_101).astype(np.int64)
    year, month, day = numbers // 10_000, numbers // 100 % 100, numbers % 100
    days = ((year - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]")
    same = (days + (day - 1)).astype("datetime64[M]") == days.astype("datetime64[M]")
    if not (same & (month >= 1) & (month <= 12) & (day >= 1)).all():
        return None
    moments = (days.astype(np.int64) + day - 1) * DAY
    return replace(fit, kind=ColumnKind.DATETIME, values=moments, form=ValueForm(dates="%Y%m%d"))


def _whole(parts: pa.Array, name: str, default: int = 0) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.fill_null(pc.struct_field(parts, name), "")
    text = pc.if_else(pc.equal(text, ""), str(default), text)
    return as_numpy(pc.cast(text, pa.int64()))


def _parsed(words: pa.Array, pattern: str, form: ValueForm) -> Fit | None:
    import numpy as np
    import pyarrow.compute as pc

    parts = pc.extract_regex(words, pattern)
    fits = parts.is_valid().to_numpy(zero_copy_only=False).copy()
    if not fits.any():
        return None
    same = pc.equal(pc.struct_field(parts, "one"), pc.struct_field(parts, "two"))
    fits &= pc.fill_null(same, False).to_numpy(zero_copy_only=False)
    first, second, third = (_whole(parts, name) for name in "abc")
    year, month, day = (first, second, third) if pattern == ISO else (third, second, first)
    if form.dates == "month_first":
        month, day = day, month
    fits &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(fits, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]")
    fits &= day <= ((months + 1).astype("datetime64[D]") - days).astype(np.int64)
    clock, valid = _clock(parts)
    fits &= valid
    values = (days.astype(np.int64) + np.where(fits, day - 1, 0)) * DAY + np.where(fits, clock, 0)
    return Fit(kind=ColumnKind.DATETIME, values=values, fits=fits, form=form)


def _clock(parts: pa.Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return microseconds since midnight in UTC, and which of them are times."""
    import numpy as np
    import pyarrow.compute as pc

    hour, minute, second = (_whole(parts, name) for name in ("hour", "minute", "second"))
    half = pc.utf8_lower(pc.fill_null(pc.struct_field(parts, "half"), ""))
    late, early = (pc.starts_with(half, sign).to_numpy(zero_copy_only=False) for sign in "pa")
    valid = (hour <= 23) & (minute <= 59) & (second <= 59)
    valid &= ~(late | early) | ((hour >= 1) & (hour <= 12))
    hour = np.where(late | early, hour % 12 + 12 * late, hour)
    part = pc.fill_null(pc.struct_field(parts, "part"), "")
    micro = _number(pc.utf8_slice_codeunits(pc.utf8_rpad(part, 6, "0"), 0, 6))
    zone = pc.fill_null(pc.struct_field(parts, "zone"), "")
    bare = pc.replace_substring_regex(zone, r"(?i)^(utc|gmt)|:|\[.*", "")  # an offset counts over a name
    bare = pc.replace_substring_regex(bare, r"^([+-])([0-9])$", "\\10\\2")
    signed = pc.match_substring_regex(bare, "^[+-]").to_numpy(zero_copy_only=False)
    digits = pc.utf8_slice_codeunits(pc.utf8_rpad(bare, 5, "0"), 1, 5)
    digits = pc.if_else(pc.match_substring_regex(digits, "^[0-9]{4}$"), digits, "0")
    offset = np.where(signed, _number(digits), 0)
    west = pc.starts_with(bare, "-").to_numpy(zero_copy_only=False)
    minutes = (offset // 100 * 60 + offset % 100) * np.where(west, -1, 1)
    valid &= (offset // 100 <= 23) & (offset % 100 <= 59)
    return ((hour * 60 + minute - minutes) * 60 + second) * SECOND + micro, valid


def _number(texts: pa.Array) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    return as_numpy(pc.cast(texts, pa.int64()))


def _in_order(words: pa.Array, counts: NDArray[Any], known: str) -> Fit | None:
    """Read dates such as 31/12/2026: day or month first only where a value above 12, or a key, decides it."""
    orders = (known,) if known in ORDERS else ORDERS
    found = [_parsed(words, WRITTEN, ValueForm(dates=order)) for order in orders]
    fits = [fit for fit in found if fit is not None]
    if len(fits) < 2:
        return fits[0] if fits else None
    day, month = fits
    any_order = day.fits | month.fits
    if not any_order.any():
        return None
    days, months = int(counts[day.fits].sum()), int(counts[month.fits].sum())
    best = month if months > days else day
    decided = days != months and max(days, months) >= MOST * int(counts[any_order].sum())
    if (
        decided
        or (day.fits & ~month.fits).sum() == 0
        and matches(words.filter(_flags(any_order)), r"^[0-9]+\.").all()
    ):
        return best
    return replace(best, fits=any_order & False, possible=any_order, form=ValueForm(), doubt=UNCLEAR)


def _flags(mask: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(mask)


def _by_pattern(words: pa.Array, pattern: str) -> Fit:
    import numpy as np
    import pandas as pd

    texts = words.to_pylist()
    if "%b" in pattern or "%B" in pattern:
        texts = in_english(texts, full="%B" in pattern)
    if pattern.endswith("%z"):
        texts = [with_offset(text) for text in texts]
    read = pd.to_datetime(pd.Series(texts, dtype=object), format=pattern, errors="coerce", utc=True)
    fits = read.notna().to_numpy(dtype=bool)
    values = read.dt.as_unit("us").dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return Fit(kind=ColumnKind.DATETIME, values=values, fits=fits, form=ValueForm(dates=pattern))


def _named_months(words: pa.Array) -> list[Fit]:
    few = words.slice(0, 20)
    if not matches(few, r"[0-9]{4}").any():
        return []
    patterns: tuple[str, ...] = WITH_MONTHS if any(map(has_month, few.to_pylist())) else ()
    patterns += CJK if matches(few, r"^[0-9]{4}([年년]|\. )").any() else ()
    tried = [pattern for pattern in patterns if _by_pattern(few, pattern).fits.any()]
    return [_by_pattern(words, pattern) for pattern in tried]


def _short_years(words: pa.Array, counts: NDArray[Any]) -> Fit | None:
    import numpy as np

    found = matches(words, SHORT_YEAR)
    if counts[found].sum() < MOST * counts.sum():
        return None
    nothing = np.zeros(len(words), dtype=np.int64)
    return Fit(kind=ColumnKind.DATETIME, values=nothing, fits=nothing > 0, possible=found, doubt=SHORT)
