"""What is known of one window while its performance is judged."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from windsock.exceptions import TransportError, WindsockError
from windsock.monitoring import performance_checks as checks
from windsock.monitoring.performance_metrics import Realised
from windsock.ports import LabelledRows, LoadedBundle, Ports
from windsock.records import (
    Baseline,
    Champion,
    CheckPerformanceInput,
    CheckResult,
    InputSchema,
    LedgerRow,
    MetricValue,
    ReferencePerformance,
    Span,
    Status,
    WindowVerdict,
)
from windsock.spec import MonitoringBlock, parse_duration

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

ANSWERED = ("champion", "challenger")
"""Variants of answers that went to the client and are of the version itself."""
USUAL = timedelta(days=7)
USUAL_WINDOWS = 7
"""How far back windows are looked at for what is usual: at least so long, and so many of them."""
AWAITS = "awaits_labels"
"""Number of a verdict: labels did not tell of its look-back up to the window's end, or told nothing new."""


@dataclass(kw_only=True)
class Case:
    """What is known of one window while it is judged.

    :param lookback: the stretch that realised metrics are of: where labels are complete enough by now.
    :param rows: the champion's own answers from the look-back on, with ``label``.
    :param history: the windows judged before, for what is usual.
    :param series: those and earlier ones, for a trend.
    :param ledger: the model's rows.
    :param baseline: the accepted one by them; ``None`` in ledgers of before.
    :param rates: positive outcomes for each answer, by variant.
    :param delay: what is known of how late labels come, where that was asked.
    :param wide: the answers of all versions, with ``label``, that this was measured on just now.
    :param again: whether labels alone are judged once more.
    """

    step: CheckPerformanceInput
    ports: Ports
    champion: Champion
    bundle: LoadedBundle
    now: datetime
    lookback: Span
    joined: LabelledRows
    rows: pd.DataFrame
    foreign: int
    history: tuple[WindowVerdict, ...]
    series: tuple[WindowVerdict, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
    baseline: Baseline | None = None
    checks: list[CheckResult] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    realised: Realised = field(default_factory=Realised)
    estimated: tuple[MetricValue, ...] = ()
    delay: Mapping[str, float] = field(default_factory=dict)
    wide: pd.DataFrame | None = None
    again: bool = False

    @property
    def reference(self) -> ReferencePerformance | None:
        """What the version did on its held-out rows."""
        return self.bundle.profile.performance if self.bundle.profile else None

    @property
    def schema(self) -> InputSchema:
        """The version's schema."""
        return self.bundle.schema


def between(case: Case, span: Span) -> pd.DataFrame:
    """Return the champion's answers in a stretch."""
    return within(case.rows, span)


def within(rows: pd.DataFrame, span: Span) -> pd.DataFrame:
    """Return the answers that were given in a stretch."""
    if rows.empty:
        return rows
    return rows[(rows["receive_time"] >= span.start) & (rows["receive_time"] < span.end)]


def labelled_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a label that the model knows."""
    return rows if rows.empty else rows[rows["label"].notna()]


def new_labels(case: Case, labelled: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled rows of which no earlier window's verdict has said anything.

    They are of this window, or their label came after the windows before were judged, or those had too few
    labels to be judged by. What was judged again is passed over: the latest window was judged first.
    """
    if labelled.empty:
        return labelled
    length = case.lookback.end - case.lookback.start
    own = labelled["receive_time"] >= case.step.window.start
    new = ~own
    for one in reversed(case.series):
        if not new.any():
            break
        if one.digest != case.champion.digest or one.window.end >= case.step.window.end or one.earlier:
            continue
        if knows_labels(one, case.step.spec.monitoring.performance.coverage):
            span = one.lookback or Span(start=one.window.end - length, end=one.window.end)
            received = labelled["receive_time"]
            outside = (received < span.start) | (received >= span.end)
            new &= outside | (labelled["label_time"] > one.judged_at)
    return labelled[own | new]


def history_starts(block: MonitoringBlock, end: datetime) -> datetime:
    """Return since when windows are looked at for what is usual.

    :param end: of the window that is judged.
    """
    return end - max(parse_duration(block.performance.window), USUAL, USUAL_WINDOWS * block.window_length)


def knows_labels(verdict: WindowVerdict, asked: float) -> bool:
    """Return whether labels were looked at for a verdict, or the window still waits for them.

    :param asked: the share of labelled answers that is asked.
    """
    share, is_judged = verdict.numbers.get("coverage"), verdict.status in (Status.PASS, Status.FAIL)
    return is_judged if share is None else share >= asked and (is_judged or AWAITS not in verdict.numbers)


def place_of(error: Exception) -> str:
    """Return an error's kind and where it came from; its message may quote a row's value."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"


def guard(case: Case, name: str, code: str, make: Callable[[], CheckResult]) -> None:
    """Make a check; what goes wrong in it is status error, never a pass."""
    try:
        made = make()
    except TransportError:
        raise
    except WindsockError as error:
        made = checks.result(name, Status.ERROR, f"{error.code}: {error.message}", code=code)
    except Exception as error:
        log.error("%s could not be computed: %s", name, place_of(error))
        made = checks.result(name, Status.ERROR, f"the check raised {type(error).__name__}", code=code)
    case.checks.append(made)
