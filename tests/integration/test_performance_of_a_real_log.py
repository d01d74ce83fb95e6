"""Performance judged from what a server really wrote: segments, archive, outcomes, a kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.builders import NOON
from support.log_rows import SCHEMA as LOG_SCHEMA
from support.log_rows import answered, row
from support.performance import CHAMPION, Scene, check_of, coin, metric
from support.serving import PLUGINS, wait_until
from windsock.adapters.business_query import DuckdbBusinessQuery
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.prediction_rows import ArchivePredictionRows
from windsock.adapters.storage import Storage
from windsock.adapters.window_counts import ArchiveWindowCounter
from windsock.exceptions import StorageError
from windsock.monitoring.check_performance import check_performance
from windsock.ports import Ports, utc_now
from windsock.records import CheckPerformanceInput, OutcomeEvent, ReferencePerformance, Span, Status
from windsock.serving.prediction_log import PredictionLog
from windsock.spec import LabelsBlock

WINDOW = Span(start=NOON, end=NOON + timedelta(hours=4))
NOW = WINDOW.end + timedelta(minutes=1)
BASELINE = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.9),))


def rows_of(folder: Path) -> ArchivePredictionRows:
    return ArchivePredictionRows(
        folder, Storage(str(folder / "storage")), keys_dir=None, roots=(folder,), connections=str
    )


def serve(folder: Path, *, right: float, rows: int = 2000) -> None:
    """Write a window's answers and outcomes as a server does: 20 rows a request, labels for 4 of 5."""
    truth, said, scores = coin(rows, right=right)
    log = PredictionLog(folder)
    log.start()
    length = (WINDOW.end - WINDOW.start) / rows

    async def write() -> None:
        for start in range(0, rows, 20):
            at = WINDOW.start + start * length
            made = [
                row(f"p{place}", unit=f"u{place}", score=scores[place], prediction=said[place])
                for place in range(start, start + 20)
            ]
            assert log.add_rows(*answered(*made, at=at, digest=CHAMPION))
            assert log.add_rows(*answered(*made, at=at, digest=CHAMPION, variant="shadow"))
        told = [outcome(place, truth[place], WINDOW.start + place * length) for place in range(rows)]
        await asyncio.gather(*[tell(log, one) for one in told if int(one.event_id or 0) % 5])

    asyncio.run(write())
    log.stop()


async def tell(log: PredictionLog, one: OutcomeEvent, *, tries: int = 100) -> None:
    """Tell an outcome as clients are asked to: again, when the disk was too slow to confirm it."""
    for _ in range(tries):
        try:
            await log.add_outcome(one)
        except StorageError:
            continue
        return
    raise AssertionError(f"outcome {one.event_id} was not confirmed in {tries} tries")


def outcome(place: int, truth: bool, at: datetime) -> OutcomeEvent:
    """Return an outcome: every second one names the unit alone."""
    known: dict[str, Any] = {"unit": f"u{place}"} if place % 2 else {"prediction_id": f"p{place}"}
    return OutcomeEvent(
        model="churn",
        outcome=truth,
        event_id=str(place),
        event_time=at + timedelta(seconds=1),
        receive_time=at + timedelta(minutes=1),
        **known,
    )


def judge(folder: Path, scene: Scene) -> Any:
    ports: Ports = replace(
        scene.ports,
        rows=rows_of(folder),
        counter=ArchiveWindowCounter(folder, Storage(str(folder / "storage")), now=lambda: NOW),
        business=DuckdbBusinessQuery(),
        now=lambda: NOW,
    )
    return check_performance(CheckPerformanceInput(spec=scene.spec, window=WINDOW), ports, "")


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(("right", "status"), [(0.9, Status.PASS), (0.7, Status.FAIL)])
def test_a_window_is_judged_from_segments_and_archive_alike(
    tmp_path: Path, archived: bool, right: float, status: Status
) -> None:
    serve(tmp_path, right=right)
    if archived:
        late = ParquetPredictionArchive(tmp_path, Storage(str(tmp_path / "storage")), now=lambda: NOW)
        assert late.close_segments() > 0
    scene = Scene(
        BASELINE,
        schema=LOG_SCHEMA,
        spec={"training": {"metric": "accuracy"}},
        business={"name": "churned", "sql": "avg(outcome::double)", "minimum": 0.3},
    )
    report = judge(tmp_path, scene)
    assert report.status is status
    assert (report.rows, report.labelled) == (2000, 1600)
    found = {one.name: one.value for one in report.realised}
    assert found["accuracy"] == pytest.approx(right, abs=0.02)
    assert check_of(report, "business:churned").status is Status.PASS
    assert check_of(report, "latency_p95").status is Status.PASS
    assert check_of(report, "null_answers").status is Status.PASS
    assert check_of(report, "row_rate").value == 2000
    assert any("cannot be estimated" in one for one in report.findings)
    assert not any("not in the log" in one or "replaced" in one for one in report.findings)


def _has_rows(state: Path) -> bool:
    """Return whether answers are on the disk; outcomes are there before they are acknowledged, rows later."""
    return any(file.stat().st_size for file in (state / "log" / "predictions").rglob("*.ndjson"))


@pytest.mark.slow
def test_a_killed_server_loses_no_label_and_the_torn_line_is_counted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    env = {**os.environ, "PYTHONPATH": f"{PLUGINS}{os.pathsep}{PLUGINS.parent / 'tests'}"}
    state = tmp_path / "serving"
    begun = utc_now()
    with out.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.log_process", state], stdout=stream, env=env
        )
        try:
            wait_until(lambda: out.read_text().count("\n") > 3000 and _has_rows(state))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    promised = {line.split()[1] for line in out.read_text().splitlines()[:-1] if line.startswith("outcome ")}
    # These outcomes name answers that nobody gave; a file then labels those that were.
    span = Span(start=begun - timedelta(seconds=1), end=utc_now() + timedelta(seconds=1))
    for file in (state / "log" / "predictions").rglob("*.ndjson"):
        file.write_bytes(file.read_bytes() + b'{"model": "chu')
    rows = rows_of(state)
    asked = {"schema": LOG_SCHEMA, "as_of": span.end}
    joined = rows.labelled("churn", span, LabelsBlock(), **asked, features=False)
    assert joined.unknown >= len(promised) > 0
    assert joined.damaged >= 1
    written = len(joined.frame)
    assert written > 0
    assert joined.frame["prediction_id"].is_unique
    (state / "labels.csv").write_text(
        "prediction_id,outcome\n" + "".join(f"{one},true\n" for one in joined.frame["prediction_id"])
    )
    again = rows.labelled("churn", span, LabelsBlock(kind="file", path="labels.csv"), **asked)
    assert again.frame["outcome"].notna().sum() == written
    assert all(features == {"age": 41.5, "plan": "basic"} for features in again.frame["features"])
