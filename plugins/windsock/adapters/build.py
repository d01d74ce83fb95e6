"""``build_ports``: settings -> the outside world. Nothing is contacted and nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable

from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.business_query import DuckdbBusinessQuery
from windsock.adapters.charts import MatplotlibCharts
from windsock.adapters.compiled import PipelineCompiler
from windsock.adapters.contract_store import FileContractStore
from windsock.adapters.docker_slots import DockerSlots
from windsock.adapters.drift_report import EvidentlyReporter
from windsock.adapters.expectations import GreatExpectationsEngine
from windsock.adapters.installation import Installation
from windsock.adapters.kept_things import StoredThings
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.mlflow_registry import MlflowRegistry
from windsock.adapters.mlflow_tracking import MlflowTracker
from windsock.adapters.monitor_table import SqlMonitor
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.prediction_rows import ArchivePredictionRows
from windsock.adapters.preflight import InstallationPreflight
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.rollout_page import RolloutPage
from windsock.adapters.rollout_table import SqlRollouts
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.server_gauges import ServerGauges
from windsock.adapters.snapshot_store import ParquetSnapshotStore
from windsock.adapters.sources import SourceReaders
from windsock.adapters.sql_source import source_limits
from windsock.adapters.step_table import SqlStepRecords
from windsock.adapters.storage import Storage
from windsock.adapters.surroundings import InstallationSurroundings
from windsock.adapters.window_counts import ArchiveWindowCounter
from windsock.ports import Ports
from windsock.proxies import go_direct
from windsock.settings import Settings


def build_ports(settings: Settings, *, connections: Callable[[str], str]) -> Ports:
    """Return the ports of an installation.

    :param settings: its addresses and folders.
    :param connections: turns an Airflow connection id into a SQLAlchemy URL; raises SettingsError for an
        unknown one.
    """
    go_direct()
    storage = Storage(settings.storage_url)
    return Ports(
        sources=SourceReaders(
            roots=settings.source_roots,
            connections=connections,
            limits=source_limits(settings.source_seconds, settings.source_memory_mb),
            closed=(settings.keys_dir, settings.clients_file),
        ),
        snapshots=ParquetSnapshotStore(storage),
        expectations=GreatExpectationsEngine(settings.expectations_dir, storage),
        contracts=FileContractStore(settings.contracts_dir, storage),
        bundles=SignedBundleStore(storage, settings.keys_dir),
        tracker=MlflowTracker(settings.tracking_uri, settings.home),
        registry=MlflowRegistry(settings.tracking_uri, settings.home, Installation(settings.keys_dir)),
        ledger=SqlLedger.of(settings),
        records=SqlStepRecords(settings.database_url, settings.keys_dir),
        router=ServerRouter.of(settings),
        predictions=ParquetPredictionArchive(settings.serving_dir, storage),
        charts=MatplotlibCharts(),
        compiler=PipelineCompiler(),
        counter=ArchiveWindowCounter(
            settings.serving_dir, storage, keys_dir=settings.keys_dir, engine=settings.counter
        ),
        rows=ArchivePredictionRows(
            settings.serving_dir,
            storage,
            keys_dir=settings.keys_dir,
            roots=settings.source_roots,
            connections=connections,
        ),
        monitor=SqlMonitor(settings.database_url),
        reporter=EvidentlyReporter(),
        gauges=ServerGauges(settings),
        business=DuckdbBusinessQuery(
            seconds=settings.business_seconds, memory_mb=settings.business_memory_mb
        ),
        events=ArchiveRolloutEvents(
            settings.serving_dir,
            storage,
            url=settings.database_url,
            keys_dir=settings.keys_dir,
            roots=settings.source_roots,
            connections=connections,
        ),
        rollouts=SqlRollouts(settings.database_url, settings.keys_dir, storage),
        rollout_reporter=RolloutPage(),
        slots=DockerSlots(settings),
        kept=StoredThings(storage, settings.log_folders),
        surroundings=InstallationSurroundings(settings),
        preflight=InstallationPreflight(settings, storage),
    )
