"""``run``: bind the port once, start the workers on it, replace those that die, leave nothing behind."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import NamedTuple

from windsock.adapters.own_process import command_of
from windsock.adapters.tls import TlsFiles
from windsock.exceptions import SettingsError, StorageError
from windsock.ports import utc_now
from windsock.private_files import make_folder, tighten
from windsock.serving.files import replace_file
from windsock.serving.log_lines import SEALED_FILE
from windsock.serving.open_server import is_loopback, who_is_answered
from windsock.serving.rate_limit import RATES_FILE, RATES_VARIABLE, RateTable
from windsock.serving.workers import WorkerNotes
from windsock.settings import Settings

log = logging.getLogger(__name__)

SERVER_FILE = "server.json"
LOCK_FILE = "server.lock"
METRICS_PREFIX = "windsock-metrics-"
MEMORY_FOLDER = "/dev/shm"  # noqa: S108 - a private folder is made in it
LOOK_SECONDS = 0.1
GRACE_SECONDS = 9.0
YOUNG_SECONDS = 10.0
LONGEST_PAUSE = 10.0
BACKLOG = 2048
LAST_PORT = 65_535
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def run(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8181,
    workers: int = 1,
    open_to_all: bool = False,
    tls: TlsFiles | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT comes.

    :param host: address to listen on.
    :param port: port to listen on; 0 takes a free one. ``server.json`` in the state folder names the address.
    :param workers: worker processes, 1 to 64.
    :param open_to_all: whether everybody may be answered, as long as no client is set up, also at an address
        that other machines can reach.
    :param tls: certificate and key; ``None``: plain HTTP.
    :raises SettingsError: if the port is taken, another server uses the same state folder, everybody would be
        answered and that was not asked for, or TLS is set up wrongly.
    :raises StorageError: if the state folder cannot be written.
    """
    if not 1 <= workers <= 64:
        raise SettingsError(f"{workers} workers; at least 1 and at most 64 can be started")
    if tls is not None:
        tls.context()  # a fault is told here and not by each worker
    folder = settings.serving_dir
    with (
        _only_server(folder),
        bind(host, port) as listening,
        _bind_private(settings, port) as private,
    ):
        answered = who_is_answered(settings, str(listening.getsockname()[0]), open_to_all=open_to_all)
        _clear_up_after_the_last(folder)
        metrics = _make_metrics_folder()
        _make_rates(metrics, keys=answered.keys)
        address = f"{'https' if tls else 'http'}://{_shown(host)}:{listening.getsockname()[1]}"
        private_tls = tls is not None and not is_loopback(str(private.getsockname()[0]))
        private_address = _address(private, tls=private_tls)
        facts = {
            "pid": os.getpid(),
            "address": address,
            "private": private_address,
            "workers": workers,
            "started": utc_now().isoformat(),
            "metrics": str(metrics),
        }
        replace_file(folder / SERVER_FILE, json.dumps(facts) + "\n")
        log.info("serving on %s with %d worker(s); POST %s/models/NAME/predict", address, workers, address)
        log.info("health and admin have a listener of their own at %s", private_address)
        log.info("%s%s", answered.said, "; clients show certificates" if tls and tls.client_ca else "")
        try:
            sockets = Sockets(listening, private, private_tls=private_tls)
            Supervisor(settings, sockets, workers, metrics, tls).run()
        finally:
            with suppress(OSError):
                (folder / SERVER_FILE).unlink()
            shutil.rmtree(metrics, ignore_errors=True)
            log.info("the server on %s has stopped", address)


class Sockets(NamedTuple):
    """The bound sockets that all workers answer on.

    :param public: for everybody.
    :param private: for health and admin.
    :param private_tls: whether TLS is spoken at the private one, too.
    """

    public: socket.socket
    private: socket.socket
    private_tls: bool = False


class Supervisor:
    """Keeps a number of worker processes alive.

    :param settings: the installation.
    :param sockets: where all workers answer.
    :param count: number of workers.
    :param metrics: folder in memory in which the workers' metrics and rates meet.
    :param tls: certificate and key of the workers; ``None``: plain HTTP.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Sockets,
        count: int,
        metrics: Path,
        tls: TlsFiles | None = None,
    ) -> None:
        self.settings = settings
        self.tls = tls
        self.sockets = sockets
        self.metrics = metrics
        self.notes = WorkerNotes(settings.serving_dir)
        self.workers: list[subprocess.Popen[bytes] | None] = [None] * count
        self.born = [0.0] * count
        self.pauses = [0.0] * count
        self.stopping = threading.Event()

    def run(self) -> None:
        """Keep the workers alive until a signal comes, then end them."""
        before = {name: signal.signal(name, self._stop) for name in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self.stopping.is_set():
                for place in range(len(self.workers)):
                    self._look_after(place)
                self.stopping.wait(LOOK_SECONDS)
        finally:
            self._end_all()
            for name, handler in before.items():
                signal.signal(name, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def _look_after(self, place: int) -> None:
        worker = self.workers[place]
        if worker is not None and worker.poll() is None:
            return
        now = time.monotonic()
        if worker is not None:
            self.workers[place] = None
            self._forget(worker)
            young = now - self.born[place] < YOUNG_SECONDS
            self.pauses[place] = min(max(0.5, self.pauses[place] * 2), LONGEST_PAUSE) if young else 0.0
            log.warning(
                "WS-SERVING-025: worker %d ended with status %d; another is started in %.1f s",
                worker.pid,
                worker.returncode,
                self.pauses[place],
            )
            self.born[place] = now
        if now - self.born[place] >= self.pauses[place] or self.born[place] == 0.0:
            self.workers[place] = self._start()
            self.born[place] = now

    def _start(self) -> subprocess.Popen[bytes]:
        # Behind a container or several workers, numerical libraries must not start a thread for each core.
        threads = dict.fromkeys(THREAD_VARIABLES, "1")
        shared = {"PROMETHEUS_MULTIPROC_DIR": str(self.metrics), RATES_VARIABLE: str(self.metrics)}
        worker = subprocess.Popen(  # noqa: S603 - our own command
            command_of("windsock.serving.worker_process"),
            stdin=subprocess.PIPE,
            pass_fds=[self.sockets.public.fileno(), self.sockets.private.fileno()],
            env={**os.environ, **threads, **shared},
            start_new_session=True,  # Ctrl-C goes to the supervisor alone
        )
        asked = {
            "settings": self.settings.model_dump(mode="json"),
            "socket": self.sockets.public.fileno(),
            "private": self.sockets.private.fileno(),
            "private_tls": self.sockets.private_tls,
            "tls": self.tls.model_dump(mode="json") if self.tls else None,
        }
        with suppress(BrokenPipeError):
            assert worker.stdin is not None  # noqa: S101 - a pipe was asked for
            worker.stdin.write(json.dumps(asked).encode() + b"\n")
            worker.stdin.flush()
        return worker

    def _forget(self, worker: subprocess.Popen[bytes]) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        if worker.stdin is not None:
            with suppress(OSError):
                worker.stdin.close()
        self.notes.remove(worker.pid)
        mark_process_dead(worker.pid, str(self.metrics))  # type: ignore[no-untyped-call]

    def _end_all(self) -> None:
        alive = [worker for worker in self.workers if worker is not None]
        for worker in alive:
            worker.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in alive:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("WS-SERVING-025: worker %d did not end in time and is killed", worker.pid)
                worker.kill()
                worker.wait()
            self._forget(worker)


@contextmanager
def _only_server(folder: Path) -> Iterator[None]:
    """Hold the state folder's lock: two servers would take each other's workers for their own."""
    try:
        make_folder(folder)
        tighten(folder)  # an earlier version's files; nobody else writes here
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"the state folder {folder} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                f"another server uses the state folder {folder}{_who(folder)}",
                code="WS-SERVING-003",
                next_action="Use that one, stop it, or set another WINDSOCK_HOME.",
            ) from None
        yield
    finally:
        os.close(descriptor)


def _who(folder: Path) -> str:
    try:
        facts = json.loads((folder / SERVER_FILE).read_bytes())
        return f": process {int(facts['pid'])} on {facts['address']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@contextmanager
def bind(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address and port.

    :raises SettingsError: if it is taken, or no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}: {error.strerror}", next_action="Name an address of this machine."
        ) from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise SettingsError(
                f"port {port} on {host} is taken"
                if taken
                else f"cannot listen on {host}:{port}: {error.strerror}",
                code="WS-SERVING-002",
                next_action=f"Stop what listens there (`ss -ltnp 'sport = :{port}'` names it), or choose "
                "another port: `windsock serve --port N` with WINDSOCK_SERVER_URL=http://127.0.0.1:N.",
            ) from error
        yield listening


@contextmanager
def _bind_private(settings: Settings, public_port: int) -> Iterator[socket.socket]:
    """Bind the listener of health and admin: where the settings say, else at a port of this machine alone.

    :param public_port: the port that was asked for the first listener; 0: a free one, here, too.
    """
    if settings.private_listen is not None:
        host, _, port = settings.private_listen.rpartition(":")
        if not port.isdigit() or int(port) > LAST_PORT or (int(port) and int(port) == public_port):
            raise SettingsError(
                f"WINDSOCK_SERVING_PRIVATE is {settings.private_listen!r}, and the private listener needs an "
                "address and a port of its own",
                next_action="Write it like 127.0.0.1:8182.",
            )
        with bind(host.strip("[]") or "127.0.0.1", int(port)) as private:
            yield private
        return
    beside = public_port + 1 if 0 < public_port < LAST_PORT else 0
    with ExitStack() as stack:
        try:
            private = stack.enter_context(bind("127.0.0.1", beside))
        except SettingsError:
            private = stack.enter_context(bind("127.0.0.1", 0))
            log.warning(
                "port %d on 127.0.0.1 is taken; health and admin listen at %d. WINDSOCK_SERVING_PRIVATE "
                "names another place.",
                beside,
                private.getsockname()[1],
            )
        yield private


def _address(listening: socket.socket, *, tls: bool) -> str:
    host, port = listening.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{_shown(str(host))}:{port}"


def _make_metrics_folder() -> Path:
    """Make the folder of the metrics and the clients' rates in memory, where there is one.

    The workers map its files: on a disk that is full, counting a prediction would end the process (SIGBUS).
    """
    in_memory = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    return Path(mkdtemp(prefix=METRICS_PREFIX, dir=in_memory))


def _make_rates(folder: Path, *, keys: bool) -> None:
    """Make the table of the clients' rates; a server that began with keys never goes on without them."""
    rates = RateTable(folder / RATES_FILE)
    if keys:
        rates.require()
    rates.close()


def _clear_up_after_the_last(folder: Path) -> None:
    """Remove what a killed server left: notes of its workers, its metrics."""
    WorkerNotes(folder).clear()
    (folder / SEALED_FILE).unlink(missing_ok=True)
    with suppress(OSError, ValueError, KeyError, TypeError):
        left = Path(json.loads((folder / SERVER_FILE).read_bytes())["metrics"])
        if left.name.startswith(METRICS_PREFIX):
            shutil.rmtree(left, ignore_errors=True)


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
