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


async def start(middleware, *requests):
    tasks = [asyncio.create_task(middleware(scope, None, None)) for scope in requests]
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
                await middleware(request("POST"), None, None)

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


def test_a_client_that_never_ends_its_body_stops_the_others_for_a_while_only():
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
