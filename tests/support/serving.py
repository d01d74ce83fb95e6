"""Real signed bundles of tiny models, and plans that serve them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from support.builders import NOON, digest, make_version, stored_evidence
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.compiled import PipelineCompiler
from windsock.adapters.signing import create_keys
from windsock.adapters.storage import Storage
from windsock.ports import BundleDraft, LoadedBundle
from windsock.records import (
    Answer,
    BundleManifest,
    ColumnKind,
    InputField,
    InputSchema,
    RoutePlan,
    SlotPlan,
    StoredBundle,
)
from windsock.settings import Settings

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FIELDS = (
    InputField(name="age", kind=ColumnKind.NUMBER),
    InputField(name="visits", kind=ColumnKind.INTEGER, nullable=False),
    InputField(name="member", kind=ColumnKind.BOOLEAN, true_word="Yes", false_word="No"),
    InputField(name="plan", kind=ColumnKind.CATEGORY),
    InputField(name="joined", kind=ColumnKind.DATETIME, required=False),
)
ROW = {"age": 41.5, "visits": 3, "member": "Yes", "plan": "basic", "joined": "2026-03-01T10:00:00Z"}


def make_settings(home: Path, **fields: Any) -> Settings:
    """Return the settings of an installation in a folder of its own, with keys."""
    settings = Settings.from_environment(
        {"WINDSOCK_HOME": str(home), "WINDSOCK_MODELS_DIR": str(home / "models")}
    )
    if not settings.keys_dir.exists():
        create_keys(settings.keys_dir)
    return settings.model_copy(update=fields)


def make_bundle(*, model: str = "churn", answer: str = "yes_no", seed: int = 1) -> LoadedBundle:
    """Return a bundle of a tiny fitted model, not stored.

    :param answer: ``yes_no`` (booleans), ``three`` (text labels) or ``number``.
    :param seed: another seed, another model.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline

    from windsock.training.golden import make_golden
    from windsock.training.preprocessing import build_preprocessing, to_features

    draw = np.random.default_rng(seed)
    rows = [
        {
            "age": float(draw.integers(18, 90)),
            "visits": int(draw.integers(0, 20)),
            "member": bool(draw.integers(0, 2)),
            "plan": str(draw.choice(["basic", "plus", "pro"])),
            "joined": f"2026-0{draw.integers(1, 9)}-11T08:00:00Z",
        }
        for _ in range(80)
    ]
    features = to_features(rows, FIELDS)
    values = features["age"].to_numpy() + draw.normal(0, 20, len(rows))
    labels: Any = {
        "yes_no": values > 55,
        "three": np.array(["high", "low", "mid"])[np.digitize(values, [40, 70]) % 3],
        "number": values,
    }[answer]
    estimator = Ridge() if answer == "number" else LogisticRegression(max_iter=500)
    pipeline = Pipeline([("preprocessing", build_preprocessing(FIELDS, "linear")), ("estimator", estimator)])
    pipeline.fit(features, labels)
    classes = () if answer == "number" else tuple(np.unique(labels).tolist())
    schema = InputSchema(
        model=model,
        fields=FIELDS,
        answer=Answer.NUMBER if answer == "number" else Answer.CLASS,
        classes=classes,
        positive=classes[-1] if len(classes) == 2 else None,
    )
    manifest = BundleManifest(
        model=model,
        key=f"{answer}{seed}",
        snapshot_digest=digest("1"),
        spec_digest=digest("2"),
        files={"model.skops": digest("3")},
        created_at=NOON,
    )
    golden = make_golden(pipeline, features, FIELDS)
    return LoadedBundle(
        manifest=manifest, digest=manifest.content_digest(), pipeline=pipeline, schema=schema, golden=golden
    )


def store_bundle(
    settings: Settings, bundle: LoadedBundle, *, passed: bool = True, **changes: Any
) -> StoredBundle:
    """Sign and store a bundle with its compiled form; name what the draft should say instead.

    :param passed: whether its signed evidence says that the gate said yes.
    """
    store = SignedBundleStore(Storage(settings.storage_url), settings.keys_dir)
    made: dict[str, Any] = {
        "model": bundle.manifest.model,
        "key": bundle.manifest.key,
        "snapshot_digest": bundle.manifest.snapshot_digest,
        "spec_digest": bundle.manifest.spec_digest,
        "pipeline": bundle.pipeline,
        "schema": bundle.schema,
        "golden": bundle.golden,
        "compiled": PipelineCompiler().compile(bundle.pipeline, bundle.schema),
        "created_at": NOON,
    }
    stored = store.put(BundleDraft(**{**made, **changes}))
    if passed:
        version = make_version(model=bundle.manifest.model, digest=stored.digest)
        stored_evidence(store, version)
    return stored


def make_plan(
    *stored: StoredBundle, epoch: int = 1, shares: tuple[int, ...] | None = None, **fields: Any
) -> RoutePlan:
    """Return a plan that serves bundles as versions 1, 2, 3; the last one has all traffic."""
    given = shares or (*[0] * (len(stored) - 1), 10_000)
    slots = tuple(
        SlotPlan(version=str(number), digest=bundle.digest, bundle_uri=bundle.uri, share=share)
        for number, (bundle, share) in enumerate(zip(stored, given, strict=True), start=1)
    )
    return RoutePlan(**{"model": "churn", "epoch": epoch, "slots": slots, "salt": "s", **fields})


class Server:
    """A server in processes of its own.

    :param settings: the installation.
    :param workers: worker processes.
    """

    def __init__(self, settings: Settings, *, workers: int = 1) -> None:
        self.settings, self.workers = settings, workers
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def start(self, *, seconds: float = 60) -> None:
        """Start it and wait until it answers."""
        code = (
            "import json, logging, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
            "logging.basicConfig(level=logging.INFO);"
            "from windsock.serving.server import run; from windsock.settings import Settings;"
            "run(Settings.model_validate(json.load(sys.stdin)), port=0, workers=int(sys.argv[2]))"
        )
        self.log = (self.settings.home / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(PLUGINS), str(self.workers)],
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(self.settings.model_dump_json().encode())
        self.process.stdin.close()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            facts = read_json_file(self.settings.serving_dir / "server.json")
            if facts.get("pid") == self.process.pid:
                self.address = facts["address"]
                if len(self.worker_pids()) == self.workers and self._answers():
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.said()}")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def worker_pids(self) -> list[int]:
        """Return the worker processes that have written their notes."""
        return sorted(int(file.stem) for file in (self.settings.serving_dir / "workers").glob("*.json"))

    def said(self) -> str:
        """Return the server's log."""
        return (self.settings.home / "server.log").read_text()

    def stop(self, *, seconds: float = 15) -> int:
        """End it by SIGTERM; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it by SIGKILL, whatever state it is in."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.log.close()


@contextmanager
def running(settings: Settings, *, workers: int = 1) -> Iterator[Server]:
    """Run a server for the time of a test."""
    server = Server(settings, workers=workers)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        server.kill()


def read_json_file(file: Path) -> dict[str, Any]:
    """Return a JSON file's content; nothing if there is none yet."""
    try:
        return dict(json.loads(file.read_bytes()))
    except (OSError, ValueError):
        return {}


def wait_until(true: Any, *, seconds: float = 60, what: str = "it") -> None:
    """Wait until a condition holds.

    :raises AssertionError: if it does not in time.
    """
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the living processes that have this parent."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(file.parent.name))
    return found
