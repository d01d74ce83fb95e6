from __future__ import annotations

import asyncio

import pytest

from windsock.ui.single_writer import READING_METHODS, SingleWriter, api_middlewares


class App:
    """An application that is inside a request until it is told to end it."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.most = 0
        self.end = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.inside.append(scope["path"])
        self.most = max(self.most, len(self.inside))
        await self.end.wait()
        self.inside.remove(scope["path"])


def request(method: str, path: str = "/x", kind: str = "http") -> dict:
    return {"type": kind, "method": method, "path": path}


async def whole():
    """Receive a request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def start(middleware, *requests):
    tasks = [asyncio.create_task(middleware(scope, whole, None)) for scope in requests]
    for _ in range(5):  # a few rounds of the loop: all that can go on has gone on
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("methods", [("POST", "POST"), ("PATCH", "DELETE"), ("PUT", "POST", "PATCH")])
def test_writing_requests_take_turns(methods):
    async def run():
        app = App()
        tasks = await start(
            SingleWriter(app), *(request(method, f"/{n}") for n, method in enumerate(methods))
        )
        assert app.inside == ["/0"]
        app.end.set()
        await asyncio.gather(*tasks)
        return app.most

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("method", sorted(READING_METHODS))
def test_reading_requests_never_wait(method):
    async def run():
        app = App()
        tasks = await start(SingleWriter(app), request("POST", "/write"), request(method, "/read"))
        inside = list(app.inside)
        app.end.set()
        await asyncio.gather(*tasks)
        return inside

    assert asyncio.run(run()) == ["/write", "/read"]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_what_is_no_http_request_is_left_alone(kind):
    async def run():
        app = App()
        scope = {"type": kind, "path": "/other"}
        tasks = await start(SingleWriter(app), request("POST", "/write"), scope)
        inside = list(app.inside)
        app.end.set()
        await asyncio.gather(*tasks)
        return inside

    assert asyncio.run(run()) == ["/write", "/other"]


def test_a_request_that_fails_gives_its_turn_back():
    async def fails(scope, receive, send):
        raise ValueError("no")

    async def run():
        middleware = SingleWriter(fails)
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await middleware(request("POST"), whole, None)

    asyncio.run(run())


def test_a_cancelled_request_gives_its_turn_back():
    async def run():
        app = App()
        middleware = SingleWriter(app)
        first, second = await start(middleware, request("POST", "/1"), request("POST", "/2"))
        first.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        app.inside.remove("/1")
        assert app.inside == ["/2"]
        app.end.set()
        await second

    asyncio.run(run())


class Client:
    """A client that sends its body in parts, and reads the answer when it likes."""

    def __init__(self, *parts: dict) -> None:
        self.parts = list(parts)
        self.more = asyncio.Event()
        self.reads = asyncio.Event()
        self.got: list[dict] = []

    async def receive(self):
        if not self.parts:
            await self.more.wait()
        return self.parts.pop(0)

    async def send(self, message):
        self.got.append(message)
        await self.reads.wait()


async def echo(scope, receive, send):
    """Answer with the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def part(body: bytes, more: bool) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


async def rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_body_that_does_not_end_holds_no_turn():
    async def run():
        app = App()
        middleware = SingleWriter(app)
        slow = Client(part(b"a", True))
        stalled = asyncio.create_task(middleware(request("POST", "/slow"), slow.receive, slow.send))
        await rounds()
        (quick,) = await start(middleware, request("POST", "/quick"))
        assert app.inside == ["/quick"]
        app.end.set()
        await quick
        stalled.cancel()

    asyncio.run(run())


def test_an_answer_that_is_not_read_holds_no_turn():
    async def run():
        middleware = SingleWriter(echo)
        slow, quick = Client(part(b"slow", False)), Client(part(b"quick", False))
        quick.reads.set()
        stalled = asyncio.create_task(middleware(request("POST"), slow.receive, slow.send))
        await rounds()
        slow.reads.set()  # the head is read, then the client stops
        await asyncio.sleep(0)
        slow.reads.clear()
        await rounds()
        await asyncio.wait_for(middleware(request("POST"), quick.receive, quick.send), 5)
        assert [message.get("body") for message in quick.got] == [None, b"quick"]
        stalled.cancel()

    asyncio.run(run())


@pytest.mark.parametrize("parts", [[b""], [b"whole"], [b"in ", b"three ", b"parts"]])
def test_the_body_arrives_as_it_was_sent(parts):
    async def run():
        client = Client(*(part(body, body is not parts[-1]) for body in parts))
        client.reads.set()
        await SingleWriter(echo)(request("PATCH"), client.receive, client.send)
        return client.got[-1]["body"]

    assert asyncio.run(run()) == b"".join(parts)


def test_a_client_that_goes_away_in_its_body_asks_for_nothing():
    async def run():
        app = App()
        client = Client(part(b"a", True), {"type": "http.disconnect"})
        await SingleWriter(app)(request("POST"), client.receive, client.send)
        return app.most, client.got

    assert asyncio.run(run()) == (0, [])


def test_what_follows_the_body_reaches_the_application():
    async def application(scope, receive, send):
        seen.append((await receive())["type"])
        seen.append((await receive())["type"])

    seen: list[str] = []

    async def run():
        client = Client(part(b"", False), {"type": "http.disconnect"})
        await SingleWriter(application)(request("POST"), client.receive, client.send)

    asyncio.run(run())
    assert seen == ["http.request", "http.disconnect"]


def test_a_request_that_hangs_stops_the_others_for_a_while_only():
    async def run():
        app = App()
        middleware = SingleWriter(app, wait=0.01)
        stuck, late = await start(middleware, request("POST", "/stuck"), request("POST", "/late"))
        while "/late" not in app.inside:
            await asyncio.sleep(0.001)
        app.end.set()
        await asyncio.gather(stuck, late)
        app.end.clear()
        # The one that went on without a turn gave none back: there is still one turn, not two.
        tasks = await start(middleware, request("POST", "/a"), request("POST", "/b"))
        assert app.inside == ["/a"]
        app.end.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "count"),
    [
        ("sqlite:////home/airflow.db?timeout=60", 1),
        ("sqlite+pysqlite:////home/airflow.db", 1),
        ("postgresql+psycopg2://airflow@db/airflow", 0),
        ("mysql://airflow@db/airflow", 0),
        ("airflow-db-not-allowed:///", 0),
        ("", 0),
    ],
)
def test_only_sqlite_has_a_single_writer(url, count):
    assert len(api_middlewares(url)) == count
