from __future__ import annotations

import math
from typing import Any

import pytest

from support.serving import ROW
from windsock.serving.client_file import ClientRegistry
from windsock.serving.protocols.common import read_object
from windsock.serving.strict_json import RequestRefusedError

MLFLOW, INFER = "/invocations", "/v2/models/churn/infer"


class TestJson:
    def test_nan_is_null_and_numbers_beyond_all_are_left(self) -> None:
        made = read_object(b'{"a": [NaN, 1e400, 1.5], "b": {"c": null}}')
        assert made == {"a": [None, math.inf, 1.5], "b": {"c": None}}

    @pytest.mark.parametrize(
        ("body", "got"),
        [
            (b"", "nothing"),
            (b"{", "text that is no JSON"),
            (b"[]", "a list"),
            (b"3", "an integer"),
            (b"\xff", "bytes that are not UTF-8"),
            (b'{"a": -Infinity}', "Infinity"),
            (b'{"a": 1, "a": 2}', "an object with a duplicate key"),
            (b'{"a": ' + b"9" * 5_000 + b"}", "text that is no JSON"),
            (b'{"a": ' + b"[" * 100_000, "JSON nested too deeply"),
        ],
    )
    def test_what_is_refused(self, body: bytes, got: str) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read_object(body)
        assert (refused.value.status, refused.value.faults[0].got) == (400, got)


class TestClients:
    """Keys and rates hold for each protocol, told in its words, before a body is read."""

    @pytest.fixture
    def app(self, serve: Any) -> Any:
        return serve("first")

    @pytest.fixture
    def registry(self, app: Any) -> ClientRegistry:
        return ClientRegistry(app.settings.clients_file)

    @pytest.mark.parametrize(("path", "word"), [(MLFLOW, "UNAUTHENTICATED"), (INFER, None)])
    def test_without_a_key_the_body_is_not_read(
        self, app: Any, registry: ClientRegistry, path: str, word: str | None
    ) -> None:
        registry.add("shop")
        app.service.clients.refresh()
        answer = app.client.post(path, content=b"no JSON")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json().get("error_code") == word
        for page in ("/v2/models/churn", "/v2/models/churn/ready"):
            assert app.client.get(page).status_code == 401

    def test_a_key_lets_in_and_its_name_comes_to_the_log(self, app: Any, registry: ClientRegistry) -> None:
        key = registry.add("shop")
        app.service.clients.refresh()
        headers = {"Authorization": f"Bearer {key}"}
        assert app.client.post(MLFLOW, json={"inputs": ROW}, headers=headers).status_code == 200
        app.service.prediction_log.stop()
        assert '"shop"' in "".join(app.log_lines())

    @pytest.mark.parametrize(("path", "word"), [(MLFLOW, "PERMISSION_DENIED"), (INFER, None)])
    def test_another_models_key(
        self, app: Any, registry: ClientRegistry, path: str, word: str | None
    ) -> None:
        key = registry.add("shop", models=["spend"])
        app.service.clients.refresh()
        answer = app.client.post(path, content=b"{}", headers={"X-API-Key": key})
        assert (answer.status_code, answer.json().get("error_code")) == (403, word)

    @pytest.mark.parametrize(("path", "word"), [(MLFLOW, "REQUEST_LIMIT_EXCEEDED"), (INFER, None)])
    def test_requests_that_are_refused_count_for_the_rate(
        self, app: Any, registry: ClientRegistry, path: str, word: str | None
    ) -> None:
        headers = {"X-API-Key": registry.add("shop", rate=0.001, burst=2)}
        app.service.clients.refresh()
        answers = [app.client.post(path, content=b"{}", headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        assert answers[2].json().get("error_code") == word
        assert int(answers[2].headers["retry-after"]) > 0
