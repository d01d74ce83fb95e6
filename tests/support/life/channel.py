"""A channel for alerts on this machine: it takes each one and keeps when it came."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

KEY = re.compile(r"^Alert: (\S+) since", re.MULTILINE)


class Post(NamedTuple):
    """An alert as it was received.

    :param at: when, by the monotonic clock.
    :param key: what it is about.
    """

    at: float
    title: str
    key: str
    text: str

    @property
    def is_over(self) -> bool:
        """Whether it says that something is over."""
        return self.title.startswith("[RESOLVED]")


class Channel:
    """What takes alerts that Apprise posts as JSON.

    :param port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.posts: list[Post] = []

    @property
    def extra(self) -> str:
        """The extra of an Apprise connection that leads here."""
        return apprise_extra(self.port)

    def of(self, key: str, title: str, *, since: float) -> list[Post]:
        """Return what came about one thing since a moment, by its key and the end of its title."""
        return [one for one in [*self.posts] if one.at >= since and one.key == key and title in one.title]


def apprise_extra(port: int) -> str:
    """Return the extra of an Apprise connection to a port of this machine."""
    return json.dumps({"config": {"path": f"json://127.0.0.1:{port}/", "tag": "alerts"}})


@contextmanager
def open_channel() -> Iterator[Channel]:
    """Run a channel."""
    posts: list[Post] = []

    class Taker(BaseHTTPRequestHandler):
        """Takes each post."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = KEY.search(body["message"])
            posts.append(
                Post(time.monotonic(), body["title"], found.group(1) if found else "", body["message"])
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, name="channel", daemon=True)
    thread.start()
    channel = Channel(server.server_address[1])
    channel.posts = posts
    try:
        yield channel
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
