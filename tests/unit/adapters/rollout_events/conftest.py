"""Few rows are counted by one thread: several only wait for each other. Property tests keep the product's."""

from __future__ import annotations

import pytest

from windsock.adapters.rollout_events import engine

MANY = "test_property"


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.module.__name__.endswith(MANY):
        monkeypatch.setitem(engine.SETTINGS, "threads", 1)
