"""Slots behind addresses: signed deployments, a slot in a process, a listener that nobody may ask."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from support.builders import NOON
from support.mlflow_process import free_port
from support.serving import PLUGINS, wait_until
from windsock.adapters.slot_folder import write_slot_folder
from windsock.adapters.slot_register import SlotRegister
from windsock.exceptions import SlotAddressError
from windsock.records import RegisteredVersion, RoutePlan, SlotDeployment, SlotPlan, StoredBundle
from windsock.settings import Settings


def make_deployment(digest: str, address: str, **fields: Any) -> SlotDeployment:
    """Return a deployment of churn's version 1, not signed."""
    made = {"slot": uuid4().hex, "model": "churn", "version": "1", "made_at": NOON}
    return SlotDeployment(**{**made, "digest": digest, "address": address, **fields})


def at_address(plan: RoutePlan, address: str) -> RoutePlan:
    """Return a plan whose slots all stand at one address."""
    slots = tuple(slot.model_copy(update={"url": address}) for slot in plan.slots)
    return plan.model_copy(update={"slots": slots})


@contextmanager
def running_slot(settings: Settings, stored: StoredBundle, **fields: Any) -> Iterator[SlotDeployment]:
    """Run a slot in a process of its own, as its container would, and sign where it is."""
    port = free_port()
    deployment = make_deployment(stored.digest, f"http://127.0.0.1:{port}", **fields)
    register = SlotRegister.of(settings)
    register.key.make()
    folder = settings.home / "slots" / deployment.slot
    write_slot_folder(settings, folder, deployment, register.secret_of(deployment), stored.uri)
    command = [sys.executable, "-m", "windsock.serving", "--slot", str(folder), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS)}
    with (folder.parent / f"{deployment.slot}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        wait_until(lambda: answers(deployment.address) or process.poll() is not None, what="the slot")
        assert process.poll() is None, slot_log(settings, deployment)
        register.add(deployment)
        yield deployment
    finally:
        process.terminate()
        process.wait(15)


def slot_log(settings: Settings, deployment: SlotDeployment) -> str:
    """Return what a slot of :func:`running_slot` has printed."""
    return (settings.home / "slots" / f"{deployment.slot}.log").read_text()


def answers(address: str) -> bool:
    """Return whether something answers at an address."""
    try:
        return httpx.get(f"{address}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


class Listener:
    """Takes every connection at a port and keeps what comes.

    :param port: 0: one of its own.
    """

    def __init__(self, port: int = 0) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                listener.received.append((self.path, dict(self.headers), body))
                self.send_response(listener.status)
                for name, value in listener.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(listener.body)))
                self.end_headers()
                self.wfile.write(listener.body)

            do_GET = do_POST = do_PUT = do_CONNECT = _take  # noqa: N815

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.status, self.headers, self.body = 200, {}, b"{}"
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.address = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class FakeSlots:
    """A target in memory: it knows the addresses that it made."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}
        self.started: list[str] = []
        self.kept: list[RoutePlan] = []

    def address(self, version: RegisteredVersion) -> str:
        if version.digest not in self.made:
            self.started.append(version.version)
            self.made[version.digest] = f"http://127.0.0.1:{40_000 + len(self.started)}"
        return self.made[version.digest]

    def lose(self, digest: str) -> None:
        """Forget a slot, as if its container and its deployment were gone."""
        del self.made[digest]

    def require(self, model: str, slot: SlotPlan) -> None:
        if slot.url != self.made.get(slot.digest):
            raise SlotAddressError(f"{model} version {slot.version}: not ours")

    def keep_only(self, model: str, plan: RoutePlan) -> int:
        self.kept.append(plan)
        return 0


def files_of(folder: Path) -> dict[Path, bytes]:
    """Return the content of every file below a folder."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
