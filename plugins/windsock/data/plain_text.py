"""Whole columns of text that programs wrote, numbers and ISO times, read at once by their bytes."""

from __future__ import annotations

import re
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import Fit
from windsock.data.number_words import LONGEST_DECIMAL, LONGEST_WHOLE
from windsock.records import ColumnKind
from windsock.records.values import MISSING_WORDS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

DIGIT, MINUS, POINT, POWER, PLUS, OF_TIME, OTHER = (1 << bit for bit in range(7))
SORTS = dict.fromkeys(b"0123456789", DIGIT) | dict.fromkeys(b"eE", POWER) | dict.fromkeys(b":T ", OF_TIME)
SORTS |= {ord("-"): MINUS, ord("+"): PLUS, ord("."): POINT}
PART = 256 * 1024
SAMPLE = 200
NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?", re.ASCII)


def text_array(values: pd.Series[Any]) -> pa.Array:
    """Return a column of text as one array; a value that is not there is null."""
    import pyarrow as pa

    made = pa.array(values, type=pa.large_string(), from_pandas=True)
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def alphabet_of(text: pa.Array) -> int:
    """Return which sorts of signs a column holds."""
    starts, content = _bytes(text)
    found = b""
    for start in range(int(starts[0]), int(starts[-1]), PART):
        part = content[start : min(start + PART, int(starts[-1]))].tobytes().translate(None, found)
        while part:
            found += part[:1]
            part = part.translate(None, part[:1])
    return reduce(or_, (SORTS.get(sign, OTHER) for sign in found), 0)


def _bytes(text: pa.Array) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    _, offsets, content = text.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    return starts, np.frombuffer(content if content is not None else b"", dtype=np.uint8)


def read_plain(text: pa.Array) -> tuple[Fit, int, int] | None:
    """Return the values of a column of nothing but plain numbers or ISO times, as far as it is sure.

    :returns: one value for each row, and how many are blank and how many words such as NA; ``None`` where the
        column needs a closer reading.
    """
    if not len(text):
        return None
    sample = [word.strip() for word in text.slice(0, SAMPLE).to_pylist() if word]
    for pattern, read in ((NUMBER, _numbers), (TIME, _times)):
        if 2 * sum(pattern.fullmatch(word) is not None for word in sample) > len(sample):
            alphabet = alphabet_of(text)
            cleaned, blank, words = _without_missing(text, alphabet)
            fit = read(cleaned, alphabet_of(cleaned) if words else alphabet)
            return None if fit is None else (fit, blank, words)
    return None


def _without_missing(text: pa.Array, alphabet: int) -> tuple[pa.Array, int, int]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    starts, _ = _bytes(text)
    gone, words = text.null_count, 0
    empty = np.diff(starts) == 0
    if alphabet & OTHER:
        spelled = {form(word) for word in MISSING_WORDS for form in (str.lower, str.upper, str.capitalize)}
        missing = pc.is_in(text, value_set=pa.array(sorted(spelled | {"\\N", "NaN"}), pa.large_string()))
        words = pc.sum(missing).as_py() or 0
        if words:
            text = pc.if_else(missing, None, text)
    blank = int(empty.sum()) - gone
    if blank:
        text = pc.if_else(pa.array(empty), None, text)
    return text, blank, words


def _numbers(text: pa.Array, alphabet: int) -> Fit | None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    signed = alphabet & PLUS and not alphabet & POWER  # 1e+05 is plain, +5 is not
    if alphabet & ~(DIGIT | MINUS | POINT | POWER | PLUS) or signed:
        return None
    whole = not alphabet & (POINT | POWER)
    if not _are_numbers(text, alphabet):
        return None
    known = text.is_valid().to_numpy(zero_copy_only=False)
    try:
        read = pc.cast(text, pa.int64() if whole else pa.float64())
    except pa.ArrowInvalid:
        return None
    values = pc.fill_null(read, 0).to_numpy(zero_copy_only=False)
    if not whole and not np.isfinite(values).all():
        return None
    return Fit(kind=ColumnKind.INTEGER if whole else ColumnKind.NUMBER, values=values, fits=known)


def _are_numbers(text: pa.Array, alphabet: int) -> bool:
    """Return whether no value is a name made of digits, or has more digits than a number keeps."""
    import numpy as np

    starts, content = _bytes(text)
    length = np.diff(starts)
    whole = not alphabet & (POINT | POWER)
    most, longest = LONGEST_WHOLE if whole else LONGEST_DECIMAL + 1, length.max(initial=0)
    if not whole and longest <= most:
        return True
    if not len(content):
        return True
    first = content[np.minimum(starts[:-1], len(content) - 1)]
    signed = ((first == ord("-")) & (length > 0)).astype(np.int64) if alphabet & MINUS else 0
    digits = length - signed
    if digits.max(initial=0) > most:
        return False
    if not whole:
        return True
    leading = content[np.minimum(starts[:-1] + signed, len(content) - 1)] if alphabet & MINUS else first
    return not ((leading == ord("0")) & (digits > 1)).any()


def _times(text: pa.Array, alphabet: int) -> Fit | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if alphabet & ~(DIGIT | MINUS | POINT | OF_TIME):
        return None
    try:
        read = pc.cast(text, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    known = text.is_valid().to_numpy(zero_copy_only=False)
    values = pc.fill_null(pc.cast(read, pa.int64()), 0).to_numpy(zero_copy_only=False)
    return Fit(kind=ColumnKind.DATETIME, values=values, fits=known)
