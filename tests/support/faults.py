"""Fault injection: raise right after the k-th side effect of a step, as a killed task would."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from windsock.ports import Ports

EFFECTS = {
    "snapshots": {"put"},
    "expectations": {"infer"},
    "contracts": {"put"},
    "bundles": {"put", "put_document"},
    "tracker": {"record_run", "add_to_run", "close_stale_runs", "mark_for_removal", "remove_run"},
    "registry": {"register", "set_alias"},
    "ledger": {"append"},
    "records": {"add", "forget"},
    "router": {"apply"},
    "predictions": {"close_segments", "remove_older"},
    "rollouts": {"add_decision"},
    "events": {"forget"},
    "kept": {"remove", "removal_ended"},
}
"""The calls that change something outside, by port."""


class Killed(BaseException):
    """The task died here. No ``except Exception`` may catch it."""


class Countdown:
    """Counts side effects; raises :class:`Killed` after the given one."""

    def __init__(self, after: int) -> None:
        self.after, self.seen = after, 0

    def tick(self) -> None:
        self.seen += 1
        if self.seen == self.after:
            raise Killed


class _Faulty:
    def __init__(self, port: Any, effects: set[str], countdown: Countdown) -> None:
        self._port, self._effects, self._countdown = port, effects, countdown

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in self._effects:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            self._countdown.tick()
            return result

        return call


def killed_after(ports: Ports, after: int) -> tuple[Ports, Countdown]:
    """Return ports of the same world that die right after the ``after``-th side effect (1, 2, 3 ...).

    :returns: the ports, and the countdown that tells how many effects were seen.
    """
    countdown = Countdown(after)
    return watched_by(countdown, ports), countdown


def watched_by(countdown: Countdown, ports: Ports) -> Ports:
    """Return ports of the same world that tell a countdown of each side effect, right after it."""
    wrapped = {}
    for field in fields(ports):
        port = getattr(ports, field.name)
        effects = EFFECTS.get(field.name)
        wrapped[field.name] = _Faulty(port, effects, countdown) if effects else port
    return Ports(**wrapped)
