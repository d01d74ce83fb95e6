"""``create_app``: the HTTP app of one worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

from windsock import __version__
from windsock.serving.admin import admin_router
from windsock.serving.documentation import PAGE_POLICY, docs_page
from windsock.serving.drift_check import monitoring_router
from windsock.serving.errors import Guard, add_error_handlers, json_bytes
from windsock.serving.health import Readiness
from windsock.serving.lean import LeanPredict, Predictor
from windsock.serving.protocols.mlflow_scoring import mlflow_router
from windsock.serving.protocols.open_inference import open_inference_router
from windsock.serving.public import public_router
from windsock.serving.service import Service

DESCRIPTION = (
    "Predictions of the models that Windsock has trained, judged and promoted. Requests are held against the "
    "schema of the version that answers; errors name fields and kinds, never values."
)


def create_app(service: Service, *, private_port: int | None = None) -> LeanPredict:
    """Return the app: the lean path of predictions before the documented API.

    :param service: what it serves; started and stopped with the app.
    :param private_port: port of the listener that answers health and admin only; ``None``: there is none.
    """
    predictor = Predictor(service)
    return LeanPredict(create_api(service, predictor), predictor, private_port=private_port)


def create_api(service: Service, predictor: Predictor) -> FastAPI:
    """Return the documented API.

    :param service: what it serves; started and stopped with the app.
    :param predictor: answers prediction requests.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.worker.also.append(service.look)
        service.prediction_log.start()
        await service.worker.start()
        try:
            yield
        finally:
            await service.shadows.stop()
            await service.worker.stop()
            await asyncio.to_thread(service.prediction_log.stop)

    app = FastAPI(
        title="Windsock",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    readiness = Readiness(service)
    for router in (
        public_router(service, predictor, readiness),
        mlflow_router(service, readiness),
        open_inference_router(service, readiness),
        monitoring_router(service),
        admin_router(service),
    ):
        app.router.routes.extend(router.routes)  # whole as they are; include_router makes each a second time
    app.add_middleware(Guard, metrics=service.metrics)
    add_error_handlers(app)

    # Everybody may ask for these, over and over.
    @cache
    def page() -> bytes:
        return docs_page(app.openapi()).encode()

    @cache
    def contract_bytes() -> bytes:
        return json_bytes(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page(), headers={"Content-Security-Policy": PAGE_POLICY})

    @app.get("/openapi.json", include_in_schema=False)
    async def contract() -> Response:
        return Response(contract_bytes(), media_type="application/json")

    return app
