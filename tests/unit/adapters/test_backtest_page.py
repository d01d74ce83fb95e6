from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from support.builders import NOON, digest, make_difference
from support.monitoring_records import make_column, make_drift, make_episode, make_performance
from windsock.adapters.backtest_page import backtest_page
from windsock.records import (
    Interval,
    MetricValue,
    RetrainDecision,
    RetrainOrder,
    RetrainOutcome,
    Span,
    Status,
)
from windsock.records.backtest import Backtest, BacktestWindow, Comparison, RetrainTrial

DAY = timedelta(days=1)
HOSTILE = "<script>alert('x')</script>"


def metric(value, **fields):
    return MetricValue(name="roc_auc", value=value, n=100, **fields)


def window(number, status=Status.PASS, order=RetrainOrder.WAIT, **fields):
    end = NOON + number * DAY
    span = Span(start=end - DAY, end=end)
    columns = (make_column(HOSTILE, status), make_column("spend"))
    made = {
        "window": span,
        "judged_at": end,
        "version": "1",
        "drift": make_drift(
            window=span, status=status, columns=columns, drift_ratio=0.1 * number, drift_score=0.02 * number
        ),
        "performance": make_performance(
            window=span,
            realised=(metric(0.8, interval=Interval(low=0.75, high=0.85)),),
            estimated=(metric(0.81),),
        ),
        "decision": RetrainDecision(model="churn", order=order, reason=HOSTILE, decided_at=end),
        "metric": "roc_auc",
        "baseline": 0.82,
        "band": Interval(low=0.78, high=0.86),
    }
    return BacktestWindow(**{**made, **fields})


def backtest(windows, **fields):
    made = {
        "model": "churn",
        "history": f"file: {HOSTILE}.csv",
        "metric": "roc_auc",
        "span": Span(start=windows[0].window.start, end=windows[-1].window.end),
        "windows": tuple(windows),
        "limits": {"drift_ratio": 0.3},
        "findings": (HOSTILE,),
    }
    return Backtest(**{**made, **fields})


@pytest.fixture(scope="module")
def full():
    trial = RetrainTrial(
        episode_key="one",
        at=NOON + 3 * DAY,
        version="retrained 1",
        outcome=RetrainOutcome.PROMOTED,
        reason="better",
        rows=1000,
        recent_rows=200,
        difference=make_difference(0.01, 0.05, opponent="champion"),
    )
    compared = Comparison(version="retrained 1", kept=metric(0.6), retrained=metric(0.8))
    return backtest(
        [
            window(1),
            window(2, Status.INSUFFICIENT, performance=None),
            window(3, Status.FAIL, RetrainOrder.GRANT, trial=trial),
            window(4, Status.ERROR, RetrainOrder.HOLD, compared=compared),
        ],
        episodes=(make_episode(digest=digest("b")),),
        retrained=True,
    )


@pytest.fixture(scope="module")
def page(full):
    return backtest_page(full)


class Reader(HTMLParser):
    """Remembers tags and all that could load something."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data") and not (value or "").startswith("#"):
                self.loads.append((tag, name, value))


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_is_one_file_without_scripts_and_loads_nothing(page):
    found = read(page)
    assert found.loads == []
    assert not {"script", "img", "link", "iframe", "object"} & set(found.tags)
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)", page)
    assert found.tags.count("svg") == 3


def test_names_and_reasons_stay_text(page):
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 3


def test_every_verdict_retrain_and_number_is_there(page):
    for word in ("pass", "fail", "insufficient", "error"):
        assert f'<td class="{word}">{word}</td>' in page
    for text in (
        "retrained 1",
        "better",
        "held-out rows",
        "band of the estimate",
        "this window, retrained",
        "share of columns that drifted",
        ">limit<",
        "2026-05-04 12:00",
    ):
        assert text in page, text


def test_the_same_backtest_gives_the_same_page(full, page):
    assert backtest_page(full) == page


def test_a_history_with_nothing_to_draw():
    bare = window(1, Status.INSUFFICIENT, performance=None, drift=None, baseline=None, band=None)
    page = backtest_page(backtest([bare], limits={}))
    assert page.count("nothing to show") == 3
    assert "None would have been granted." in page
