"""Removes what a retention has planned, so that it can be killed anywhere and goes on the next time.

The order of a training: its step's record is forgotten, so that no retrain finds it; its runs are marked,
then removed; its bundle goes last, and by it the next retention finds what a killed one has left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from windsock.deployment.retention import Plan, Removal, is_retrained, plan_retention
from windsock.ports import Ports
from windsock.records.retention import Kind, RemovalNote, RemovedKind, RetentionPolicy

log = logging.getLogger(__name__)

MOST = 200
"""A run of housekeeping removes so many things; the rest goes with the next one."""
EVERY = timedelta(hours=23)
"""After a retention came to its end, the next one begins so much later."""

Result = TypeVar("Result")


class Guard(Protocol):
    """Runs a part of the work, keeps in words what went wrong, and gives another result then."""

    def __call__(self, what: str, chore: Callable[[], Result], otherwise: Result, /) -> Result:
        """Return what the part gives, or the other result."""
        ...


class Removed(NamedTuple):
    """What a retention came to.

    :param kinds: how much was removed, by kind.
    :param goes_on: whether more is to be removed.
    """

    kinds: tuple[RemovedKind, ...] = ()
    goes_on: bool = False


def remove_old(
    policy: RetentionPolicy, ports: Ports, models: Sequence[str], guard: Guard, *, at_once: bool = False
) -> Removed:
    """Remove what nothing needs any more, once a day.

    :param models: those whose ledger is whole.
    :param guard: runs a part, keeps what went wrong in words, and gives the last value instead.
    :param at_once: whether it is not waited for a day to pass.
    """
    now = ports.now()
    if not policy.removes_anything or not (
        at_once or guard("retention", partial(_is_due, ports, now), False)
    ):
        return Removed()
    done: list[tuple[Kind, int]] = []
    left, failed = MOST, False
    for model in models:
        plan = guard(f"retention of {model}", partial(_planned, policy, ports, model, now), None)
        failed |= plan is None
        for removal in plan.removals[:left] if plan else ():
            left -= 1
            freed = guard(f"retention of {model}", partial(remove_one, removal, ports, now), None)
            failed |= freed is None
            if freed is not None and freed >= 0:
                done.append((removal.kind, freed))
    logs = guard("logs", partial(remove_logs, policy, ports, now), None)
    failed |= logs is None
    if left and not failed:
        guard("retention", lambda: ports.kept.removal_ended(now), None)
    kinds = (*_by_kind(done), *([logs] if logs and logs.items else ()))
    for one in kinds:
        log.info("retention: %s: %s removed, %s bytes", one.kind, f"{one.items:,}", f"{one.bytes:,}")
    return Removed(kinds, goes_on=not left)


def remove_logs(policy: RetentionPolicy, ports: Ports, now: datetime, *, remove: bool = True) -> RemovedKind:
    """Remove old logs of a shipped stack; return how many.

    :param remove: ``False``: only count them.
    """
    if not policy.logs:
        return RemovedKind(kind="logs", items=0)
    files, size = ports.kept.old_logs(now - timedelta(days=policy.logs), remove=remove)
    return RemovedKind(kind="logs", items=files, bytes=size)


def _is_due(ports: Ports, now: datetime) -> bool:
    last = ports.kept.last_removal()
    return last is None or not timedelta(0) <= now - last < EVERY


def _planned(policy: RetentionPolicy, ports: Ports, model: str, now: datetime) -> Plan | None:
    return plan_retention(policy, ports, model, now)


def _by_kind(done: Sequence[tuple[Kind, int]]) -> tuple[RemovedKind, ...]:
    sizes: dict[Kind, list[int]] = {}
    for kind, size in done:
        sizes.setdefault(kind, []).append(size)
    return tuple(RemovedKind(kind=kind, items=len(all_), bytes=sum(all_)) for kind, all_ in sizes.items())


def remove_one(removal: Removal, ports: Ports, now: datetime) -> int | None:
    """Remove one thing; return how many bytes it had, or -1 where it stays after all.

    :raises WindsockError: if MLflow or the storage does not answer; the next retention goes on.
    """
    if removal.kind in ("trainings", "snapshots") and is_retrained(ports, removal.model, ports.now()):
        return -1
    for key in removal.keys:
        ports.records.forget(key)
    told = f"by retention on {now:%Y-%m-%d}, policy {removal.days:g} days"
    for run_id in removal.runs:
        ports.tracker.mark_for_removal(run_id, told)
    freed = sum(ports.tracker.remove_run(run_id) for run_id in removal.runs)
    for thing in removal.things:
        note = RemovalNote(kind=thing.kind, model=removal.model, name=thing.name, at=now, days=removal.days)
        freed += ports.kept.remove(note)
    return freed


__all__ = ["Removed", "remove_old", "remove_one"]
