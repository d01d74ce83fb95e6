"""Columns whose numbers would be times since 1970 by their values alone; a name may be of any language."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

UNITS = {10: ("epoch_s", 1), 13: ("epoch_ms", 10**3), 16: ("epoch_us", 10**6), 19: ("epoch_ns", 10**9)}
"""Digits of times since 1970 from 2001 on, by the unit that they are counted in."""
EARLIEST, LATEST = 631_152_000, 4_102_444_800
"""Seconds since 1970 at the beginnings of 1990 and 2100."""
FEW = 20
LONGEST_SPAN = 60 * 366 * 86_400
"""Times of one table that come in any order span less than this; numbers of phones or accounts do not."""


class EpochGuess(NamedTuple):
    """What numbers would be as times.

    :param unit: as ``dates`` of a column takes it.
    :param years: the first and the last year.
    """

    unit: str
    years: tuple[int, int]


def guess_epoch(values: pd.Series) -> EpochGuess | None:
    """Return what a column's whole numbers would be as times, where all of them may be some.

    All have as many digits as times of one unit, lie between 1990 and 2100, and are in order, or most of them
    differ and they span no more years than a table's rows do.

    :param values: numbers, or text of digits; missing where there is none.
    """
    numbers = _whole_numbers(values.dropna())
    if numbers is None or numbers.nunique() <= FEW:
        return None
    low, high = int(numbers.min()), int(numbers.max())
    if len(str(low)) != len(str(high)) or len(str(low)) not in UNITS:
        return None
    unit, parts = UNITS[len(str(low))]
    first, last = low // parts, high // parts
    if first < EARLIEST or last >= LATEST:
        return None
    ordered = numbers.is_monotonic_increasing or numbers.is_monotonic_decreasing
    spread = 2 * numbers.nunique() >= len(numbers) and last - first <= LONGEST_SPAN
    if not (ordered or spread):
        return None
    return EpochGuess(unit, (_year(first), _year(last)))


def _whole_numbers(known: pd.Series) -> pd.Series | None:
    import pandas as pd

    if known.empty or pd.api.types.is_bool_dtype(known) or pd.api.types.is_datetime64_any_dtype(known):
        return None
    if pd.api.types.is_numeric_dtype(known):
        return known.astype("int64") if float(known.abs().max()) < 2**63 and (known % 1 == 0).all() else None
    texts = known.astype(str).str.strip()
    return texts.astype("int64") if texts.str.fullmatch("[1-9][0-9]{9,18}").all() else None


def _year(seconds: int) -> int:
    return 1970 + int(seconds / (365.2425 * 86_400))
