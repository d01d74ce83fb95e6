"""In-memory implementations of the ports, for tests of rooms, steps and operators."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from support.builders import PACKS
from support.fake_monitor import FakeMonitor
from support.fake_monitoring import FakeBusiness, FakeCounter, FakeGauges, FakeReporter, FakeRows
from support.fake_rollout import FakeRolloutEvents, FakeRolloutReporter, FakeRollouts
from windsock.adapters.compiled import PipelineCompiler
from windsock.exceptions import (
    DeploymentRefusedError,
    ForeignModelError,
    StaleEpochError,
    StorageError,
    UnverifiedBundleError,
    UnverifiedSnapshotError,
)
from windsock.ports import (
    BundleDraft,
    LoadedBundle,
    ModelAbout,
    Ports,
    RunDraft,
    SourceRead,
    Suite,
    VersionNumbers,
)
from windsock.records import (
    GENESIS,
    BundleManifest,
    ChainCheck,
    Champion,
    CheckResult,
    DataContract,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    LedgerView,
    ProbeResult,
    RoutePlan,
    RouteState,
    Status,
    StoredBundle,
)
from windsock.spec import digest_of

START = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)


class FakeClock:
    """A clock that moves one second at each look."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


class FakeSources:
    """Gives one frame, or raises what it was told to."""

    described = "file: fake.csv"

    def __init__(self, frame: Any = None, *, error: Exception | None = None) -> None:
        self.frame, self.error = frame, error
        self.form: Any = None

    def read(self, source: Any) -> SourceRead:
        if self.error:
            raise self.error
        return SourceRead(frame=self.frame.copy(), described=self.described, form=self.form)


class FakeSnapshots:
    """Keeps snapshots in a dict by digest."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], tuple[Any, Any]] = {}

    def find(self, model: str, digest: str) -> Any:
        found = self.stored.get((model, digest))
        return found[0] if found else None

    def latest(self, model: str) -> Any:
        records = [record for (name, _), (record, _) in self.stored.items() if name == model]
        return records[-1] if records else None

    def put(self, snapshot: Any, frame: Any) -> Any:
        key = (snapshot.model, snapshot.digest)
        if key not in self.stored:
            uri = f"memory://snapshots/{snapshot.model}/{snapshot.digest}"
            self.stored[key] = (snapshot.model_copy(update={"uri": uri}), frame.copy())
        return self.stored[key][0]

    def load(self, snapshot: Any) -> Any:
        try:
            return self.stored[(snapshot.model, snapshot.digest)][1].copy()
        except KeyError:
            raise StorageError(f"no snapshot {snapshot.digest}") from None


class FakeExpectations:
    """Answers with given results."""

    def __init__(self, results: Sequence[CheckResult] | None = None, suite: Suite | None = None) -> None:
        passed = CheckResult(name="expectation:fake", status=Status.PASS, code="WS-DATA-100")
        self.results, self.given = tuple(results if results is not None else (passed,)), suite

    def suite(self, model: str) -> Suite | None:
        return self.given

    def infer(self, model: str, frame: Any, columns: Any) -> Suite:
        return Suite(
            content={"name": model, "expectations": []}, origin="inferred", uri="memory://suite.json"
        )

    def accepted(self, model: str, digest: str) -> Suite | None:
        return None

    def check(self, frame: Any, suite: Suite) -> tuple[CheckResult, ...]:
        return self.results


class FakeContracts:
    """Keeps contracts and statistics in a dict; ``written`` is what people wrote."""

    def __init__(self, written: DataContract | None = None) -> None:
        self.written = written
        self.documents: dict[str, Any] = {}

    def written_by_people(self, model: str) -> DataContract | None:
        return self.written

    def put(self, document: Any) -> tuple[str, str]:
        digest = document.content_digest()
        uri = f"memory://contracts/{document.model}/{digest}"
        self.documents.setdefault(uri, document)
        return uri, digest

    def contract(self, uri: str, digest: str) -> Any:
        found = self.documents.get(uri)
        if found is None or found.content_digest() != digest:
            raise UnverifiedSnapshotError(f"no document {uri} of digest {digest}")
        return found

    statistics = contract


class FakeBundles:
    """Keeps bundles as live objects."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[str, str], StoredBundle] = {}
        self.by_digest: dict[str, LoadedBundle] = {}
        self.documents: dict[str, bytes] = {}

    def find(self, model: str, key: str) -> StoredBundle | None:
        return self.by_key.get((model, key))

    def put(self, draft: BundleDraft) -> StoredBundle:
        if (found := self.by_key.get((draft.model, draft.key))) is not None:
            return found
        manifest = BundleManifest(
            model=draft.model,
            key=draft.key,
            snapshot_digest=draft.snapshot_digest,
            spec_digest=draft.spec_digest,
            files={"model.skops": digest_of([draft.model, draft.key])},
            versions=dict(draft.versions),
            facts=dict(draft.facts),
            created_at=draft.created_at,
        )
        digest = manifest.content_digest()
        stored = StoredBundle(uri=f"memory://bundles/{draft.model}/{draft.key}", digest=digest)
        self.by_key[(draft.model, draft.key)] = stored
        self.by_digest[digest] = LoadedBundle(
            manifest=manifest,
            digest=digest,
            pipeline=copy.deepcopy(draft.pipeline),
            schema=draft.schema,
            golden=draft.golden,
            compiled=PipelineCompiler().load(draft.compiled, draft.schema) if draft.compiled else None,
            profile=draft.profile,
        )
        return stored

    def load(self, uri: str, digest: str) -> LoadedBundle:
        try:
            return self.by_digest[digest]
        except KeyError:
            raise UnverifiedBundleError(f"no bundle {digest}") from None

    def describe(self, uri: str, digest: str) -> LoadedBundle:
        return replace(self.load(uri, digest), pipeline=None, compiled=None)

    def put_document(self, uri: str, content: bytes) -> str:
        kept = self.documents.setdefault(uri, content)
        return hashlib.sha256(kept).hexdigest()

    def read_document(self, uri: str, digest: str) -> bytes:
        if (uri, digest) in PACKS and uri not in self.documents:
            return PACKS[(uri, digest)]
        kept = self.documents.get(uri)
        if kept is None or hashlib.sha256(kept).hexdigest() != digest:
            raise UnverifiedBundleError(f"no document {uri} of digest {digest}")
        return kept


class FakeTracker:
    """Keeps runs in a dict."""

    def __init__(self) -> None:
        self.runs: dict[str, RunDraft] = {}
        self.added: dict[str, dict[str, Any]] = {}
        self.parents: dict[str, dict[str, Any]] = {}

    def record_run(self, draft: RunDraft) -> str:
        run_id = next((run for run, known in self.runs.items() if known.key == draft.key), None)
        if run_id is None:
            run_id = f"run{len(self.runs) + 1}"
            self.runs[run_id] = draft
        return run_id

    def add_to_run(self, run_id: str, *, metrics: Any, tags: Any, files: Any) -> None:
        kept = self.added.setdefault(run_id, {"metrics": {}, "tags": {}, "files": {}})
        kept["metrics"].update(metrics)
        kept["tags"].update(tags)
        kept["files"].update(files)

    def add_to_parent(self, run_id: str, *, metrics: Any, tags: Any) -> None:
        draft = self.runs.get(run_id)
        if draft is not None and draft.parent is not None:
            kept = self.parents.setdefault(draft.parent.key, {"metrics": {}, "tags": {}})
            kept["metrics"].update(metrics)
            kept["tags"].update(tags)

    def tags(self, run_id: str) -> Mapping[str, str]:
        return dict(self.added.get(run_id, {}).get("tags", {}))

    def open_runs(self, model: str) -> Sequence[str]:
        return ()

    def close_stale_runs(self, models: Sequence[str], older_than: datetime) -> int:
        return 0

    def tracked_runs(self, model: str) -> tuple[Any, ...]:
        return ()

    def mark_for_removal(self, run_id: str, told: str) -> None:
        self.added.setdefault(run_id, {"tags": {}})["tags"]["windsock.removed"] = told

    def remove_run(self, run_id: str) -> int:
        self.runs.pop(run_id, None)
        return 0

    def artifact_link(self, model: str, run_id: str, path: str) -> str | None:
        return f"http://127.0.0.1:5000/#/experiments/1/runs/{run_id}/artifacts/{path}"

    def run_link(self, model: str, run_id: str) -> str | None:
        return f"http://127.0.0.1:5000/#/runs/{run_id}"

    def version_link(self, model: str, version: str) -> str | None:
        return f"http://127.0.0.1:5000/#/models/{model}/versions/{version}"


class FakeRegistry:
    """Numbers versions by key."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, str]] = {}
        self.tags: dict[tuple[str, str], Mapping[str, str]] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.foreign: dict[str, str] = {}
        self.about: dict[str, ModelAbout] = {}

    def register(
        self,
        *,
        model: str,
        key: str,
        run_id: str,
        tags: Mapping[str, str],
        used: VersionNumbers,
        about: ModelAbout | None = None,
    ) -> str:
        if about is not None:
            self.about[model] = about
        known = self.versions.setdefault(model, {})
        if key not in known:
            taken = [int(number) for number in (*known.values(), *used) if number.isdecimal()]
            known[key] = str(max(taken, default=0) + 1)
        self.tags[(model, known[key])] = dict(tags)
        return known[key]

    def claim(self, model: str, used: VersionNumbers) -> None:
        if (owner := self.foreign.get(model)) is not None:
            raise ForeignModelError(f"registered model {model} in MLflow belongs to installation {owner}")

    def set_alias(self, model: str, alias: str, version: str) -> None:
        self.aliases[(model, alias)] = version

    def alias(self, model: str, alias: str) -> str | None:
        return self.aliases.get((model, alias))


class FakeLedger:
    """Keeps chained rows in lists."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.kept: dict[str, list[LedgerRow]] = {}
        self.now = now or FakeClock()

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        return tuple(self.kept.get(model, ()))

    def read(self, model: str) -> LedgerView:
        return LedgerView(self.rows(model))

    def champion(self, model: str) -> Champion | None:
        commits = [row for row in self.rows(model) if row.action is LedgerAction.COMMIT]
        if not commits:
            return None
        last = commits[-1]
        return Champion(
            model=model,
            version=last.version,
            digest=last.digest,
            bundle_uri=last.body["bundle_uri"],
            epoch=last.epoch,
            replaced=last.body.get("replaced"),
        )

    def append(self, entry: LedgerEntry, *, after_seq: int) -> LedgerRow:
        rows = self.kept.setdefault(entry.model, [])
        if len(rows) != after_seq:
            raise StaleEpochError(f"{entry.model}: row {after_seq} is no longer the last; it is {len(rows)}")
        previous = rows[-1].hash if rows else GENESIS
        row = LedgerRow(**entry.model_dump(), seq=after_seq + 1, at=self.now(), previous=previous)
        row = row.model_copy(update={"hash": row.expected_hash()})
        rows.append(row)
        return row

    def verify(self, model: str) -> ChainCheck:
        previous = GENESIS
        for number, row in enumerate(self.rows(model), start=1):
            if row.seq != number or row.previous != previous or row.hash != row.expected_hash():
                return ChainCheck(model=model, rows=len(self.rows(model)), broken_at=row.seq)
            previous = row.hash
        return ChainCheck(model=model, rows=len(self.rows(model)))

    def models(self) -> tuple[str, ...]:
        return tuple(sorted(self.kept))


class FakeStepRecords:
    """First record of a key stands."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.attested: set[str] = set()

    def find(self, key: str) -> dict[str, Any] | None:
        return self.kept.get(key)

    def add(self, key: str, *, step: str, model: str, record: Mapping[str, Any]) -> dict[str, Any]:
        return self.kept.setdefault(key, dict(record))

    def forget(self, key: str) -> None:
        self.kept.pop(key, None)

    def attest(self, step: str, record: Mapping[str, Any], under: str) -> None:
        self.attested.add(digest_of([step, record, under]))

    def is_attested(self, step: str, record: Mapping[str, Any], under: str) -> bool:
        return digest_of([step, record, under]) in self.attested


class FakeRouter:
    """Serves by plans; the slots in ``sick`` answer their golden predictions wrongly.

    Models in ``unsealed`` have lost the seal of their plan, until one is applied.
    """

    def __init__(self) -> None:
        self.unsealed: set[str] = set()
        self.plans: dict[str, RoutePlan] = {}
        self.applied: list[RoutePlan] = []
        self.sick: set[str] = set()

    def state(self, model: str) -> RouteState | None:
        plan = self.plans.get(model)
        return RouteState(plan=plan, workers=1, is_sealed=model not in self.unsealed) if plan else None

    def apply(self, plan: RoutePlan) -> RouteState:
        old = self.plans.get(plan.model)
        if old and old.epoch > plan.epoch:
            raise StaleEpochError(f"{plan.model}: the server is at epoch {old.epoch}, this is {plan.epoch}")
        if old and old.epoch == plan.epoch and old != plan:
            raise StaleEpochError(f"{plan.model}: another plan has epoch {plan.epoch}")
        if old != plan:
            self.plans[plan.model] = plan
            self.applied.append(plan)
        self.unsealed.discard(plan.model)
        return RouteState(plan=plan, workers=1)

    def probe(self, model: str, digest: str) -> ProbeResult:
        slot = self.plans[model].slot(digest) if model in self.plans else None
        if slot is None:
            raise DeploymentRefusedError(f"{model}: the server has no slot {digest}")
        matched = digest not in self.sick
        return ProbeResult(
            version=slot.version, rows=20, largest_difference=0.0 if matched else 1.0, matched=matched
        )


class FakePredictions:
    """Has no segments."""

    def close_segments(self) -> int:
        return 0

    def remove_older(self, than: datetime, *, needed: Mapping[str, datetime] | None = None) -> int:
        return 0


class FakeCharts:
    """Draws nothing, but says what it was asked for."""

    def confusion_matrix(self, labels: Any, counts: Any) -> bytes:
        return b"confusion"

    def curves(self, roc: Any, pr: Any) -> bytes:
        return b"curves"

    def residuals(self, predicted: Any, residual: Any) -> bytes:
        return b"residuals"

    def importances(self, names: Any, means: Any, sds: Any) -> bytes:
        return b"importances"


def fake_ports(**replaced: Any) -> Ports:
    """Return in-memory ports; name those that should be something else."""
    clock = FakeClock()
    made: dict[str, Any] = {
        "sources": FakeSources(),
        "snapshots": FakeSnapshots(),
        "expectations": FakeExpectations(),
        "contracts": FakeContracts(),
        "bundles": FakeBundles(),
        "tracker": FakeTracker(),
        "registry": FakeRegistry(),
        "ledger": FakeLedger(clock),
        "records": FakeStepRecords(),
        "router": FakeRouter(),
        "predictions": FakePredictions(),
        "charts": FakeCharts(),
        "compiler": PipelineCompiler(),
        "counter": FakeCounter(),
        "rows": FakeRows(),
        "monitor": FakeMonitor(),
        "reporter": FakeReporter(),
        "gauges": FakeGauges(),
        "business": FakeBusiness(),
        "events": FakeRolloutEvents(),
        "rollouts": FakeRollouts(),
        "rollout_reporter": FakeRolloutReporter(),
        "now": clock,
        "pause": lambda seconds: None,
    }
    return Ports(**{**made, **replaced})
