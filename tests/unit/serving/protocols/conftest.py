"""An app that speaks the protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.serving import make_plan
from support.serving_app import App
from windsock.records import StoredBundle

Serve = Callable[..., Any]


@pytest.fixture
def serve(app: App, stored: dict[str, StoredBundle]) -> Serve:
    """Serve bundles by their names."""

    def put(*names: str, **plan: Any) -> App:
        answer = app.put(make_plan(*(stored[name] for name in names), **plan))
        assert answer.status_code == 200, answer.text
        return app

    return put
