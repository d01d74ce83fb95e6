"""From rows to a fitted pipeline's input: the one way, for training and for serving."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, InputField
from windsock.records.values import LARGEST, category_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.compose import ColumnTransformer

NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN)
MIN_FREQUENCY = 5
"""A category with fewer training rows shares one column (or code) with the other rare ones."""
MAX_ONE_HOT = 100
"""Most columns that one category field becomes."""

Rows = Sequence[Mapping[str, Any]]


def to_features(rows: pd.DataFrame | Rows, fields: Sequence[InputField]) -> pd.DataFrame:
    """Turn typed rows into exactly the frame that a pipeline is fitted on and answers to.

    Numbers, integers and booleans (also written as their two words) become floats, categories become text
    in an object column, dates become times in UTC without a zone. A missing value is NaN (NaT in dates),
    and so is an infinite one (beyond 1e30). The columns stand in the order of ``fields``; others are dropped.

    :param rows: a frame, or feature objects as a client sends them.
    :param fields: ``InputSchema.fields``.
    :raises DataRefusedError: if a required field is not there, or a value is not of its field's kind; the
        message names the field and never the value.
    """
    import pandas as pd

    index = rows.index if isinstance(rows, pd.DataFrame) else pd.RangeIndex(len(rows))
    columns = {}
    for field in fields:
        values = _values(rows, field)
        try:
            converted = CONVERT[field.kind](values, field)
        except (TypeError, ValueError, OverflowError, KeyError) as error:
            raise DataRefusedError(
                f"field {field.name!r}: a value is no {field.kind.value} ({type(error).__name__})",
                code="WS-DATA-040",
                next_action="Send the kinds that the model was trained with, or train it on the new ones.",
            ) from None
        columns[field.name] = pd.Series(converted, index=index, dtype=DTYPES.get(field.kind, "float64"))
    return pd.DataFrame(columns, index=index, columns=[field.name for field in fields])


def _values(rows: pd.DataFrame | Rows, field: InputField) -> Any:
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        if field.name in rows.columns:
            return rows[field.name]
        there = False
    else:
        there = all(field.name in row for row in rows)
    if field.required and not there:
        raise DataRefusedError(
            f"field {field.name!r} is missing",
            code="WS-DATA-041",
            next_action="Send every required field of the model's schema; null stands for an unknown value.",
        )
    return [None] * len(rows) if isinstance(rows, pd.DataFrame) else [row.get(field.name) for row in rows]


def _listed(values: Any) -> list[Any]:
    """Return the values as plain objects with ``None`` for missing ones."""
    if isinstance(values, list):
        return [None if value is None or value != value else value for value in values]
    missing = values.isna().to_numpy()
    return [None if gone else value for value, gone in zip(values.tolist(), missing, strict=True)]


def _to_number(values: Any, field: InputField) -> NDArray[Any]:
    import numpy as np

    if getattr(getattr(values, "dtype", None), "kind", "O") in "iufb":
        numbers = np.array(values.to_numpy(dtype="float64", na_value=math.nan))
    else:
        numbers = np.array(
            [math.nan if value is None else float(value) for value in _listed(values)], dtype="float64"
        )
    numbers[~(np.abs(numbers) <= LARGEST)] = math.nan
    return numbers


def _to_boolean(values: Any, field: InputField) -> NDArray[Any]:
    import numpy as np

    words: dict[Any, float] = {True: 1.0, False: 0.0, None: math.nan}
    words |= {
        word: number for word, number in ((field.true_word, 1.0), (field.false_word, 0.0)) if word is not None
    }
    return np.array([words[value] for value in _listed(values)], dtype="float64")


def _to_category(values: Any, field: InputField) -> NDArray[Any]:
    import numpy as np

    texts = np.empty(len(values), dtype=object)
    texts[:] = [math.nan if value is None else category_text(value) for value in _listed(values)]
    return texts


def _to_datetime(values: Any, field: InputField) -> Any:
    import pandas as pd

    if isinstance(values, list):
        values = pd.Series(_listed(values), dtype=object)
    as_text = values.dtype == object or pd.api.types.is_string_dtype(values.dtype)
    times = pd.to_datetime(values, utc=True, format="ISO8601" if as_text else None)
    return times.dt.tz_localize(None).astype("datetime64[us]").to_numpy()


CONVERT: dict[ColumnKind, Callable[[Any, InputField], Any]] = {
    ColumnKind.NUMBER: _to_number,
    ColumnKind.INTEGER: _to_number,
    ColumnKind.BOOLEAN: _to_boolean,
    ColumnKind.CATEGORY: _to_category,
    ColumnKind.DATETIME: _to_datetime,
}


DTYPES = {ColumnKind.CATEGORY: "object", ColumnKind.DATETIME: "datetime64[us]"}
"""Types of the columns of features; all others are float64."""


class DateParts:
    """Turns dates into weekday, month, day of the month and, where training saw times of day, the hour.

    Never absolute time: a model must not learn that the future lies outside of what it saw. It follows
    scikit-learn's transformer protocol without importing it, so that this module stays light; bundles name
    it by this path, so it stays here.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, of which there are none."""
        return {}

    def set_params(self, **params: Any) -> DateParts:
        """Set no parameters."""
        if params:
            raise ValueError(f"DateParts has no parameters; got {sorted(params)}")
        return self

    def fit(self, X: pd.DataFrame, y: Any = None) -> DateParts:  # noqa: N803
        """Note which columns hold times of day.

        :param X: columns of datetime64, as :func:`to_features` makes them.
        """
        self.feature_names_in_ = [str(name) for name in X.columns]
        self.n_features_in_ = len(self.feature_names_in_)
        self.with_hour_ = [
            bool((X[name].dropna() != X[name].dropna().dt.normalize()).any()) for name in X.columns
        ]
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[Any]:  # noqa: N803
        """Return the parts as floats, NaN where the date is missing."""
        import numpy as np

        parts = [
            getattr(X.iloc[:, number].dt, part).to_numpy(dtype="float64", na_value=math.nan)
            for number, with_hour in enumerate(self.with_hour_)
            for part in self._parts(with_hour)
        ]
        return np.column_stack(parts)

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> NDArray[Any]:  # noqa: N803
        """Fit, then transform."""
        return self.fit(X).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the parts, such as ``signed_up.weekday``."""
        import numpy as np

        named = zip(self.feature_names_in_, self.with_hour_, strict=True)
        names = [f"{name}.{part}" for name, with_hour in named for part in self._parts(with_hour)]
        return np.array(names, dtype=object)

    @staticmethod
    def _parts(with_hour: bool) -> tuple[str, ...]:
        return ("weekday", "month", "day", "hour") if with_hour else ("weekday", "month", "day")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "with_hour_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(allow_nan=True),
        )


def build_preprocessing(
    fields: Sequence[InputField], style: str, *, max_codes: int = 255
) -> ColumnTransformer:
    """Build the first step of a pipeline, unfitted.

    ``linear``: medians for missing numbers, with a flag column, and scaling; one-hot categories and date
    parts. ``trees``: the same without scaling, date parts as numbers. ``native``: for estimators that
    handle NaN and category codes themselves; categories come first, as codes below ``max_codes``, and a
    missing or unseen one is NaN.

    :param fields: the features.
    :param style: ``linear``, ``trees`` or ``native``.
    :param max_codes: with ``native``, the most codes that one category field may have.
    """
    from sklearn.compose import ColumnTransformer

    groups = {
        "categories": [field.name for field in fields if field.kind is ColumnKind.CATEGORY],
        "numbers": [field.name for field in fields if field.kind in NUMERIC],
        "dates": [field.name for field in fields if field.kind is ColumnKind.DATETIME],
    }
    steps = _native_steps(max_codes) if style == "native" else _imputed_steps(linear=style == "linear")
    used = [(name, steps[name], columns) for name, columns in groups.items() if columns]
    return ColumnTransformer(used, remainder="drop")


def category_positions(fields: Sequence[InputField]) -> list[int]:
    """Return the positions of the category codes in what the ``native`` preprocessing gives."""
    return list(range(sum(field.kind is ColumnKind.CATEGORY for field in fields)))


def _native_steps(max_codes: int) -> dict[str, Any]:
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=math.nan,
        encoded_missing_value=math.nan,
        max_categories=max_codes - 1,
    )
    return {"categories": codes, "numbers": "passthrough", "dates": DateParts()}


def _imputed_steps(*, linear: bool) -> dict[str, Any]:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def one_hot() -> Any:
        return OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=MIN_FREQUENCY, max_categories=MAX_ONE_HOT
        )

    def medians() -> Any:
        return SimpleImputer(strategy="median", add_indicator=True)

    return {
        "categories": one_hot(),
        "numbers": make_pipeline(medians(), StandardScaler()) if linear else medians(),
        "dates": make_pipeline(DateParts(), one_hot() if linear else medians()),
    }
