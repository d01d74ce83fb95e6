"""The monitor's ports, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from windsock.exceptions import MonitoringError
from windsock.ports import Distribution, LabelledRows
from windsock.records import DriftProfile, DriftReport, InputSchema, Span
from windsock.spec import LabelsBlock
from windsock.statistics.counting import WindowCounts


class FakeCounter:
    """Answers with counts that a test hands over, by the end of the span."""

    def __init__(self) -> None:
        self.counts: dict[datetime, WindowCounts] = {}
        self.asked: list[Span] = []
        self.empty: set[Span] = set()
        self.first: datetime | None = None

    def begins(self, model: str) -> datetime | None:
        return self.first

    def without_rows(self, model: str, spans: Sequence[Span]) -> frozenset[Span]:
        return frozenset(self.empty).intersection(spans)

    def count(self, model: str, digest: str, profile: DriftProfile, span: Span) -> WindowCounts:
        self.asked.append(span)
        return self.counts.get(span.end, WindowCounts(rows=0, columns={}))


class FakeRows:
    """Answers with frames that a test hands over."""

    def __init__(self) -> None:
        self.frame = pd.DataFrame()
        self.joined = LabelledRows(frame=pd.DataFrame())
        self.asked: list[Span] = []

    def sample(
        self, model: str, span: Span, *, schema: InputSchema, digest: str | None = None, limit: int, seed: int
    ) -> pd.DataFrame:
        return self.frame.head(limit)

    def labelled(
        self,
        model: str,
        span: Span,
        labels: LabelsBlock,
        *,
        schema: InputSchema,
        digest: str | None = None,
        as_of: datetime,
        features: bool = True,
    ) -> LabelledRows:
        self.asked.append(span)
        return self.joined


class FakeReporter:
    """Writes a word; fails if it is told to."""

    def __init__(
        self, *, fails: bool = False, verdicts: Mapping[str, tuple[bool, float]] | None = None
    ) -> None:
        self.fails = fails
        self.verdicts = verdicts or {}

    def html(self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema) -> bytes:
        if self.fails:
            raise MonitoringError("the report tool failed")
        return b"<html>report</html>"

    def page(
        self, report: DriftReport, shown: Sequence[Distribution], *, other: bytes | None, why: str = ""
    ) -> bytes:
        return b"<html>verdict</html>" + (other or why.encode())

    def drifted(
        self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema
    ) -> Mapping[str, tuple[bool, float]]:
        if self.fails:
            raise MonitoringError("the report tool failed")
        return self.verdicts


class FakeGauges:
    """Remembers what was set, by model and name; what was cleared is an empty list."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, Any]] = {}
        self.calls = 0

    def set(self, model: str, samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]) -> None:
        self.calls += 1
        self.samples.setdefault(model, {}).update({name: list(given) for name, given in samples.items()})


class FakeBusiness:
    """Answers with one number; fails if it is told to."""

    def __init__(self, value: float | None = 1.0, *, fails: bool = False) -> None:
        self.value, self.fails = value, fails
        self.asked: list[tuple[str, list[str]]] = []

    def number(self, sql: str, frame: pd.DataFrame) -> float | None:
        self.asked.append((sql, list(frame.columns)))
        if self.fails:
            raise MonitoringError("the query failed", code="WS-MONITORING-044")
        return self.value
