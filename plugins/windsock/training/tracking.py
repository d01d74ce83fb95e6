"""What the tracking run of a training holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from windsock import __version__
from windsock.ports import NOTE, LoadedBundle, ParentDraft, RunDraft, TrialDraft
from windsock.records import RunContext, TrainModelInput
from windsock.spec import SEED, ModelSpec, canonical_json, digest_of
from windsock.statistics.metrics import direction
from windsock.texts import inline, paragraph
from windsock.training.preprocessing import to_features
from windsock.training.row_sets import LEARNED_FROM

DATE = "%Y-%m-%d %H:%M"
MOST_LABEL = 60
MOST_DESCRIBED = 2_000
"""Characters of a model's description in the note of a run."""


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
        run_name=f"{step.spec.name} {_short(step.candidate.label)} {loaded.manifest.created_at:{DATE}}",
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
        parent=_parent(step, loaded),
        trials=_trials(facts["trials"], metric),
    )


def _short(label: str) -> str:
    """Return a candidate's label, cut where its parameters make it too long for a list of runs."""
    return label if len(label) <= MOST_LABEL else f"{label[: MOST_LABEL - 1]}…"


def _parent(step: TrainModelInput, loaded: LoadedBundle) -> ParentDraft:
    """Return the run of the retrain: all candidates of these rows and these settings lie beneath it."""
    spec = step.spec
    settings = spec.section_digest("data", "training")
    return ParentDraft(
        key=digest_of(["retrain", spec.name, step.snapshot.digest, settings, step.nonce or ""]),
        run_name=f"{spec.name} retrain {loaded.manifest.created_at:{DATE}}",
        tags={
            **_common_tags(step, loaded, kind="retrain"),
            NOTE: _note(spec, f"A retrain of {spec.name}: its candidates are the runs beneath this one."),
        },
    )


def _tags(step: TrainModelInput, key: str, loaded: LoadedBundle) -> dict[str, str]:
    label = step.candidate.label
    return {
        **_common_tags(step, loaded, kind="candidate"),
        "windsock.key": key,
        "windsock.candidate": label,
        "windsock.bundle": loaded.digest,
        NOTE: _note(step.spec, f"Candidate {label} of {step.spec.name}. It has a card where it was chosen."),
    }


def _common_tags(step: TrainModelInput, loaded: LoadedBundle, *, kind: str) -> dict[str, str]:
    """Return what the runs of a retrain share; each tag means one thing in all of Windsock's runs."""
    spec = step.spec
    tags = {
        "windsock.kind": kind,
        "windsock.model": spec.name,
        "windsock.owner": spec.model.owner,
        "windsock.tier": spec.model.tier,
        "windsock.snapshot": step.snapshot.digest,
        "windsock.spec": loaded.manifest.spec_digest,
        "windsock.code": __version__,
        **_started_by(step.run),
    }
    return {name: value for name, value in tags.items() if value}


def _started_by(run: RunContext) -> dict[str, str | None]:
    """Return who and what started a run, in Windsock's tags and in those that MLflow's pages show."""
    source = f"{run.dag_id}/{run.run_id}" if run.dag_id and run.run_id else None
    return {
        "windsock.dag_id": run.dag_id,
        "windsock.run_id": run.run_id,
        "mlflow.user": run.actor,
        "mlflow.source.name": source,
        "mlflow.source.type": "JOB" if source else None,
    }


def _note(spec: ModelSpec, what: str) -> str:
    """Return a run's description: what it is, whose the model is, and what the model is for."""
    whose = f"Owner: {inline(spec.model.owner)}; tier: {spec.model.tier}."
    told = paragraph(spec.model.description, MOST_DESCRIBED)
    return "\n\n".join(part for part in (what, whose, told) if part)


def _trials(rows: Sequence[Mapping[str, Any]], metric: str) -> tuple[TrialDraft, ...]:
    """Return a search's trials, with their places by the mean of their folds."""
    ranked = sorted((row for row in rows if "mean" in row), key=lambda row: -direction(metric) * row["mean"])
    places = {row["trial"]: place for place, row in enumerate(ranked)}
    return tuple(
        TrialDraft(
            number=row["trial"],
            rank=places.get(row["trial"], len(rows)),
            params={name: str(value) for name, value in row["params"].items()},
            metrics={f"cv_{metric}_{name}": row[name] for name in ("mean", "sd") if name in row},
            error="" if "mean" in row else row["error"] or "no score",
        )
        for row in rows
    )


def _trials_csv(trials: Sequence[Mapping[str, Any]]) -> bytes:
    names = sorted({name for trial in trials for name in trial["params"]})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", *names, "mean", "sd", "error"])
    for trial in trials:
        params = [json.dumps(trial["params"][name]) if name in trial["params"] else "" for name in names]
        writer.writerow([trial["trial"], *params, trial.get("mean", ""), trial.get("sd", ""), trial["error"]])
    return text.getvalue().encode()
