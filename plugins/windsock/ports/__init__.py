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
    BusinessQuery,
    DriftReporter,
    Gauges,
    LabelledRows,
    Monitor,
    PredictionRows,
    WindowCounter,
)
from windsock.ports.rollout import RolloutEvents, RolloutReporter, Rollouts, Traffic
from windsock.ports.serving import NoSlots, PredictionArchive, Router, SlotTarget
from windsock.ports.tracking import Charts, ExperimentTracker, ModelRegistry, RunDraft, VersionNumbers


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
    preflight: Preflight = field(default_factory=NoPreflight)
    now: Callable[[], datetime] = utc_now
    pause: Callable[[float], None] = time.sleep


__all__ = [
    "BundleDraft",
    "BundleStore",
    "BusinessQuery",
    "Charts",
    "ContractStore",
    "CompiledModel",
    "DriftReporter",
    "ExpectationEngine",
    "ExperimentTracker",
    "Gauges",
    "LabelledRows",
    "Ledger",
    "LoadedBundle",
    "ModelCompiler",
    "ModelRegistry",
    "Monitor",
    "NoPreflight",
    "NoSlots",
    "Ports",
    "PredictionArchive",
    "PredictionRows",
    "Preflight",
    "RolloutEvents",
    "RolloutReporter",
    "Rollouts",
    "Router",
    "RunDraft",
    "SlotTarget",
    "SnapshotStore",
    "SourceRead",
    "SourceReader",
    "StepRecords",
    "Suite",
    "Traffic",
    "VersionNumbers",
    "WindowCounter",
    "utc_now",
]
