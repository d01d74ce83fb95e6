from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.builders import digest
from windsock.adapters import server_client
from windsock.adapters.server_client import ServerRouter, server_health
from windsock.exceptions import (
    DeploymentRefusedError,
    ServerUnavailableError,
    SettingsError,
    StaleEpochError,
)
from windsock.locations import process_start
from windsock.records import RoutePlan, RouteState, SlotPlan

PLAN = RoutePlan(
    model="churn",
    epoch=3,
    slots=(SlotPlan(version="1", digest=digest("b"), bundle_uri="memory://b", share=10_000),),
)


class Answering:
    """An HTTP server that answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.content = 200, b"{}"
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.asked.append((self.command, self.path, self.headers.get("authorization"), body))
                self.send_response(outer.status)
                self.send_header("content-length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_: Any) -> None: ...

        for method in ("GET", "PUT", "POST"):
            setattr(Handler, f"do_{method}", Handler.answer)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def says(self, status: int, content: Any) -> None:
        self.status = status
        self.content = content if isinstance(content, bytes) else json.dumps(content).encode()


@pytest.fixture
def server() -> Iterator[Answering]:
    made = Answering()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def router(server: Answering) -> ServerRouter:
    return ServerRouter(server.url + "/", lambda: "the-token")


def refusal(code: str = "WS-SERVING-006", **more: Any) -> dict[str, Any]:
    return {"error": "the epoch is old", "code": code, "next": "Look.", **more}


def test_state(server: Answering, router: ServerRouter) -> None:
    state = RouteState(plan=PLAN, workers=2)
    server.says(200, state.model_dump(mode="json"))
    assert router.state("churn") == state
    assert server.asked == [("GET", "/admin/routes/churn", "Bearer the-token", b"")]


def test_no_route_is_none(server: Answering, router: ServerRouter) -> None:
    server.says(404, refusal("WS-SERVING-013"))
    assert router.state("churn") is None


def test_apply_hands_over_the_plan(server: Answering, router: ServerRouter) -> None:
    server.says(200, RouteState(plan=PLAN, workers=1).model_dump(mode="json"))
    assert router.apply(PLAN).workers == 1
    ((method, path, _, body),) = server.asked
    assert (method, path) == ("PUT", "/admin/routes/churn")
    assert RoutePlan.model_validate_json(body) == PLAN


def test_probe(server: Answering, router: ServerRouter) -> None:
    server.says(200, {"version": "1", "rows": 20, "largest_difference": 0.0, "matched": True})
    assert router.probe("churn", digest("b")).matched
    assert server.asked[0][:2] == ("POST", f"/admin/probe/churn/{digest('b')}")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, SettingsError),
        (403, SettingsError),
        (409, StaleEpochError),
        (422, DeploymentRefusedError),
        (500, ServerUnavailableError),
        (503, ServerUnavailableError),
        (504, ServerUnavailableError),
    ],
)
def test_refusals_keep_their_words(
    server: Answering, router: ServerRouter, status: int, kind: type[Exception]
) -> None:
    server.says(status, refusal())
    for call in (
        lambda: router.apply(PLAN),
        lambda: router.state("churn"),
        lambda: router.probe("churn", "x"),
    ):
        with pytest.raises(kind, match="the epoch is old") as refused:
            call()
        assert (refused.value.code, refused.value.next_action) == ("WS-SERVING-006", "Look.")  # type: ignore[attr-defined]
        assert "the-token" not in str(refused.value)


def test_details_are_told(server: Answering, router: ServerRouter) -> None:
    server.says(422, refusal(detail=[{"field": "epoch", "got": "text", "expected": "an integer"}]))
    with pytest.raises(DeploymentRefusedError, match="epoch: got text, expected an integer"):
        router.apply(PLAN)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b"<html>"),
        (200, {"plan": 3}),
        (200, []),
        (404, b"not found"),
        (404, refusal("WS-OTHER")),
        (302, b""),
        (500, b"{"),
        (500, ["x"]),
    ],
)
def test_something_else_answers_there(
    server: Answering, router: ServerRouter, status: int, content: Any
) -> None:
    server.says(status, content)
    with pytest.raises(ServerUnavailableError) as refused:
        router.state("churn")
    assert server.url in str(refused.value) or refused.value.code == "WS-OTHER"


def test_health_is_asked_without_a_token(server: Answering) -> None:
    server.says(200, {"status": "ok", "models": {"churn": {}}})
    assert server_health(server.url) == "status ok, 1 models served"
    assert server.asked == [("GET", "/health", None, b"")]
    server.says(200, {"status": "ok"})
    with pytest.raises(ServerUnavailableError, match="not Windsock's server"):
        server_health(server.url)


def test_nobody_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerUnavailableError, match=url) as refused:
        ServerRouter(url, lambda: "t").state("churn")
    assert "windsock serve" in refused.value.next_action


def test_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "ANSWER_SECONDS", 0.2)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        router = ServerRouter(f"http://127.0.0.1:{listening.getsockname()[1]}", lambda: "t")
        with pytest.raises(ServerUnavailableError, match=r"within 0\.2 s"):
            router._call("GET", "/health", seconds=0.2)


@pytest.mark.parametrize("url", ["no address", "http://[::1", "ftp://127.0.0.1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises((SettingsError, ServerUnavailableError)):
        ServerRouter(url, lambda: "t").state("churn")


def test_proxies_of_the_environment_are_not_asked(
    server: Answering, router: ServerRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.says(404, refusal("WS-SERVING-013"))
    assert router.state("churn") is None


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ('{"address": "http://127.0.0.1:9191", "private": "http://127.0.0.1:9192"}', True),
        ('{"address": "http://127.0.0.1:1", "private": "http://127.0.0.1:9192"}', False),
        ('{"address": "http://x; rm -rf", "private": "http://127.0.0.1:9192"}', False),
        ('{"address": 7}', False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_where_nothing_answers_the_address_of_the_own_server_is_named_and_not_followed(
    tmp_path: Path, facts: str | None, named: bool
) -> None:
    if facts is not None:
        (tmp_path / "server.json").write_text(facts)
    asked: list[str] = []
    router = ServerRouter("http://127.0.0.1:1", lambda: asked.append("token") or "t", folder=tmp_path)
    with pytest.raises(ServerUnavailableError) as refusal:
        router.state("churn")
    assert ("WINDSOCK_SERVER_URL=http://127.0.0.1:9191" in refusal.value.next_action) is named
    assert len(asked) == 1


def test_next_names_the_log_of_the_server_while_its_stack_runs(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address, pid = f"http://127.0.0.1:{listener.getsockname()[1]}", os.getpid()
        note = {"stack_id": "one", "pid": pid, "begun": process_start(pid)}
        router = ServerRouter(address, lambda: "token", folder=tmp_path / "serving")
        for facts, expected in (
            ({}, "other addresses"),
            ({"WINDSOCK_ADMIN_URL": address}, "logs/server.log"),
        ):
            (tmp_path / "stack.json").write_text(json.dumps({**note, "variables": facts}))
            (tmp_path / "stack.json").chmod(0o600)
            with pytest.raises(ServerUnavailableError) as down:
                router.state("churn")
            assert expected in down.value.next_action
            assert "windsock up" not in down.value.next_action
