"""Logged features as training saw them: typed columns, with decrypted values where the log key is there."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.column_cipher import PREFIX, UNAVAILABLE, ColumnCipher
from windsock.adapters.log_leaves import feature_rows, leaf_values
from windsock.exceptions import SettingsError
from windsock.records import ColumnKind, InputField
from windsock.records.values import LARGEST, category_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

log = logging.getLogger(__name__)


def log_cipher(keys_dir: Path | None) -> ColumnCipher | None:
    """Return what reads encrypted values; ``None`` where there is no key, or none that can be used."""
    if keys_dir is None:
        return None
    try:
        return ColumnCipher.from_folder(keys_dir)
    except SettingsError as error:
        log.warning("%s: encrypted values are read as missing", error)
        return None


def typed_features(
    table: pa.Table, fields: Sequence[InputField], cipher: ColumnCipher | None
) -> pd.DataFrame:
    """Return a column for each field, in the types of a pipeline's input.

    Numbers, integers and booleans are floats, categories text, dates times in UTC without a zone. A value of
    another kind, beyond what numbers may be, or encrypted without its key is missing, as is a field that the
    rows do not have.

    :param table: rows of predictions whose features are typed leaves.
    """
    import pandas as pd

    columns = {}
    for field in fields:
        values = leaf_values(table, field.name)
        if field.sensitive:
            values = [_decrypted(value, cipher) for value in values]
        columns[field.name] = _column(values, field)
    return pd.DataFrame(columns, columns=[field.name for field in fields], index=range(table.num_rows))


def logged_features(table: pa.Table, cipher: ColumnCipher | None) -> list[dict[str, Any]]:
    """Return each row's features by name, as they were logged; encrypted ones as they were before."""
    return [
        {name: _decrypted(value, cipher) for name, value in features.items()}
        for features in feature_rows(table)
    ]


def _column(values: Sequence[Any], field: InputField) -> Any:
    import numpy as np
    import pandas as pd

    if field.kind is ColumnKind.CATEGORY:
        texts = [math.nan if value is None else category_text(value) for value in values]
        return pd.Series(texts, dtype=object)
    if field.kind is ColumnKind.DATETIME:
        known = pd.Series([value if isinstance(value, str) else None for value in values], dtype=object)
        times = pd.to_datetime(known, utc=True, format="ISO8601", errors="coerce")
        return times.dt.tz_localize(None).astype("datetime64[us]").to_numpy()
    read = _boolean_of(field) if field.kind is ColumnKind.BOOLEAN else _number
    return np.array([read(value) for value in values], dtype="float64")


def _number(value: Any) -> float:
    if value is None or isinstance(value, str):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if abs(number) <= LARGEST else math.nan


def _boolean_of(field: InputField) -> Callable[[Any], float]:
    words = {word: number for word, number in ((field.true_word, 1.0), (field.false_word, 0.0)) if word}

    def read(value: Any) -> float:
        if isinstance(value, str):
            return words.get(value, math.nan)
        return float(value) if value in (0, 1) else math.nan

    return read


def _decrypted(value: Any, cipher: ColumnCipher | None) -> Any:
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    if cipher is None or value == UNAVAILABLE:
        return None
    try:
        return cipher.decrypt(value)
    except SettingsError:
        return None
