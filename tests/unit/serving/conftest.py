"""Tiny models and an app that can serve them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.serving import make_bundle, make_plan, make_settings
from support.serving_app import App, MemoryFetcher
from windsock.ports import LoadedBundle
from windsock.records import StoredBundle
from windsock.serving import worker as worker_module
from windsock.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def soon() -> Iterator[None]:
    """Workers look at the routing table ten times as often: each test that routes waits for one look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module, "POLL_SECONDS", 0.01)
        yield


@pytest.fixture(scope="session")
def bundles() -> dict[str, LoadedBundle]:
    """Tiny fitted models: two with two classes, one with three, one with numbers, one of another model."""
    return {
        "first": make_bundle(),
        "second": make_bundle(seed=2),
        "three": make_bundle(answer="three"),
        "number": make_bundle(answer="number"),
        "spend": make_bundle(model="spend", answer="number"),
    }


@pytest.fixture
def fetcher(bundles: dict[str, LoadedBundle]) -> MemoryFetcher:
    return MemoryFetcher(bundles.values())


@pytest.fixture(scope="session")
def stored(bundles: dict[str, LoadedBundle]) -> dict[str, StoredBundle]:
    return {name: MemoryFetcher().add(bundle) for name, bundle in bundles.items()}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def app(tmp_path: Path, fetcher: MemoryFetcher, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """An app that serves nothing yet."""
    made = App(tmp_path, fetcher)
    made.check_here(monkeypatch)
    with made.client:
        yield made


@pytest.fixture(scope="class")
def lasting(
    tmp_path_factory: pytest.TempPathFactory,
    bundles: dict[str, LoadedBundle],
    stored: dict[str, StoredBundle],
) -> Iterator[App]:
    """An app that serves one version to all tests of a class, whatever they send it."""
    made = App(tmp_path_factory.mktemp("lasting"), MemoryFetcher(bundles.values()))
    with pytest.MonkeyPatch.context() as patch, made.client:
        made.check_here(patch)
        answer = made.put(make_plan(stored["first"]))
        assert answer.status_code == 200, answer.text
        yield made
