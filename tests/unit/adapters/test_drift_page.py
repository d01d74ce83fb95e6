"""The drift report: our verdict comes first, whatever another tool's page says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from windsock.adapters.drift_page import drift_page
from windsock.ports import Bar, Distribution
from windsock.records import CheckResult, ColumnDrift, DriftReport, Severity, Span, Status

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OTHER = b"<html><head><title>t</title></head><body><h1>Dataset Drift is NOT detected</h1></body></html>"
HOSTILE = '<img src=x onerror="alert(1)">'


def column(name: str, status: Status = Status.FAIL, **fields: Any) -> ColumnDrift:
    return ColumnDrift(
        name=name, kind="number", status=status, rows=1_234, effect=0.3, limit=0.05, psi=0.41, **fields
    )


def report(**fields: Any) -> DriftReport:
    made: dict[str, Any] = {
        "model": "churn",
        "version": "3",
        "digest": "a" * 64,
        "window": Span(start=NOON, end=NOON + timedelta(days=1)),
        "rows": 4_321,
        "status": Status.FAIL,
        "severity": Severity.CRITICAL,
        "method": "counts",
        "columns": (column("age"), column("plan", Status.PASS)),
        "checks": (
            CheckResult(
                name="drifted_columns",
                status=Status.FAIL,
                code="WS-MONITORING-020",
                value=1,
                limit=1,
                relation="<",
                n=2,
            ),
        ),
        "reason": "1 of 2 columns drifted: age 0.3 >= 0.05",
        "judged_at": NOON,
    }
    return DriftReport(**{**made, **fields})


AGE = Distribution(
    name="age",
    bars=(Bar(label="< 20", reference=0.4, current=0.1), Bar(label=">= 20", reference=0.6, current=0.9)),
    is_ordered=True,
    reference_rows=9_000,
    current_rows=4_321,
)


def test_our_verdict_stands_before_the_other_tools_headline() -> None:
    page = drift_page(report(), [AGE], other=OTHER).decode()
    parts = [
        "Drift: fail, severity critical",
        "1 of 2 columns drifted",
        "4,321 rows",
        "drifted_columns",
        "below 0.05",
        "9,000 rows then, 4,321 now",
        "Another method: Evidently",
        "Its headline is not Windsock&#x27;s verdict",
        "Dataset Drift is NOT detected",
    ]
    places = [page.find(part.replace("&#x27;", "'")) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert page.index("<body>") < places[0]


@pytest.mark.parametrize(
    ("status", "word"),
    [(Status.PASS, "No drift: pass"), (Status.INSUFFICIENT, "No verdict: insufficient")],
)
def test_without_another_tool_the_page_is_whole_and_says_why(status: Status, word: str) -> None:
    page = drift_page(report(status=status), [], other=None, why="WS-MONITORING-027 it failed").decode()
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    assert word in page
    assert "severity" not in page
    assert "There is no report of another method: WS-MONITORING-027 it failed." in page


def test_names_of_columns_and_categories_make_no_html() -> None:
    kinds = Distribution(
        name=HOSTILE,
        bars=(Bar(label=HOSTILE, reference=0.5, current=0.5),),
        is_ordered=False,
        reference_rows=2,
        current_rows=2,
    )
    page = drift_page(
        report(columns=(column(HOSTILE),), reason=HOSTILE, findings=(HOSTILE,)), [kinds], other=OTHER
    ).decode()
    assert "<img" not in page
    assert page.count("&lt;img") >= 4


def test_where_the_other_tool_decided_about_columns_the_page_says_so() -> None:
    assert "`method: evidently`" in drift_page(report(method="evidently"), [], other=OTHER).decode()
    assert "`method: evidently`" not in drift_page(report(), [], other=OTHER).decode()
