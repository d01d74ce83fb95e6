"""A column of text -> typed values: by what is held, or by the form that its different words fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import MOST_SHAPES, Fit, matches, shapes_of
from windsock.data.identity_words import MOST_STRAY, identity_words, stray_words
from windsock.data.number_words import CURRENCY, is_either
from windsock.data.plain_text import read_plain, text_array
from windsock.data.read_columns import NUMERIC, Asked, ReadColumn, missing_words
from windsock.data.spelled_words import in_plain_signs
from windsock.data.time_words import EPOCHS, as_epoch, of_buddhist_years
from windsock.data.word_kinds import as_time, held_words, inferred_words
from windsock.data.words import ALWAYS_MISSING
from windsock.records import ColumnKind, ValueForm
from windsock.records.values import MISSING_WORDS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

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
        fit = _as_held(found, asked) if asked.held else as_time(found, asked)
        if fit is not None and not _of_doubtful_era(fit, asked):
            said = missing_words(asked.name, blank=blank, words=missing, rows=len(values))
            return ReadColumn(
                name=asked.name,
                kind=fit.kind,
                values=_typed(fit.kind, fit.values, ~fit.fits, values, asked),
                form=fit.form,
                bare=int(fit.fits.sum()) if fit.form.unit == "currency" else 0,
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
    if asked.form is None:
        return True
    if is_either(asked.form):
        return False
    points = asked.form.decimal == "." and asked.form.thousands != "."
    return points and not asked.form.dates.startswith("%")


def _as_held(fit: Fit, asked: Asked) -> Fit | None:
    """Return plain values as what the column means; ``None`` if they are something else."""
    held = asked.held
    if held is None:
        return fit
    if held.kind in NUMERIC and fit.kind in NUMERIC:
        if held.kind is ColumnKind.INTEGER and fit.kind is ColumnKind.NUMBER and not held.form.thousands:
            return None  # decimals may be groups of thousands
        both_whole = held.kind is fit.kind is ColumnKind.INTEGER
        return replace(fit, kind=ColumnKind.INTEGER if both_whole else ColumnKind.NUMBER, form=held.form)
    if held.kind is ColumnKind.DATETIME and held.form.dates in EPOCHS and fit.kind in NUMERIC:
        return as_epoch(fit, held.form, sure=True)
    if held.kind is fit.kind and not held.form.dates:
        return replace(fit, form=held.form)
    return None


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
    said: tuple[str, ...] = ()
    fit, whole, is_text = None, None, asked.as_text and held_kind not in NUMERIC
    if asked.as_text:
        words, whole, changed = identity_words(column.words, valued, asked)
        stray = column.of(stray_words(column.words, valued, asked))
        column = replace(column, words=words)
        said = (*_as_before(column.of(changed), asked), *_stray(stray, column.of(valued), asked))
    if not is_text and (valued.any() or held_kind not in (None, ColumnKind.CATEGORY)):
        words, counts = in_plain_signs(column.words.filter(pa.array(valued))), column.counts[valued]
        fit = held_words(words, counts, asked) if held_kind else inferred_words(words, counts, asked)
        fit = _without_doubtful_era(fit, asked)
    if fit is None or fit.kind is ColumnKind.CATEGORY:
        missing = missing_words(asked.name, blank=column.of(blank), words=column.of(gone), rows=len(values))
        remarks = (f"{asked.name}: {remark}" for remark in (fit.remarks if fit else ()))
        form = ValueForm(nulls=asked.nulls, whole=whole)
        return _names(column, values, asked, blank | gone, form, (*missing, *said, *remarks))
    findings = missing_words(
        asked.name, blank=column.of(blank), words=column.of(gone | maybe), rows=len(values)
    )
    return _settled(fit, column, valued, values, asked, (*findings, *said))


def _of_doubtful_era(fit: Fit, asked: Asked) -> bool:
    """Return whether the years may be Buddhist ones; a pattern that a person wrote says that they are not."""
    form = asked.held.form if asked.held else asked.form
    return not (form and form.dates.startswith("%")) and of_buddhist_years(fit)


def _without_doubtful_era(fit: Fit | None, asked: Asked) -> Fit | None:
    if fit is None or asked.is_target or not _of_doubtful_era(fit, asked):
        return fit
    doubt = (
        "years of the Thai calendar are 543 ahead: write years of the common era at the source; if they are "
        f"that, a pattern in `data.columns.{asked.name}.dates`, such as %Y-%m-%d, reads them as they stand"
    )
    return replace(fit, fits=fit.fits & False, possible=fit.fits, doubt=doubt)


def _as_before(changed: int, asked: Asked) -> tuple[str, ...]:
    if not changed:
        return ()
    return (f"{asked.name}: {changed:,} whole numbers with zeros around them were read without these",)


def _stray(stray: int, valued: int, asked: Asked) -> tuple[str, ...]:
    """Say how few values keep an entity from being whole numbers: nobody would see it otherwise."""
    if not 0 < stray <= MOST_STRAY * valued:
        return ()
    said = (
        f"{asked.name}: {stray:,} of {valued:,} values are no plain whole numbers (a code, or zeros before "
        f"one), so 7, 7.0 and 007 are told apart; `data.columns.{asked.name}.whole: true` makes them one"
    )
    return (said,)


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
        bare=_bare(fit, column, valued),
        doubt=fit.doubt,
        findings=tuple(said),
    )


def _bare(fit: Fit, column: _Words, valued: NDArray[Any]) -> int:
    """Count the numbers without a sign of currency in a column of numbers with one."""
    import pyarrow as pa

    if fit.form.unit != "currency":
        return 0
    counts, words = column.counts[valued], column.words.filter(pa.array(valued))
    return int(counts[fit.fits & ~matches(words, CURRENCY)].sum())


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
    gone: NDArray[Any],
    form: ValueForm,
    findings: tuple[str, ...],
) -> ReadColumn:
    import numpy as np
    import pandas as pd

    names = np.empty(len(column.words) + 1, dtype=object)
    names[:-1] = column.words.to_pylist()
    names[:-1][gone] = None
    return ReadColumn(
        name=asked.name,
        kind=ColumnKind.CATEGORY,
        values=pd.Series(names[column.codes], index=values.index, name=asked.name, dtype=object),
        form=form,
        findings=findings,
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
