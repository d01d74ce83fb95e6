"""Rivals of the loop: a retrain every week, Evidently's preset, and the rules of before."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import loop_code  # noqa: F401  (before windsock: where it is imported from)
from loop_measures import Measures, Total
from loop_run import Stage

from windsock.cli.backtest_retrain import answers_of
from windsock.data.mixing import mix_recent
from windsock.exceptions import TrainingRefusedError
from windsock.ports import LoadedBundle
from windsock.records import Span, TakeSnapshotInput
from windsock.records.backtest import BacktestWindow
from windsock.spec import digest_of, parse_duration
from windsock.training.refit import refit

BEFORE = Path(__file__).resolve().parent / "rivals" / "loop_before.json"
"""What the rules of before came to in the same worlds: ``rivals/loop_before.py`` measures it anew."""
EVERY = timedelta(days=7)
SHARE = 0.5
"""Of the columns: the preset's own default."""
Served = list[tuple[Span, Any, BacktestWindow | None, str]]
Wants = Callable[[Stage, int, Any], bool]
"""Whether to retrain after a window, beside the rows that the model has learned from."""


def _serve_by(stage: Stage, wants: Wants) -> Served:
    """Retrain whenever a rule wants it, and let the result serve: nothing is judged."""
    on, served = stage.replayed, []
    champion = on.ledger.champion(stage.spec.name)
    bundle = on.bundles.load(champion.bundle_uri, champion.digest)
    learned = on.ports.snapshots.load(_snapshot(stage, bundle))
    for place, window in enumerate(on.windows):
        on.clock.time = window.end + stage.spec.monitoring.lateness_allowance
        made = _refitted(stage, bundle, place) if wants(stage, place, learned) else None
        served.append((window, bundle, None, "promoted" if made else ""))
        if made is not None:
            bundle, learned = made
            version, since = f"retrained {place}", on.clock.time
            on.history.serve(version, bundle.digest, partial(answers_of, bundle), since=since)
    return served


def _snapshot(stage: Stage, bundle: LoadedBundle) -> Any:
    return stage.replayed.ports.snapshots.find(stage.spec.name, bundle.manifest.snapshot_digest)


def _refitted(stage: Stage, bundle: LoadedBundle, place: int) -> tuple[LoadedBundle, Any] | None:
    """Fit anew on all rows of the source and the recent ones; return the result and those rows."""
    spec, ports, now = stage.spec, stage.replayed.ports, stage.replayed.clock.time
    recent = Span(start=now - parse_duration(spec.monitoring.retrain.recent), end=now)
    snapshot, step = _snapshot(stage, bundle), TakeSnapshotInput(spec=spec, recent=recent)
    mixture = mix_recent(step, ports.snapshots.load(snapshot), snapshot.columns, ports)
    if not mixture.recent_rows:
        return None
    marked = {"columns": mixture.columns, "rows": len(mixture.frame), "recent_rows": mixture.recent_rows}
    digest = digest_of([bundle.digest, str(place)])
    try:
        made = refit(bundle, bundle, mixture.frame, snapshot.replace(**marked), spec, digest=digest)
    except TrainingRefusedError:
        return None
    return made.bundle, mixture.frame


def every_week(stage: Stage) -> Served:
    """Retrain once a week and let the result serve, unseen."""
    step = max(1, EVERY // stage.world.window)
    return _serve_by(stage, lambda _, place, __: (place + 1) % step == 0)


def by_evidently(stage: Stage) -> Served:
    """Retrain whenever Evidently's preset says that half of the columns are not as the model learned them."""

    def wants(stage: Stage, place: int, learned: Any) -> bool:
        on = stage.replayed
        rows = on.history.rows
        current = rows.features.iloc[rows.between(on.windows[place])]
        return _drifted_share(learned[list(current)], current) >= SHARE

    return _serve_by(stage, wants)


def _drifted_share(reference: Any, current: Any) -> float:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [name for name in reference if reference[name].dtype.kind in "if"]
    texts = [name for name in reference if name not in numbers]
    kept = [name for name in numbers if current[name].notna().any()]  # it refuses columns without a value
    names = [*kept, *texts]
    definition = DataDefinition(numerical_columns=kept, categorical_columns=texts)
    snapshot = Report([DataDriftPreset(drift_share=SHARE)]).run(
        Dataset.from_pandas(current[names], data_definition=definition),
        Dataset.from_pandas(reference[names], data_definition=definition),
    )
    for metric in snapshot.dict()["metrics"]:
        if isinstance(metric["value"], dict) and "share" in metric["value"]:
            return float(metric["value"]["share"])
    raise RuntimeError("the preset gave no share of drifted columns")


RIVALS = {"every week, blind": every_week, "Evidently's preset": by_evidently}


def kept_totals(worlds: set[str]) -> list[Total]:
    """Return what the rules of before came to, as it was measured once."""
    if not BEFORE.is_file():
        return []
    made = json.loads(BEFORE.read_text(encoding="utf-8"))
    return [
        Total(
            world=one["world"],
            rule="rules of before",
            runs=tuple(Measures(**{**run, **_pairs(run)}) for run in one["runs"]),
        )
        for one in made
        if one["world"] in worlds
    ]


def _pairs(run: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    names = ("lost", "lost_late", "slipped", "quiet", "opened")
    return {name: tuple(run[name]) for name in names if run.get(name) is not None}
