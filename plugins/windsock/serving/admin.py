"""The endpoints of the admin token: change the route, probe one version."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from windsock.exceptions import DeploymentRefusedError
from windsock.records import ProbeResult, RoutePlan, RouteState, SlotPlan, slot_port
from windsock.serving import documentation as doc
from windsock.serving.check_bundle import check_apart
from windsock.serving.errors import AdminRefusedError, NotAcknowledgedError, json_response
from windsock.serving.gauges import REQUEST as FILL
from windsock.serving.gauges import put_gauges
from windsock.serving.requests import read_content
from windsock.serving.routing import RoutingTable
from windsock.serving.service import Service
from windsock.serving.slots import Slot, compare_golden, golden_values, probe
from windsock.serving.strict_json import Fault, RequestRefusedError

LOOK_SECONDS = 0.02


def admin_router(service: Service) -> APIRouter:
    """Return the endpoints that need the admin token."""
    bearer = HTTPBearer(auto_error=False, description="The admin token that `windsock keys init` made.")

    def require_admin(sent: HTTPAuthorizationCredentials | None = Depends(bearer)) -> None:
        if sent is None:
            raise AdminRefusedError("this call needs the admin token", status=401)
        known = service.settings.read_admin_token()
        # Digests of equal length: the comparison takes the same time for every wrong token.
        digests = [hashlib.sha256(token.strip().encode()).digest() for token in (sent.credentials, known)]
        if not known or not hmac.compare_digest(*digests):
            raise AdminRefusedError("the admin token is wrong", status=403)

    router = APIRouter(
        prefix="/admin", tags=["admin"], dependencies=[Depends(require_admin)], responses=doc.ADMIN_ERRORS
    )

    @router.put(
        "/routes/{name}",
        summary="Serve a model by a new plan",
        response_model=RouteState,
        openapi_extra=doc.ROUTE,
    )
    async def put_route(name: str, request: Request) -> Response:
        plan = _read_plan(await read_content(request, service.limits), name)
        state = await _change_route(service, plan)
        return json_response(_said(state))

    @router.get("/routes/{name}", summary="How a model is served", response_model=RouteState)
    async def get_route(name: str) -> Response:
        plan = service.model(name).plan
        workers = sum(note.epochs.get(name, 0) >= plan.epoch for note in service.worker.notes.living())
        is_sealed = await asyncio.to_thread(service.worker.routes.is_sealed, plan)
        return json_response(_said(RouteState(plan=plan, workers=workers, is_sealed=is_sealed)))

    @router.post(
        "/probe/{name}/{digest}", summary="Ask a version its golden predictions", response_model=ProbeResult
    )
    async def probe_slot(name: str, digest: str) -> Response:
        result = await probe(_slot(service, name, digest))
        return json_response(result.model_dump(mode="json"))

    @router.put("/gauges/{name}", summary="Fill a model's gauges", openapi_extra=FILL)
    async def fill_gauges(name: str, request: Request) -> Response:
        said = await put_gauges(service, name, await read_content(request, service.limits))
        return json_response(said)

    return router


def _said(state: RouteState) -> dict[str, Any]:
    """Return a state as it is answered: that a plan has its seal goes without saying, as before seals."""
    return state.model_dump(mode="json", exclude={"is_sealed"} if state.is_sealed else None)


def _read_plan(body: bytes, name: str) -> RoutePlan:
    try:
        plan = RoutePlan.model_validate_json(body)
        RoutingTable(models={name: plan})
    except ValidationError as error:
        faults = [
            Fault(".".join(str(part) for part in known["loc"]) or "body", "something else", known["msg"])
            for known in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise RequestRefusedError(422, "invalid", *faults, code="WS-SERVING-019") from None
    if any(slot.url is not None and slot_port(slot.url) is None for slot in plan.slots):
        fault = Fault(
            "slots.url", "another address", "an address that the target made: http://127.0.0.1:PORT"
        )
        raise RequestRefusedError(422, "invalid", fault, code="WS-SERVING-019")
    return plan


def _slot(service: Service, name: str, digest: str) -> Slot:
    served = service.served.get(name)
    slot = served.slots.get(digest) if served else None
    if slot is None:
        raise DeploymentRefusedError(
            "the server has no such slot",
            code="WS-SERVING-009",
            next_action="Deploy the version first; `GET /admin/routes/MODEL` shows the slots.",
        )
    return slot


async def _change_route(service: Service, plan: RoutePlan) -> RouteState:
    """Check what is new in a plan, write the table, wait for every worker.

    What a rollout has dropped is not checked: nobody asks it.
    """
    worker = service.worker
    (await asyncio.to_thread(worker.routes.read)).require_newer(plan)
    for slot in plan.slots:
        if not (slot.withdrawn or _stands(service, plan.model, slot)):
            if slot.url is not None:
                await asyncio.to_thread(worker.register.find, plan.model, slot)
            await check_apart(service.settings, plan.model, slot, limit_seconds=service.limits.check_seconds)
            if slot.url is not None:
                await _check_remote(service, plan.model, slot)
    table = await asyncio.to_thread(worker.routes.put, plan)
    workers = await _wait_for_workers(service, plan)
    await asyncio.to_thread(worker.shelf.keep_only, table.digests())
    return RouteState(plan=plan, workers=workers)


def _stands(service: Service, model: str, plan: SlotPlan) -> bool:
    served = service.served.get(model)
    slot = served.slots.get(plan.digest) if served else None
    return slot is not None and (slot.plan.url, slot.plan.version) == (plan.url, plan.version)


async def _check_remote(service: Service, model: str, plan: SlotPlan) -> None:
    slot = await asyncio.to_thread(service.worker.make_slot, model, plan)
    result = compare_golden(slot.golden, await slot.scores(golden_values(slot)), plan.version)
    if not result.matched:
        raise DeploymentRefusedError(
            f"version {plan.version} at {plan.url}: golden predictions differ by up to "
            f"{result.largest_difference:g}; {result.message}",
            code="WS-SERVING-009",
        )


async def _wait_for_workers(service: Service, plan: RoutePlan) -> int:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + service.limits.acknowledge_seconds
    while True:
        notes = service.worker.notes.living()
        lacking = [note for note in notes if note.epochs.get(plan.model, 0) < plan.epoch]
        if notes and not lacking:
            return len(notes)
        if loop.time() >= deadline:
            said = ", ".join(f"{note.pid} ({note.faults.get(plan.model, 'no reason')})" for note in lacking)
            raise NotAcknowledgedError(
                f"{plan.model}: epoch {plan.epoch} is written, but these workers do not serve by it after "
                f"{service.limits.acknowledge_seconds:g} s: {said or 'none has said that it lives'}"
            )
        await asyncio.sleep(LOOK_SECONDS)
