"""Rows for the drift benchmark: 40 numbers and 10 categories, as columns and as hours of the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from windsock.adapters.log_columns import archive_schema
from windsock.adapters.log_groups import writer_options
from windsock.adapters.log_leaves import Leaf, features_column
from windsock.records import ColumnKind, DriftProfile, InputField
from windsock.statistics.profiling import build_profile

NUMBERS, CATEGORIES = 40, 10
NAMES = [f"n{place:02d}" for place in range(NUMBERS)]
TEXTS = [f"c{place:02d}" for place in range(CATEGORIES)]
GROUP_ROWS = 25_000
"""Rows of a row group of so many columns in the archive: 16 MiB of lines."""
MODEL, DIGEST = "bench", "b" * 64
START = datetime(2026, 5, 1, tzinfo=UTC)
DRIFTED = ("n00", "n01", "n02", "n03", "c00")
FIELDS = [InputField(name=name, kind=ColumnKind.NUMBER) for name in NAMES]
FIELDS += [InputField(name=name, kind=ColumnKind.CATEGORY) for name in TEXTS]


def make_columns(rows: int, *, seed: int, drift: bool) -> dict[str, Any]:
    """Return columns: numbers of four shapes (a quarter of them with ties), texts of 5 to 50 categories."""
    draw = np.random.default_rng(seed)
    shapes = (
        lambda: draw.normal(50, 10, rows),
        lambda: draw.lognormal(1, 0.5, rows),
        lambda: draw.poisson(3, rows).astype(float),
        lambda: draw.uniform(-1, 1, rows),
    )
    columns: dict[str, Any] = {}
    for place, name in enumerate(NAMES):
        values = shapes[place % len(shapes)]()
        columns[name] = values * 1.2 + 0.3 * values.std() if drift and name in DRIFTED else values
    for place, name in enumerate(TEXTS):
        width = 5 * (place + 1)
        texts = np.array([f"{name}-{number}" for number in range(width)])
        codes = draw.integers(0, width, rows)
        if drift and name in DRIFTED:
            codes = np.where(draw.random(rows) < 0.3, 0, codes)
        columns[name] = texts[codes]
    return columns


def make_profile(columns: Mapping[str, Any]) -> DriftProfile:
    """Return the drift profile of training rows."""
    return build_profile(pd.DataFrame(dict(columns)), FIELDS)


def write_hour(storage: Path, hour: datetime, columns: Mapping[str, Any]) -> Path:
    """Write an hour of the prediction log, in the archive's format.

    :param columns: the features of its rows.
    """
    rows = len(next(iter(columns.values())))
    leaves = {name: Leaf.NUMBER if name in NAMES else Leaf.TEXT for name in columns}
    schema = archive_schema("predictions", leaves, {DIGEST: frozenset(leaves)})
    made_of = {name: pa.array(values) for name, values in columns.items()}
    arrays = {  # many texts come in several chunks
        name: array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        for name, array in made_of.items()
    }
    received = np.datetime64(hour.replace(tzinfo=None), "us") + np.arange(rows) * (3_599_000_000 // rows)
    score = np.random.default_rng(rows).random(rows)
    constant = {"model": MODEL, "version": "1", "digest": DIGEST, "variant": "champion", "epoch": 1}
    made = []
    for field in schema:
        if field.name == "features":
            made.append(features_column(arrays, leaves, rows))
        elif field.name in constant:
            made.append(pa.repeat(pa.scalar(constant[field.name], field.type), rows))
        elif field.name == "prediction_id":
            made.append(pa.array([f"{number:032x}" for number in range(rows)]))
        elif field.name == "receive_time":
            made.append(pa.array(received, field.type))
        elif field.name == "score":
            made.append(pa.array(score))
        elif field.name == "inference_ms":
            made.append(pa.array(0.2 + score))
        elif field.name == "prediction":
            made.append(pa.array(np.where(score > 0.5, '"yes"', '"no"'), pa.string()))
        else:
            made.append(pa.nulls(rows, field.type))
    table = pa.table(made, schema=schema)
    target = storage / "predictions" / MODEL / f"{hour:%Y%m%dT%H}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, row_group_size=GROUP_ROWS, **writer_options(table.slice(0, GROUP_ROWS)))
    return target


def hours(count: int) -> list[datetime]:
    """Return hours that follow each other."""
    return [START + timedelta(hours=number) for number in range(count)]
