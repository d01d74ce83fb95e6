"""Numbers that no form reads for sure: groups that may be decimals, and numbers with text beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import Fit, as_numpy, matches
from windsock.records import ColumnKind, ValueForm

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BESIDE = (
    r"^(?P<number>[+-]?[0-9]+(?:[.,' ][0-9]+)*)\s?"
    r"(?P<text>[^0-9+\s.,:;/_-](?:[^0-9:;/_-]{0,18}[^0-9\s:;/_-])?)$"
)
WITH_TEXT = (
    "numbers with text beside them; write the numbers alone at the source, or `kind: category` of the "
    "column in `data.columns` to keep them as words"
)
IN_CONTRACT = (
    "a comma or a point before three digits may part thousands or begin the decimals; `decimal` and "
    "`thousands` of the column in `data.columns` settle it"
)


def without_doubtful(fit: Fit, words: pa.Array, form: ValueForm, kind: ColumnKind) -> Fit:
    """Return the numbers of a column that is held, without those that may mean a thousand times as much.

    A column of whole numbers gets decimals only where some of them can be nothing else.

    :param form: how it was written until now.
    :param kind: what it was until now.
    """
    if form.thousands or fit.kind not in (ColumnKind.INTEGER, ColumnKind.NUMBER):
        return fit
    group = r"^[^0-9]*[1-9][0-9]{0,2}[%s][0-9]{3}[^0-9]*$"
    fits, doubtful = fit.fits, matches(words, group % ".,") & ~fit.fits
    if kind is ColumnKind.INTEGER and fit.kind is ColumnKind.NUMBER and not fit.form.thousands:
        either = matches(words, group % form.decimal) & fits
        if either.any() and not (matches(words, f"[{form.decimal}]|[0-9][eE]") & fits & ~either).any():
            fits, doubtful = fits & ~either, doubtful | either
    if not doubtful.any():
        return fit
    left = ColumnKind.INTEGER if fits is not fit.fits else fit.kind
    return replace(fit, kind=left, fits=fits, doubt=IN_CONTRACT)


def with_text(words: pa.Array, counts: NDArray[Any]) -> Fit | None:
    """Return numbers that all have the same text behind them, such as 19.5 kg; no form reads them.

    :returns: ``None`` if less than half of the values are such numbers.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.extract_regex(words, BESIDE)
    texts = pc.fill_null(pc.struct_field(parts, "text"), "")
    known = as_numpy(pc.not_equal(texts, ""))
    if 2 * int(counts[known].sum()) < int(counts.sum()):
        return None
    codes = texts.dictionary_encode()
    places = as_numpy(codes.indices)
    weights = np.bincount(places[known], weights=counts[known])
    found = known & (places == int(weights.argmax()))
    if 2 * int(counts[found].sum()) < int(counts.sum()):
        return None
    numbers = pc.if_else(pa.array(found), pc.struct_field(parts, "number"), "0")
    order = as_numpy(numbers.dictionary_encode().indices).astype(np.float64)  # which are the same
    return Fit(kind=ColumnKind.NUMBER, values=order, fits=found & False, possible=found, doubt=WITH_TEXT)
