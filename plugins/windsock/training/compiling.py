"""A fitted pipeline's compiled form, held against the pipeline itself before it may ever serve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.exceptions import NotCompilableError
from windsock.ports import CompiledModel, ModelCompiler
from windsock.records import (
    Answer,
    ColumnKind,
    CompiledEquality,
    GoldenPredictions,
    InputField,
    InputSchema,
)
from windsock.training.fitting import answer
from windsock.training.golden import tolerance_of
from windsock.training.preprocessing import to_features

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

COMPILED = "compiled"
"""Where the facts of a bundle's manifest say what was found."""
TOLERANCE = 1e-9
CHUNK = 10_000
"""Rows that are compared at a time. Those of the first chunk are also asked for one by one."""

Values = tuple[Any, ...]


def compile_pipeline(
    pipeline: Pipeline,
    schema: InputSchema,
    golden: GoldenPredictions,
    held_out: pd.DataFrame,
    compiler: ModelCompiler,
) -> tuple[Mapping[str, bytes], CompiledEquality]:
    """Compile a fitted pipeline and hold the result, as it will be loaded, against the pipeline.

    Both answer all held-out rows and the golden ones; nothing is fitted on them. Whatever goes wrong, the
    pipeline itself is unharmed and serves: this never fails a training.

    :param held_out: rows of the snapshot that the pipeline was not fitted on.
    :returns: the files of the compiled form, none where it may not serve; and what was found.
    """
    try:
        files = compiler.compile(pipeline, schema)
        compiled = compiler.load(files, schema)
        found = _compare(compiled, pipeline, schema, golden, held_out)
    except NotCompilableError as error:
        files, found = {}, CompiledEquality(reason=error.message)
    except Exception as error:  # its text may quote a value: only its kind is told
        files, found = {}, CompiledEquality(reason=f"{type(error).__name__} while compiling or comparing")
    return (files if found.equal else {}), found


def client_rows(features: pd.DataFrame, fields: Sequence[InputField]) -> list[Values]:
    """Return rows as the values that a client would send for them, in the order of the fields.

    :param features: rows as the pipeline sees them, from ``to_features``.
    """
    columns = [_sent(features[field.name], field.kind) for field in fields]
    return list(zip(*columns, strict=True))


def _sent(column: pd.Series[Any], kind: ColumnKind) -> list[Any]:
    missing = column.isna().tolist()
    values: list[Any]
    if kind is ColumnKind.DATETIME:
        values = [f"{text}+00:00" for text in column.dt.strftime("%Y-%m-%dT%H:%M:%S")]
    elif kind is ColumnKind.CATEGORY:
        values = column.tolist()
    else:
        read = {ColumnKind.BOOLEAN: bool, ColumnKind.INTEGER: int}.get(kind, float)
        values = [None if gone else read(value) for value, gone in zip(column, missing, strict=True)]
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def _compare(
    compiled: CompiledModel,
    pipeline: Pipeline,
    schema: InputSchema,
    golden: GoldenPredictions,
    held_out: pd.DataFrame,
) -> CompiledEquality:
    rows, flips, difference = 0, 0, 0.0
    lowest, highest = math.inf, -math.inf
    for values, expected in _answered(pipeline, schema, golden, held_out):
        asked = [compiled.answers(values)]
        if not rows:
            asked.append([compiled.answers([one])[0] for one in values])
        for answers in asked:
            flipped, apart = _difference(answers, expected)
            flips, difference = flips + flipped, max(difference, apart)
        rows += len(values)
        lowest, highest = min(lowest, float(expected.min())), max(highest, float(expected.max()))
    tolerance = tolerance_of(lowest, highest, TOLERANCE, shares=schema.answer is Answer.CLASS)
    equal = flips == 0 and difference <= tolerance
    return CompiledEquality(
        engine=compiled.engine,
        rows=rows,
        flips=flips,
        largest_difference=difference if math.isfinite(difference) else None,
        tolerance=tolerance,
        equal=equal,
        reason="" if equal else f"over the limit of 0 flips and {tolerance:.2g}; scikit-learn serves",
    )


def _answered(
    pipeline: Pipeline, schema: InputSchema, golden: GoldenPredictions, held_out: pd.DataFrame
) -> Iterator[tuple[list[Values], NDArray[Any]]]:
    """Give rows and the pipeline's answers: the held-out ones chunk by chunk, then the golden ones."""
    import numpy as np

    for start in range(0, len(held_out), CHUNK):
        features = to_features(held_out.iloc[start : start + CHUNK], schema.fields)
        answers = answer(pipeline, features)
        yield client_rows(features, schema.fields), answers.reshape(len(features), -1)
    yield [schema.values_of(row) for row in golden.rows], np.array(golden.scores)


def _difference(answers: Sequence[Sequence[float]], expected: NDArray[Any]) -> tuple[int, float]:
    """Return in how many rows the class differs, and the largest absolute difference."""
    import numpy as np

    seen = np.array(answers, dtype="float64").reshape(expected.shape)
    apart = np.abs(seen - expected)
    flips = int((seen.argmax(axis=1) != expected.argmax(axis=1)).sum())
    return flips, float(apart.max()) if np.isfinite(apart).all() else math.inf
