"""One worker process: it answers on the socket that the supervisor bound, and ends with it."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from typing import Any

from windsock.settings import Settings

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5
BACKLOG = 2048


def limit_threads() -> None:
    """Hold numerical libraries to one thread: with more, workers of one machine stand in each other's way."""
    import sklearn.utils  # noqa: F401 - loads the libraries whose pools are limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)


def end_with_supervisor() -> None:
    """Wait until the supervisor's end of the pipe is closed, then end this process as SIGTERM would."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve as the supervisor's first line on the standard input says."""
    import uvicorn

    from windsock.serving.app import create_app
    from windsock.serving.service import make_service

    logging.basicConfig(
        level=logging.WARNING,
        format=f"%(asctime)s worker {os.getpid()} %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("windsock").setLevel(logging.INFO)
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_supervisor, name="supervisor", daemon=True).start()
    listening = socket.socket(fileno=asked["socket"])
    limit_threads()
    service = make_service(Settings.model_validate(asked["settings"]))
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listening])
