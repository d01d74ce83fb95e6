"""Logs that are hard to count, for the tests of one engine and for those of their agreement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from support.builders import digest
from support.logged_hours import LoggedHours, event
from windsock.adapters.column_cipher import UNAVAILABLE, ColumnCipher
from windsock.records import ColumnKind, ColumnProfile, DriftProfile, InputField
from windsock.statistics.profiling import build_profile

AGES = np.arange(20.0, 60.0)
SCORES = ColumnProfile(
    name="score", kind=ColumnKind.NUMBER, rows=3, nulls=0, edges=(0.25, 0.5), below=(0, 1), up_to=(1, 2)
)


def make_profile(**more: ColumnKind) -> DriftProfile:
    """Return a profile of ages and plans, with further columns of these kinds."""
    frame = pd.DataFrame({"age": AGES, "plan": ["basic", "gold"] * 20})
    profile = build_profile(
        frame,
        [
            InputField(name="age", kind=ColumnKind.NUMBER),
            InputField(name="plan", kind=ColumnKind.CATEGORY),
        ],
    )
    added = tuple(
        ColumnProfile(
            name=name,
            kind=kind,
            rows=1,
            nulls=0,
            categories={"true": 1, "false": 1} if kind is ColumnKind.BOOLEAN else {},
            true_word="yes" if kind is ColumnKind.BOOLEAN else None,
        )
        for name, kind in more.items()
    )
    return profile.model_copy(update={"score": SCORES, "columns": (*profile.columns, *added)})


PROFILE = make_profile()
NAMED = PROFILE.model_copy(
    update={
        "columns": (
            ColumnProfile(
                name="x", kind=ColumnKind.CATEGORY, rows=2, nulls=0, categories={"3": 1, "2.5": 1, "a": 1}
            ),
        )
    }
)

VALUES: list[tuple[ColumnKind, list[Any], tuple[int, int, int]]] = [
    (ColumnKind.NUMBER, [1.5, 2, None, 1e31], (2, 2, 0)),
    (ColumnKind.NUMBER, ["1.5", True, None, 2.0], (1, 1, 2)),
    (ColumnKind.NUMBER, ["text", "more"], (0, 0, 2)),
    (ColumnKind.NUMBER, [True, False], (0, 0, 2)),
    (ColumnKind.INTEGER, [1, 2**60, None], (2, 1, 0)),
    (ColumnKind.BOOLEAN, [True, False, None], (2, 1, 0)),
    (ColumnKind.BOOLEAN, ["yes", "no", None], (2, 1, 0)),
    (ColumnKind.BOOLEAN, [1, 0, None], (0, 1, 2)),
    (ColumnKind.DATETIME, ["2026-05-01T00:00:00+00:00", None], (1, 1, 0)),
    (ColumnKind.DATETIME, [1, 2, None], (0, 1, 2)),
    (ColumnKind.NUMBER, [None, None], (0, 2, 0)),
]
"""A column's kind, what is logged of it, and how many are values, nulls and unreadable."""
NAMES: list[list[Any]] = [[3, 3.0, 2.5, 7], [3, "3", 2.5, "b"], [3, 3, 4, 4]]
"""Numbers and texts of a category whose names are numbers."""


def write_values(log: LoggedHours, values: list[Any]) -> None:
    """Write an archived hour in which the feature ``x`` has these values."""
    for number, value in enumerate(values):
        log.write(event(str(number), features={"x": value}))
    log.archive()


def write_damaged(log: LoggedHours, *, archived: bool) -> None:
    """Write an hour of 600 rows, 600 shadows and 20 lines that cannot be read."""
    shadows = log.events(600, variant="shadow", digest=digest("d"))
    log.write(*log.events(600), tail=b"nonsense\n" * 20)
    log.write(*[one.model_copy(update={"prediction_id": f"s{one.prediction_id}"}) for one in shadows])
    if archived:
        log.archive()


def write_sealed(log: LoggedHours, keys: Path) -> None:
    """Write an archived hour whose values are encrypted; the last row's could not be."""
    cipher = ColumnCipher.from_folder(keys)
    assert cipher is not None
    for number, (age, plan) in enumerate([(30.0, "gold"), (30.0, "new"), (None, None)]):
        sealed = {"age": cipher.encrypt(age), "plan": cipher.encrypt(plan)}
        log.write(event(str(number), features=sealed))
    log.write(event("u", features={"age": UNAVAILABLE, "plan": UNAVAILABLE}))
    log.archive()
