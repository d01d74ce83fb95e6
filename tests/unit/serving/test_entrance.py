"""What a head must say, and what each listener answers."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from support.serving import ROW, make_plan
from support.serving_app import App
from windsock.records import StoredBundle
from windsock.serving.app import create_app
from windsock.serving.client_file import ClientRegistry
from windsock.serving.entrance import head_fault, read_head

Headers = list[tuple[bytes, bytes]]
ONE: Headers = [(b"host", b"x")]


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        (ONE, "1.1", None),
        ([], "1.0", None),
        ([], "1.1", 400),
        ([], "2", 400),
        (ONE * 2, "1.1", 400),
        (ONE * 2, "1.0", 400),
        ([*ONE, (b"content-encoding", b"gzip")], "1.1", 415),
        ([*ONE, (b"content-encoding", b"identity"), (b"content-encoding", b"br")], "1.1", 415),
        ([*ONE, (b"content-encoding", b" Identity , ")], "1.1", None),
        ([*ONE, (b"transfer-encoding", b"Chunked")], "1.1", None),
        ([*ONE, (b"transfer-encoding", b"gzip, chunked")], "1.1", 415),
    ],
)
def test_heads(headers: Headers, version: str, status: int | None) -> None:
    fault = head_fault(read_head(headers), version)
    assert (fault.status if fault else None) == status


@pytest.mark.parametrize("path", ["/models/churn/predict", "/outcomes", "/invocations", "/health"])
def test_an_encoded_body_is_refused_everywhere(app: App, path: str) -> None:
    answer = app.client.post(path, content=b"{}", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "WS-SERVING-062")


class TestWithoutAKey:
    def test_only_whether_the_server_is_well(self, app: App, stored: dict[str, StoredBundle]) -> None:
        app.put(make_plan(stored["first"]))
        assert "churn" in app.client.get("/health").text  # without clients, everything
        key = ClientRegistry(app.settings.clients_file).add("shop")
        app.service.clients.refresh()
        for name in ("", "Bearer wrong", key + "x", "x" * 9999):
            headers = {"X-API-Key": name}
            assert app.client.get("/health", headers=headers).json() == {"status": "ok", "server": "windsock"}
            assert app.client.get("/ready", headers=headers).json() == {"ready": True}
            metrics = app.client.get("/metrics", headers=headers)
            assert metrics.text.endswith("\nwindsock_server_well 1\n")
            assert "churn" not in metrics.text
        app.service.worker.faults["churn"] = "version 1 is broken"
        assert app.client.get("/health").json()["status"] == "degraded"
        assert app.client.get("/metrics").text.endswith("\nwindsock_server_well 0\n")
        ready = app.client.get("/ready")
        assert (ready.status_code, "churn" in ready.text) in {(503, False), (200, False)}
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert "churn" in app.client.get("/health", headers=headers).text
            assert "ml_" in app.client.get("/metrics", headers=headers).text
            assert "why" in app.client.get("/ready", headers=headers).json()


class TestListeners:
    def test_the_private_one_answers_health_and_admin_only(
        self, app: App, stored: dict[str, StoredBundle]
    ) -> None:
        app.put(make_plan(stored["first"]))
        ClientRegistry(app.settings.clients_file).add("shop")
        app.service.clients.refresh()
        private = TestClient(create_app(app.service, private_port=8182), base_url="http://testserver:8182")
        assert "churn" in private.get("/health").text
        assert "ml_" in private.get("/metrics").text
        assert private.get("/admin/routes/churn", headers=app.admin).status_code == 200
        assert private.get("/admin/routes/churn").status_code == 401
        for path in ("/models/churn/predict", "/predict", "/docs", "/v2/models/churn/infer"):
            answer = private.post(path, json={"features": ROW})
            assert (answer.status_code, answer.json()["code"]) == (404, "WS-SERVING-064")

    def test_admin_calls_may_be_kept_from_the_first_one(
        self, app: App, stored: dict[str, StoredBundle]
    ) -> None:
        app.put(make_plan(stored["first"]))
        object.__setattr__(app.service, "settings", app.settings.model_copy(update={"public_admin": False}))
        made = create_app(app.service, private_port=8182)
        refused = TestClient(made).get("/admin/routes/churn", headers=app.admin)
        assert (refused.status_code, refused.json()["code"]) == (404, "WS-SERVING-064")
        private = TestClient(made, base_url="http://testserver:8182")
        assert private.get("/admin/routes/churn", headers=app.admin).status_code == 200
