"""An app that speaks the protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.serving import make_plan
from support.serving_app import App
from windsock.records import StoredBundle
from windsock.serving.protocols.mlflow_scoring import mlflow_router
from windsock.serving.protocols.open_inference import open_inference_router

Serve = Callable[..., Any]


@pytest.fixture
def speaking(app: App) -> App:
    """The app with the protocols' pages."""
    api: Any = app.client.app
    api = api.app  # behind the lean path
    paths = {route.path for route in api.routes}
    for router in (mlflow_router(app.service), open_inference_router(app.service)):
        if router.routes[0].path not in paths:
            api.include_router(router)
    return app


@pytest.fixture
def serve(speaking: App, stored: dict[str, StoredBundle]) -> Serve:
    """Serve bundles by their names."""

    def put(*names: str, **plan: Any) -> App:
        answer = speaking.put(make_plan(*(stored[name] for name in names), **plan))
        assert answer.status_code == 200, answer.text
        return speaking

    return put
