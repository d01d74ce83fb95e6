"""A column of text -> typed values: by what is held, or by the form that its different words fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import MOST_SHAPES, Fit, all_match, matches, shape_of, shapes_of
from windsock.data.number_words import read_numbers
from windsock.data.plain_text import read_plain, text_array
from windsock.data.read_columns import Asked, ReadColumn, missing_words
from windsock.data.time_words import (
    EPOCHS,
    OF_DAY,
    as_calendar,
    as_epoch,
    read_clock,
    read_times,
    says_time,
)
from windsock.data.words import ALWAYS_MISSING, MISSING_WORDS, TRUTHS, truths_of
from windsock.records import ColumnKind, ColumnRole, ValueForm

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

MOST = 0.95
"""Share of values from which a column is of a kind, and the others are unread."""
HALF = 0.5
"""Share from which it was meant to be of that kind."""
FEW_NUMBERS = 20
"""A column with other words and no more different numbers than this is of categories such as 0, 1, 2, 3+."""
MANY_SHAPES = 10
"""Words with digits that look in more ways than this are codes, not numbers that are spoiled."""
SAMPLE = 1_000
NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)
Reader = Callable[["pa.Array", "NDArray[Any]", "ValueForm | None"], "Fit | None"]
TIMES_UTC = "datetime64[us]"


@dataclass(frozen=True, kw_only=True)
class _Words:
    """A column's different words.

    :param codes: for each row the number of its word; -1 where there is none.
    :param words: without blanks around them; some may stand twice.
    :param counts: in how many rows each stands.
    """

    codes: NDArray[Any]
    words: pa.Array
    counts: NDArray[Any]

    def of(self, flags: NDArray[Any]) -> int:
        """In how many rows the flagged words stand."""
        return int(self.counts[flags].sum())


def read_text(values: pd.Series[Any], asked: Asked) -> ReadColumn:
    """Return a column's typed values; no row is dropped, whatever is in it."""
    text = text_array(values)
    if _may_be_plain(asked) and (plain := read_plain(text)) is not None:
        found, blank, missing = plain
        fit = _as_held(found, asked) if asked.held else _as_time(found, asked)
        if fit is not None:
            said = missing_words(asked.name, blank=blank, words=missing, rows=len(values))
            return ReadColumn(
                name=asked.name,
                kind=fit.kind,
                values=_typed(fit.kind, fit.values, ~fit.fits, values, asked),
                form=fit.form,
                findings=said,
            )
    return _read_words(_words(text), values, asked)


def _may_be_plain(asked: Asked) -> bool:
    if asked.as_text or asked.nulls:
        return False
    if asked.held is not None:
        form = asked.held.form
        numbers = asked.held.kind in NUMERIC and form.decimal == "." and form.unit != "percent"
        times = asked.held.kind is ColumnKind.DATETIME and form.dates in ("", *EPOCHS)
        return (numbers and not form.dates) or times
    return asked.form is None or (asked.form.decimal == "." and not asked.form.dates.startswith("%"))


def _as_held(fit: Fit, asked: Asked) -> Fit | None:
    """Return plain values as what the column means; ``None`` if they are something else."""
    held = asked.held
    if held is None:
        return fit
    if held.kind in NUMERIC and fit.kind in NUMERIC:
        both_whole = held.kind is fit.kind is ColumnKind.INTEGER
        return replace(fit, kind=ColumnKind.INTEGER if both_whole else ColumnKind.NUMBER, form=held.form)
    if held.kind is ColumnKind.DATETIME and held.form.dates in EPOCHS and fit.kind in NUMERIC:
        return as_epoch(fit, held.form, sure=True)
    if held.kind is fit.kind and not held.form.dates:
        return replace(fit, form=held.form)
    return None


def _as_time(fit: Fit, asked: Asked) -> Fit:
    """Return numbers as times since 1970 where the column is said to hold times."""
    if fit.kind not in NUMERIC or asked.is_target or not fit.fits.any():
        return fit
    if not _says_dates(asked):
        return fit
    named = asked.role is ColumnRole.EVENT_TIME or says_time(asked.name)
    times = as_epoch(fit, asked.form, sure=asked.role is ColumnRole.EVENT_TIME)
    return times or (as_calendar(fit) if named else None) or fit


def _words(text: pa.Array) -> _Words:
    import numpy as np
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(text)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    trimmed = pc.utf8_trim_whitespace(encoded.dictionary)
    counts = np.bincount(codes[codes >= 0], minlength=len(trimmed))
    return _Words(codes=codes, words=trimmed, counts=counts)


def _read_words(column: _Words, values: pd.Series[Any], asked: Asked) -> ReadColumn:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    def among(words: pa.Array, known: tuple[str, ...]) -> NDArray[Any]:
        found = pc.is_in(words, value_set=pa.array(known, type=words.type))
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)

    blank = among(column.words, ("",))
    gone = among(column.words, (*ALWAYS_MISSING, *asked.nulls))
    maybe = among(pc.utf8_lower(column.words), tuple(sorted(MISSING_WORDS)))
    valued = ~(blank | gone | maybe)
    held_kind = asked.held.kind if asked.held else None
    fit = None
    if not asked.as_text and (valued.any() or held_kind not in (None, ColumnKind.CATEGORY)):
        words, counts = column.words.filter(pa.array(valued)), column.counts[valued]
        fit = _held(words, counts, asked) if held_kind else _inferred(words, counts, asked)
    if fit is None or fit.kind is ColumnKind.CATEGORY:
        return _names(column, values, asked, blank, gone, fit.remarks if fit else ())
    findings = missing_words(
        asked.name, blank=column.of(blank), words=column.of(gone | maybe), rows=len(values)
    )
    return _settled(fit, column, valued, values, asked, findings)


def _settled(
    fit: Fit,
    column: _Words,
    valued: NDArray[Any],
    values: pd.Series[Any],
    asked: Asked,
    findings: tuple[str, ...],
) -> ReadColumn:
    """Put the values of the different words where the words stood."""
    import numpy as np
    import pyarrow as pa

    fits = np.zeros(len(column.words) + 1, dtype=bool)
    fits[:-1][valued] = fit.fits
    placed = np.zeros(len(fits), dtype=fit.values.dtype)
    placed[:-1][valued] = np.where(fit.fits, fit.values, 0)
    left = valued & ~fits[:-1]
    unread = column.of(left)
    shapes: tuple[str, ...] = ()
    if unread:
        shapes = shapes_of(column.words.filter(pa.array(left)).to_pylist(), column.counts[left])[:MOST_SHAPES]
    true, false = _truth_words(fit, asked)
    said = [*findings, *(f"{asked.name}: {remark}" for remark in fit.remarks)]
    if unread:
        what = {ColumnKind.DATETIME: "times", ColumnKind.BOOLEAN: "truths"}.get(fit.kind, "numbers")
        said.append(
            f"{asked.name}: {unread:,} of {column.of(valued):,} values were not read as {what} and are "
            f"missing; they look like {', '.join(shapes)}" + (f": {fit.doubt}" if fit.doubt else "")
        )
    infinite = ~np.isfinite(placed) if placed.dtype.kind == "f" else np.zeros(len(placed), dtype=bool)
    if infinite.any():
        said.append(f"{asked.name}: {column.of(infinite[:-1]):,} values are infinite")
    return ReadColumn(
        name=asked.name,
        kind=fit.kind,
        values=_typed(fit.kind, placed[column.codes], ~fits[column.codes], values, asked),
        true_word=true,
        false_word=false,
        form=fit.form.replace(nulls=asked.nulls) if asked.nulls else fit.form,
        unread=unread,
        shapes=shapes,
        doubt=fit.doubt,
        findings=tuple(said),
    )


def _truth_words(fit: Fit, asked: Asked) -> tuple[str | None, str | None]:
    if fit.kind is not ColumnKind.BOOLEAN:
        return None, None
    if asked.held is not None and asked.held.true_word is not None:
        return asked.held.true_word, asked.held.false_word
    return fit.words or (None, None)


def _names(
    column: _Words,
    values: pd.Series[Any],
    asked: Asked,
    blank: NDArray[Any],
    gone: NDArray[Any],
    remarks: tuple[str, ...],
) -> ReadColumn:
    import numpy as np
    import pandas as pd

    names = np.empty(len(column.words) + 1, dtype=object)
    names[:-1] = column.words.to_pylist()
    names[:-1][blank | gone] = None
    said = missing_words(asked.name, blank=column.of(blank), words=column.of(gone), rows=len(values))
    return ReadColumn(
        name=asked.name,
        kind=ColumnKind.CATEGORY,
        values=pd.Series(names[column.codes], index=values.index, name=asked.name, dtype=object),
        form=ValueForm(nulls=asked.nulls),
        findings=(*said, *(f"{asked.name}: {remark}" for remark in remarks)),
    )


def _typed(
    kind: ColumnKind, values: NDArray[Any], gone: NDArray[Any], like: pd.Series[Any], asked: Asked
) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    made: Any
    if kind is ColumnKind.BOOLEAN:
        truths = values.astype(bool)
        made = pd.arrays.BooleanArray(truths, gone) if gone.any() else truths
    elif kind is ColumnKind.DATETIME:
        moments = values.astype(np.int64).astype(TIMES_UTC)
        moments[gone] = np.datetime64("NaT")
        made = pd.Series(moments).dt.tz_localize("UTC").array
    elif kind is ColumnKind.INTEGER and not gone.any():
        made = values.astype(np.int64)
    else:
        made = values.astype(np.float64)
        made[gone] = np.nan
    return pd.Series(made, index=like.index, name=asked.name, dtype=made.dtype)


def _held(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
    """Read words by what the column means."""
    import numpy as np

    held = asked.held
    if held is None or held.kind is ColumnKind.CATEGORY:
        return None
    form, fit = held.form, None
    if held.kind is ColumnKind.BOOLEAN:
        fit = _held_truths(words, held.true_word, held.false_word)
    elif held.kind is ColumnKind.DATETIME and form.dates not in EPOCHS:
        fit = read_times(words, counts, form, held=True)
    elif form.dates in OF_DAY:
        fit = read_clock(words, counts, form)
    else:
        if held.kind is ColumnKind.DATETIME:
            fit = _long_epoch(words, form, held=True)
        if fit is None:
            fit = read_numbers(words, counts, form, held=True)
            if fit is not None and held.kind is ColumnKind.DATETIME:
                fit = as_epoch(fit, form, sure=True)
    if fit is None:
        nothing = np.zeros(len(words), dtype=np.float64)
        return Fit(kind=held.kind, values=nothing, fits=nothing > 0, form=form)
    kept = form.replace(thousands=fit.form.thousands) if held.kind in NUMERIC else form
    widened = ColumnKind.NUMBER if ColumnKind.NUMBER in (held.kind, fit.kind) else held.kind
    return replace(fit, form=kept, kind=widened if held.kind in NUMERIC else held.kind)


def _held_truths(words: pa.Array, true: str | None, false: str | None) -> Fit:
    import numpy as np

    low = [word.casefold() for word in words.to_pylist()]
    for_true = {true.casefold()} if true else {pair[0] for pair in TRUTHS}
    for_false = {false.casefold()} if false else {pair[1] for pair in TRUTHS}
    values = np.array([word in for_true for word in low], dtype=bool)
    fits = np.array([word in for_true or word in for_false for word in low], dtype=bool)
    return Fit(kind=ColumnKind.BOOLEAN, values=values, fits=fits)


def _inferred(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
    import numpy as np

    if len(words) <= FEW_NUMBERS and (truths := truths_of(words.to_pylist(), counts)):
        values = np.array([word.lower() == truths[0].lower() for word in words.to_pylist()], dtype=bool)
        everything = np.ones(len(words), dtype=bool)
        return Fit(kind=ColumnKind.BOOLEAN, values=values, fits=everything, words=truths)
    fit = _best(words, counts, asked)
    if fit is None:
        return _category(*_name_remarks(words))
    total, reached = int(counts.sum()), int(counts[fit.reach].sum())
    if reached == total and not (asked.is_target and fit.doubt):
        return _as_time(fit, asked) if not fit.doubt else fit
    remark = (
        f"{total - reached:,} of {total:,} values are no {_kinds(fit)} while the others are: read as text"
    )
    if asked.is_target:
        return _category(remark if reached < total else fit.doubt)
    if reached >= HALF * total and _is_meant(fit, words, share=reached / total):
        return _as_time(fit, asked)
    return _category(remark) if reached >= HALF * total else None


def _kinds(fit: Fit) -> str:
    return "times" if fit.kind is ColumnKind.DATETIME else "numbers"


def _category(*remarks: str) -> Fit:
    import numpy as np

    nothing = np.zeros(0)
    return Fit(kind=ColumnKind.CATEGORY, values=nothing, fits=nothing, remarks=tuple(remarks))


def _name_remarks(words: pa.Array) -> tuple[str, ...]:
    if all_match(words, r"^[+-]?[0-9]+(\.[0-9]+)?$"):
        return ("numbers with leading zeros or more than 15 digits are names: read as text",)
    return ()


def _is_meant(fit: Fit, words: pa.Array, *, share: float) -> bool:
    """Return whether a column of mostly numbers or times was meant to hold nothing else."""
    import numpy as np
    import pyarrow as pa

    if fit.kind is ColumnKind.DATETIME:
        return True
    if len(np.unique(fit.values[fit.reach])) <= FEW_NUMBERS:
        return False
    left = words.filter(pa.array(~fit.reach))
    with_digits = matches(left, "[0-9]").mean() > HALF
    return share >= MOST or not (
        with_digits and len({shape_of(word) for word in left.slice(0, SAMPLE).to_pylist()}) > MANY_SHAPES
    )


def _best(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
    """Return the reading that most values fit: numbers before times, where both do equally."""
    if _says_dates(asked) and (epoch := _long_epoch(words, asked.form)) is not None:
        return epoch
    readers: tuple[Reader, ...] = (read_numbers, read_times, read_clock)
    if len(words) > 2 * SAMPLE:
        few, weights = _sampled(words, counts)
        reached = [read(few, weights, asked.form) for read in readers]
        readers = tuple(
            read
            for read, fit in zip(readers, reached, strict=True)
            if fit is not None and weights[fit.reach].sum() >= 0.25 * weights.sum()
        )
    best, most = None, 0
    for read in readers:
        fit = read(words, counts, asked.form)
        if fit is not None and int(counts[fit.reach].sum()) > most:
            best, most = fit, int(counts[fit.reach].sum())
        if most == counts.sum():
            break
    return best


def _says_dates(asked: Asked) -> bool:
    if asked.is_target:
        return False
    by_key = asked.form is not None and asked.form.dates in EPOCHS
    return by_key or asked.role is ColumnRole.EVENT_TIME or says_time(asked.name)


def _long_epoch(words: pa.Array, form: ValueForm | None, *, held: bool = False) -> Fit | None:
    """Return times of more digits than a number may have: micro- and nanoseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fits = matches(words, r"^[1-9][0-9]{15,18}$")
    if not (fits.any() if held else fits.all()):
        return None
    digits = pc.if_else(pa.array(fits), words, pa.scalar("0", words.type))
    values = pc.cast(digits, pa.int64()).to_numpy(zero_copy_only=False)
    return as_epoch(Fit(kind=ColumnKind.INTEGER, values=values, fits=fits), form, sure=held)


def _sampled(words: pa.Array, counts: NDArray[Any]) -> tuple[pa.Array, NDArray[Any]]:
    import numpy as np
    import pyarrow as pa

    places = np.linspace(0, len(words) - 1, SAMPLE).astype(np.int64)
    return words.take(pa.array(places)), counts[places]
