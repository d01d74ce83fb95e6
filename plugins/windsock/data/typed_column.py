"""Columns that a source gives with types of their own: Parquet, databases, packages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from windsock.data.number_words import LONGEST_WHOLE
from windsock.data.read_columns import ReadColumn
from windsock.data.words import microseconds
from windsock.records import ColumnKind

if TYPE_CHECKING:
    import pandas as pd

NAMES_FROM = 10**LONGEST_WHOLE
UTC_MICROSECONDS = "datetime64[us, UTC]"
LONG = f"numbers of more than {LONGEST_WHOLE} digits are names: read as text"


def _read_truths(values: pd.Series[Any], name: str) -> ReadColumn:
    nullable = values.astype("boolean")
    read = nullable if nullable.isna().any() else nullable.astype(bool)
    return ReadColumn(name=name, kind=ColumnKind.BOOLEAN, values=read)


def _read_whole(values: pd.Series[Any], name: str) -> ReadColumn:
    known = values.dropna()
    largest = max((abs(int(end)) for end in (known.min(), known.max())), default=0) if len(known) else 0
    if largest >= NAMES_FROM:
        return _as_names(values, name, f"whole {LONG}", lambda value: str(int(value)))
    whole = len(known) == len(values)
    read = values.astype("int64") if whole else _to_floats(values)
    return ReadColumn(name=name, kind=ColumnKind.INTEGER, values=read)


def _as_names(values: pd.Series[Any], name: str, remark: str, written: Callable[[Any], str]) -> ReadColumn:
    import pandas as pd

    gone = values.isna()
    names = [None if missing else written(value) for value, missing in zip(values, gone, strict=True)]
    return ReadColumn(
        name=name,
        kind=ColumnKind.CATEGORY,
        values=pd.Series(names, index=values.index, name=name, dtype=object),
        findings=(f"{name}: {remark}",),
    )


def _read_numbers(values: pd.Series[Any], name: str) -> ReadColumn:
    import numpy as np

    read = _to_floats(values)
    infinite = int(np.isinf(read.to_numpy()).sum())
    said = (f"{name}: {infinite:,} values are infinite",) if infinite else ()
    return ReadColumn(name=name, kind=ColumnKind.NUMBER, values=read, findings=said)


def _read_decimals(values: pd.Series[Any], name: str) -> ReadColumn:
    """Read decimals as numbers, or as names where different ones would become one number."""
    known = values.dropna()
    different = set(known.tolist())
    finite = [value for value in different if not isinstance(value, Decimal) or value.is_finite()]
    whole = all(value == int(value) for value in finite)
    long = whole and any(abs(value) >= NAMES_FROM for value in finite)
    if long or len({float(value) for value in different}) < len(different):
        return _as_names(values, name, LONG, lambda value: format(Decimal(value).normalize(), "f"))
    read = _read_numbers(values, name)
    shortened = sum(Decimal(float(value)) != value and _digits(value) > 17 for value in finite)
    said = (f"{name}: of numbers with more than 17 digits those beyond are not kept",) if shortened else ()
    return ReadColumn(**{**vars(read), "findings": (*read.findings, *said)})


def _digits(value: Any) -> int:
    return len(Decimal(value).normalize().as_tuple().digits)


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


TYPED: dict[str, Callable[[pd.Series[Any], str], ReadColumn]] = {
    "boolean": _read_truths,
    "integer": _read_whole,
    "floating": _read_numbers,
    "mixed-integer-float": _read_numbers,
    "decimal": _read_decimals,
    "datetime64": _read_times,
    "datetime": _read_times,
    "date": _read_times,
}
"""By what pandas finds the values to be."""
