"""The endpoints that everybody may call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from windsock.serving import documentation as doc
from windsock.serving.contract import read_outcome
from windsock.serving.disk import disk_text
from windsock.serving.documentation import PredictionAnswer, PredictionAnswers
from windsock.serving.entrance import PRIVATE
from windsock.serving.errors import json_response
from windsock.serving.gauge_files import gauges_text
from windsock.serving.health import Readiness, health_of, status_of
from windsock.serving.lean import Predictor
from windsock.serving.requests import read_request_json
from windsock.serving.service import Service

OF_SOURCE: Any = {part: {"__all__": {"form"}} for part in ("fields", "ignored")}
"""What a schema says of the training's source, and not of requests."""
WELL = (
    b"# HELP windsock_server_well Whether the server has no fault; a client's key shows more.\n"
    b"# TYPE windsock_server_well gauge\nwindsock_server_well %d\n"
)


def public_router(service: Service, predictor: Predictor, readiness: Readiness) -> APIRouter:
    """Return the endpoints of predictions, outcomes and health.

    :param predictor: answers prediction requests; the lean path asks it first, without this framework.
    :param readiness: says whether traffic can be taken.
    """
    router = APIRouter()

    async def answer(request: Request, name: str | None) -> Response:
        status, headers, body = await predictor.answer(request.scope, request.receive, name)
        return Response(body, status_code=status, headers=headers, media_type="application/json")

    @router.post(
        "/models/{name}/predict",
        tags=["predictions"],
        summary="Ask a model for predictions",
        response_model=PredictionAnswer | PredictionAnswers,
        responses=doc.ERRORS,
        openapi_extra=doc.PREDICT,
    )
    async def predict_by_name(name: str, request: Request) -> Response:
        return await answer(request, name)

    @router.post(
        "/predict",
        tags=["predictions"],
        summary="Ask the only model that is served",
        response_model=PredictionAnswer | PredictionAnswers,
        responses=doc.ERRORS,
        openapi_extra=doc.PREDICT,
    )
    async def predict_the_only_one(request: Request) -> Response:
        return await answer(request, None)

    @router.get(
        "/models/{name}",
        tags=["predictions"],
        summary="What a model takes and answers",
        responses=doc.ERRORS,
    )
    async def describe(name: str, request: Request) -> Response:
        service.admit(request.headers, "predict", name)
        served = service.model(name)
        slot = served.most_slot
        return json_response(
            {
                "model": name,
                "version": slot.plan.version,
                "engine": slot.engine,
                "request_contract": slot.schema.contract,
                "schema": served.schema_of(slot).model_dump(mode="json", exclude=OF_SOURCE),
                "example": {"features": slot.golden.rows[0]},
            }
        )

    @router.post(
        "/outcomes",
        status_code=202,
        tags=["outcomes"],
        summary="Tell the truth about a past prediction",
        responses=doc.ERRORS,
        openapi_extra=doc.OUTCOME,
    )
    async def take_outcome(request: Request) -> Response:
        receive_time = service.now()
        client = service.admit(request.headers, "outcomes", None)
        body = await read_request_json(request, service.limits)
        event = read_outcome(body, receive_time=receive_time, served=tuple(service.served), client=client)
        service.admit(request.headers, "outcomes", event.model, cost=0)
        await service.prediction_log.add_outcome(event)
        return json_response({"accepted": True}, 202)

    _add_health(router, service, readiness)
    return router


def _add_health(router: APIRouter, service: Service, readiness: Readiness) -> None:
    # Looking at health must not wait for threads that read large requests.
    threads = ThreadPoolExecutor(2, thread_name_prefix="health")

    async def apart(read: Callable[[Service], Any]) -> Any:
        service.metrics.flush()
        # Reads the metrics files of all workers: not on the loop.
        return await asyncio.get_running_loop().run_in_executor(threads, read, service)

    def may_see(request: Request) -> bool:
        return service.may_see(request.headers, is_private=request.scope.get(PRIVATE, False))

    @router.get(
        "/health", tags=["health"], summary="How the server fares, by model", description=doc.WITHOUT_KEY
    )
    async def health(request: Request) -> Response:
        if not may_see(request):
            return json_response({"status": status_of(service), "server": "windsock"})
        return json_response(await apart(health_of))

    @router.get(
        "/ready",
        tags=["health"],
        summary="Whether every version answers",
        description=doc.WITHOUT_KEY,
        responses={503: {"description": "Not every version answers; why stands in the answer."}},
    )
    async def ready(request: Request) -> Response:
        why = await readiness.why_not()
        content: dict[str, Any] = {"ready": not why}
        if may_see(request):
            content["why"] = why
        return json_response(content, 503 if why else 200)

    @router.get(
        "/metrics",
        tags=["health"],
        summary="Prometheus metrics of all workers",
        description=doc.WITHOUT_KEY,
    )
    async def metrics(request: Request) -> Response:
        if may_see(request):
            text = await apart(metrics_of)
        else:
            text = WELL % (status_of(service) == "ok")
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def metrics_of(service: Service) -> bytes:
    """Return the metrics of all workers, how the server and its disks fare, and monitoring's gauges.

    A gauge of a version that is in no plan any more is left out; so is what monitoring found of one that has
    no traffic any more.
    """
    plans = [(name, slot) for name, served in service.served.items() for slot in served.plan.slots]
    there = {(name, slot.version) for name, slot in plans}
    answering = {(name, slot.version) for name, slot in plans if slot.share}
    return b"".join(
        (
            service.metrics.text(there),
            WELL % (status_of(service) == "ok"),
            disk_text(service.settings),
            gauges_text(service.settings.serving_dir, answering),
        )
    )
