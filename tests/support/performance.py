"""A champion with a reference, its answers and their labels, for tests of ``check_performance``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from support.builders import digest, make_spec
from support.world import world_of
from windsock.monitoring.check_performance import check_performance
from windsock.ports import LabelledRows, LoadedBundle
from windsock.records import (
    Answer,
    BundleManifest,
    CheckPerformanceInput,
    CheckResult,
    ColumnKind,
    ColumnProfile,
    DriftProfile,
    GoldenPredictions,
    InputField,
    InputSchema,
    Interval,
    MetricValue,
    PerformanceReport,
    ReferencePerformance,
    Span,
    Status,
    WindowVerdict,
)
from windsock.statistics.counting import LATENCY_EDGES, WindowCounts, count_numbers

END = datetime.fromisoformat("2026-05-10T00:00:00+00:00")
DAY = timedelta(days=1)
WINDOW = Span(start=END - DAY, end=END)
CHAMPION = digest("1")
SCHEMA = InputSchema(
    model="churn",
    fields=(InputField(name="age", kind=ColumnKind.NUMBER),),
    answer=Answer.CLASS,
    classes=(False, True),
    positive=True,
)
COLORS = SCHEMA.model_copy(update={"classes": ("blue", "green", "red"), "positive": None})
NUMBER = SCHEMA.model_copy(update={"answer": Answer.NUMBER, "classes": (), "positive": None})
SCORE_EDGES = tuple(round(step / 50, 2) for step in range(1, 50))


def metric(name: str, value: float, *, n: int = 5000, half: float = 0.005) -> MetricValue:
    """Return a metric with a symmetrical interval."""
    return MetricValue(name=name, value=value, n=n, interval=Interval(low=value - half, high=value + half))


def score_profile(edges: Sequence[float] = SCORE_EDGES) -> ColumnProfile:
    """Return a profile of evenly spread scores."""
    counts = tuple(int(1000 * edge) for edge in edges)
    return ColumnProfile(
        name="score",
        kind=ColumnKind.NUMBER,
        rows=1000,
        nulls=0,
        edges=tuple(edges),
        below=counts,
        up_to=counts,
    )


def make_profile(performance: ReferencePerformance | None = None) -> DriftProfile:
    """Return a profile of one column."""
    column = ColumnProfile(name="age", kind=ColumnKind.NUMBER, rows=1000, nulls=0)
    return DriftProfile(rows=1000, columns=(column,), score=score_profile(), performance=performance)


def answers(
    truth: Sequence[Any],
    predictions: Sequence[Any],
    scores: Sequence[float | None] | None = None,
    *,
    start: datetime = WINDOW.start,
    length: timedelta = DAY,
    **columns: Any,
) -> pd.DataFrame:
    """Return answers evenly over a stretch, with labels that came an hour later."""
    count = len(predictions)
    received = pd.Series([start + length * (place / max(count, 1)) for place in range(count)])
    received = pd.to_datetime(received, utc=True).astype("datetime64[us, UTC]")
    outcomes = pd.Series(list(truth), dtype=object)
    known = pd.Series(received + timedelta(hours=1)).where(outcomes.notna())
    frame = pd.DataFrame(
        {
            "prediction_id": [f"p{place}" for place in range(count)],
            "unit": pd.Series([None] * count, dtype=object),
            "receive_time": received,
            "version": "1",
            "digest": CHAMPION,
            "variant": "champion",
            "fallback_for": pd.Series([None] * count, dtype=object),
            "score": pd.Series(scores if scores is not None else [0.5] * count, dtype="float64"),
            "prediction": pd.Series(list(predictions), dtype=object),
            "inference_ms": 1.0,
            "outcome": outcomes,
            "label_time": known,
        }
    )
    return frame.assign(**columns)


def coin(rows: int, *, right: float = 0.9, seed: int = 1) -> tuple[list[bool], list[bool], list[float]]:
    """Return truth, answers and scores of a model that is right so often, in a fixed share of the rows."""
    generator = np.random.default_rng(seed)
    truth = generator.random(rows) < 0.5
    hit = generator.permutation(rows) < round(right * rows)
    said = np.where(hit, truth, ~truth)
    scores = np.where(said, 0.9, 0.1) + generator.uniform(-0.05, 0.05, rows)
    return truth.tolist(), said.tolist(), scores.tolist()


def counts_of(
    scores: Sequence[float], *, rows: int | None = None, milliseconds: float = 1.0, **changed: Any
) -> WindowCounts:
    """Return a window's counts: scores and times."""
    latency = [0] * (len(LATENCY_EDGES) + 1)
    latency[int(np.searchsorted(LATENCY_EDGES, milliseconds))] = len(scores)
    return WindowCounts(
        **{
            "rows": len(scores) if rows is None else rows,
            "columns": {},
            "scores": count_numbers(score_profile(), np.array(scores, dtype="float64")),
            "latency": tuple(latency),
            **changed,
        }
    )


class Scene:
    """A champion that serves, and the monitor that looks at it.

    :param performance: what it did on its held-out rows.
    """

    def __init__(
        self,
        performance: ReferencePerformance | None = None,
        *,
        schema: InputSchema = SCHEMA,
        profile: bool = True,
        spec: dict[str, Any] | None = None,
        **blocks: Any,
    ) -> None:
        self.ports = world_of(1, now=lambda: END + timedelta(minutes=2))
        self.schema = schema
        self.spec = make_spec(**(spec or {}), monitoring={"performance": blocks} if blocks else {})
        self.ports.bundles.by_digest[CHAMPION] = LoadedBundle(
            manifest=BundleManifest(
                model="churn",
                key="k",
                snapshot_digest=digest("5"),
                spec_digest=digest("6"),
                files={"model.skops": digest("7")},
                created_at=END,
            ),
            digest=CHAMPION,
            pipeline=None,
            schema=schema,
            golden=GoldenPredictions(rows=({},), scores=((0.5,),)),
            profile=make_profile(performance) if profile else None,
        )

    def look(
        self, frame: pd.DataFrame | None = None, *, window: Span = WINDOW, **joined: Any
    ) -> PerformanceReport:
        """Judge a window with these answers."""
        if frame is not None:
            self.ports.rows.joined = LabelledRows(frame=frame, **joined)
        return check_performance(CheckPerformanceInput(spec=self.spec, window=window), self.ports, "")

    def remember(self, day: int, **numbers: float) -> None:
        """Keep a verdict of the window that ended so many days before this one."""
        window = Span(start=WINDOW.start - day * DAY, end=WINDOW.end - day * DAY)
        self.ports.monitor.add_window(
            WindowVerdict(
                model="churn",
                kind="performance",
                window=window,
                version="1",
                digest=CHAMPION,
                status=Status.PASS,
                numbers={name.replace("__", ":"): value for name, value in numbers.items()},
                judged_at=window.end,
            )
        )


def check_of(report: PerformanceReport, name: str) -> CheckResult:
    """Return a check by its name, or by what stands before the colon."""
    found = [check for check in report.checks if name in (check.name, check.name.partition(":")[0])]
    assert len(found) == 1, f"{name}: {[check.name for check in report.checks]}"
    return found[0]
