"""MLflow's scoring protocol, as ``mlflow models serve`` and SageMaker's containers speak it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from windsock.exceptions import WindsockError
from windsock.records import InputSchema
from windsock.serving.answers import label_text
from windsock.serving.health import Readiness
from windsock.serving.protocols.common import (
    AskedRows,
    ProtocolError,
    answer_rows,
    body_of,
    count_refusal,
    find_model,
    refusal,
    require_plain_body,
)
from windsock.serving.protocols.mlflow_input import CODE, read_scoring_csv, read_scoring_json
from windsock.serving.requests import read_content

if TYPE_CHECKING:
    from windsock.serving.answers import RowAnswer
    from windsock.serving.service import Service

MODEL_HEADER = "x-windsock-model"
JSON, CSV = "application/json", "text/csv"
READERS: dict[str, Callable[[bytes, InputSchema], AskedRows]] = {
    JSON: read_scoring_json,
    CSV: read_scoring_csv,
}
PROTOCOL_VERSION = "2.0.0"
"""The MLflow that brought this protocol: answered where MLflow is not installed."""
ERROR_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's words for a status; the others are ``BAD_REQUEST`` too."""
FORMS = body_of(
    {
        JSON: {
            "schema": {"type": "object"},
            "example": {"dataframe_records": [{"age": 42, "plan": "basic"}]},
        },
        CSV: {"schema": {"type": "string"}, "example": "age,plan\n42,basic\n"},
    },
    "One of `dataframe_split`, `dataframe_records`, `instances` and `inputs`; or CSV with a header.",
)
ERROR_SCHEMA = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}
_REFUSALS = {
    400: "The body is not what the protocol or the model's schema says; values are never repeated.",
    401: "A client's key is needed.",
    403: "The client may not do this.",
    404: "No such model is served, or its name is needed.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is neither JSON nor CSV in UTF-8.",
    429: "The client has asked too often.",
    503: "There is no answer just now.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": '`{"predictions": [...]}`, or one a line if `text/csv` is asked for.'},
    **{
        status: {"description": text, "content": {JSON: {"schema": ERROR_SCHEMA}}}
        for status, text in _REFUSALS.items()
    },
}


def mlflow_router(service: Service, readiness: Readiness) -> APIRouter:
    """Return ``/invocations``, ``/ping``, ``/version`` and the paths that name a model."""
    router = APIRouter(tags=["mlflow"])

    async def invoke(name: str | None, request: Request) -> Response:
        try:
            target = find_model(service, name, request.headers)
            read = READERS[_media_type(request)]
            asked = read(await read_content(request, service.limits), target.schema)
            answers = await answer_rows(service, target, asked)
        except WindsockError as error:
            count_refusal(service, error)
            return error_answer(error)
        return _written(answers, as_csv=_wants_csv(request.headers.get("accept", "")))

    @router.post("/invocations", summary="MLflow: predictions", responses=RESPONSES, openapi_extra=FORMS)
    async def invocations(request: Request) -> Response:
        return await invoke(request.headers.get(MODEL_HEADER), request)

    @router.post(
        "/models/{name}/invocations",
        summary="MLflow: predictions of a model",
        responses=RESPONSES,
        openapi_extra=FORMS,
    )
    @router.post(
        "/endpoints/{name}/invocations",
        summary="MLflow: predictions, as its deployments client asks",
        responses=RESPONSES,
        openapi_extra=FORMS,
    )
    async def invocations_of(name: str, request: Request) -> Response:
        return await invoke(name, request)

    @router.api_route("/ping", methods=["GET", "POST"], include_in_schema=False)
    async def ping() -> Response:
        return Response("\n", status_code=503 if await readiness.why_not() else 200, media_type=JSON)

    @router.get("/version", include_in_schema=False)
    async def version() -> Response:
        return Response(mlflow_version(), media_type="text/plain")

    return router


def mlflow_version() -> str:
    """Return the version of the installed MLflow; without one, of the MLflow that brought the protocol."""
    for package in ("mlflow", "mlflow-skinny"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return PROTOCOL_VERSION


def _media_type(request: Request) -> str:
    """Return the body's media type; JSON where none is said.

    :raises ProtocolError: if it is neither JSON nor CSV in UTF-8: status 415.
    """
    require_plain_body(request, CODE)
    kind, *parameters = (
        part.strip().lower() for part in request.headers.get("content-type", JSON).split(";")
    )
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if parameter and (key != "charset" or value.strip('"') not in ("utf-8", "utf8")):
            raise _unsupported("another parameter or charset")
    if kind not in READERS:
        raise _unsupported("another media type")
    return kind


def _unsupported(got: str) -> ProtocolError:
    return ProtocolError("Content-Type", got, f"{JSON} or {CSV} in UTF-8", code=CODE, status=415)


def _wants_csv(accept: str) -> bool:
    """Return whether CSV is the first of the two that a client accepts; without either it gets JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((kind for kind in kinds if kind in (JSON, CSV)), JSON) == CSV


def _written(answers: Sequence[RowAnswer], *, as_csv: bool) -> Response:
    predictions = [answered.prediction for answered in answers]
    if not as_csv:
        return Response(
            json.dumps({"predictions": predictions}, ensure_ascii=False, allow_nan=False), media_type=JSON
        )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([label_text(prediction)] for prediction in predictions)
    return Response(text.getvalue(), media_type=CSV)


def error_answer(error: WindsockError) -> Response:
    """Return an error in MLflow's words, with ours beside them."""
    status, text, said, headers = refusal(error)
    content = {"error_code": ERROR_CODES.get(status, "BAD_REQUEST"), "message": text, **said}
    return Response(
        json.dumps(content, ensure_ascii=False), status_code=status, media_type=JSON, headers=headers
    )
