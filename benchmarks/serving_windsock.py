"""Windsock's own server in the serving benchmark: keys, route, the real supervisor, its log afterwards."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from harness import PROJECT
from serving_models import Trained, make_settings
from serving_others import as_json, batches
from serving_servers import BenchFailedError, Questions, Running, free_port, started

sys.path.append(str(PROJECT / "tests"))

WINDSOCK = "Windsock"
CLIENT = "bench"
CODE = (
    "import json, logging, sys; sys.path.insert(0, sys.argv[1]);"
    "logging.basicConfig(level=logging.INFO);"
    "from windsock.serving.server import run; from windsock.settings import Settings;"
    "run(Settings.model_validate_json(sys.argv[2]), port=int(sys.argv[3]), workers=int(sys.argv[4]))"
)


class LogLine(msgspec.Struct):
    """What is read of a line of the prediction log."""

    rows: list[msgspec.Raw]


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A folder with keys, bundles and a server's state.

    :param api_key: key of the benchmark's client; every prediction needs it.
    """

    settings: Any
    api_key: str

    @classmethod
    def at(cls, home: Path) -> Installation:
        """Return the installation of a folder whose keys have been made, with one client."""
        from windsock.serving.client_file import ClientRegistry

        settings = make_settings(home)
        return cls(settings=settings, api_key=ClientRegistry(settings.clients_file).add(CLIENT))

    @contextmanager
    def serve(self, trained: Trained, *, workers: int) -> Iterator[tuple[Running, Questions]]:
        """Run the server with one model: its validation, its API keys and its prediction log are on.

        One worker has a core to itself; several share both cores with the load.

        :raises BenchFailedError: if it does not serve, or serves without asking for the key.
        """
        shutil.rmtree(self.settings.serving_dir, ignore_errors=True)
        port = free_port()
        command = [sys.executable, "-c", CODE, str(PROJECT / "plugins"), self.settings.model_dump_json()]
        questions = Questions(
            path=f"/models/{trained.name}/predict",
            single=[as_json({"features": row}) for row in trained.rows],
            batch=[as_json({"features": rows}) for rows in batches(trained.rows)],
            headers={"X-API-Key": self.api_key},
            read=_scores,
        )
        with started(
            f"windsock-{workers}",
            [*command, str(port), str(workers)],
            folder=self.settings.home,
            port=port,
            ready="/health",
            env={},
            pinned=workers == 1,
        ) as running:
            self._route(running, trained)
            _require_key(running, questions)
            yield running, questions

    def _route(self, running: Running, trained: Trained) -> None:
        from support.builders import make_version, stored_evidence
        from windsock.adapters.bundle_store import SignedBundleStore
        from windsock.adapters.storage import Storage
        from windsock.records import RoutePlan, SlotPlan

        store = SignedBundleStore(Storage(self.settings.storage_url), self.settings.keys_dir)
        stored_evidence(store, make_version(model=trained.name, digest=trained.digest))
        slot = SlotPlan(version="1", digest=trained.digest, bundle_uri=trained.uri, share=10_000)
        plan = RoutePlan(model=trained.name, epoch=1, slots=(slot,), salt="bench")
        headers = {"Authorization": f"Bearer {self.settings.read_admin_token()}"}
        asked = urllib.request.Request(  # noqa: S310 - an address made by the benchmark
            f"{running.address}/admin/routes/{trained.name}",
            plan.model_dump_json().encode(),
            {"Content-Type": "application/json", **headers},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(asked, timeout=120):  # noqa: S310 - see above
                return
        except urllib.error.HTTPError as error:
            raise BenchFailedError(f"the route was refused: {error.read()[:2000]!r}") from None

    def logged_rows(self) -> int:
        """Return how many answered rows lie in the prediction log; the server must have ended."""
        import pyarrow.parquet as pq

        decoder, total = msgspec.json.Decoder(LogLine), 0
        for file in (self.settings.serving_dir / "log" / "predictions").rglob("*.ndjson*"):
            with file.open("rb") as lines:
                total += sum(len(decoder.decode(line).rows) for line in lines)
        archived = Path(self.settings.storage_url) / "predictions"
        return total + sum(pq.ParquetFile(file).metadata.num_rows for file in archived.rglob("*.parquet"))


def read_health(running: Running) -> dict[str, Any]:
    """Return what the server says of itself."""
    with urllib.request.urlopen(f"{running.address}/health", timeout=30) as answer:  # noqa: S310 - ours
        return dict(json.load(answer))


def engine_of(health: dict[str, Any], model: str) -> str:
    """Return what computes a model's answers: ``linear`` or ``trees`` if it is compiled."""
    return str(health["models"][model]["versions"][0]["engine"])


def answered_rows(health: dict[str, Any], model: str) -> int:
    """Return how many rows the server has answered."""
    return int(health["models"][model]["predictions"])


def _scores(answer: bytes) -> list[float]:
    told = json.loads(answer)
    return [row["score"] for row in told.get("predictions", [told])]


def _require_key(running: Running, questions: Questions) -> None:
    asked = urllib.request.Request(running.address + questions.path, questions.single[0])  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(asked, timeout=30):  # noqa: S310 - ours
            raise BenchFailedError("the server answers without an API key: it is not what is to be measured")
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise BenchFailedError(f"a request without a key got {error.code}, not 401") from None
