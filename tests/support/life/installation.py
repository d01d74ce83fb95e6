"""A stack as a person on call has it: a shell in its home, ``windsock status``, its alerts."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import create_engine, text

from support.life.channel import Channel, open_channel
from support.stack import LiveStack, clean_environment, live_stack
from support.tried import Tried, ports_of
from windsock.cli.status import status_of, world_of
from windsock.records import INSTALLATION, Alert
from windsock.settings import Settings

log = logging.getLogger(__name__)

BOUND = "WINDSOCK_LIFE_BOUND"
PAUSE = 3.0
"""Seconds between two looks at ``windsock status``."""


class Seen(NamedTuple):
    """One answer of ``windsock status``.

    :param begun: when it was asked, by the monotonic clock.
    :param at: when it had answered.
    :param findings: by model and key.
    """

    begun: float
    at: float
    findings: Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass
class Life:
    """An installation that things happen to.

    :param live: the stack.
    :param channel: takes its alerts.
    :param heartbeat: seconds between two looks of its watchdog.
    :ivar variables: of the shell in which commands run, beside the usual ones.
    :ivar notes: what faults keep for their cures.
    """

    live: LiveStack
    channel: Channel
    heartbeat: float
    variables: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    _seen: list[Seen] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.home = self.live.stack.home
        self.models = self.live.stack.models
        self.settings = Settings.from_environment(self.live.stack.environment())
        self.ports = ports_of(self.settings)

    @property
    def bound(self) -> float:
        """Seconds that anything may take; on a machine that has much other work, as :data:`BOUND` says."""
        return float(os.environ.get(BOUND) or 2 * self.heartbeat + 120)

    def model(self, name: str) -> Tried:
        """Return what makes versions and rollouts of a model."""
        return Tried(self.live, name)

    def shell(self, command: str, *, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command in a shell of the stack's home, which ``WINDSOCK_HOME`` names, and nothing else."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        plugins = str(self.live.stack.project / "plugins")
        own = {"PATH": path, "PYTHONPATH": plugins, "WINDSOCK_HOME": str(self.home), **self.variables}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.home,
            env={**clean_environment(), **own},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def run(self, command: str) -> str:
        """Run a command as it is written and return what it printed.

        :raises AssertionError: if its exit code is not 0.
        """
        done = self.shell(command)
        assert done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Return what ``windsock status --json`` says."""
        content: dict[str, Any] = json.loads(self.run("windsock status --json"))
        return content

    def status_now(self) -> dict[str, Any]:
        """Return what the command says, without the start of a process: nothing is known from before."""
        return status_of(world_of(self.settings, ports_of(self.settings)))

    def stop(self, part: str) -> int:
        """Let a program of the stack hang; return its process."""
        pid = self.process(part)
        os.kill(pid, signal.SIGSTOP)
        return pid

    def process(self, part: str) -> int:
        """Return the process of a program of the stack: the oldest that has this word in its command."""
        found = [pid for pid in self.live.pids if part in _command_of(pid)]
        assert found, f"no process of {part} runs"
        return min(found, key=_begun)  # its children have its command, and may have smaller ids

    def kill(self, pid: int) -> None:
        """End a process of the stack at once, as one does with a program that hangs."""
        assert pid in self.live.pids, f"{pid} is no process of the stack"
        os.kill(pid, signal.SIGKILL)

    def shorten_claim(self, model: str, until: datetime) -> None:
        """Let the claim of a model end sooner than any call can make it: time has passed for it."""
        lease = self.ports.monitor.lease(model)
        assert lease is not None
        shortened = lease.replace(until=until).model_dump_json()
        with create_engine(self.settings.database_url).begin() as connection:
            changed = connection.execute(
                text("UPDATE retrain_leases SET record = :record WHERE model = :model"),
                {"record": shortened, "model": model},
            )
            assert changed.rowcount == 1

    def alert(self, model: str, key: str) -> Alert | None:
        """Return the row of the table of alerts."""
        rows = self.ports.monitor.alerts(model)
        return next((one for one in rows if one.key == key), None)

    # --- what windsock status says, all the time

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ask for the status again and again while this block runs."""
        self._stopped.clear()
        thread = threading.Thread(target=self._watch, name="status", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join(timeout=300)

    def _watch(self) -> None:
        # What the command prints, without the start of a process for each look.
        while not self._stopped.wait(PAUSE):
            begun = time.monotonic()
            try:
                content = self.status_now()
            except Exception:  # a system may be away; that the status was not to be had is seen by its lack
                log.warning("no status: %s", traceback.format_exc(limit=3))
                continue
            self._seen.append(Seen(begun, time.monotonic(), by_place(content)))

    def seen(self, since: float) -> list[Seen]:
        """Return the answers that were asked for since a moment."""
        return [one for one in [*self._seen] if one.begun >= since]

    def await_(self, condition: Callable[[], object], *, seconds: float) -> bool:
        """Wait until a condition holds; say whether it did in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True


def by_place(content: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the findings of a status by model and key."""
    return {(one["model"], one["key"]): one for one in content["findings"]}


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # gone meanwhile
        return ""


def _begun(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # gone meanwhile
        return float("inf")
    return float(stat.rpartition(")")[2].split()[19])


@contextmanager
def lived_in(
    folder: Path,
    project: Path,
    write: Callable[[Path, Path], None],
    *,
    heartbeat: float,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Life]:
    """Run the shipped stack with a channel that takes its alerts.

    :param write: writes the folder of the models; the shortest window or check there is the heartbeat.
    :param heartbeat: seconds between two looks of its watchdog, as the models' files make it.
    """
    pace = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10", **(variables or {})}
    with open_channel() as channel, live_stack(folder, project, write, pace) as live:
        live.await_dag("windsock__watchdog")
        connect(live, "windsock_alerts", channel.extra)
        yield Life(live, channel, heartbeat)


def connect(live: LiveStack, conn_id: str, extra: str) -> None:
    """Make a connection of Apprise, as Admin > Connections does."""
    made = {"connection_id": conn_id, "conn_type": "apprise", "extra": extra}
    live.admin.put_all("connections", [made])


__all__ = ["INSTALLATION", "Life", "connect", "lived_in"]
