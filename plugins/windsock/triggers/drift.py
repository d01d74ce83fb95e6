"""``DriftTrigger`` and ``DriftEventTrigger``: they look for drifted windows in the control database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from windsock.exceptions import TransportError
from windsock.hooks.windsock import WindsockHook
from windsock.ports import utc_now
from windsock.records import Status, WindowVerdict

POLL_SECONDS = 30.0
LOOK_BACK = timedelta(days=1)
"""How old a verdict may be that a newly started event trigger still tells."""


class _DriftLook:
    """What both triggers share: the model, the connection, how often to look."""

    def __init__(
        self,
        model: str,
        *,
        since: str | None = None,
        windsock_conn_id: str = "windsock_default",
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()
        self.model = model
        self.since = since
        self.windsock_conn_id = windsock_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments, for the triggerer."""
        return f"{type(self).__module__}.{type(self).__name__}", {
            "model": self.model,
            "since": self.since,
            "windsock_conn_id": self.windsock_conn_id,
            "poll_seconds": self.poll_seconds,
        }

    async def look(self, since: datetime) -> list[WindowVerdict]:
        """Return the drifted windows that were judged after a time, in the order of their verdicts.

        A control database that does not answer is asked again at the next look.
        """
        try:
            found = await asyncio.to_thread(self._drifted)
        except TransportError:
            return []
        return sorted((one for one in found if one.judged_at > since), key=lambda one: one.judged_at)

    def _drifted(self) -> list[WindowVerdict]:
        ports = WindsockHook(self.windsock_conn_id).ports()
        return [one for one in ports.monitor.windows(self.model, "drift") if one.status is Status.FAIL]


def payload_of(verdict: WindowVerdict) -> dict[str, Any]:
    """Return what an event tells of a drifted window."""
    return {
        "model": verdict.model,
        "window": verdict.window.model_dump(mode="json"),
        "severity": verdict.severity.value,
        "judged_at": verdict.judged_at.isoformat(),
    }


def _event(verdict: WindowVerdict) -> TriggerEvent:
    event: TriggerEvent = TriggerEvent(payload_of(verdict))  # type: ignore[no-untyped-call]
    return event


class DriftTrigger(_DriftLook, BaseTrigger):
    """Waits until a window of the model is judged to have drifted.

    :param model: the model's name.
    :param since: ISO time; verdicts up to then do not count.
    :param windsock_conn_id: connection of type ``windsock``.
    :param poll_seconds: seconds between two looks.
    """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the first drifted window's event."""
        since = datetime.fromisoformat(self.since) if self.since else utc_now()
        while True:
            if found := await self.look(since):
                yield _event(found[0])
                return
            await asyncio.sleep(self.poll_seconds)


class DriftEventTrigger(_DriftLook, BaseEventTrigger):
    """For an ``AssetWatcher``: an event for each window that is judged to have drifted.

    ``Asset("drifted", watchers=[AssetWatcher(name="churn", trigger=DriftEventTrigger("churn"))])`` starts any
    DAG by a model's drift. A restarted triggerer may tell verdicts of the last day again; the payload names
    the window.

    :param model: the model's name.
    :param since: ISO time; verdicts up to then do not count. Default: a day before the start.
    :param windsock_conn_id: connection of type ``windsock``.
    :param poll_seconds: seconds between two looks.
    """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each drifted window."""
        since = datetime.fromisoformat(self.since) if self.since else utc_now() - LOOK_BACK
        # Not the latest time of a verdict: one that a clock which was ahead wrote would hide all up to it.
        told: set[tuple[datetime, datetime]] = set()
        while True:
            for verdict in await self.look(since):
                named = (verdict.window.end, verdict.judged_at)
                if named not in told:
                    told.add(named)
                    yield _event(verdict)
            await asyncio.sleep(self.poll_seconds)
