"""One worker process: it answers on the socket that the supervisor bound, and ends with it."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.adapters.tls import TlsError, TlsFiles, load_pair
from windsock.serving.wire import allow_files, private_limits
from windsock.serving.worker import Worker
from windsock.settings import Settings, WireLimits

if TYPE_CHECKING:
    import uvicorn

    from windsock.serving.lean import LeanPredict
    from windsock.serving.service import Service
    from windsock.serving.slots import Slot

log = logging.getLogger(__name__)

GRACE_SECONDS = 5
BACKLOG = 2048
CERTIFICATE_SECONDS = 30


def end_with_supervisor() -> None:
    """Wait until the supervisor's end of the pipe is closed, then end this process as SIGTERM would."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


class LongLived:
    """Tells the garbage collector that what is loaded stays: looking through it would hold up answers.

    :param worker: whose versions are loaded, and looked at when others are loaded; a plan that only shares
        the traffic otherwise loads none.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.seen: object = None
        self.loaded: list[Slot] | None = None

    def __call__(self) -> None:
        """Look whether something else is loaded than before."""
        if self.worker.served is self.seen:
            return
        self.seen = self.worker.served
        loaded = [slot for served in self.worker.served.values() for slot in served.slots.values()]
        if self.loaded is None or list(map(id, loaded)) != list(map(id, self.loaded)):
            self.loaded = loaded
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


@dataclass(frozen=True)
class Listening:
    """The sockets of a worker, and what TLS needs at each; ``None``: plain HTTP there.

    :param public: for everybody.
    :param private: for health and admin.
    """

    public: socket.socket
    private: socket.socket
    public_context: ssl.SSLContext | None
    private_context: ssl.SSLContext | None


def main() -> None:
    """Serve as the supervisor's first line on the standard input says."""
    gc.disable()  # until all is loaded: what is made by then stays
    atexit.register(gc.freeze)  # and goes with the process: nobody looks through it first
    from windsock.serving.app import create_app
    from windsock.serving.service import make_service
    from windsock.serving.uvicorn_parts import why_not_bounded

    logging.basicConfig(
        level=logging.WARNING,
        format=f"%(asctime)s worker {os.getpid()} %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("windsock").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a line for each wrong request fills a disk
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_supervisor, name="supervisor", daemon=True).start()
    settings = Settings.model_validate(asked["settings"])
    service = make_service(settings)
    service.worker.also.append(LongLived(service.worker))
    files = TlsFiles.model_validate(asked["tls"]) if asked["tls"] else None
    context = files.context() if files else None
    listening = Listening(
        socket.socket(fileno=asked["socket"]),
        socket.socket(fileno=asked["private"]),
        context,
        context if asked["private_tls"] else None,
    )
    app = create_app(service, private_port=int(listening.private.getsockname()[1]))
    limits = allow_files(settings.wire)
    config = {
        "loop": "uvloop",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "ws": "none",
        "lifespan": "on",
        "backlog": BACKLOG,
        "timeout_keep_alive": limits.idle_seconds,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "callback_notify": CertificateFollower(files, context) if files and context else None,
        "timeout_notify": CERTIFICATE_SECONDS,
    }
    why = why_not_bounded()
    if why is None:
        server = bounded_server(service, app, listening, limits, config)
    else:
        log.error(
            "WS-SERVING-063: %s: the server goes uvicorn's ordinary path, without bounds of heads, "
            "trailers, memory and connections of an address",
            why,
        )
        server = ordinary_server(app, listening, limits, config, settings.trusted_proxies)
    gc.enable()
    server.run(sockets=[listening.public, listening.private])


def bounded_server(
    service: Service, app: LeanPredict, listening: Listening, limits: WireLimits, config: dict[str, Any]
) -> uvicorn.Server:
    """Return a server with the protocol and the listeners of our own."""
    import uvicorn

    from windsock.serving.http_protocol import HttpProtocol
    from windsock.serving.worker_server import Door, WorkerServer

    made = uvicorn.Config(app, http=HttpProtocol, proxy_headers=False, **config)
    made.load()
    doors = (
        Door(listening.public, limits, listening.public_context, service.settings.trusted_proxies),
        Door(listening.private, private_limits(limits), listening.private_context, is_private=True),
    )
    return WorkerServer(made, doors, service.metrics.rejected)


def ordinary_server(
    app: LeanPredict,
    listening: Listening,
    limits: WireLimits,
    config: dict[str, Any],
    trusted: tuple[str, ...],
) -> uvicorn.Server:
    """Return a server as uvicorn makes it: without our protocol, with the checks of the app alone."""
    import uvicorn

    from windsock.serving.ordinary_server import OrdinaryServer

    made = uvicorn.Config(
        app,
        http="httptools",
        proxy_headers=bool(trusted),
        forwarded_allow_ips=list(trusted),
        limit_concurrency=limits.connections,
        **config,
    )
    made.load()
    return OrdinaryServer(
        made,
        (listening.public, listening.public_context),
        (listening.private, listening.private_context),
    )
