"""Categories with more values than training rows can have seen: no alarm without drift, and one with it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from support.drift_windows import count_frame
from windsock.monitoring.drift_columns import judge_columns
from windsock.monitoring.drift_verdict import judge_window
from windsock.records import ColumnKind, DriftProfile, InputField, Status
from windsock.spec import DriftBlock
from windsock.statistics.profiling import build_profile

pytestmark = pytest.mark.cases

FIELDS = [
    InputField(name="merchant", kind=ColumnKind.CATEGORY),
    InputField(name="x", kind=ColumnKind.NUMBER),
]
KINDS = {"100 equal values": 0.0, "Zipf 1.3": 1.3, "Zipf 1.6": 1.6}
RULE = DriftBlock()
WINDOWS, ROWS, TRAINING = 40, 1_000, 4_000


@cache
def months(kind: str, rows: int, seed: int) -> pd.DataFrame:
    """Return rows as the source has them, month after month: a merchant and a number."""
    draw = np.random.default_rng(seed)
    merchants = draw.zipf(KINDS[kind], rows) if KINDS[kind] else draw.integers(1, 101, rows)
    names = np.array([f"m{number}" for number in merchants.tolist()], dtype=object)
    return pd.DataFrame({"merchant": names, "x": draw.normal(size=rows)})


@cache
def profile_of(kind: str) -> DriftProfile:
    return build_profile(months(kind, TRAINING, 1), FIELDS)


def status_of(profile: DriftProfile, window: pd.DataFrame) -> Status:
    counts = count_frame(profile, window)
    return judge_window(profile, counts, judge_columns(profile, counts, RULE), RULE).status


@pytest.mark.parametrize("kind", KINDS)
def test_windows_without_drift(case, kind):
    profile = profile_of(kind)
    later = months(kind, WINDOWS * ROWS, 2)
    parts = [later.iloc[begin : begin + ROWS] for begin in range(0, len(later), ROWS)]
    alarms = sum(status_of(profile, part) is Status.FAIL for part in parts)
    case(f"categories: {kind}, at most 2 of 40 windows alarm", right=True, got=alarms <= 2)


@pytest.mark.parametrize("merchant", ["m99", "a new merchant"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_takes_over(case, kind, merchant):
    window = months(kind, ROWS, 3).copy()
    window.loc[np.random.default_rng(4).random(ROWS) < 0.06, "merchant"] = merchant
    case(
        f"categories: {kind}, {merchant} takes over 5 %",
        right=Status.FAIL,
        got=status_of(profile_of(kind), window),
    )
