"""The Open Inference Protocol (version 2), as KServe, Triton and MLServer speak it over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from windsock import __version__
from windsock.exceptions import WindsockError
from windsock.serving.errors import json_response
from windsock.serving.health import Readiness
from windsock.serving.predicting import OtherVersionError
from windsock.serving.protocols.common import (
    ProtocolError,
    Target,
    answer_rows,
    body_of,
    count_refusal,
    find_model,
    refusal,
    require_plain_body,
)
from windsock.serving.protocols.inference_answer import describe_inputs, describe_outputs, write_inference
from windsock.serving.protocols.inference_request import InferenceRequest, read_inference
from windsock.serving.protocols.tensors import CODE
from windsock.serving.requests import read_content

if TYPE_CHECKING:
    from windsock.records import InputSchema
    from windsock.serving.served import ServedModel
    from windsock.serving.service import Service

HEADER_LENGTH = "Inference-Header-Content-Length"
JSON = "application/json"
REQUEST = body_of(
    {
        JSON: {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "inputs": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                    "outputs": {"type": "array", "items": {"type": "object"}},
                    "parameters": {"type": "object"},
                },
            },
            "example": {
                "inputs": [
                    {"name": "age", "shape": [1], "datatype": "FP64", "data": [42]},
                    {"name": "plan", "shape": [1], "datatype": "BYTES", "data": ["basic"]},
                ]
            },
        }
    },
    "One tensor for each field. Binary data may follow the JSON part.",
)
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {JSON: {"schema": _ERROR}}}
    for status, text in (
        (400, "The body is not what the protocol or the model's schema says; values are never repeated."),
        (401, "A client's key is needed."),
        (403, "The client may not do this."),
        (404, "No such model is served, or another version of it answers."),
        (408, "The body took too long to arrive."),
        (413, "The body is too large."),
        (415, "The body is compressed."),
        (429, "The client has asked too often."),
        (503, "There is no answer just now."),
    )
}


def open_inference_router(service: Service, readiness: Readiness) -> APIRouter:
    """Return ``/v2`` and what lies below it."""
    router = APIRouter(prefix="/v2", tags=["open inference"], responses=RESPONSES)
    _add_server(router, readiness)
    _add_models(router, service)

    @router.post("/models/{name}/infer", summary="Open inference: predictions", openapi_extra=REQUEST)
    async def infer(name: str, request: Request) -> Response:
        return await _infer(service, name, None, request)

    @router.post(
        "/models/{name}/versions/{version}/infer",
        summary="Open inference: predictions of the version that answers",
        openapi_extra=REQUEST,
    )
    async def infer_version(name: str, version: str, request: Request) -> Response:
        return await _infer(service, name, version, request)

    return router


def _add_server(router: APIRouter, readiness: Readiness) -> None:
    @router.get("", summary="Open inference: the server")
    async def server() -> Response:
        extensions = ["binary_tensor_data"]
        return json_response({"name": "windsock", "version": __version__, "extensions": extensions})

    @router.get("/health/live", summary="Open inference: whether the server lives")
    async def live() -> Response:
        return json_response({"live": True})

    @router.get("/health/ready", summary="Open inference: whether every version answers")
    async def ready() -> Response:
        now = not await readiness.why_not()
        return json_response({"ready": now}, 200 if now else 503)


def _add_models(router: APIRouter, service: Service) -> None:
    @router.get("/models/{name}", summary="Open inference: what a model takes and answers")
    async def model(name: str, request: Request) -> Response:
        return _described(service, name, None, request.headers)

    @router.get(
        "/models/{name}/versions/{version}", summary="Open inference: what a version takes and answers"
    )
    async def model_version(name: str, version: str, request: Request) -> Response:
        return _described(service, name, version, request.headers)

    @router.get("/models/{name}/ready", summary="Open inference: whether a model answers")
    async def model_ready(name: str, request: Request) -> Response:
        return _ready(service, name, None, request.headers)

    @router.get(
        "/models/{name}/versions/{version}/ready", summary="Open inference: whether a version answers"
    )
    async def version_ready(name: str, version: str, request: Request) -> Response:
        return _ready(service, name, version, request.headers)


def answering_versions(served: ServedModel) -> list[str]:
    """Return the versions that answer traffic."""
    return [slot.version for slot in served.plan.slots if served.shares[slot.digest]]


def _find(service: Service, name: str, version: str | None, headers: Headers) -> Target:
    """Return a served model, if the version that is asked for is the one that answers.

    :raises WindsockError: with status 404 if it is not, or if several share the traffic: the unit
        decides then.
    """
    target = find_model(service, name, headers)
    if version is not None and answering_versions(target.served) != [version]:
        raise _other_version()
    return target


def _other_version() -> ProtocolError:
    return ProtocolError(
        "version",
        "a version that does not answer alone",
        "the one that has all traffic, or no version",
        code="WS-SERVING-045",
        status=404,
        reason="unknown_version",
    )


def _described(service: Service, name: str, version: str | None, headers: Headers) -> Response:
    try:
        target = _find(service, name, version, headers)
    except WindsockError as error:
        return error_answer(error)
    return json_response(
        {
            "name": name,
            "versions": answering_versions(target.served),
            "platform": "windsock",
            "inputs": describe_inputs(target.schema.fields),
            "outputs": describe_outputs(target.schema),
            "parameters": {"request_contract": target.schema.contract},
        }
    )


def _ready(service: Service, name: str, version: str | None, headers: Headers) -> Response:
    try:
        served = _find(service, name, version, headers).served
    except WindsockError as error:
        return error_answer(error)
    ready = bool(answering_versions(served))
    return json_response({"name": name, "ready": ready}, 200 if ready else 503)


async def _infer(service: Service, name: str, version: str | None, request: Request) -> Response:
    try:
        target = _find(service, name, version, request.headers)
        asked = await _read(service, target.schema, request)
        try:
            answers = await answer_rows(service, target, asked.asked, only_version=version)
        except OtherVersionError:  # the route changed meanwhile, or the version failed
            raise _other_version() from None
    except WindsockError as error:
        count_refusal(service, error)
        return error_answer(error)
    body, json_size = write_inference(name, answers, target.schema, asked)
    if json_size is None:
        return Response(body, media_type=JSON)
    return Response(body, media_type="application/octet-stream", headers={HEADER_LENGTH: str(json_size)})


async def _read(service: Service, schema: InputSchema, request: Request) -> InferenceRequest:
    require_plain_body(request, CODE)
    body = await read_content(request, service.limits)
    outputs = [output["name"] for output in describe_outputs(schema)]
    return read_inference(body, request.headers.get(HEADER_LENGTH), schema, outputs)


def error_answer(error: WindsockError) -> Response:
    """Return an error as the protocol writes it, with our own words beside it."""
    status, text, said, headers = refusal(error)
    return json_response({"error": text, **said}, status, headers)
