from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.hostile import HOSTILE
from support.serving import ROW, make_plan
from support.serving_app import App, MemoryFetcher

PATHS = ("/predict", "/models/churn/predict", "/outcomes", "/models/spend/predict")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, bundles: Any, stored: Any) -> Iterator[App]:
    """One app for all of them."""
    app = App(tmp_path_factory.mktemp("hostile"), MemoryFetcher(bundles.values()))
    with pytest.MonkeyPatch.context() as patch, app.client:
        app.check_here(patch)
        assert app.put(make_plan(stored["first"])).status_code == 200
        yield app


def check(answer: Any) -> None:
    """No 5xx, and an error is always of the same form."""
    assert answer.status_code in (200, 202, 400, 404, 413, 415, 422), answer.text
    said = answer.json()
    if answer.status_code >= 400:
        assert {"error", "code", "next"} <= set(said)
        assert len(said.get("detail", ())) <= 10


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_no_server_error(serving: App, name: str) -> None:
    for path in PATHS:
        check(serving.client.post(path, content=HOSTILE[name]))


def test_all_of_them_on_one_server(serving: App) -> None:
    """One after the other on the same connection: none spoils the next."""
    for body in HOSTILE.values():
        check(serving.client.post("/predict", content=body))
        answer = serving.client.post("/predict", json={"features": ROW})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/xml"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "\xff".encode("latin-1").decode("latin-1")},
        {"content-encoding": "gzip"},
        {"accept": "text/html"},
        {"content-length": "1_0"},
        {"x-forwarded-for": "a" * 10_000},
        {"authorization": "Bearer " + "x" * 10_000},
    ],
)
def test_strange_headers(serving: App, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    check(serving.client.post("/predict", content=json.dumps({"features": ROW}), headers=encoded))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["\ud800", "2026-01-01", "0001-01-01", "Yes", "basic", 1e308, 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FEATURES = st.fixed_dictionaries({}, optional={name: JSON | st.just(value) for name, value in ROW.items()})
BODIES = st.fixed_dictionaries(
    {"features": FEATURES | st.lists(FEATURES, max_size=4) | JSON},
    optional={"unit": JSON, "prediction_id": JSON, "event_time": JSON, "outcome": JSON},
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(body=BODIES | JSON, path=st.sampled_from(PATHS))
def test_any_json(serving: App, body: Any, path: str) -> None:
    check(serving.client.post(path, content=json.dumps(body).encode()))


@hypothesis_settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=300))
def test_any_bytes(serving: App, body: bytes) -> None:
    check(serving.client.post("/predict", content=body))


GOOD = json.dumps({"features": ROW, "unit": "u"}).encode()


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=3), st.integers(0, 3))
def test_a_good_body_with_a_few_bytes_changed(serving: App, place: int, new: bytes, cut: int) -> None:
    check(serving.client.post("/predict", content=GOOD[:place] + new + GOOD[place + cut :]))
