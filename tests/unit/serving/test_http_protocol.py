"""Uvicorn's protocol as a worker runs it, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from windsock.serving import bounded_protocol
from windsock.serving.bounded_protocol import DEFAULTS
from windsock.serving.http_protocol import HttpProtocol
from windsock.serving.one_write import OneWrite
from windsock.settings import WireLimits

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path; ``/pieces`` in three parts."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
        return
    content = scope["path"].encode() + body
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def talk(conversation: Talk) -> bytes:
    """Run a server for one conversation; return what it came to."""

    async def run() -> bytes:
        config = uvicorn.Config(app, port=0, http=HttpProtocol, log_level="error", lifespan="off", ws="none")
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        await server.on_tick(0)  # its loop would do no more, but end at its next tenth of a second
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(10):
                return await conversation(reader, writer)
        finally:
            writer.close()
            for listening in server.servers:
                listening.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()

    return asyncio.run(run())


def asking(*requests: bytes, pause: bool = False) -> Talk:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for request in requests:
            writer.write(request)
            await writer.drain()
            if pause:
                await asyncio.sleep(0.02)
        return await reader.read()

    return ask


def request(path: str, *, method: str = "GET", last: bool = True, body: bytes = b"", more: str = "") -> bytes:
    close = "connection: close\r\n" if last else ""
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{close}{length}{more}\r\n".encode() + body


def test_one_answer() -> None:
    said = talk(asking(request("/a", method="POST", body=b"-body")))
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"\r\n\r\n/a-body")


def test_pipelined_requests_are_answered_in_their_order() -> None:
    said = talk(asking(request("/a", last=False) + request("/b", last=False) + request("/c")))
    assert [part[-2:] for part in said.split(b"HTTP/1.1 200 OK")[1:]] == [b"/a", b"/b", b"/c"]


def test_an_answer_in_pieces() -> None:
    assert talk(asking(request("/pieces"))).endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_head_without_a_body_is_sent() -> None:
    said = talk(asking(request("/abc", method="HEAD")))
    assert b"content-length: 4\r\n" in said
    assert said.endswith(b"\r\n\r\n")


def test_a_client_that_asks_before_it_sends_its_body() -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n")
        writer.write(b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        return await reader.read()

    assert talk(ask).endswith(b"/aok")


def test_headers_and_body_are_one_write() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.written: list[bytes] = []
            self.closed = False

        def write(self, data: bytes) -> None:
            self.written.append(data)

        def close(self) -> None:
            self.closed = True

        def is_closing(self) -> bool:
            return self.closed

        def get_write_buffer_size(self) -> int:
            return 0

    async def run() -> None:
        loop, recorder = asyncio.get_running_loop(), Recorder()
        transport = OneWrite(recorder, loop)  # type: ignore[arg-type]
        transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        transport.write(b"body")
        assert recorder.written == [b"HTTP/1.1 200 OK\r\n\r\nbody"]
        transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert len(recorder.written) == 1
        await asyncio.sleep(0)
        assert recorder.written[1:] == [b"HTTP/1.1 204 No Content\r\n\r\n"]
        transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        transport.close()
        assert (recorder.written[2:], recorder.closed) == ([b"HTTP/1.1 200 OK\r\n\r\n"], True)
        await asyncio.sleep(0)
        assert len(recorder.written) == 3

    asyncio.run(run())


def test_a_head_without_end_is_refused() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
        sent = 0
        try:
            while sent < 100 * DEFAULTS.head_bytes:
                writer.write(b"x-more: " + b"y" * 1000 + b"\r\n")
                await writer.drain()
                sent += 1010
                await asyncio.sleep(0)
        except ConnectionError:
            return b"closed"
        return await reader.read()

    said = talk(flood)
    assert said == b"closed" or said.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nhost"])
def test_a_head_that_does_not_come_in_time(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "DEFAULTS", WireLimits(head_seconds=0.1))
    said = talk(asking(*([begun] if begun else [])))
    assert said.startswith(b"HTTP/1.1 408") if begun else said == b""


def test_a_connection_may_be_idle_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "DEFAULTS", WireLimits(head_seconds=0.1))

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request("/a", last=False))
        assert (await reader.readuntil(b"/a")).endswith(b"/a")
        await asyncio.sleep(0.3)
        writer.write(request("/b"))
        return await reader.read()

    assert talk(ask).endswith(b"/b")


def with_limits(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    monkeypatch.setattr(bounded_protocol, "DEFAULTS", WireLimits(**limits))


def test_headers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, head_count=10)
    fits = "".join(f"x{number}: y\r\n" for number in range(8))
    assert talk(asking(request("/a", more=fits))).startswith(b"HTTP/1.1 200")
    said = talk(asking(request("/a", more=fits + "z: y\r\n")))
    assert said.startswith(b"HTTP/1.1 431")
    assert b"WS-SERVING-014" in said


@pytest.mark.parametrize("flood", [b"a:\r\n" * 60_000, b"a:\r\n" * 3000])
def test_a_flood_of_headers_is_not_parsed_to_its_end(flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    parse = HttpProtocol.on_header
    monkeypatch.setattr(
        HttpProtocol, "on_header", lambda self, *header: (seen.append(header[0]), parse(self, *header))
    )

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        try:
            writer.write(b"GET /a HTTP/1.1\r\nhost: x\r\n" + flood)
            await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b"HTTP/1.1 431"

    assert talk(ask).startswith(b"HTTP/1.1 431")
    assert len(seen) < 3000


CHUNKED = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"


def test_trailers_are_taken_and_dropped() -> None:
    last = request("/b")
    said = talk(asking(CHUNKED + b"0\r\nx-one: 1\r\nx-two: 2\r\n\r\n" + last))
    assert b"/aok" in said
    assert said.endswith(b"/b")


@pytest.mark.parametrize("piece", [b"x" * 4096, b"y: z\r\n" * 600, b"\r\nq: " + b"w" * 2000])
def test_trailers_without_end_close_the_connection(piece: bytes) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(CHUNKED + b"0\r\nx: ")
        sent = 0
        try:
            while sent < 50 * 2**20:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        return b"%d" % sent

    assert int(talk(flood)) < 20 * 2**20  # what the sockets between them hold


def test_a_body_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, body_seconds=0.1)
    monkeypatch.setattr(bounded_protocol, "BODY_GRACE", 0.1)
    said = talk(asking(CHUNKED + b"0\r\nx: y"))
    assert said.startswith(b"HTTP/1.1 408")


def test_many_requests_of_one_read_are_answered_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, pipelined=4)
    paths = [f"/p{number}" for number in range(300)]
    said = talk(asking(*(request(path, last=path == paths[-1]) for path in paths)))
    answered = [part.rpartition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK")[1:]]
    assert answered == [path.encode() for path in paths]


def test_requests_that_wait_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, pipelined=4)
    most = 0
    start = HttpProtocol._give_to_app

    def counting(self: HttpProtocol, app: Any = None) -> None:
        nonlocal most
        start(self, app)
        most = max(most, len(self.pipeline))

    monkeypatch.setattr(HttpProtocol, "_give_to_app", counting)
    flood = request("/a", last=False) * 2000

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(flood + request("/end"))
        return await reader.read()

    assert talk(ask).count(b"HTTP/1.1 200 OK") == 2001
    assert most < 100  # of 2001; those of one read of an ordinary size


def test_empty_lines_do_not_keep_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request("/a", last=False))
        await reader.readuntil(b"/a")
        writer.write(b"\r\n")
        return await reader.read()

    connection_made = HttpProtocol.connection_made

    def soon(self: HttpProtocol, transport: asyncio.Transport) -> None:
        self.timeout_keep_alive = 0.2  # type: ignore[assignment]
        connection_made(self, transport)

    monkeypatch.setattr(HttpProtocol, "connection_made", soon)
    assert talk(ask) == b""


def test_a_client_that_reads_no_answers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, write_seconds=0.2)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        try:
            while True:
                writer.write(request("/" + "a" * 4000, last=False) * 50)
                await writer.drain()
        except ConnectionError:
            return b"closed"

    assert talk(ask) == b"closed"


@pytest.mark.parametrize("size", [1, 16_000, 16_384, 20_000, 40_000, 65_536, 107_923, 300_000, 1_000_000])
@pytest.mark.parametrize("lines", [False, True])
def test_bodies_of_any_size_are_read_whole_one_after_the_other(size: int, lines: bool) -> None:
    """However the reads fall: a body of many lines is parsed in smaller parts."""
    body = (b"a line\n" * (size // 7 + 1))[:size] if lines else b"x" * size

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        found = b""
        for _ in range(3):
            writer.write(request("/", method="POST", body=body, last=False))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            found += head.partition(b"\r\n")[0] + await reader.readexactly(size + 1)
        return found

    assert talk(ask) == (b"HTTP/1.1 200 OK/" + body) * 3


@pytest.mark.parametrize("size", [1_000, 16_384, 30_000, 107_923])
def test_a_body_in_chunks_is_read_whole(size: int) -> None:
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
    sent = request("/", method="POST", more="transfer-encoding: chunked\r\n") + chunk * 3 + b"0\r\n\r\n"
    assert b"x" * size * 3 in talk(asking(sent))
