"""``read_column``: one column as the source has it -> typed values, and what was noticed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from windsock.data.column_text import Fit
from windsock.data.read_columns import NUMERIC, Asked, ReadColumn
from windsock.data.text_column import read_text
from windsock.data.time_words import EPOCHS, as_epoch, says_time
from windsock.data.typed_column import TYPED
from windsock.data.words import is_number
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, ColumnRole, ContractColumn, ValueForm

if TYPE_CHECKING:
    import pandas as pd

EXACT = 2**53
PLAIN = (str, int, float, bool, Decimal, UUID)
SENTENCE = 4
"""So many words make free text, or so many signs of a script that is written without blanks."""
LONG_TEXT = 15
DIFFERENT = 1_000
"""So many different values say whether a column holds sentences."""


def read_column(
    values: pd.Series[Any],
    name: str,
    *,
    as_text: bool = False,
    role: ColumnRole | None = None,
    held: ContractColumn | None = None,
    form: ValueForm | None = None,
) -> ReadColumn:
    """Return a column's typed values; no row is dropped, whatever is in it.

    Text is read by what its different words fit. Of a column that at least 95 % numbers or times make, the
    rest is unread: missing, counted, and named by how it looks. So it is from half on, where the numbers are
    many, and validation says no to it. A target is never unread: where not all its words fit they stay words.

    :param values: what the source gave: text, numbers, booleans, times or a mixture of them.
    :param as_text: keep text as it is, without blanks around it; for identities.
    :param role: what the column is for, where that is known: numbers under an event time may be epoch times.
    :param held: what the column means; it is read by this and nothing is guessed.
    :param form: what the source says of all its columns, such as the decimal sign; ``None``: nothing.
    :raises DataRefusedError: if the column holds lists or other things that are no plain values.
    """
    import pandas as pd

    asked = Asked(name=name, as_text=as_text, role=role, held=held, form=form)
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
        values = values.astype(object)
    elif isinstance(values.dtype, pd.StringDtype):
        return read_text(values, asked)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("decimal", "mixed", "mixed-integer"):
        values = values.map(lambda value: None if _is_no_number(value) else value)
    if kind in ("string", "empty"):
        return read_text(values, asked)
    if kind in ("mixed", "mixed-integer") and all(isinstance(value, PLAIN) for value in values.dropna()):
        read = read_text(values.map(str, na_action="ignore"), asked)
        said = (*read.findings, f"{name}: values of several types were read as text first")
        return ReadColumn(**{**vars(read), "findings": said})
    if kind not in TYPED:
        raise DataRefusedError(
            f"column {name!r} holds {kind} values, which are no plain numbers, text, truths or times",
            code="WS-DATA-018",
            next_action="Leave it out at the source, or turn it into plain columns there.",
        )
    return _by_type(TYPED[kind](values, name), values, asked)


def _is_no_number(value: Any) -> bool:
    return isinstance(value, Decimal) and value.is_nan()


def _by_type(read: ReadColumn, values: pd.Series[Any], asked: Asked) -> ReadColumn:
    """Return typed values as what the column means."""
    if asked.held is None:
        return _epoch(read, asked, expected=_may_be_times(read, asked)) or read
    meant = asked.held.kind
    if meant is read.kind:
        return ReadColumn(
            **{
                **vars(read),
                "true_word": asked.held.true_word,
                "false_word": asked.held.false_word,
                "form": asked.held.form,
            }
        )
    if meant is ColumnKind.NUMBER and read.kind is ColumnKind.INTEGER:
        floats = read.values.astype("float64")
        return ReadColumn(**{**vars(read), "values": floats, "kind": meant, "form": asked.held.form})
    if meant is ColumnKind.INTEGER and read.kind is ColumnKind.NUMBER:
        return _whole_again(read, asked)
    if meant is ColumnKind.DATETIME and (times := _epoch(read, asked, expected=True)) is not None:
        return times
    return read_text(_written(values), asked)


def _may_be_times(read: ReadColumn, asked: Asked) -> bool:
    if asked.is_target or asked.as_text or read.kind not in NUMERIC:
        return False
    by_key = asked.form is not None and asked.form.dates in EPOCHS
    return by_key or asked.role is ColumnRole.EVENT_TIME or says_time(asked.name)


def _epoch(read: ReadColumn, asked: Asked, *, expected: bool) -> ReadColumn | None:
    import numpy as np
    import pandas as pd

    if not expected or read.kind not in NUMERIC:
        return None
    known = read.values.notna().to_numpy()
    numbers = read.values.to_numpy()
    plain = Fit(kind=read.kind, values=numbers, fits=known)
    sure = asked.held is not None or asked.role is ColumnRole.EVENT_TIME
    fit = as_epoch(plain, asked.held.form if asked.held else asked.form, sure=sure)
    if fit is None:
        return None
    moments = fit.values.astype(np.int64).astype("datetime64[us]")
    moments[~known] = np.datetime64("NaT")
    times = pd.Series(moments, index=read.values.index, name=read.name).dt.tz_localize("UTC")
    return ReadColumn(name=read.name, kind=ColumnKind.DATETIME, values=times, form=fit.form)


def _whole_again(read: ReadColumn, asked: Asked) -> ReadColumn:
    """Return floats that are whole as integers: a column with a gap comes as floats from some sources."""
    known = read.values.dropna()
    whole = bool((known % 1 == 0).all())
    values = read.values.astype("int64") if whole and len(known) == len(read.values) else read.values
    kind = ColumnKind.INTEGER if whole else ColumnKind.NUMBER
    return ReadColumn(**{**vars(read), "values": values, "kind": kind})


def _written(values: pd.Series[Any]) -> pd.Series[Any]:
    """Write typed values as text; whole floats without their point, times as ISO 8601."""

    def one(value: Any) -> str:
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return value.isoformat() if hasattr(value, "isoformat") else str(value)

    return values.astype(object).where(values.notna(), None).map(one, na_action="ignore")


def numbers_among(values: pd.Series[Any]) -> tuple[int, int, int]:
    """Count the numbers in a column of text.

    :returns: values that are numbers, all values that are there, and different numbers.
    """
    counts = values.dropna().value_counts()
    numeric = [is_number(str(word)) for word in counts.index]
    return int(counts[numeric].sum()), int(counts.sum()), sum(numeric)


def is_free_text(values: pd.Series[Any]) -> bool:
    """Return whether a column of text holds sentences rather than names: most have four words or more."""
    first = values.head(20 * DIFFERENT).dropna().drop_duplicates()
    some = first if len(first) >= DIFFERENT else values.dropna().drop_duplicates()
    long = [_is_sentence(text) for text in some.head(DIFFERENT).astype(str)]
    return sum(long) > len(long) / 2


def _is_sentence(text: str) -> bool:
    words = text.split()
    if len(words) >= SENTENCE:
        return sum(any(map(str.isalpha, word)) for word in words) >= SENTENCE - 1
    return sum(sign.isalpha() and not sign.isascii() for sign in text) >= max(LONG_TEXT, len(text) / 2)
