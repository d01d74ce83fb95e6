"""What a column's different words are: what is held, or the kind that most of them fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import Fit, all_match, as_numpy, matches, shape_of
from windsock.data.number_words import read_numbers
from windsock.data.read_columns import NUMERIC, Asked
from windsock.data.time_words import (
    EPOCHS,
    OF_DAY,
    as_calendar,
    as_epoch,
    read_clock,
    read_times,
    says_time,
)
from windsock.data.unsure_words import doubt_about, key_that_reads, look_of
from windsock.data.words import TRUTHS, truths_of
from windsock.records import ColumnKind, ColumnRole, ContractColumn, ValueForm

if TYPE_CHECKING:
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
Reader = Callable[["pa.Array", "NDArray[Any]", "ValueForm | None"], "Fit | None"]


def as_time(fit: Fit, asked: Asked) -> Fit:
    """Return numbers as times since 1970 where the column is said to hold times."""
    if fit.kind not in NUMERIC or asked.is_target or not fit.fits.any():
        return fit
    if not _says_dates(asked):
        return fit
    named = asked.role is ColumnRole.EVENT_TIME or says_time(asked.name)
    times = as_epoch(fit, asked.form, sure=asked.role is ColumnRole.EVENT_TIME)
    return times or (as_calendar(fit) if named else None) or fit


def held_words(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
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
            if fit is not None and held.kind in NUMERIC:
                fit = _without_doubtful(fit, words, form, held.kind)
            if fit is not None and held.kind is ColumnKind.DATETIME:
                fit = as_epoch(fit, form, sure=True)
    if fit is None:
        nothing = np.zeros(len(words), dtype=np.float64)
        return Fit(kind=held.kind, values=nothing, fits=nothing > 0, form=form)
    return _widened(fit, held) if held.kind in NUMERIC else replace(fit, form=form, kind=held.kind)


def _widened(fit: Fit, held: ContractColumn) -> Fit:
    """Return numbers by the form that is held, with what was left open in it."""
    form = held.form.replace(thousands=fit.form.thousands, currency=held.form.currency or fit.form.currency)
    kind = ColumnKind.NUMBER if ColumnKind.NUMBER in (held.kind, fit.kind) else held.kind
    return replace(fit, form=form, kind=kind)


def _held_truths(words: pa.Array, true: str | None, false: str | None) -> Fit:
    import numpy as np

    low = [word.casefold() for word in words.to_pylist()]
    for_true = {true.casefold()} if true else {pair[0] for pair in TRUTHS}
    for_false = {false.casefold()} if false else {pair[1] for pair in TRUTHS}
    values = np.array([word in for_true for word in low], dtype=bool)
    fits = np.array([word in for_true or word in for_false for word in low], dtype=bool)
    return Fit(kind=ColumnKind.BOOLEAN, values=values, fits=fits)


def inferred_words(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
    """Read words by the kind and the form that most of them fit; ``None``: they are names.

    What looks like numbers or times and is read as neither is in doubt, until a person decides.
    """
    fit = _by_most(words, counts, asked)
    named = fit is None or fit.kind is ColumnKind.CATEGORY
    if fit is not None and not named and (fit.doubt or counts[fit.reach].sum() >= MOST * counts.sum()):
        return fit
    few, weights = _sampled(words, counts) if len(words) > 2 * SAMPLE else (words, counts)
    kind = look_of(few, weights)
    kind = look_of(words, counts) if kind is not None and few is not words else kind
    if kind is None:
        return fit

    def reads(form: ValueForm) -> bool:
        return _reads_all(kind, few, weights, form) and (
            few is words or _reads_all(kind, words, counts, form)
        )

    fix = key_that_reads(kind, few, asked, reads)
    if fit is not None and not named:
        return replace(fit, doubt=doubt_about(kind, asked, fix)) if fix else fit
    doubt = doubt_about(kind, asked, fix)
    if asked.is_target:
        return _category(*(fit.remarks if fit else ()), doubt)
    return _unread(kind, len(words), doubt)


def _unread(kind: ColumnKind, words: int, doubt: str) -> Fit:
    import numpy as np

    values = np.zeros(words)
    return Fit(kind=kind, values=values, fits=values > 0, possible=values == 0, doubt=doubt)


def _reads_all(kind: ColumnKind, words: pa.Array, counts: NDArray[Any], form: ValueForm) -> bool:
    """Return whether a form that a person would write reads nearly all words, without another doubt."""
    times = kind is ColumnKind.DATETIME
    fit = read_times(words, counts, form, held=True) if times else read_numbers(words, counts, form)
    return fit is not None and not fit.doubt and int(counts[fit.fits].sum()) >= MOST * int(counts.sum())


def _by_most(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
    import numpy as np

    if len(words) <= FEW_NUMBERS and (truths := truths_of(words.to_pylist(), counts)):
        values = np.array([word.lower() == truths[0].lower() for word in words.to_pylist()], dtype=bool)
        everything = np.ones(len(words), dtype=bool)
        return Fit(kind=ColumnKind.BOOLEAN, values=values, fits=everything, words=truths)
    fit = _best(words, counts, asked)
    total, reached = int(counts.sum()), 0 if fit is None else int(counts[fit.reach].sum())
    if reached < HALF * total and (beside := _with_text(words, counts, asked)) is not None:
        return beside
    if fit is None:
        return _category(*_name_remarks(words))
    if reached == total and not (asked.is_target and fit.doubt):
        return as_time(fit, asked) if not fit.doubt else fit
    remark = (
        f"{total - reached:,} of {total:,} values are no {_kinds(fit)} while the others are: read as text"
    )
    if asked.is_target:
        return _category(remark if reached < total else fit.doubt)
    if reached < HALF * total:
        return None
    return as_time(fit, asked) if _is_meant(fit, words, share=reached / total) else _category(remark)


def _with_text(words: pa.Array, counts: NDArray[Any], asked: Asked) -> Fit | None:
    """Return many different numbers with the same text behind them: all unread, until a person decides."""
    import numpy as np

    few, weights = _sampled(words, counts) if len(words) > 2 * SAMPLE else (words, counts)
    fit = _numbers_with_text(few, weights)
    fit = _numbers_with_text(words, counts) if fit is not None and few is not words else fit
    if fit is None or len(np.unique(fit.values[fit.reach])) <= FEW_NUMBERS:
        return None
    return _category(fit.doubt) if asked.is_target else fit


def _without_doubtful(fit: Fit, words: pa.Array, form: ValueForm, kind: ColumnKind) -> Fit:
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


def _numbers_with_text(words: pa.Array, counts: NDArray[Any]) -> Fit | None:
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
