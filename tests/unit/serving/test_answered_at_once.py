"""Predictions answered between parser and model: what comes of them is what ASGI would have made of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.serving import ROW, make_plan
from support.serving_app import App, MemoryFetcher
from windsock.adapters.compiled import PipelineCompiler
from windsock.ports import LoadedBundle
from windsock.serving import http_protocol
from windsock.serving.app import create_app
from windsock.serving.client_file import ClientRegistry
from windsock.serving.http_protocol import HttpProtocol

Said = tuple[int, dict[str, str], Any]
"""Status, headers, body."""
VARYING = ("inference_time_ms", "timestamp")
SECONDS = 10


class Servers:
    """One service behind two servers: one answers at once where it can, the other never does."""

    def __init__(self, home: Path, bundle: LoadedBundle, runner: asyncio.Runner) -> None:
        files = PipelineCompiler().compile(bundle.pipeline, bundle.schema)
        fetcher = MemoryFetcher()
        stored = fetcher.add(
            replace(bundle, compiled=PipelineCompiler().load(files, bundle.schema) if files else None)
        )
        self.app = App(home, fetcher)
        self.service = self.app.service
        self.key = ClientRegistry(self.app.settings.clients_file).add("shop")
        self.service.clients.refresh()
        self.service.worker.routes.put(make_plan(stored))
        self.lean = create_app(self.service)
        self.runner = runner
        runner.run(self.start())

    async def start(self) -> None:
        self.service.prediction_log.start()
        await self.service.worker.start()
        assert self.service.served["churn"].most_slot.engine == "linear"

        async def behind(scope: Any, receive: Any, send: Any) -> None:
            await self.lean(scope, receive, send)

        self.at_once, self.never = [await self.serve(app) for app in (self.lean, behind)]

    async def serve(self, app: Any, **options: Any) -> uvicorn.Server:
        config = uvicorn.Config(
            app,
            port=0,
            http=HttpProtocol,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            **options,
        )
        server = uvicorn.Server(config)
        server.serving = asyncio.create_task(server._serve())  # type: ignore[attr-defined]
        while not server.started:
            await asyncio.sleep(0.005)
        return server

    async def end(self, *servers: uvicorn.Server) -> None:
        for server in servers:
            server.should_exit = True
            await server.serving  # type: ignore[attr-defined]

    async def stop(self) -> None:
        await self.end(self.at_once, self.never)
        await self.service.worker.stop()
        await asyncio.to_thread(self.service.prediction_log.stop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def within() -> Any:
            async with asyncio.timeout(SECONDS):
                return await work

        return self.runner.run(within())

    def ask(self, server: uvicorn.Server, pieces: Sequence[bytes], answers: int) -> list[Said]:
        """Send pieces, each in a read of its own, and read so many answers."""
        return self.run(self._ask(server, pieces, answers))  # type: ignore[no-any-return]

    async def _ask(self, server: uvicorn.Server, pieces: Sequence[bytes], answers: int) -> list[Said]:
        reader, writer = await connect(server)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        said = [await read_answer(reader) for _ in range(answers)]
        writer.close()
        return said

    def request(
        self, body: bytes = b"", *, path: str = "/predict", more: str = "", key: bool = True
    ) -> bytes:
        own = f"x-api-key: {self.key}\r\n" if key else ""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{own}{more}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


async def connect(server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])


async def read_answer(reader: asyncio.StreamReader) -> Said:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    if head.startswith("HTTP/1.1 100 "):
        return await read_answer(reader)
    status, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    content = await reader.readexactly(int(headers["content-length"]))
    return int(status.split()[1]), headers, json.loads(content)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, LoadedBundle]) -> Iterator[Servers]:
    with asyncio.Runner() as runner:
        made = Servers(tmp_path_factory.mktemp("at-once"), bundles["first"], runner)
        yield made
        runner.run(made.stop())


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Statuses of what is answered at once."""
    seen: list[int] = []
    write = HttpProtocol._write

    def watched(self: HttpProtocol, answer: Any) -> None:
        seen.append(answer[0])
        write(self, answer)

    monkeypatch.setattr(HttpProtocol, "_write", watched)
    return seen


def body(features: Any = ROW, **more: Any) -> bytes:
    return json.dumps({"features": features, **more}).encode()


ROWS = st.one_of(
    st.just(ROW),
    st.just([ROW, ROW]),
    st.just({**ROW, "age": None}),
    st.just({**ROW, "age": "forty"}),
    st.just({**ROW, "age": 1e300}),
    st.just({**ROW, "plan": 'a \\ "quoted" one'}),
    st.just({**ROW, "extra": 1}),
    st.just({}),
    st.just([]),
    st.none(),
)
NAMES = st.one_of(st.none(), st.just("u-1"), st.just(""), st.just(["a", "b"]), st.just("x" * 300))
BODIES = st.one_of(
    st.builds(body, ROWS),
    st.builds(lambda rows, unit, own: body(rows, unit=unit, prediction_id=own), ROWS, NAMES, NAMES),
    st.builds(lambda rows, time: body(rows, event_time=time), ROWS, st.sampled_from(["2026-01-01", 1])),
    st.sampled_from([b"", b"{", b"[]", b'{"features": {"age": NaN}}', b"\xff\xfe", b"[" * 5_000]),
)
PATHS = st.sampled_from(
    [
        "/predict",
        "/models/churn/predict",
        "/models/other/predict",
        "/models//predict",
        "/models/ch%75rn/predict",
        "/predict?x=1",
        "/models/a/b/predict",
        "/nothing",
    ]
)
MORE = st.sampled_from(
    [
        "",
        "",
        "Origin: http://page\r\n",
        "X-Odd: \xe9\r\n",
        "Authorization: Bearer wrong\r\n",
        "Te: a\r\nTe: b\r\n",
    ]
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(BODIES, PATHS, MORE, st.booleans()), min_size=1, max_size=4),
    cuts=st.lists(st.floats(0, 1), max_size=3),
)
def test_both_ways_answer_alike(servers: Servers, asked: list[Any], cuts: list[float]) -> None:
    stream = b"".join(
        servers.request(content, path=path, more=more, key=key) for content, path, more, key in asked
    )
    at = sorted({0, len(stream), *(int(cut * len(stream)) for cut in cuts)})
    pieces = [stream[begin:end] for begin, end in zip(at, at[1:], strict=False)]
    first, second = (servers.ask(server, pieces, len(asked)) for server in (servers.at_once, servers.never))
    assert [plain(said) for said in first] == [plain(said) for said in second]


def plain(said: Said) -> Said:
    """Return an answer without what differs from one time to the next."""
    status, headers, content = said
    kept = {name: value for name, value in headers.items() if name not in ("date", "content-length")}
    for row in content.get("predictions", [content]):
        for name in VARYING:
            assert status != 200 or row.pop(name)
        if len(row.get("prediction_id", "")) == 32:
            row["prediction_id"] = "made here"
    return status, kept, content


@pytest.mark.parametrize("status", [200, 401, 404, 422])
def test_usual_and_wrong_requests_are_answered_at_once(
    servers: Servers, answered: list[int], status: int
) -> None:
    request = {
        200: servers.request(body()),
        401: servers.request(body(), key=False),
        404: servers.request(body(), path="/models/other/predict"),
        422: servers.request(b"[]"),
    }[status]
    (said,) = servers.ask(servers.at_once, [request], 1)
    assert (said[0], answered) == (status, [status])


@pytest.mark.parametrize(
    "more",
    ["Connection: close\r\n", "Origin: http://page\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\n"],
)
def test_unusual_requests_go_the_long_way(servers: Servers, answered: list[int], more: str) -> None:
    first, second = (
        servers.ask(server, [servers.request(body(), more=more)], 1)
        for server in (servers.at_once, servers.never)
    )
    assert (plain(first[0]), answered) == (plain(second[0]), [])
    assert first[0][0] == 200


def test_an_old_client_and_chunks_go_the_long_way(servers: Servers, answered: list[int]) -> None:
    content = body()
    old = servers.request(content).replace(b"HTTP/1.1", b"HTTP/1.0")
    ((status, headers, _),) = servers.ask(servers.at_once, [old], 1)
    assert (status, headers["connection"]) == (200, "close")
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    head = servers.request().replace(b"Content-Length: 0\r\n\r\n", b"")
    ((status, _, _),) = servers.ask(servers.at_once, [head + chunked], 1)
    assert (status, answered) == (200, [])


def test_a_body_that_comes_later_goes_the_long_way(servers: Servers, answered: list[int]) -> None:
    asked = servers.request(body())
    said = servers.ask(servers.at_once, [asked + asked[:-20], asked[-20:] + asked], 3)
    assert [status for status, _, _ in said] == [200] * 3
    assert answered == [200]  # the third one waited for the second one


@pytest.mark.parametrize(
    ("rows", "indent"), [([{**ROW, "plan": "x" * 9000}] * 4, None), ([ROW] * 60, 1)], ids=["long", "lines"]
)
def test_a_large_body_of_known_length_is_not_cut_up(
    servers: Servers, answered: list[int], monkeypatch: pytest.MonkeyPatch, rows: Any, indent: int | None
) -> None:
    """Only its first part, in which the head ends, comes alone; what follows the body is a request again."""
    parts: list[int] = []
    on_body = HttpProtocol.on_body
    monkeypatch.setattr(
        HttpProtocol, "on_body", lambda self, part: parts.append(len(part)) or on_body(self, part)
    )
    content = json.dumps({"features": rows}, indent=indent).encode()
    said = servers.ask(servers.at_once, [servers.request(content) + servers.request(body())], 2)
    assert [status for status, _, _ in said] == [200, 200]
    assert (len(said[0][2]["predictions"]), answered) == (len(rows), [200, 200])
    assert (len(parts), sum(parts)) == (3, len(content) + len(body()))


def test_pipelined_requests_are_answered_in_their_order_and_leave_others_their_turn(
    servers: Servers, answered: list[int]
) -> None:
    asked = [body(prediction_id=f"p{number}") for number in range(40)]
    said = servers.ask(servers.at_once, [b"".join(map(servers.request, asked))], 40)
    assert [content["prediction_id"] for _, _, content in said] == [f"p{number}" for number in range(40)]
    assert len(answered) == http_protocol.AT_ONCE


def test_a_version_that_must_be_waited_for(
    servers: Servers, answered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = servers.service.served["churn"].most_slot
    monkeypatch.setattr(slot, "scores_now", lambda rows: None)
    scores = [[0.25, 0.75]]

    async def later(rows: Any) -> Any:
        await asyncio.sleep(0.01)
        return scores

    monkeypatch.setattr(slot, "scores", later)
    said = servers.ask(servers.at_once, [servers.request(body()) * 2], 2)
    assert [content["score"] for _, _, content in said] == [0.75, 0.75]
    assert (answered, servers.service.load.in_flight) == ([], 0)


def test_too_large_a_body_is_refused_and_the_connection_closed(servers: Servers, answered: list[int]) -> None:
    object.__setattr__(servers.service, "limits", replace(servers.service.limits, body_bytes=10))
    try:

        async def ask() -> bytes:
            reader, writer = await connect(servers.at_once)
            writer.write(servers.request(body()))
            return await reader.read()

        said = servers.run(ask())
    finally:
        object.__setattr__(servers.service, "limits", replace(servers.service.limits, body_bytes=2**20))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert said.lower().count(b"connection: close\r\n") == 1
    assert answered == [413]


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(servers: Servers, answered: list[int]) -> None:
    async def ask() -> bytes:
        server = await servers.serve(servers.lean, timeout_keep_alive=0.3)
        reader, writer = await connect(server)
        try:
            for _ in range(6):
                writer.write(servers.request(body()))
                assert (await read_answer(reader))[0] == 200
                await asyncio.sleep(0.1)
            return await reader.read()  # until the server closes it
        finally:
            writer.close()
            await servers.end(server)

    assert servers.run(ask()) == b""
    assert answered == [200] * 6


def test_a_server_that_ends_closes_what_is_idle(servers: Servers) -> None:
    async def ask() -> bytes:
        server = await servers.serve(servers.lean)
        reader, writer = await connect(server)
        writer.write(servers.request(body()))
        assert (await read_answer(reader))[0] == 200
        await servers.end(server)
        return await reader.read()

    assert servers.run(ask()) == b""


def test_too_many_connections_are_refused(servers: Servers, answered: list[int]) -> None:
    async def ask() -> bytes:
        server = await servers.serve(servers.lean, limit_concurrency=1)
        reader, writer = await connect(server)
        try:
            writer.write(servers.request(body()))
            return await reader.readline()
        finally:
            writer.close()
            await servers.end(server)

    assert servers.run(ask()).startswith(b"HTTP/1.1 503")
    assert answered == []


def test_a_client_that_does_not_read_is_waited_for(servers: Servers, answered: list[int]) -> None:
    """What is written waits in the server only up to the mark at which uvicorn waits too."""
    asked = servers.request(body(), key=False)

    async def ask() -> int:
        reader, writer = await connect(servers.at_once)
        sent = 0
        try:
            async with asyncio.timeout(3):
                while sent < 200_000:
                    writer.write(asked * 100)
                    sent += 100
                    await writer.drain()
        except TimeoutError:
            return sent
        finally:
            writer.transport.abort()
        return sent

    assert servers.run(ask()) < 200_000
