"""Tables of realistic shape, month by month, and snapshots of them: what the data gate remembers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd

from support.builders import make_spec
from support.make_churn_sample import make_sample
from windsock.data.statistics import snapshot_statistics
from windsock.records import ColumnKind, ColumnRole, ColumnSchema, DataSnapshot, SnapshotStatistics
from windsock.spec import ModelSpec

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
ROLES = {
    "customer_id": ColumnRole.ENTITY,
    "order_id": ColumnRole.IGNORED,
    "taken_at": ColumnRole.EVENT_TIME,
    "ordered_at": ColumnRole.EVENT_TIME,
    "churned": ColumnRole.TARGET,
    "failed": ColumnRole.TARGET,
    "returned": ColumnRole.TARGET,
    "gender": ColumnRole.SENSITIVE,
}
SPECS: Mapping[str, ModelSpec] = {
    "churn": make_spec(data={"target": "churned", "entity": "customer_id", "sensitive": ["gender"]}),
    "sensors": make_spec(data={"target": "failed", "entity": None, "event_time": "taken_at"}),
    "retail": make_spec(data={"target": "returned", "entity": None, "event_time": "ordered_at"}),
}
SENSORS = 30
STORES = ("north", "south", "east", "west", "web")


@cache
def churn_sample() -> pd.DataFrame:
    """Return the sample of customers, typed."""
    frame = pd.read_csv(io.StringIO(make_sample()), parse_dates=["signed_up"])
    for name in ("paperless", "churned"):
        frame[name] = frame[name] == "Yes"
    return frame


def make_table(kind: str, month: int, rows: int = 2_000) -> pd.DataFrame:
    """Return the rows of one month; each month is another sample with ids and times of its own."""
    draw = np.random.default_rng([len(kind), month, rows])
    return {"churn": _churn, "sensors": _sensors, "retail": _retail}[kind](draw, month, rows)


def _churn(draw: np.random.Generator, month: int, rows: int) -> pd.DataFrame:
    sample = churn_sample()
    frame = sample.iloc[draw.choice(len(sample), rows, replace=False)].reset_index(drop=True)
    frame["customer_id"] = [f"C{month}-{number}" for number in draw.permutation(rows)]
    frame["signed_up"] = frame["signed_up"] + MONTH * month
    return frame


def _sensors(draw: np.random.Generator, month: int, rows: int) -> pd.DataFrame:
    season = np.sin(2 * np.pi * month / 12)
    columns = {"taken_at": FIRST_DAY + MONTH * month + pd.to_timedelta(draw.uniform(0, 30, rows), unit="D")}
    for number in range(SENSORS):
        kind, scale = number % 5, 10.0 ** (number % 4)
        moved = np.exp(draw.normal(0, 0.15))
        columns[f"s{number}"] = {
            0: draw.normal(20 + 8 * season, 4, rows),  # degrees, both signs
            1: scale * moved * draw.lognormal(0, 1 + number / SENSORS, rows),
            2: scale * moved * (draw.pareto(1.2, rows) + 1),
            3: 1_000 + draw.normal(0, 3, rows),  # a pressure, far from zero
            4: np.where(draw.random(rows) < 0.4, 0.0, moved * draw.exponential(5, rows)),
        }[kind]
    frame = pd.DataFrame(columns)
    frame["s7"] = frame["s7"].mask(draw.random(rows) < 0.1)
    frame["failed"] = draw.random(rows) < 0.08
    return frame


def _retail(draw: np.random.Generator, month: int, rows: int) -> pd.DataFrame:
    season = 1 + 0.4 * np.sin(2 * np.pi * month / 12)
    words = [f"P{number}" for number in range(40)]
    weights = (1 / np.arange(1, 41)) * np.exp(draw.normal(0, 0.2, 40))
    quantity = 1 + draw.poisson(1.5 * season, rows)
    price = np.round(draw.lognormal(3, 0.8, rows), 2)
    return pd.DataFrame(
        {
            "order_id": month * 1_000_000 + np.arange(rows),
            "ordered_at": FIRST_DAY + MONTH * month + pd.to_timedelta(draw.uniform(0, 30, rows), unit="D"),
            "store": draw.choice(STORES, rows, p=[0.2, 0.2, 0.2, 0.1, 0.3]),
            "product": draw.choice(words, rows, p=weights / weights.sum()),
            "payment": draw.choice(["card", "cash", "voucher"], rows, p=[0.7, 0.25, 0.05]),
            "quantity": quantity,
            "price": price,
            "amount": np.round(quantity * price * draw.lognormal(0, 0.1, rows), 2),
            "discount": np.where(draw.random(rows) < 0.8, 0.0, np.round(draw.uniform(0.05, 0.3, rows), 2)),
            "promotion": draw.random(rows) < 0.15 * season,
            "returned": draw.random(rows) < 0.1,
        }
    )


def take_statistics(frame: pd.DataFrame, month: int) -> SnapshotStatistics:
    """Return the statistics of a month's rows."""
    snapshot = DataSnapshot(
        model="churn",
        digest=f"{month:064x}",
        uri="memory://rows",
        rows=len(frame),
        columns=tuple(_schema(name, frame[name]) for name in frame.columns),
        source="file",
        taken_at=FIRST_DAY + MONTH * (month + 1),
    )
    return snapshot_statistics(snapshot, frame, suite_digest=None)


def _schema(name: str, values: pd.Series) -> ColumnSchema:
    kinds = {
        "b": ColumnKind.BOOLEAN,
        "i": ColumnKind.INTEGER,
        "f": ColumnKind.NUMBER,
        "M": ColumnKind.DATETIME,
    }
    return ColumnSchema(
        name=name,
        kind=kinds.get(values.dtype.kind, ColumnKind.CATEGORY),
        role=ROLES.get(name, ColumnRole.FEATURE),
        nulls=int(values.isna().sum()),
        distinct=int(values.nunique()),
    )
