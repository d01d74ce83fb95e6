"""The ports: what the rooms need of the outside world. Adapters implement them, tests fake them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from windsock.ports.bundles import BundleDraft, BundleStore, CompiledModel, LoadedBundle, ModelCompiler
from windsock.ports.control import Ledger, NoPreflight, Preflight, StepRecords
from windsock.ports.data import (
    ContractStore,
    ExpectationEngine,
    SnapshotStore,
    SourceRead,
    SourceReader,
    Suite,
)
from windsock.ports.monitoring import (
    Bar,
    BusinessQuery,
    Distribution,
    DriftReporter,
    Gauges,
    LabelledRows,
    Monitor,
    PredictionRows,
    Samples,
    WindowCounter,
)
from windsock.ports.retention import KeptThings, NothingKept
from windsock.ports.rollout import RolloutEvents, RolloutReporter, Rollouts, Traffic
from windsock.ports.serving import NoSlots, PredictionArchive, Router, SlotTarget
from windsock.ports.surroundings import NoSurroundings, Surroundings
from windsock.ports.tracking import (
    MODEL_VERSION,
    NOTE,
    Charts,
    ExperimentTracker,
    ModelAbout,
    ModelRegistry,
    ParentDraft,
    RunDraft,
    TrialDraft,
    VersionNumbers,
)


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a step may use of the outside world.

    :param pause: waits that many seconds.
    """

    sources: SourceReader
    snapshots: SnapshotStore
    expectations: ExpectationEngine
    contracts: ContractStore
    bundles: BundleStore
    tracker: ExperimentTracker
    registry: ModelRegistry
    ledger: Ledger
    records: StepRecords
    router: Router
    predictions: PredictionArchive
    charts: Charts
    compiler: ModelCompiler
    counter: WindowCounter
    rows: PredictionRows
    monitor: Monitor
    reporter: DriftReporter
    gauges: Gauges
    business: BusinessQuery
    events: RolloutEvents
    rollouts: Rollouts
    rollout_reporter: RolloutReporter
    slots: SlotTarget = field(default_factory=NoSlots)
    kept: KeptThings = field(default_factory=NothingKept)
    surroundings: Surroundings = field(default_factory=NoSurroundings)
    preflight: Preflight = field(default_factory=NoPreflight)
    now: Callable[[], datetime] = utc_now
    pause: Callable[[float], None] = time.sleep


__all__ = [
    "MODEL_VERSION",
    "NOTE",
    "Bar",
    "BundleDraft",
    "BundleStore",
    "BusinessQuery",
    "Charts",
    "ContractStore",
    "CompiledModel",
    "Distribution",
    "DriftReporter",
    "ExpectationEngine",
    "ExperimentTracker",
    "Gauges",
    "KeptThings",
    "LabelledRows",
    "Ledger",
    "LoadedBundle",
    "ModelAbout",
    "ModelCompiler",
    "ModelRegistry",
    "Monitor",
    "NoPreflight",
    "NoSlots",
    "NothingKept",
    "ParentDraft",
    "NoSurroundings",
    "Ports",
    "PredictionArchive",
    "PredictionRows",
    "Preflight",
    "RolloutEvents",
    "RolloutReporter",
    "Rollouts",
    "Router",
    "RunDraft",
    "Samples",
    "SlotTarget",
    "SnapshotStore",
    "SourceRead",
    "SourceReader",
    "StepRecords",
    "Suite",
    "Surroundings",
    "Traffic",
    "TrialDraft",
    "VersionNumbers",
    "WindowCounter",
    "utc_now",
]
