"""What a column of text means: truth, numbers, dates or names. Its different words decide, all or none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isinf
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING_WORDS = frozenset(
    {"na", "n/a", "nan", "null", "none", "nil", "#n/a", "#na", "<na>", "nat", "-", "--", "?", "."}
)
"""Words that stand for no value where all others are numbers, truths or dates; in small letters."""
TRUTHS = (("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n"))
INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
LEADING_ZERO = re.compile(r"[+-]?0\d", re.ASCII)
LONGEST_WHOLE = 15
"""Digits that a double holds exactly; longer whole numbers are names, such as card numbers."""
DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?", re.ASCII)
ISO_DATE = re.compile(
    r"\d{4}([-/])\d{2}\1\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
WRITTEN_DATE = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})([T ]\d{2}:\d{2}(:\d{2})?)?", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What the words of a column mean.

    :param kind: what the values are.
    :param values: for each different word its value; ``None`` where it stands for no value.
    :param missing: places of words such as NA that are read as no value; blanks are not among them.
    :param remarks: what should be said about it, without the column's name and without a value.
    """

    kind: ColumnKind
    values: Sequence[Any]
    missing: Sequence[int] = ()
    true_word: str | None = None
    false_word: str | None = None
    remarks: tuple[str, ...] = field(default=())


def meaning_of(words: Sequence[str], counts: NDArray[Any]) -> Meaning:
    """Return what a column's words mean.

    :param words: its different values, without blanks around them; one may be empty, for blank.
    :param counts: in how many rows each stands.
    """
    said = [place for place, word in enumerate(words) if word]
    missing = [place for place in said if words[place].lower() in MISSING_WORDS]
    told = [place for place in said if words[place].lower() not in MISSING_WORDS]
    for read in READERS if told else ():
        found = read(words, told, counts)
        if found is not None:
            return Meaning(**{"missing": missing, **found})
    remarks = _remarks([words[place] for place in told], counts[told])
    return Meaning(kind=ColumnKind.CATEGORY, values=[word or None for word in words], remarks=remarks)


def is_number(word: str) -> bool:
    """Return whether a word is a number as programs write it: no thousands mark, unit or decimal comma."""
    return PLAIN_NUMBER.fullmatch(word) is not None


def _placed(words: Sequence[str], told: Sequence[int], values: Sequence[Any]) -> list[Any]:
    placed: list[Any] = [None] * len(words)
    for place, value in zip(told, values, strict=True):
        placed[place] = value
    return placed


def _truths(words: Sequence[str], told: Sequence[int], counts: NDArray[Any]) -> dict[str, Any] | None:
    if len(told) > 12:  # two words, each spelled in a few ways
        return None
    low = {words[place].lower() for place in told}
    pair = next((pair for pair in TRUTHS if low == set(pair)), None)
    if pair is None:
        return None
    common = sorted(told, key=lambda place: (-counts[place], words[place]))
    spelled = [next(words[place] for place in common if words[place].lower() == word) for word in pair]
    values = [words[place].lower() == pair[0] for place in told]
    return {
        "kind": ColumnKind.BOOLEAN,
        "values": _placed(words, told, values),
        "true_word": spelled[0],
        "false_word": spelled[1],
    }


def _numbers(words: Sequence[str], told: Sequence[int], counts: NDArray[Any]) -> dict[str, Any] | None:
    finite = [words[place] for place in told if words[place].lower() not in INFINITE]
    if not finite or not all(map(PLAIN_NUMBER.fullmatch, finite)):
        return None
    digits = all(map(WHOLE_NUMBER.fullmatch, finite))
    if digits and _are_names(finite):
        return None
    whole = digits and len(finite) == len(told)
    read: Callable[[str], Any] = int if whole else float
    values = [read(words[place]) for place in told]
    infinite = int(sum(counts[place] for place, value in zip(told, values, strict=True) if isinf(value)))
    return {
        "kind": ColumnKind.INTEGER if whole else ColumnKind.NUMBER,
        "values": _placed(words, told, values),
        "remarks": (f"{infinite:,} values are infinite",) if infinite else (),
    }


def _are_names(digits: Sequence[str]) -> bool:
    """Return whether whole numbers are names: one has a leading zero, or more digits than a double holds."""
    longest = max(len(word.lstrip("+-")) for word in digits)
    return longest > LONGEST_WHOLE or any(map(LEADING_ZERO.match, digits))


def _dates(words: Sequence[str], told: Sequence[int], counts: NDArray[Any]) -> dict[str, Any] | None:
    texts = [words[place] for place in told]
    if not all(map(ISO_DATE.fullmatch, texts)):
        order = _order_of_days(texts)
        if order not in ("day first", "month first"):
            return None
        texts = [_to_iso(text, day_first=order == "day first") for text in texts]
    try:
        values = [microseconds(datetime.fromisoformat(text.replace("/", "-"))) for text in texts]
    except (ValueError, OverflowError):
        return None
    return {"kind": ColumnKind.DATETIME, "values": _placed(words, told, values)}


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC; a time without a zone is UTC."""
    known = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (known - EPOCH) // timedelta(microseconds=1)


def _order_of_days(texts: Sequence[str]) -> str | None:
    """Return how dates such as 31/12/2026 are written; ``None`` if they are no such dates."""
    matches = [WRITTEN_DATE.fullmatch(text) for text in texts]
    if not all(matches):
        return None
    firsts, seconds = (max(int(match[number]) for match in matches if match) for number in (1, 2))
    if firsts > 12 and seconds > 12:
        return None
    if firsts > 12 or seconds > 12:
        return "day first" if firsts > 12 else "month first"
    if all("." in text for text in texts):
        return "day first"
    return "unclear"


def _to_iso(text: str, *, day_first: bool) -> str:
    match = WRITTEN_DATE.fullmatch(text)
    if match is None:
        raise ValueError("no written date")
    first, second, year, time = int(match[1]), int(match[2]), match[3], match[4] or ""
    month, day = (second, first) if day_first else (first, second)
    return f"{year}-{month:02}-{day:02}{time}"


READERS = (_truths, _numbers, _dates)


def _remarks(words: Sequence[str], counts: NDArray[Any]) -> tuple[str, ...]:
    """Say why a column that nearly is something else is read as text."""
    if not words:
        return ()
    total = int(counts.sum())
    parsed = int(sum(count for word, count in zip(words, counts, strict=True) if is_number(word)))
    if parsed == total:
        return ("numbers with leading zeros or more than 15 digits are names: read as text",)
    if 2 * parsed >= total:
        return (f"{total - parsed:,} of {total:,} values are no numbers while the others are: read as text",)
    if any("," in word for word in words) and all(map(DECIMAL_COMMA.fullmatch, words)):
        return ("numbers with a comma inside may mean two things: read as text; write a decimal point",)
    if _order_of_days(words) == "unclear":
        return ("dates whose day and month cannot be told apart: read as text; write them as YYYY-MM-DD",)
    return ()
