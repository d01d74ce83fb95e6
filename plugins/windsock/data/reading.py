"""``read_column``: one column as the source has it -> typed values, and what was noticed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from windsock.data.held_words import held_meaning, plain_words, shapes_of
from windsock.data.words import Meaning, is_number, meaning_of, microseconds
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, ContractColumn, ValueForm
from windsock.records.values import category_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

EXACT = 2**53
UTC_MICROSECONDS = "datetime64[us, UTC]"


@dataclass(frozen=True, kw_only=True)
class ReadColumn:
    """One typed column.

    The values of a number are float64; of an integer int64, or float64 where some are missing; of a boolean
    bool, or pandas' nullable boolean; of a category text or ``None`` in an object column; of a time
    datetime64[us, UTC].

    :param findings: what was noticed; whole sentences with the column's name and counts, never a value.
    :param form: how its values are written.
    :param unread: values that do not fit the kind; they are missing.
    :param shapes: how these look, the most frequent first.
    """

    name: str
    kind: ColumnKind
    values: pd.Series[Any]
    true_word: str | None = None
    false_word: str | None = None
    findings: tuple[str, ...] = ()
    form: ValueForm = ValueForm()
    unread: int = 0
    shapes: tuple[str, ...] = ()


def read_column(
    values: pd.Series[Any],
    name: str,
    *,
    as_text: bool = False,
    held: ContractColumn | None = None,
    form: ValueForm | None = None,
) -> ReadColumn:
    """Return a column's typed values; no row is dropped, whatever is in it.

    :param values: what the source gave: text, numbers, booleans, times or a mixture of them.
    :param as_text: keep text as it stands, without blanks around it; for identities.
    :param held: what the column means by the data contract; it is read by this and never guessed.
    :param form: how its values are written, where only that is known.
    :raises DataRefusedError: if the column holds lists or other things that are no plain values.
    """
    if held is not None and not (as_text and held.kind is ColumnKind.CATEGORY):
        return _read_held(values, name, held)
    read = _read_free(values, name, as_text=as_text, form=form or ValueForm())
    return read if form is None else replace(read, form=form)


def _read_held(values: pd.Series[Any], name: str, held: ContractColumn) -> ReadColumn:
    """Read a column by its meaning; a typed column that has this kind is only checked."""
    import numpy as np
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
        free = _read_free(values, name, as_text=False, form=ValueForm())
        if free.kind is held.kind and values.dtype != object:
            return replace(free, true_word=held.true_word, false_word=held.false_word, form=held.form)
        if {free.kind, held.kind} == {ColumnKind.INTEGER, ColumnKind.NUMBER}:
            return _widened(free, held)
    codes, different = _numbered(values)
    words = ["" if word is None else category_text(word).strip() for word in different]
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    meaning, unread = held_meaning(words, counts, held)
    spread = _spread(meaning, codes)
    lost = int(sum(counts[place] for place in unread))
    blank = int(sum(counts[place] for place, word in enumerate(words) if not word))
    missing = int(sum(counts[place] for place in meaning.missing))
    shapes = shapes_of([words[place] for place in unread], [int(counts[place]) for place in unread])
    said = missing_words(name, blank=blank, words=missing, rows=len(values))
    if lost:
        known = len(values) - int(values.isna().sum()) - blank - missing
        misfit = f"{name}: {lost:,} of {known:,} values do not fit {held.kind.value} of the data contract"
        said = (*said, f"{misfit} and count as missing; they look like {', '.join(shapes)}")
    return ReadColumn(
        name=name,
        kind=meaning.kind,
        values=pd.Series(spread, index=values.index, name=name, dtype=spread.dtype),
        true_word=meaning.true_word,
        false_word=meaning.false_word,
        findings=(*said, *(f"{name}: {remark}" for remark in meaning.remarks)),
        form=held.form,
        unread=lost,
        shapes=shapes,
    )


def _widened(free: ReadColumn, held: ContractColumn) -> ReadColumn:
    """Return numbers as the contract has them; whole ones that have decimals now are numbers."""
    whole = held.kind is ColumnKind.INTEGER and bool((free.values.dropna() % 1 == 0).all())
    exact = whole and not free.values.isna().any()
    typed = free.values.astype("int64" if exact else "float64")
    kind = ColumnKind.INTEGER if whole else ColumnKind.NUMBER
    return replace(free, kind=kind, values=typed, form=held.form)


def _read_free(values: pd.Series[Any], name: str, *, as_text: bool, form: ValueForm) -> ReadColumn:
    """Read a column by its own values."""
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
        values = values.astype(object)
    elif isinstance(values.dtype, pd.StringDtype):
        return _read_text(values, name, as_text=as_text, form=form)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("string", "empty"):
        return _read_text(values, name, as_text=as_text, form=form)
    if kind in ("mixed", "mixed-integer") and all(isinstance(value, PLAIN) for value in values.dropna()):
        read = _read_text(values.map(str, na_action="ignore"), name, as_text=as_text, form=form)
        said = (*read.findings, f"{name}: values of several types were read as text first")
        return ReadColumn(**{**vars(read), "findings": said})
    if kind not in TYPED:
        raise DataRefusedError(
            f"column {name!r} holds {kind} values, which are no plain numbers, text, truths or times",
            code="WS-DATA-018",
            next_action="Leave it out at the source, or turn it into plain columns there.",
        )
    return TYPED[kind](values, name)


PLAIN = (str, int, float, bool, Decimal, UUID)


def missing_words(name: str, *, blank: int, words: int, rows: int) -> tuple[str, ...]:
    """Say how many values were read as missing."""
    parts = [f"{blank:,} of {rows:,} values are blank"] if blank else []
    if words:
        parts.append(f"{words:,}{'' if blank else f' of {rows:,} values'} are words such as NA")
    if not parts:
        return ()
    return (f"{name}: {' and '.join(parts)} and were read as missing; no row was dropped",)


def _read_text(values: pd.Series[Any], name: str, *, as_text: bool, form: ValueForm) -> ReadColumn:
    import numpy as np
    import pandas as pd

    codes, different = _numbered(values)
    words = [str(word).strip() for word in different]
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    meaning = _as_names(words) if as_text else meaning_of(plain_words(words, form), counts)
    blank = int(sum(counts[place] for place, word in enumerate(words) if not word))
    missing = int(sum(counts[place] for place in meaning.missing))
    spread = _spread(meaning, codes)
    return ReadColumn(
        name=name,
        kind=meaning.kind,
        values=pd.Series(spread, index=values.index, name=name, dtype=spread.dtype),
        true_word=meaning.true_word,
        false_word=meaning.false_word,
        findings=(
            *missing_words(name, blank=blank, words=missing, rows=len(values)),
            *(f"{name}: {remark}" for remark in meaning.remarks),
        ),
    )


def _numbered(values: pd.Series[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the number of each row's value, -1 for a missing one, and the different values.

    A dict tells plain objects apart: pandas' own table takes text that differs after a NUL for the same.
    Arrow's table does not, and is faster.
    """
    import numpy as np
    import pandas as pd

    if getattr(values.dtype, "storage", None) == "pyarrow":
        codes, different = pd.factorize(values)
        return codes, different.tolist()
    gone = values.isna().to_numpy(dtype=bool)
    known = values[~gone].tolist()
    numbers = {value: number for number, value in enumerate(dict.fromkeys(known))}
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[~gone] = np.fromiter(map(numbers.__getitem__, known), np.int64, len(known))
    return codes, list(numbers)


def _as_names(words: list[str]) -> Meaning:
    return Meaning(kind=ColumnKind.CATEGORY, values=[word or None for word in words])


def _spread(meaning: Meaning, codes: NDArray[np.int64]) -> Any:
    """Put the values of the different words where the words stood."""
    import numpy as np
    import pandas as pd

    gone = np.array([value is None for value in meaning.values] + [True])[codes]
    if meaning.kind is ColumnKind.CATEGORY:
        names = np.array([*meaning.values, None], dtype=object)
        return names[codes]
    filled = [0 if value is None else value for value in meaning.values] + [0]
    if meaning.kind is ColumnKind.BOOLEAN:
        truths = np.array(filled, dtype=bool)[codes]
        return pd.arrays.BooleanArray(truths, gone) if gone.any() else truths
    if meaning.kind is ColumnKind.DATETIME:
        moments = np.array(filled, dtype=np.int64)[codes].astype("datetime64[us]")
        moments[gone] = np.datetime64("NaT")
        return pd.Series(moments).dt.tz_localize("UTC").array
    whole = meaning.kind is ColumnKind.INTEGER and not gone.any()
    numbers = np.array(filled, dtype=np.int64 if whole else np.float64)[codes]
    if not whole:
        numbers[gone] = np.nan
    return numbers


def _read_truths(values: pd.Series[Any], name: str) -> ReadColumn:
    nullable = values.astype("boolean")
    read = nullable if nullable.isna().any() else nullable.astype(bool)
    return ReadColumn(name=name, kind=ColumnKind.BOOLEAN, values=read)


def _read_whole(values: pd.Series[Any], name: str) -> ReadColumn:
    import pandas as pd

    known = values.dropna()
    largest = max((abs(int(end)) for end in (known.min(), known.max())), default=0) if len(known) else 0
    if largest > EXACT and (len(known) < len(values) or largest >= 2**63):
        gone = values.isna()
        names = [None if missing else str(int(value)) for value, missing in zip(values, gone, strict=True)]
        return ReadColumn(
            name=name,
            kind=ColumnKind.CATEGORY,
            values=pd.Series(names, index=values.index, dtype=object),
            findings=(f"{name}: whole numbers of more than 15 digits are names: read as text",),
        )
    whole = len(known) == len(values)
    read = values.astype("int64") if whole else _to_floats(values)
    return ReadColumn(name=name, kind=ColumnKind.INTEGER, values=read)


def _read_numbers(values: pd.Series[Any], name: str) -> ReadColumn:
    import numpy as np

    read = _to_floats(values)
    infinite = int(np.isinf(read.to_numpy()).sum())
    said = (f"{name}: {infinite:,} values are infinite",) if infinite else ()
    return ReadColumn(name=name, kind=ColumnKind.NUMBER, values=read, findings=said)


def _to_floats(values: pd.Series[Any]) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    if values.dtype == object:
        numbers = [
            np.nan if gone else float(value) for value, gone in zip(values, values.isna(), strict=True)
        ]
        return pd.Series(numbers, index=values.index, dtype="float64", name=values.name)
    return pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), index=values.index, name=values.name)


def _read_times(values: pd.Series[Any], name: str) -> ReadColumn:
    import numpy as np
    import pandas as pd

    if values.dtype == object:  # dates, or times that are beyond nanoseconds
        known = values.dropna()
        moments = np.full(len(values), np.iinfo(np.int64).min, dtype=np.int64)
        moments[values.notna().to_numpy()] = [
            microseconds(value if isinstance(value, datetime) else datetime.combine(value, time()))
            for value in known
        ]
        values = pd.Series(moments.view("datetime64[us]"), index=values.index)
    read = pd.to_datetime(values, utc=True).astype(UTC_MICROSECONDS)
    return ReadColumn(name=name, kind=ColumnKind.DATETIME, values=read)


TYPED = {
    "boolean": _read_truths,
    "integer": _read_whole,
    "floating": _read_numbers,
    "mixed-integer-float": _read_numbers,
    "decimal": _read_numbers,
    "datetime64": _read_times,
    "datetime": _read_times,
    "date": _read_times,
}


MIXED_SHARE = 0.8
MIXED_DISTINCT = 20


def numbers_among(values: pd.Series[Any]) -> tuple[int, int, int]:
    """Count the numbers in a column of text.

    :returns: values that are numbers, all values that are there, and different numbers.
    """
    counts = values.dropna().value_counts()
    numeric = [is_number(str(word)) for word in counts.index]
    return int(counts[numeric].sum()), int(counts.sum()), sum(numeric)


def is_spoiled(values: pd.Series[Any]) -> bool:
    """Return whether a column of text was meant to hold numbers: at least 80 % are, and many different ones.

    Categories such as 0, 1, 2 and 3+ are none.
    """
    numbers, known, distinct = numbers_among(values)
    return MIXED_SHARE * known <= numbers < known and distinct > MIXED_DISTINCT
