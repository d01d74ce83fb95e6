"""Words with a meaning of their own in a column of text: those for no value, for true and for false."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALWAYS_MISSING = ("\\N",)
"""What databases write for no value, and nothing else does: missing in every column."""
TRUTHS = (("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n"))
MOST_TRUTHS = 12
PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_number(word: str) -> bool:
    """Return whether a word is a number as programs write it: no thousands mark, unit or decimal comma."""
    return PLAIN_NUMBER.fullmatch(word) is not None


def truths_of(words: Sequence[str], counts: NDArray[Any]) -> tuple[str, str] | None:
    """Return the words for true and false, as they are written most often, if a column holds only these."""
    if len(words) > MOST_TRUTHS:  # two words, each spelled in a few ways
        return None
    low = {word.lower() for word in words}
    pair = next((pair for pair in TRUTHS if low == set(pair)), None)
    if pair is None:
        return None
    common = [word for _, word in sorted(zip((-counts).tolist(), words, strict=True))]
    true, false = (next(word for word in common if word.lower() == meant) for meant in pair)
    return true, false


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 in UTC; a time without a zone is UTC."""
    known = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (known - EPOCH) // timedelta(microseconds=1)
