"""What the tracking run of a training holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from windsock import __version__
from windsock.ports import LoadedBundle, RunDraft
from windsock.records import TrainModelInput
from windsock.spec import SEED, canonical_json
from windsock.training.preprocessing import to_features
from windsock.training.row_sets import LEARNED_FROM


def training_run(
    step: TrainModelInput,
    key: str,
    loaded: LoadedBundle,
    bundle_uri: str,
    *,
    rows_train: int,
    rows_held_out: int,
) -> RunDraft:
    """Return the tracking run of a training, all of it from the stored bundle: a second try writes the same.

    :param key: idempotency key of the training.
    """
    facts, metric = loaded.manifest.facts, step.spec.metric
    scores = facts["cross_validation"]
    folds = {f"cv_{metric}_fold_{number}": value for number, value in enumerate(scores["folds"], start=1)}
    files = {}
    if loaded.profile:
        files["training/profile.json"] = canonical_json(loaded.profile.model_dump(mode="json")).encode()
    if facts["trials"]:
        files["training/trials.csv"] = _trials_csv(facts["trials"])
    return RunDraft(
        key=key,
        model=step.spec.name,
        run_name=f"{step.spec.name} {step.candidate.label}",
        params={
            "candidate": step.candidate.label,
            "estimator": step.candidate.estimator,
            "metric": metric,
            "folds": facts["folds"],
            "seed": str(SEED),
            "rows_train": str(rows_train),
            "rows_held_out": str(rows_held_out),
            "features": str(len(loaded.schema.fields)),
            **({"learned_from": facts[LEARNED_FROM]["name"]} if LEARNED_FROM in facts else {}),
            **{f"estimator.{name}": str(value) for name, value in facts["params"].items()},
        },
        metrics={
            f"cv_{metric}_mean": scores["mean"],
            f"cv_{metric}_sd": scores["sd"],
            f"train_{metric}": facts["train_score"],
            **folds,
        },
        tags=_tags(step, key, loaded),
        files=files,
        pipeline=loaded.pipeline,
        example=to_features(loaded.golden.rows[:5], loaded.schema.fields),
        dataset=step.snapshot,
        bundle_uri=bundle_uri,
    )


def _tags(step: TrainModelInput, key: str, loaded: LoadedBundle) -> dict[str, str]:
    tags = {
        "windsock.key": key,
        "windsock.model": step.spec.name,
        "windsock.candidate": step.candidate.label,
        "windsock.snapshot": step.snapshot.digest,
        "windsock.spec": loaded.manifest.spec_digest,
        "windsock.bundle": loaded.digest,
        "windsock.version": __version__,
        "windsock.dag_id": step.run.dag_id,
        "windsock.run_id": step.run.run_id,
    }
    return {name: value for name, value in tags.items() if value}


def _trials_csv(trials: Sequence[Mapping[str, Any]]) -> bytes:
    names = sorted({name for trial in trials for name in trial["params"]})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", *names, "mean", "sd", "error"])
    for trial in trials:
        params = [json.dumps(trial["params"][name]) if name in trial["params"] else "" for name in names]
        writer.writerow([trial["trial"], *params, trial.get("mean", ""), trial.get("sd", ""), trial["error"]])
    return text.getvalue().encode()
