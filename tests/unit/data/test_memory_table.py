"""Thirty injected faults and thirty harmless changes, each with the verdict that is right for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from zlib import crc32

import numpy as np
import pandas as pd

from support.tables import SPECS, make_table, take_statistics
from windsock.data.memory import memory_checks
from windsock.records import SnapshotStatistics

Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
NOW = 13
"""The month that is judged; months before it have been accepted."""
WRONG_AT_MOST = 2


def on(column: str, change: Callable[[pd.Series, np.random.Generator], pd.Series]) -> Change:
    return lambda frame, draw: frame.assign(**{column: change(frame[column], draw)})


def times(column: str, factor: float, share: float = 1.0) -> Change:
    return on(column, lambda values, draw: values.where(draw.random(len(values)) > share, values * factor))


def nulls(column: str, share: float = 0.4) -> Change:
    return on(column, lambda values, draw: values.astype(object).where(draw.random(len(values)) > share)
              if values.dtype.kind in "biO" else values.mask(draw.random(len(values)) < share))  # fmt: skip


def text(column: str) -> Change:
    return on(column, lambda values, draw: ("EUR " + values.astype(str)).astype(object))


def word(column: str, name: str, share: float) -> Change:
    return on(column, lambda values, draw: values.mask(draw.random(len(values)) < share, name))


def part(share: float) -> Change:
    return lambda frame, draw: frame.sample(frac=share, random_state=int(draw.integers(1 << 30)))


def copies(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    """Return rows of which a third are copies."""
    return pd.concat([frame, frame.iloc[draw.choice(len(frame), len(frame) // 2, replace=False)]])


def grown(factor: float) -> Change:
    return lambda frame, draw: frame.sample(
        frac=factor, replace=True, random_state=int(draw.integers(1 << 30))
    ).assign(**_made_new(frame, factor, draw))


def _made_new(frame: pd.DataFrame, factor: float, draw: np.random.Generator) -> dict[str, object]:
    """Return ids or times of their own for more rows, so that none is a copy."""
    rows = round(len(frame) * factor)
    key = next(name for name in ("customer_id", "taken_at", "ordered_at") if name in frame)
    if key == "customer_id":
        return {key: [f"N{number}" for number in range(rows)]}
    return {key: frame[key].min() + pd.to_timedelta(draw.uniform(0, 30, rows), unit="D")}


def promoted(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    """Return rows with twice as many promotions."""
    return frame.assign(promotion=frame["promotion"] | (draw.random(len(frame)) < 0.15))


def unchanged(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    return frame


# name, table, its rows, accepted snapshots, the change
FAULTS: list[tuple[str, str, int, int, Change]] = [
    ("charges x1000", "churn", 2_000, 1, times("monthly_charges", 1_000)),
    ("charges x1000, 12 months", "churn", 2_000, 12, times("monthly_charges", 1_000)),
    ("charges x1000 in half of the rows", "churn", 2_000, 3, times("monthly_charges", 1_000, 0.5)),
    ("40 % new nulls", "churn", 2_000, 1, nulls("total_charges")),
    ("33 % copies", "churn", 2_000, 1, copies),
    ("charges became text", "churn", 2_000, 2, text("monthly_charges")),
    ("rows to a tenth", "churn", 2_000, 1, part(0.1)),
    ("one region for 70 %", "churn", 2_000, 4, word("region", "north", 0.7)),
    ("small: charges x1000", "churn", 200, 1, times("total_charges", 1_000)),
    ("small: 40 % new nulls in words", "churn", 200, 6, nulls("contract")),
    ("small: rows halved", "churn", 200, 2, part(0.5)),
    ("degrees x1000", "sensors", 2_000, 1, times("s0", 1_000)),
    ("heavy tail x1000", "sensors", 2_000, 2, times("s2", 1_000)),
    ("half of a heavy tail x1000", "sensors", 2_000, 6, times("s2", 1_000, 0.5)),
    ("lognormal / 1000", "sensors", 2_000, 3, times("s11", 0.001)),
    ("mostly zero x1000", "sensors", 2_000, 1, times("s4", 1_000)),
    ("40 % new nulls where 10 % were", "sensors", 2_000, 6, nulls("s7")),
    ("33 % copies of readings", "sensors", 2_000, 12, copies),
    ("a sensor became text", "sensors", 2_000, 1, text("s3")),
    ("small: half of a lognormal x1000", "sensors", 200, 1, times("s1", 1_000, 0.5)),
    ("small: degrees x1000, half of the rows", "sensors", 200, 6, times("s5", 1_000, 0.5)),
    ("small: 33 % copies", "sensors", 200, 2, copies),
    ("prices in cents", "retail", 2_000, 6, times("price", 100)),
    ("half of the amounts x1000", "retail", 2_000, 1, times("amount", 1_000, 0.5)),
    ("40 % new nulls in words", "retail", 2_000, 2, nulls("product")),
    ("33 % copies of orders", "retail", 2_000, 1, copies),
    ("rows halved", "retail", 2_000, 12, part(0.5)),
    ("one unknown word for 60 %", "retail", 2_000, 1, word("store", "unknown", 0.6)),
    ("small: rows to a tenth", "retail", 200, 6, part(0.1)),
    ("small: one word for 80 %", "retail", 200, 2, word("store", "web", 0.8)),
]
HARMLESS: list[tuple[str, str, int, int, Change]] = [
    *((f"another month's sample, {table}, {rows:,} rows, {months} accepted", table, rows, months, unchanged)
      for table in ("churn", "sensors", "retail") for rows in (2_000, 200) for months in (1, 5, 12)),
    *((f"{factor:.1f} times the rows, {table}", table, 2_000, 3, grown(factor))
      for factor, table in ((1.4, "churn"), (3.0, "sensors"), (1.4, "retail"))),
    ("a fifth of the rows fewer", "retail", 2_000, 12, part(0.8)),
    ("a new word for 10 %", "retail", 2_000, 1, word("store", "outlet", 0.1)),
    ("a word that is gone", "churn", 2_000, 6, word("plan", "standard", 0.1)),
    ("10 % new nulls", "sensors", 2_000, 1, nulls("s1", 0.1)),
    ("small: 10 % new nulls", "churn", 200, 6, nulls("total_charges", 0.1)),
    ("prices 20 % higher", "retail", 2_000, 12, times("price", 1.2)),
    ("prices 50 % higher", "retail", 200, 1, times("price", 1.5)),
    ("twice as many promotions", "retail", 2_000, 6, promoted),
    ("rows in another order", "churn", 2_000, 1, part(1.0)),
]  # fmt: skip


@cache
def month_of(table: str, month: int, rows: int) -> SnapshotStatistics:
    return take_statistics(make_table(table, month, rows), month)


def verdict(name: str, table: str, rows: int, months: int, change: Change) -> tuple[str, str]:
    """Return ``pass``, or ``fail`` and the checks that failed."""
    draw = np.random.default_rng(crc32(name.encode()))
    frame = change(make_table(table, NOW, rows), draw).reset_index(drop=True)
    accepted = [month_of(table, month, rows) for month in range(NOW - 1, NOW - 1 - months, -1)]
    failed = [
        check.name
        for check in memory_checks(SPECS[table], take_statistics(frame, NOW), accepted)
        if not check.passed
    ]
    return ("fail" if failed else "pass"), ", ".join(failed)


def test_thirty_faults_and_thirty_harmless_changes():
    assert (len(FAULTS), len(HARMLESS)) == (30, 30)
    table, wrong = [], 0
    for expected, one in [*(("fail", one) for one in FAULTS), *(("pass", one) for one in HARMLESS)]:
        got, failed = verdict(*one)
        wrong += got != expected
        word = "ok   " if got == expected else "WRONG"
        table.append(f"{word} {one[1]:<8} {one[0]:<50} right {expected} got {got} {failed}")
    sys.stdout.write("\n".join([*table, f"{wrong} of {len(table)} wrong", ""]))
    assert wrong <= WRONG_AT_MOST
