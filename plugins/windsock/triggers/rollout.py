"""``RolloutTrigger``: it looks in the ledger whether a rollout is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from windsock.exceptions import TransportError
from windsock.hooks.windsock import WindsockHook
from windsock.ports import utc_now
from windsock.records import LedgerRow, RolloutEnd, ended_rollouts, running_rollout

POLL_SECONDS = 30.0


class RolloutTrigger(BaseTrigger):
    """Waits until a rollout of the model is over.

    :param model: the model's name.
    :param version: the version whose rollout it is; one that ended before counts. ``None``: the next rollout
        that ends.
    :param since: ISO time; without a version, ends up to then do not count. Default: the start.
    :param windsock_conn_id: connection of type ``windsock``.
    :param poll_seconds: seconds between two looks.
    """

    def __init__(
        self,
        model: str,
        *,
        version: str | None = None,
        since: str | None = None,
        windsock_conn_id: str = "windsock_default",
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.version = version
        self.since = since
        self.windsock_conn_id = windsock_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments, for the triggerer."""
        return f"{type(self).__module__}.{type(self).__name__}", {
            "model": self.model,
            "version": self.version,
            "since": self.since,
            "windsock_conn_id": self.windsock_conn_id,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the end; a control database that does not answer is asked again at the next look."""
        since = datetime.fromisoformat(self.since) if self.since else utc_now()
        while True:
            try:
                rows = await asyncio.to_thread(self._rows)
            except TransportError:
                rows = ()
            if (end := end_in(rows, self.version, since)) is not None:
                payload = {"model": self.model, "end": end.model_dump(mode="json")}
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(self.poll_seconds)

    def _rows(self) -> Sequence[LedgerRow]:
        return WindsockHook(self.windsock_conn_id).ports().ledger.rows(self.model)


def end_in(rows: Sequence[LedgerRow], version: str | None, since: datetime) -> RolloutEnd | None:
    """Return the end that is waited for, or ``None`` while it has not come.

    :param version: the version whose last rollout it is, alone or among others; ``None``: any that ended
        after ``since``.
    """
    ends = ended_rollouts(rows)
    if version is None:
        return next((end for end in ends if end.ended_at > since), None)
    running = running_rollout(rows)
    if running is not None and any(one.version == version for one in running.challengers):
        return None
    return next((end for end in reversed(ends) if version in end.all_tried), None)


class LookTrigger(BaseTrigger):
    """Waits for a rollout's next look, and no longer than the rollout lasts.

    :param model: the model's name.
    :param experiment: the rollout's.
    :param due: ISO time of the look.
    :param windsock_conn_id: connection of type ``windsock``.
    :param poll_seconds: seconds between two looks into the ledger.
    """

    def __init__(
        self,
        model: str,
        *,
        experiment: str,
        due: str,
        windsock_conn_id: str = "windsock_default",
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.experiment = experiment
        self.due = due
        self.windsock_conn_id = windsock_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments, for the triggerer."""
        return f"{type(self).__module__}.{type(self).__name__}", {
            "model": self.model,
            "experiment": self.experiment,
            "due": self.due,
            "windsock_conn_id": self.windsock_conn_id,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield once the look is due or the rollout is over; a database that is away changes nothing."""
        while (left := (self.moment - utc_now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, self.poll_seconds))
            try:
                running = running_rollout(await asyncio.to_thread(self._rows))
            except TransportError:
                continue
            if running is None or running.experiment != self.experiment:
                yield TriggerEvent({"over": True})  # type: ignore[no-untyped-call]
                return
        yield TriggerEvent({"over": False})  # type: ignore[no-untyped-call]

    @property
    def moment(self) -> datetime:
        """When the look is due."""
        return datetime.fromisoformat(self.due)

    def _rows(self) -> Sequence[LedgerRow]:
        return WindsockHook(self.windsock_conn_id).ports().ledger.rows(self.model)


__all__ = ["POLL_SECONDS", "LookTrigger", "RolloutTrigger", "end_in"]
