from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from support.serving import ROW, make_plan
from support.serving_app import App
from windsock.records import StoredBundle
from windsock.serving.client_file import ClientRegistry
from windsock.serving.lean import LeanPredict, Predictor
from windsock.serving.service import Limits

BODY = json.dumps({"features": ROW}).encode()
Stored = dict[str, StoredBundle]
Messages = list[dict[str, Any]]


def call(
    app: App,
    messages: Messages | None = None,
    *,
    path: str = "/predict",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    limits: Limits | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Ask the lean path over ASGI; after the messages nothing more comes."""
    waiting = list(
        [{"type": "http.request", "body": BODY, "more_body": False}] if messages is None else messages
    )
    sent: Messages = []
    service = app.service if limits is None else replace(app.service, limits=limits)

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    given += [(b"host", b"server")]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "headers": given}
    lean = LeanPredict(behind, Predictor(service))
    app.client.portal.call(lean, scope, receive, send)  # type: ignore[union-attr]
    start, body = sent
    said = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], said, body["body"]


@pytest.fixture
def serving(app: App, stored: Stored) -> App:
    app.put(make_plan(stored["first"]))
    return app


def test_an_answer_has_its_length_and_the_security_headers(serving: App) -> None:
    status, headers, body = call(serving)
    assert (status, json.loads(body)["model"]) == (200, "churn")
    assert headers["content-length"] == str(len(body))
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predict"),
        ("POST", "/models//predict"),
        ("POST", "/models/a/b/predict"),
        ("POST", "/x/predict"),
        ("POST", "/models/churn/predict/"),
        ("POST", "/v2/predict"),
    ],
)
def test_what_is_no_prediction_is_left_to_the_app_behind(serving: App, method: str, path: str) -> None:
    assert call(serving, method=method, path=path)[0] == 299


@pytest.mark.parametrize("path", ["/predict", "/models/churn/predict"])
def test_both_paths(serving: App, path: str) -> None:
    assert call(serving, path=path)[0] == 200


def test_a_model_that_is_not_served(serving: App) -> None:
    status, _, body = call(serving, path="/models/spend/predict")
    assert (status, json.loads(body)["code"]) == (404, "WS-SERVING-013")


def test_a_body_in_pieces(serving: App) -> None:
    pieces = [
        {"type": "http.request", "body": BODY[at : at + 7], "more_body": True} for at in range(0, 200, 7)
    ]
    assert call(serving, [*pieces, {"type": "http.request"}])[0] == 200


@pytest.mark.parametrize("pieces", [1, 5])
def test_a_body_that_is_too_large(serving: App, pieces: int) -> None:
    part = {"type": "http.request", "body": b" " * 100, "more_body": pieces > 1}
    status, headers, _ = call(serving, [part] * pieces, limits=Limits(body_bytes=99 if pieces == 1 else 301))
    assert (status, headers["connection"]) == (413, "close")


def test_a_length_that_is_too_large_is_refused_before_the_body_comes(serving: App) -> None:
    assert call(serving, [], headers={"content-length": "9" * 30})[0] == 413


@pytest.mark.parametrize("first", [[], [{"type": "http.request", "body": b"{", "more_body": True}]])
def test_a_body_that_does_not_come(serving: App, first: Messages) -> None:
    assert call(serving, first, limits=Limits(body_seconds=0.01))[0] == 408


@pytest.mark.parametrize("first", [[], [{"type": "http.request", "body": b"{", "more_body": True}]])
def test_a_client_that_goes_away(serving: App, first: Messages) -> None:
    assert call(serving, [*first, {"type": "http.disconnect"}])[0] == 400


def test_too_many_requests_in_work(serving: App) -> None:
    status, headers, body = call(serving, limits=Limits(in_flight=0))
    assert (status, json.loads(body)["code"]) == (503, "WS-SERVING-039")
    assert headers["retry-after"] == "1"


def test_an_unforeseen_error_is_a_plain_500(
    serving: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("planted 17")

    monkeypatch.setattr("windsock.serving.lean.write_answers", broken)
    status, _, body = call(serving)
    assert (status, json.loads(body)["code"]) == (500, "WS-SERVING-018")
    assert "planted" not in caplog.text + body.decode()
    assert "RuntimeError at" in caplog.text


class TestClients:
    @pytest.fixture
    def key(self, serving: App) -> str:
        registry = ClientRegistry(serving.settings.clients_file)
        secret = registry.add("shop", scopes=["predict"], models=["churn"])
        serving.service.clients.refresh()
        return secret

    def test_without_a_key(self, serving: App, key: str) -> None:
        status, headers, body = call(serving)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(body)["code"] == "WS-SERVING-026"

    @pytest.mark.parametrize("header", ["authorization", "x-api-key"])
    def test_with_a_key_the_log_names_the_client(self, serving: App, key: str, header: str) -> None:
        value = f"Bearer {key}" if header == "authorization" else key
        assert call(serving, headers={header: value})[0] == 200
        serving.service.prediction_log.stop()
        assert [event.client for event in serving.events()] == ["shop"]

    def test_another_model_and_another_scope(self, serving: App, stored: Stored, key: str) -> None:
        serving.put(make_plan(stored["spend"], model="spend"))
        headers = {"authorization": f"Bearer {key}"}
        assert call(serving, path="/models/churn/predict", headers=headers)[0] == 200
        assert call(serving, path="/models/spend/predict", headers=headers)[0] == 403
        outcome = {"model": "churn", "prediction_id": "p", "outcome": True}
        assert serving.client.post("/outcomes", json=outcome, headers=headers).status_code == 403
        assert serving.client.post("/outcomes", json=outcome).status_code == 401
        assert serving.client.get("/models/churn", headers=headers).status_code == 200
        assert serving.client.get("/models/churn").status_code == 401

    def test_a_client_over_its_rate(self, serving: App) -> None:
        registry = ClientRegistry(serving.settings.clients_file)
        secret = registry.add("fast", rate=0.01, burst=2)
        serving.service.clients.refresh()
        answers = [call(serving, headers={"x-api-key": secret}) for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 429]
        assert int(answers[-1][1]["retry-after"]) > 1

    def test_outcomes_name_the_client_and_keep_to_its_models(self, serving: App, stored: Stored) -> None:
        serving.put(make_plan(stored["spend"], model="spend"))
        registry = ClientRegistry(serving.settings.clients_file)
        secret = registry.add("crm", scopes=["outcomes"], models=["churn"])
        serving.service.clients.refresh()
        for model, status in (("churn", 202), ("spend", 403)):
            outcome = {"model": model, "prediction_id": "p", "outcome": 1}
            answer = serving.client.post("/outcomes", json=outcome, headers={"x-api-key": secret})
            assert answer.status_code == status
        serving.service.prediction_log.stop()
        assert [(event.client, event.model) for event in serving.events("outcomes")] == [("crm", "churn")]

    def test_probes_and_metrics_need_no_key(self, serving: App, key: str) -> None:
        for path in ("/health", "/ready", "/metrics"):
            assert serving.client.get(path).status_code == 200
        assert "authentication" not in serving.client.get("/health").json()
        known = serving.client.get("/health", headers={"x-api-key": key}).json()
        assert known["authentication"] == "api keys"
