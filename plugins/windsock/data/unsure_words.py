"""Words that look like numbers or times and are read as neither: they are never silently names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import matches, replaced
from windsock.data.number_words import are_names_of_digits, in_some_form
from windsock.data.spelled_words import has_month, in_english
from windsock.data.time_words import CJK, WITH_MONTHS
from windsock.records import ColumnKind, SourceForm, ValueForm

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from windsock.data.read_columns import Asked

MOST = 0.95
"""Share of the values that must look like numbers, or like times."""
FEW = 20
"""No more different ones than this may well be names."""
ABOUT = r"^[~<>≤≥≈±]\s?"
UNIT = (
    r"([0-9.,])\s?(?:[KMBk]|[MG]io\.?|Mrd\.?|bn|mn|tn|kg|g|mg|t|lbs?|oz|km|m|cm|mm|mi|ft|l|ml|cl|ms|s|sec|min"
    r"|hr?s?|d|days?|weeks?|months?|years?|yrs?|[kMGT]i?B|k?Wh?|V|°[CF]?|‰|\p{Sc})$"
)
"""Units behind numbers, which may differ from row to row; a single one is found whatever it is."""
DAY, MONTH = "(0?[1-9]|[12][0-9]|3[01])", "(January|February|March|April|May|June|July|August|September|"
MONTH += "October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
CLOCK = r"[0-2]?[0-9][:h][0-5][0-9]([:.][0-5][0-9]([.,][0-9]+)?)?(\s?[ap]\.?m\.?)?(\s?(Uhr|h))?"
ZONE = r"(\s?(Z|[A-Z]{2,5}([+-][0-9]+)?|[+-][0-9]{2}:?[0-9]{2}|[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+))?"
DATES = (
    rf"(1[89]|2[01])[0-9]{{2}}[-/.](0?[1-9]|1[0-2])[-/.]{DAY}",
    *(rf"{DAY}{sign}{DAY}{sign}([0-9]{{2}}|[0-9]{{4}})" for sign in ("/", r"\.")),
    rf"{DAY}-{DAY}-[0-9]{{4}}",
    rf"{DAY}[-/., ]{{0,2}}(de )?{MONTH}[-/., ]{{0,2}}(de )?([0-9]{{4}}|[0-9]{{2}})( г\.)?",
    rf"{MONTH}\s{DAY},?\s[0-9]{{4}}",
    rf"[0-9]{{4}}[-/ ]{MONTH}[-/ ]{DAY}",
    r"[0-9]{4}\. [0-9]{1,2}\. [0-9]{1,2}\.",
    r"[0-9]{4}\s?[年년]\s?[0-9]{1,2}\s?[月월]\s?[0-9]{1,2}\s?[日일]",
)
HALF_DAY = r"(오전|오후|上午|下午|午前|午後)\s?[0-9]{1,2}(:|\s?[時时시点]\s?)[0-9]{1,2}[分분]?"
DATE = (
    rf"(\p{{L}}{{2,12}}\.?,?\s+)?({'|'.join(DATES)})((T|:|,?\s+|\s+(um|at|-)\s+)({CLOCK}{ZONE}|{HALF_DAY}))?"
)
PART = r"[0-9]+\s?(d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)"
TIME_LIKE = (
    rf"(?i)^({DATE}|{CLOCK}|{PART}(\s?{PART}){{0,3}}|{HALF_DAY}|PT([0-9]+[HMS]){{1,3}})$",
    rf"^({CLOCK}(\s?(Z|[A-Z]{{2,5}}))?|[0-9]{{8}}T[0-9]{{6}}Z?)$",
)
AT_FIRST = tuple(re.compile(pattern.replace(r"\p{L}", r"[^\W\d_]")) for pattern in TIME_LIKE)
"""The same for the first words, of which half must fit: patterns of Arrow are compiled for each column."""
DECIMALS, THOUSANDS = ({"decimal": "."}, {"decimal": ","}), ({"thousands": ","}, {"thousands": "."})
PAIRS = tuple(
    {"decimal": decimal, "thousands": thousands}
    for decimal in (".", ",")
    for thousands in ("", ",", ".", " ", "'")
    if decimal != thousands
)
DATES_TRIED: tuple[str, ...] = (
    "%d-%b-%y",
    "%d %b %y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%Y-%m-%d",
    "%d.%m.%Y",
)
DATES_TRIED += ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d %b %Y", "%d. %B %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p")
STAMPS = ("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ")
ZONE_NAME = re.compile(r"(?<=[0-9])\s(?![AaPp][Mm]$)[A-Za-z][A-Za-z/_]+$")


def look_of(words: pa.Array, counts: NDArray[Any]) -> ColumnKind | None:
    """Return whether nearly all values look like numbers or times, and are too many to be names.

    :param words: different words that are read as names.
    :returns: a kind, or ``None`` where they look like names.
    """
    if matches(words.slice(0, 100), "[0-9]").mean() < MOST / 2:
        return None
    for kind, look in ((ColumnKind.NUMBER, _like_numbers), (ColumnKind.DATETIME, _like_times)):
        found = look(words)
        if found.sum() > FEW and counts[found].sum() >= MOST * counts.sum():
            return kind
    return None


def _like_numbers(words: pa.Array) -> NDArray[Any]:
    if are_names_of_digits(words):
        return matches(words, "^$")
    return in_some_form(replaced(replaced(words, ABOUT, ""), UNIT, r"\1"))


def _like_times(words: pa.Array) -> NDArray[Any]:
    import pyarrow as pa

    first = words.slice(0, 20).to_pylist()
    months = any(map(has_month, first))
    first = in_english(first, full=True) if months else first
    if 2 * sum(any(pattern.match(word) for pattern in AT_FIRST) for word in first) < len(first):
        return matches(words, "^$")
    if months:
        words = pa.array(in_english(words.to_pylist(), full=True), type=words.type)
    found: NDArray[Any] = matches(words, TIME_LIKE[0]) | matches(words, TIME_LIKE[1])
    return found


def key_that_reads(
    kind: ColumnKind, words: pa.Array, asked: Asked, reads: Callable[[ValueForm], bool]
) -> str:
    """Return what a person may write so that nearly all values are read; empty: nothing does.

    :param kind: what the values look like.
    :param words: some of them.
    :param reads: whether nearly all values are read with a form.
    """
    form = asked.form or ValueForm()
    zone = _zone_of(words) if kind is ColumnKind.DATETIME else ""
    for keys in _keys(kind, zone):
        plain = {"by_values": False} if isinstance(form, SourceForm) and "decimal" in keys else {}
        if reads(form.replace(**keys, **plain)):
            block = ", ".join(f"{key}: {json.dumps(sign, ensure_ascii=False)}" for key, sign in keys.items())
            zoned = f" as UTC, without{zone}" if zone else ""
            return f"{_against(form, keys)}; `data.columns.{asked.name}: {{{block}}}` reads them{zoned}"
    return ""


def doubt_about(kind: ColumnKind, asked: Asked, fix: str) -> str:
    """Return what is not sure, and the keys that settle it.

    :param fix: what reads the values, if anything does.
    """
    what = "times" if kind is ColumnKind.DATETIME else "numbers"
    names = f"`data.columns.{asked.name}.kind: category` keeps them as words"
    if fix:
        return f"they look like {what}{fix}, {names}"
    return f"they look like {what} in no one form that can be read; write one form at the source, or {names}"


def _against(form: ValueForm, keys: dict[str, str]) -> str:
    """Say which keys that are given the values do not fit."""
    by_values = isinstance(form, SourceForm) and form.by_values
    given = [
        f"`{key}`"
        for key in keys
        if key in form.model_fields_set
        and getattr(form, key) != keys[key]
        and not (key == "decimal" and by_values)
    ]
    return f", but not with the {' and '.join(given)} of `data.source`" if given else ""


def _zone_of(words: pa.Array) -> str:
    """Return the name of a zone that all words end with, with the blank before it; empty: there is none."""
    found = {match[0] if (match := ZONE_NAME.search(word)) else "" for word in words.to_pylist()}
    return found.pop() if len(found) == 1 else ""


def _keys(kind: ColumnKind, zone: str) -> Iterator[dict[str, str]]:
    if kind is not ColumnKind.DATETIME:
        yield from (*DECIMALS, *PAIRS, *THOUSANDS)
        return
    if not zone:
        yield from ({"dates": "day_first"}, {"dates": "month_first"})
    for date in DATES_TRIED:
        for clock in CLOCKS:
            yield {"dates": date + clock + zone}
    if not zone:
        yield from ({"dates": pattern} for pattern in (*WITH_MONTHS, *CJK, *STAMPS))
