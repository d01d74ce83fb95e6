"""The rate of positive outcomes: what was shown is its denominator, whatever outcomes came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windsock.monitoring.performance_case import ANSWERED, Case, within
from windsock.monitoring.performance_checks import (
    ONE_SIDED,
    POSITIVE_RATE,
    interval_status,
    result,
)
from windsock.monitoring.performance_metrics import read_labels
from windsock.ports.left_out import left_out
from windsock.records import CheckResult, Span, Status
from windsock.records.check_text import against_limit
from windsock.spec import PerformanceBlock, RateBlock, parse_duration
from windsock.statistics.proportions import clopper_pearson

if TYPE_CHECKING:
    import pandas as pd

NO_OUTCOMES = "WS-MONITORING-048"
ALIKE = "an outcome that did not come and one that was lost look alike"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was shown, and what came of it.

    :param rows: answers.
    :param outcomes: of those, the ones with an outcome of any kind.
    :param hits: of those, the ones with a positive outcome.
    """

    rows: int
    outcomes: int
    hits: int

    @property
    def rate(self) -> float | None:
        """Positive outcomes for each answer."""
        return self.hits / self.rows if self.rows else None


def judge_positives(case: Case) -> None:
    """Judge the rate of positive outcomes, where the spec has one.

    The champion's rate is judged; that of each variant is shown.
    """
    block = case.step.spec.monitoring.performance
    if block.positive_rate is None:
        return
    positive = case.schema.positive
    rows = _rows(case, block.positive_rate)
    own = rows if rows.empty else rows[rows["digest"] == case.champion.digest]
    shown = _shown(own, positive)
    made = positive_rate(shown, block, known=positive is not None)
    if made.value is not None and made.status is not Status.ERROR:
        case.numbers["positive_rate"] = made.value
        case.numbers["positive_rate_shown"] = float(shown.rows)
        for variant in ANSWERED:
            rate = _shown(rows[rows["variant"] == variant], positive).rate
            if rate is not None:
                case.rates[variant] = rate
    case.checks.append(made)


def rate_span(end: datetime, asked: RateBlock) -> Span:
    """Return the stretch whose answers count: those whose outcomes have had their time.

    :param end: of the window.
    """
    last = end - parse_duration(asked.attribution) if asked.attribution else end
    return Span(start=last - parse_duration(asked.window), end=last)


def _rows(case: Case, asked: RateBlock) -> pd.DataFrame:
    """Return all variants' answers, with ``label``; outcomes that came too late for their answer are none."""
    span = rate_span(case.step.window.end, asked)
    joined = case.ports.rows.labelled(
        case.step.spec.name,
        span,
        case.step.spec.monitoring.labels,
        schema=case.schema,
        as_of=case.now,
        features=False,
    )
    frame, foreign = joined.frame, 0
    if not frame.empty:
        frame = within(frame[frame["variant"].isin(ANSWERED)], span)
        frame, foreign = read_labels(frame, case.schema)
    told = left_out(case.joined, case.foreign)
    case.findings += [f"{POSITIVE_RATE}: {one}" for one in left_out(joined, foreign) if one not in told]
    if frame.empty:
        return frame
    if asked.attribution is not None:
        late = frame["label_time"] - frame["receive_time"] > parse_duration(asked.attribution)
        frame = frame.assign(label=frame["label"].where(~late))
    return frame


def _shown(rows: pd.DataFrame, positive: object) -> Shown:
    if rows.empty:
        return Shown(rows=0, outcomes=0, hits=0)
    labels = rows["label"]
    hits = sum(label == positive for label in labels[labels.notna()]) if positive is not None else 0
    return Shown(rows=len(rows), outcomes=int(labels.notna().sum()), hits=hits)


def positive_rate(shown: Shown, block: PerformanceBlock, *, known: bool) -> CheckResult:
    """Check that the rate of positive outcomes has not fallen below a share of the usual rate.

    It fails when the exact bound that holds with 95 % from above lies below the limit, and passes when the
    one from below does not. Without a single outcome nobody knows whether they are lost: that is an error.

    :param known: whether the model has a positive class at all.
    """
    asked = block.positive_rate
    if asked is None:
        raise ValueError("the spec has no positive rate")
    if not known:
        return result(POSITIVE_RATE, Status.ERROR, "the model has no positive class: it has no positive rate")
    limit = asked.baseline * asked.share
    if shown.rate is None:
        message = f"no answers to count outcomes of in {asked.window}"
        return result(POSITIVE_RATE, Status.INSUFFICIENT, message, limit=limit, relation=">=", n=0)
    interval = clopper_pearson(shown.hits, shown.rows, level=ONE_SIDED)
    status = interval_status(interval, limit, least=True)
    numbers: dict[str, Any] = {"limit": limit, "relation": ">=", "interval": interval, "n": shown.rows}
    if not shown.outcomes and status is Status.FAIL:
        message = (
            f"not one outcome of {shown.rows:,} answers came in {asked.window}, and about "
            f"{asked.baseline * shown.rows:,.3g} were to be expected: {ALIKE}"
        )
        return result(POSITIVE_RATE, Status.ERROR, message, code=NO_OUTCOMES, value=0.0, **numbers)
    return result(
        POSITIVE_RATE,
        status,
        against_limit(
            "rate",
            shown.rate,
            ">=",
            limit,
            status=status,
            interval=interval,
            about=f"{100 * asked.share:g} % of {asked.baseline:g}",
            n=f"{shown.hits:,} positive of {shown.rows:,} answers",
        )
        + f"; of {asked.window}; {ALIKE}",
        value=shown.rate,
        **numbers,
    )
