"""One worker process: it answers on the socket that the supervisor bound, and ends with it."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from typing import Any

from windsock.adapters.tls import TlsError, TlsFiles, load_pair
from windsock.serving.worker import Worker
from windsock.settings import Settings

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5
BACKLOG = 2048
CERTIFICATE_SECONDS = 30
MOST_CONNECTIONS = 2000


def end_with_supervisor() -> None:
    """Wait until the supervisor's end of the pipe is closed, then end this process as SIGTERM would."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


class LongLived:
    """Tells the garbage collector that what is loaded stays: looking through it would hold up answers.

    :param worker: whose versions are loaded, and looked at after each change.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.seen: object = None

    def __call__(self) -> None:
        """Look whether something else is loaded than before."""
        if self.worker.served is not self.seen:
            self.seen = self.worker.served
            gc.unfreeze()
            gc.collect()
            gc.freeze()


class CertificateFollower:
    """Takes up a certificate that was renewed; connections that are open keep the old one.

    :param files: certificate and key; a pair that cannot be used is told once and looked at again.
    :param context: what new connections are made by. It is changed in the event loop, where they are made.
    """

    def __init__(self, files: TlsFiles, context: ssl.SSLContext) -> None:
        self.files, self.context = files, context
        self.seen = files.changed()
        self.fault: str | None = None

    async def __call__(self) -> None:
        """Look at the files once."""
        changed = self.files.changed()
        if changed == self.seen:
            return
        try:
            self.files.context()  # a pair that is half replaced must not reach the one in use
            load_pair(self.context, self.files.cert, self.files.key)
        except TlsError as error:
            if error.message != self.fault:
                log.error("%s: %s. The certificate before stays in use.", error.code, error.message)
            self.fault = error.message
            return
        self.seen, self.fault = changed, None
        log.info("the certificate %s has been renewed", self.files.cert)


def main() -> None:
    """Serve as the supervisor's first line on the standard input says."""
    import uvicorn

    from windsock.serving.app import create_app
    from windsock.serving.http_protocol import HttpProtocol
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
    service = make_service(Settings.model_validate(asked["settings"]))
    service.worker.also.append(LongLived(service.worker))
    files = TlsFiles.model_validate(asked["tls"]) if asked["tls"] else None
    context = files.context() if files else None
    config = uvicorn.Config(
        create_app(service),
        loop="uvloop",
        http=HttpProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        callback_notify=CertificateFollower(files, context) if files and context else None,
        timeout_notify=CERTIFICATE_SECONDS,
    )
    config.load()
    config.ssl = context
    uvicorn.Server(config).run(sockets=[listening])
