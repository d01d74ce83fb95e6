"""The words of a column that the data contract knows: read by their meaning, never guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from windsock.data.words import EPOCH, INFINITE, MISSING_WORDS, PLAIN_NUMBER, TRUTHS, Meaning, meaning_of
from windsock.records import ColumnKind, ContractColumn, ValueForm

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNREAD = object()
SHOWN_SHAPES = 3
LONGEST_SHAPE = 30
EPOCH_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 0.001}
SIGNS = re.compile(r"[$€£¥₩₹%\s]|USD|EUR")


def held_meaning(
    words: Sequence[str], counts: NDArray[Any], held: ContractColumn
) -> tuple[Meaning, tuple[int, ...]]:
    """Return what words mean by the contract, and the places of those that do not fit it.

    :param words: the different values, without blanks around them; one may be empty, for blank.
    :param counts: in how many rows each stands.
    """
    nulls = {word.lower() for word in held.form.nulls}
    if held.kind is ColumnKind.CATEGORY:
        kept = [None if not word or word.lower() in nulls else word for word in words]
        return Meaning(kind=held.kind, values=kept), ()
    missing = [
        place
        for place, word in enumerate(words)
        if word.lower() in nulls
        or (word.lower() in MISSING_WORDS and word not in (held.true_word, held.false_word))
    ]
    asked = [place for place, word in enumerate(words) if word and place not in set(missing)]
    plain = plain_words([words[place] for place in asked], held.form)
    pair = _pair(plain, held)
    read = [_value(word, held, pair) for word in plain]
    values: list[Any] = [None] * len(words)
    unread = tuple(place for place, value in zip(asked, read, strict=True) if value is UNREAD)
    for place, value in zip(asked, read, strict=True):
        values[place] = None if value is UNREAD else value
    kind, remarks = held.kind, tuple[str, ...]()
    if kind is ColumnKind.INTEGER:
        if any(value is not None and value % 1 for value in values):
            kind, remarks = ColumnKind.NUMBER, ("whole numbers until now; some have decimals",)
        else:
            values = [None if value is None else int(value) for value in values]
    return (
        Meaning(
            kind=kind,
            values=values,
            missing=missing,
            true_word=pair[0] if kind is ColumnKind.BOOLEAN else None,
            false_word=pair[1] if kind is ColumnKind.BOOLEAN else None,
            remarks=remarks,
        ),
        unread,
    )


def plain_words(words: Sequence[str], form: ValueForm) -> list[str]:
    """Return words as programs write them: a decimal point, no signs between digits, no unit."""
    if form == ValueForm():
        return list(words)
    nulls = {word.lower() for word in form.nulls}
    return ["" if word.lower() in nulls else _plain(word, form) for word in words]


def shapes_of(words: Sequence[str], counts: Sequence[int]) -> tuple[str, ...]:
    """Return how words look, the most frequent shapes first: a digit is 9, a letter a."""
    shapes: Counter[str] = Counter()
    for word, count in zip(words, counts, strict=True):
        shape = "".join("9" if sign.isdigit() else "a" if sign.isalpha() else sign for sign in word)
        shapes[shape[:LONGEST_SHAPE]] += count
    return tuple(shape for shape, _ in shapes.most_common(SHOWN_SHAPES))


def _plain(word: str, form: ValueForm) -> str:
    number = SIGNS.sub("", word) if form.unit else word
    if form.thousands:
        number = re.sub(r"\s", "", number) if form.thousands == " " else number.replace(form.thousands, "")
    number = number.replace(",", ".") if form.decimal == "," else number
    return number if PLAIN_NUMBER.fullmatch(number) else word


def _pair(words: Sequence[str], held: ContractColumn) -> tuple[str | None, str | None]:
    """Return the two words of a boolean: the contract's, else the pair that stands in the data."""
    if held.true_word is not None or held.kind is not ColumnKind.BOOLEAN:
        return held.true_word, held.false_word
    low = {word.lower() for word in words}
    best = max((*TRUTHS, ("1", "0")), key=lambda pair: len(low & set(pair)))
    spelled = [next((word for word in words if word.lower() == one), one) for one in best]
    return spelled[0], spelled[1]


def _value(word: str, held: ContractColumn, pair: tuple[str | None, str | None]) -> Any:
    if held.kind is ColumnKind.BOOLEAN:
        if word.lower() == str(pair[0]).lower():
            return True
        return False if word.lower() == str(pair[1]).lower() else UNREAD
    if held.kind is ColumnKind.DATETIME:
        return _moment(word, held.form.dates)
    if PLAIN_NUMBER.fullmatch(word) or (held.kind is ColumnKind.NUMBER and word.lower() in INFINITE):
        return int(word) if held.kind is ColumnKind.INTEGER and word.lstrip("+-").isdigit() else float(word)
    return UNREAD


def _moment(word: str, dates: str) -> Any:
    """Return microseconds since 1970."""
    import numpy as np

    try:
        if dates in EPOCH_UNITS:
            return int(float(word) * EPOCH_UNITS[dates])
        if dates and not dates.endswith("_first"):
            moment = datetime.strptime(word, dates)  # noqa: DTZ007
            known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return (known - EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return UNREAD
    ordered = _ordered(word, dates)
    found = meaning_of([ordered], np.array([1]))
    return found.values[0] if found.kind is ColumnKind.DATETIME else UNREAD


def _ordered(word: str, dates: str) -> str:
    match = re.fullmatch(r"(\d{1,2})([/.])(\d{1,2})\2(\d{4})(.*)", word) if dates else None
    if match is None:
        return word
    day, month = (match[1], match[3]) if dates == "day_first" else (match[3], match[1])
    return f"{match[4]}-{month:>02}-{day:>02}{match[5]}"
