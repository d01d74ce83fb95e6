"""A request's time in the server: what the log and the metrics say of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.log_rows import answered
from support.serving import ROW, make_plan
from support.serving_app import App
from windsock.adapters.log_format import read_segment
from windsock.records import StoredBundle
from windsock.serving import answered as answered_module
from windsock.serving.log_lines import LineMaker, LogLine, Place


def count_of(app: App, name: str) -> tuple[float, float]:
    """Return how many times a histogram has, and their sum."""
    app.service.metrics.flush()
    found = {
        one.name: one.value
        for family in text_string_to_metric_families(app.service.metrics.text().decode())
        for one in family.samples
    }
    return found[f"{name}_count"], found[f"{name}_sum"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/churn/predict", {"features": ROW}),
        ("/v2/models/churn/infer", None),
    ],
)
def test_it_holds_what_is_around_the_model(
    app: App, stored: dict[str, StoredBundle], monkeypatch: pytest.MonkeyPatch, path: str, body: Any
) -> None:
    """Here 30 ms pass between the model's answer and the log."""
    real = answered_module.LoggedRow

    def slow(*values: Any) -> Any:
        time.sleep(0.03)
        return real(*values)

    monkeypatch.setattr(answered_module, "LoggedRow", slow)
    assert app.put(make_plan(stored["first"])).status_code == 200
    if body is None:
        kinds = {str: "BYTES", bool: "BOOL", float: "FP64", int: "INT64"}
        inputs = [
            {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]}
            for name, value in ROW.items()
        ]
        body = {"inputs": inputs}
    answer = app.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    app.service.prediction_log.stop()
    (event,) = app.events()
    assert event.request_ms >= event.inference_ms + 30
    count, total = count_of(app, "ml_request_duration_seconds")
    assert (count, total >= event.request_ms / 1e3) == (1, True)
    count, total = count_of(app, "ml_prediction_duration_seconds")
    assert (count, round(total * 1e3, 3)) == (1, pytest.approx(event.inference_ms, abs=0.002))


def test_a_line_holds_its_time_or_none_and_both_are_read() -> None:
    given, schema = answered("a")
    maker, line = LineMaker(), LogLine(Place("predictions", "churn", 0), bytearray())
    given.fields = maker.fields(schema).names
    assert maker.add(given, line, time.monotonic() - 0.25) == len(line.content)
    before = len(line.content)
    assert maker.add(given, line) == len(line.content) - before
    timed, untimed = (json.loads(one) for one in line.content.splitlines())
    assert 250 <= timed.pop("request_ms") < 10_000
    assert timed == untimed
    sealed = maker.sealed(given, line.place, (), time.monotonic() - 0.25)
    segment = read_segment(bytes(line.content) + bytes(sealed.content), "predictions")
    assert not segment.unreadable
    times = [one.request_ms for one in segment.events]
    assert (times[1], times[0] >= 250, times[2] >= 250) == (None, True, True)
