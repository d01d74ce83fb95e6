"""The world of a replay: real ports to read from; a clock, a ledger and a monitor of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from windsock.cli.backtest_retrain import answers_of
from windsock.cli.backtest_table import dated_rows, read_table
from windsock.exceptions import MonitoringError
from windsock.monitoring.backtest_history import TableHistory
from windsock.monitoring.backtest_memory import (
    Clock,
    MemoryMonitor,
    ReplayedBundles,
    ReplayedLedger,
    SilentGauges,
)
from windsock.ports import LoadedBundle, Ports
from windsock.records import Champion, LedgerAction, LedgerRow, Span, champion_by, champion_of
from windsock.spec import ModelSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What a replay needs.

    :param told: what is replayed, in words.
    """

    ports: Ports
    clock: Clock
    bundles: ReplayedBundles
    ledger: ReplayedLedger
    windows: tuple[Span, ...]
    hindsight: datetime
    told: str
    history: TableHistory | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """What the caller says of a table.

    :param event_time: its column of times.
    :param delay: time from a row to its label.
    :param version: the version to replay.
    """

    event_time: str | None
    delay: timedelta
    version: str | None


def _replayed(ports: Ports, clock: Clock, bundles: ReplayedBundles, ledger: ReplayedLedger) -> Ports:
    return replace(
        ports, now=clock, bundles=bundles, ledger=ledger, monitor=MemoryMonitor(), gauges=SilentGauges()
    )


def world_of_log(spec: ModelSpec, ports: Ports, windows: Sequence[Span]) -> World:
    """Return the prediction log's world: the champions of their time, the windows that are closed."""
    now = ports.now()
    last = spec.monitoring.window_end(now)
    closed = tuple(one for one in windows if one.end <= last)
    if not closed:
        raise MonitoringError(
            f"none of {len(windows):,} windows is closed yet; the last one that is ended at "
            f"{last:%Y-%m-%d %H:%M:%S}",
            code="WS-MONITORING-071",
            next_action="Move --from and --to back, or wait until a window is over.",
        )
    rows = ports.ledger.rows(spec.name)
    clock = Clock(closed[0].end)
    bundles, ledger = ReplayedBundles(ports.bundles), ReplayedLedger(ports.ledger, clock)
    _require_profiles(spec, _served(rows, closed[-1]), bundles)
    span = Span(start=closed[0].start, end=closed[-1].end)
    return World(
        ports=_replayed(ports, clock, bundles, ledger),
        clock=clock,
        bundles=bundles,
        ledger=ledger,
        windows=closed,
        hindsight=now,
        told=f"the prediction log, {_dates(span)}, {len(closed):,} windows of {spec.monitoring.window}, "
        "judged against the champions of their time",
        findings=(f"{len(windows) - len(closed):,} windows are not closed yet and are left out",)
        if len(closed) < len(windows)
        else (),
    )


def _served(rows: Sequence[LedgerRow], last: Span) -> list[Champion]:
    """Return the champions up to a time.

    :raises MonitoringError: if none served by then.
    """
    commits = [row for row in rows if row.action is LedgerAction.COMMIT]
    by_then = [champion_by(row) for row in commits if row.at <= last.end]
    if by_then:
        return by_then
    since = f"; the first went live at {commits[0].at:%Y-%m-%d %H:%M:%S}" if commits else ""
    raise MonitoringError(
        f"no version served before {last.end:%Y-%m-%d %H:%M}{since}",
        code="WS-MONITORING-073",
        next_action="Move --from and --to to when one did, or let the retrain DAG promote a first version: a "
        "history is judged against its profile.",
    )


def _require_profiles(spec: ModelSpec, champions: Sequence[Champion], bundles: ReplayedBundles) -> None:
    """See that one of the versions has something to be held against.

    :raises MonitoringError: if none has.
    """
    if not any(bundles.describe(one.bundle_uri, one.digest).profile for one in champions):
        versions = ", ".join(dict.fromkeys(one.version for one in champions))
        raise MonitoringError(
            f"{spec.name}: version {versions} has no drift profile to hold a history against",
            code="WS-MONITORING-074",
            next_action="Run the retrain DAG: every version that it makes has one.",
        )


def world_of_table(
    spec: ModelSpec, ports: Ports, windows: Sequence[Span], file: Path | None, asked: Table
) -> World:
    """Return a table's world: one version answers every row."""
    champion = _chosen(spec, ports, asked.version)
    span = Span(start=windows[0].start, end=windows[-1].end)
    clock = Clock(windows[0].end)
    bundles = ReplayedBundles(ports.bundles)
    ledger = ReplayedLedger(ports.ledger, clock, alone=True)
    _require_profiles(spec, [champion], bundles)
    bundle = bundles.load(champion.bundle_uri, champion.digest)
    body = {"baseline": _held_out_metrics(bundle)}
    ledger.serve(champion.replace(replaced=None), at=span.start, body=body)
    read = read_table(spec, ports, file)
    rows, findings = dated_rows(read, spec, bundle, span, event_time=asked.event_time)
    history = TableHistory(rows, bundle.schema, delay=asked.delay)
    history.serve(champion.version, champion.digest, lambda given: answers_of(bundle, given))
    replayed = replace(_replayed(ports, clock, bundles, ledger), counter=history, rows=history)
    return World(
        ports=replayed,
        clock=clock,
        bundles=bundles,
        ledger=ledger,
        windows=tuple(windows),
        hindsight=span.end + asked.delay,
        told=f"{read.described}, {_dates(span)}, {len(windows):,} windows of {spec.monitoring.window}, as if "
        f"version {champion.version} had been asked",
        history=history,
        findings=(*_flattered(spec, ports, bundle, span), *findings),
    )


def _held_out_metrics(bundle: LoadedBundle) -> list[dict[str, Any]]:
    """Return what a first version did on its held-out rows: it is what is asked of later ones."""
    reference = bundle.profile.performance if bundle.profile else None
    return [one.model_dump(mode="json") for one in (reference.realised if reference else ())]


def _chosen(spec: ModelSpec, ports: Ports, version: str | None) -> Champion:
    """Return the champion, or a version that was one.

    :raises MonitoringError: if there is none.
    """
    rows = ports.ledger.rows(spec.name)
    known = {row.version: champion_by(row) for row in rows if row.action is LedgerAction.COMMIT}
    chosen = champion_of(rows) if version is None else known.get(version)
    if chosen is None:
        what = f"version {version[:40]} never was champion" if version else "no version was ever promoted"
        raise MonitoringError(
            f"{spec.name}: {what}; champions so far: {', '.join(known) or 'none'}",
            code="WS-MONITORING-073",
            next_action="Name one of them, or let the retrain DAG promote a first version: a history is "
            "answered by its bundle and judged against its profile.",
        )
    return chosen


def _flattered(spec: ModelSpec, ports: Ports, bundle: LoadedBundle, span: Span) -> tuple[str, ...]:
    """Say where the version may have learned from rows of the history."""
    import pandas as pd

    digest, by_time = bundle.manifest.snapshot_digest, spec.data.event_time
    snapshot = ports.snapshots.find(spec.name, digest)
    if snapshot is None or by_time is None or snapshot.column(by_time) is None:
        if bundle.manifest.created_at <= span.start:
            return ()
        return ("the version may have learned from rows of the history, which flatters it",)
    times = ports.snapshots.load(snapshot)[by_time]
    inside = int(((times >= pd.Timestamp(span.start)) & (times < pd.Timestamp(span.end))).sum())
    if not inside:
        return ()
    told = f"{inside:,} rows of the version's own snapshot are of the history's time, which flatters it"
    return (told,)


def _dates(span: Span) -> str:
    return f"{span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC"
