"""One worker's app in the test's process: real table, slots, log and contract; bundles from memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.serving import make_settings
from windsock.adapters.log_format import read_segment
from windsock.exceptions import UnverifiedBundleError
from windsock.ports import LoadedBundle
from windsock.records import RoutePlan, SlotPlan, StoredBundle
from windsock.serving.app import create_app
from windsock.serving.bundles import BundleShelf
from windsock.serving.clients import ClientBook
from windsock.serving.metrics import Metrics
from windsock.serving.prediction_log import PredictionLog
from windsock.serving.service import Limits, Service
from windsock.serving.worker import Worker
from windsock.settings import Settings


class MemoryFetcher:
    """Gives bundles from memory as the verified store would."""

    def __init__(self, bundles: Iterable[LoadedBundle] = ()) -> None:
        self.bundles: dict[str, LoadedBundle] = {bundle.digest: bundle for bundle in bundles}
        self.loads: list[str] = []
        self.error: Exception | None = None

    def add(self, bundle: LoadedBundle) -> StoredBundle:
        self.bundles[bundle.digest] = bundle
        return StoredBundle(uri=f"memory://{bundle.digest}", digest=bundle.digest)

    def fetch_bundle(self, uri: str, digest: str, into: Path) -> Path:
        (into / digest).mkdir(parents=True, exist_ok=True)
        return into / digest

    def load_folder(self, folder: Path, digest: str, *, whole: bool = True) -> LoadedBundle:
        self.loads.append(digest)
        if self.error is not None:
            raise self.error
        if digest not in self.bundles:
            raise UnverifiedBundleError(f"no bundle {digest}")
        return self.bundles[digest]


class AllPassed:
    """Evidence by which the gate said yes to every bundle but those that are named.

    :param refused: digests of the others.
    """

    def __init__(self, *refused: str) -> None:
        self.refused = refused

    def require_yes(self, model: str, digest: str) -> None:
        if digest in self.refused:
            raise UnverifiedBundleError("no signed evidence", code="WS-SERVING-066")


class App:
    """A service, its client and the bundles it knows."""

    def __init__(self, home: Path, fetcher: MemoryFetcher) -> None:
        self.settings = make_settings(home)
        self.fetcher = fetcher
        shelf = BundleShelf(self.settings.serving_dir, fetcher, AllPassed())
        self.service = Service(
            settings=self.settings,
            worker=Worker(self.settings, shelf),
            prediction_log=PredictionLog(self.settings.serving_dir),
            metrics=Metrics(),
            clients=ClientBook(self.settings.clients_file),
            limits=Limits(acknowledge_seconds=5.0),
        )
        self.client = TestClient(create_app(self.service), raise_server_exceptions=False)
        self.admin = {"Authorization": f"Bearer {self.settings.read_admin_token()}"}

    def check_here(self, patch: pytest.MonkeyPatch) -> None:
        """Check bundles in this process; the process of its own is tested apart."""

        async def check(settings: Settings, model: str, plan: SlotPlan, *, limit_seconds: float) -> None:
            self.service.worker.shelf.load(plan, model)

        patch.setattr("windsock.serving.admin.check_apart", check)

    def put(self, plan: RoutePlan, **options: Any) -> Any:
        return self.client.put(
            f"/admin/routes/{plan.model}", content=plan.model_dump_json(), headers=self.admin, **options
        )

    def log_lines(self, kind: str = "predictions") -> list[str]:
        """Return what is in the log after the writer has ended."""
        files = sorted((self.settings.serving_dir / "log" / kind).rglob("*.ndjson"))
        return [line for file in files for line in file.read_text().splitlines()]

    def events(self, kind: str = "predictions") -> list[Any]:
        """Return the events in the log after the writer has ended."""
        content = "".join(f"{line}\n" for line in self.log_lines(kind)).encode()
        segment = read_segment(content, kind)
        assert not segment.unreadable
        return list(segment.events)
