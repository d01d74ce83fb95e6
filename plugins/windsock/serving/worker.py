"""One worker's view of the routing table: it follows the file and swaps what it serves by one assignment."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from windsock.adapters.slot_register import SlotRegister
from windsock.exceptions import DeploymentRefusedError, StorageError, WindsockError
from windsock.ports import utc_now
from windsock.records import Digest, RoutePlan, SlotPlan
from windsock.serving.bundles import BundleShelf
from windsock.serving.http_slot import HttpSlot
from windsock.serving.places import place_of
from windsock.serving.route_file import InvalidTableError, RouteFile, Signature
from windsock.serving.routing import RoutingTable
from windsock.serving.served import ServedModel
from windsock.serving.slots import (
    AbsentSlot,
    BundleSlot,
    Slot,
    slot_in_process,
)
from windsock.serving.workers import WorkerNote, WorkerNotes
from windsock.settings import Settings

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
RETRY_SECONDS = 2.0
SLOT_SECONDS = 10.0
DROPPED = "its rollout has dropped it"
NOT_READ: Signature = (-1, -1, -1)
"""Of no file: at the start the table is read, also where its file is missing."""


class Worker:
    """What one worker process serves.

    :param settings: the installation.
    :param shelf: the server's copies of bundles.
    :param now: the clock.
    :ivar also: called at each look, ten times a second: what else follows what may change.
    """

    def __init__(
        self,
        settings: Settings,
        shelf: BundleShelf,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.settings = settings
        self.shelf = shelf
        self.register = SlotRegister.of(settings)
        self.now = now
        self.also: list[Callable[[], None]] = []
        self.started = now()
        self.served: Mapping[str, ServedModel] = MappingProxyType({})
        self.faults: dict[str, str] = {}
        self.table_fault: str | None = None
        self.note_fault: str | None = None
        self.routes = RouteFile(settings.serving_dir, settings.read_admin_token, settings.keys_dir)
        self.notes = WorkerNotes(settings.serving_dir)
        self._seen: Signature | None = NOT_READ
        self._retry_at = 0.0
        self._looking = asyncio.Lock()
        self._written: WorkerNote | None = None
        self._predicting = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._shadowing = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._following: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Load what the table says, then follow it.

        The note comes before the table is read: whoever writes a table and sees no note of this worker knows
        that this worker will read the new table.
        """
        self._look_at_others()
        self._acknowledge()
        await self.refresh()
        self._following = [asyncio.create_task(self._follow()), asyncio.create_task(self._follow_others())]

    async def stop(self) -> None:
        """Follow no longer and take the note away."""
        for task in self._following:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._client is not None:
            await self._client.aclose()
        self.notes.remove(os.getpid())
        for executor in (self._loading, self._predicting, self._shadowing):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
                self._acknowledge()
            except Exception as error:  # the worker must go on following
                log.error("WS-SERVING-023: following the routing table failed: %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow_others(self) -> None:
        """Follow what must not wait for a bundle that is being loaded: the clients, the counts."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._look_at_others()

    def _look_at_others(self) -> None:
        for look in self.also:
            try:
                look()
            except Exception as error:  # the others must go on being looked at
                log.error("WS-SERVING-023: a look failed: %s", place_of(error))

    async def refresh(self) -> None:
        """Look at the table's file; if it is another one, serve by it. One look at a time."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        signature = self.routes.signature()
        loop = asyncio.get_running_loop()
        if signature == self._seen and (not self.faults or loop.time() < self._retry_at):
            return
        try:
            state = self.routes.state()
            self._require_later(state.table)
        except WindsockError as error:
            self._say((error,))
            self._seen = signature
            return
        self._say(state.faults)
        await self._serve_by(state.table)
        self._seen = signature
        self._retry_at = loop.time() + RETRY_SECONDS

    def _say(self, faults: Sequence[WindsockError]) -> None:
        """Keep what is wrong with the table's file for ``/health``, and log what is new of it."""
        said = " ".join(f"{fault.code}: {fault.message}. {fault.next_action}" for fault in faults) or None
        if said and said != self.table_fault:
            log.error("the routing table: %s The last verified plans go on.", said)
        self.table_fault = said

    def _require_later(self, table: RoutingTable) -> None:
        for name, served in self.served.items():
            plan = table.models.get(name)
            if plan is None or plan.epoch < served.plan.epoch:
                found = f"is of epoch {plan.epoch}" if plan else "is gone"
                raise InvalidTableError(
                    f"{name}: the plan in the file {found}, served is {served.plan.epoch}"
                )

    async def _serve_by(self, table: RoutingTable) -> None:
        loop = asyncio.get_running_loop()
        faults: dict[str, str] = {}
        for name, plan in table.models.items():
            before = self.served.get(name)
            if before is not None and before.plan == plan and not before.absent:
                continue
            try:
                model = await loop.run_in_executor(self._loading, self._load, plan, before)
            except WindsockError as error:
                faults[name] = error.message
                if self.faults.get(name) != error.message:
                    log.error(
                        "%s: %s: epoch %d cannot be served: %s", error.code, name, plan.epoch, error.message
                    )
                continue
            if model.absent:
                faults[name] = "; ".join(f"version {known}: {why}" for known, why in model.absent.items())
            if before is not None and before.plan == plan and before.absent == model.absent:
                continue
            # One assignment: requests in flight finish with the table that they began with.
            self.served = MappingProxyType({**self.served, name: model})
            log.info("%s: serving by epoch %d", name, plan.epoch)
        self.faults = faults
        self._acknowledge()

    def _load(self, plan: RoutePlan, before: ServedModel | None) -> ServedModel:
        """Load what a plan needs.

        A new plan is served whole or not at all. A worker that has none yet serves what it can load: the
        versions that it cannot fail when they are asked, so that the plan's fallback answers. Also a new plan
        does without a version that no request needs: one that its rollout dropped, or that is absent already.
        """
        slots: dict[Digest, Slot] = {}
        failed: dict[Digest, WindsockError] = {}
        for slot_plan in plan.slots:
            stands = before.slots.get(slot_plan.digest) if before else None
            try:
                slots[slot_plan.digest] = self._slot(plan.model, slot_plan, stands)
            except WindsockError as error:
                if before is not None and before.plan != plan and not _is_needless(plan, slot_plan, stands):
                    raise
                failed[slot_plan.digest] = error
                log.error("%s: %s version %s: %s", error.code, plan.model, slot_plan.version, error.message)
        if not slots:
            raise next(iter(failed.values()))
        like = next(iter(slots.values()))
        for slot_plan in plan.slots:
            if slot_plan.digest in failed:
                why = failed[slot_plan.digest].message
                slots[slot_plan.digest] = AbsentSlot(slot_plan, like, why)
        return ServedModel(plan=plan, slots=MappingProxyType(slots))

    def _slot(self, model: str, plan: SlotPlan, stands: Slot | None) -> Slot:
        if stands is not None and _facts(stands.plan) == _facts(plan) and not isinstance(stands, AbsentSlot):
            return stands
        try:
            if plan.withdrawn:  # nobody asks it; what requests may hold goes on
                return AbsentSlot(plan, BundleSlot(plan, self.shelf.load(plan, model)), DROPPED)
            return self.make_slot(model, plan)
        except WindsockError:
            raise
        except Exception as error:  # a message of a library may quote what it read
            raise DeploymentRefusedError(
                f"version {plan.version} could not be loaded ({type(error).__name__})", code="WS-SERVING-009"
            ) from error

    def make_slot(self, model: str, plan: SlotPlan) -> Slot:
        """Load a slot and see that it answers as it must.

        :raises WindsockError: if it does not.
        """
        if plan.url is not None:
            # Before anything is sent there: the address must be one that a signed deployment made.
            deployment = self.register.find(model, plan)
            secret = self.register.secret_of(deployment)
            return HttpSlot(plan, self.shelf.load(plan, model), self._http_client(), deployment, secret)
        executor = self._shadowing if plan.shadow else self._predicting
        return slot_in_process(plan, self.shelf.load(plan, model), executor)

    def _http_client(self) -> httpx.AsyncClient:
        """Return the worker's client of slots behind an address, made when the first one comes."""
        import httpx

        if self._client is None:
            # Proxies of the environment are for the world outside; a slot sends nobody elsewhere.
            self._client = httpx.AsyncClient(timeout=SLOT_SECONDS, trust_env=False, follow_redirects=False)
        return self._client

    def _acknowledge(self) -> None:
        """Write the note where it is not yet so; a full disk stops nobody from serving."""
        note = WorkerNote(
            pid=os.getpid(),
            started=self.started,
            epochs={name: served.plan.epoch for name, served in self.served.items()},
            faults=dict(self.faults),
        )
        if note == self._written:
            return
        try:
            self.notes.write(note)
        except StorageError as error:
            if self.note_fault is None:
                log.error("%s: %s", error.code, error.message)
            self.note_fault = error.message
            return
        self._written, self.note_fault = note, None


def _is_needless(plan: RoutePlan, slot: SlotPlan, stands: Slot | None) -> bool:
    """Return whether a plan can be served without one of its versions.

    :param stands: what served it before.
    """
    has_work = slot.share or slot.shadow or slot.digest == plan.champion
    return slot.withdrawn or (isinstance(stands, AbsentSlot) and not has_work)


def _facts(plan: SlotPlan) -> tuple[str | None, str, bool]:
    """Return what makes a slot another one, though its bundle is the same."""
    return plan.url, plan.version, plan.shadow
