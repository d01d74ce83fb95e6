"""``ModelSpec``: everything that Windsock knows about a model before it has seen a row."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from windsock.spec.base import Frozen, digest_of
from windsock.spec.durations import Duration
from windsock.spec.registries import (
    DEFAULT_METRIC,
    ESTIMATORS,
    Task,
    known_checks,
    known_estimators,
    known_metrics,
    metric_facts,
)
from windsock.spec.schedules import Schedule
from windsock.spec.sources import Source

MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
SEED = 42
FOLDS = 5
HELD_OUT_PERCENT = 20


def _model_name(value: object) -> object:
    if not isinstance(value, str) or not MODEL_NAME.fullmatch(value) or "__" in value:
        raise ValueError(
            "write 1 to 60 small letters, digits and single underscores, beginning with a letter, such as churn_predictor"
        )
    return value


def _word_from(known: frozenset[str], what: str) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"unknown {what}; known: {', '.join(sorted(known))}")
        return value

    return BeforeValidator(check)


ModelName = Annotated[str, BeforeValidator(_model_name)]
EstimatorName = Annotated[str, _word_from(known_estimators(), "estimator")]
MetricName = Annotated[str, _word_from(known_metrics(), "metric")]
CheckName = Annotated[str, _word_from(known_checks(), "check")]
Tier = Literal["low", "medium", "high"]


class ModelBlock(Frozen):
    """Who the model is."""

    name: ModelName
    owner: str = Field(default="unknown", min_length=1, max_length=250)
    framework: Literal["sklearn"] = "sklearn"
    task: Task = "classification"
    tier: Tier = Field(default="low", description="how many people must approve: low 0, medium 1, high 2")
    description: str = Field(default="", max_length=10_000)
    runbook: str = Field(default="", max_length=2_000, description="where on-call reads more")


class DataBlock(Frozen):
    """Which rows, and what their columns mean."""

    source: Source | None = None
    target: str = Field(default="target", min_length=1)
    positive: str | int | float | bool | None = Field(
        default=None, description="the class that scores are for; default: true, else the last in sorted order"
    )
    entity: str | None = Field(default=None, description="identity of a row; fixes its held-out side for life")
    event_time: str | None = Field(default=None, description="the latest span is held out")
    sensitive: tuple[str, ...] = Field(default=(), description="fairness groups; no features unless listed")
    features: tuple[str, ...] = Field(default=(), description="only these columns are features; default: all")
    exclude: tuple[str, ...] = Field(default=(), description="these columns are no features")
    required: tuple[str, ...] = Field(default=(), description="columns that must be there")
    data_window: Duration | None = Field(default=None, description="how far back training looks; needs event_time")

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if self.target in (*self.features, *self.exclude, *self.sensitive):
            raise ValueError("the target column cannot be a feature, excluded or sensitive as well")
        if both := set(self.features) & set(self.exclude):
            raise ValueError(f"columns both in `features` and in `exclude`: {sorted(both)[:10]}")
        if self.data_window and not self.event_time:
            raise ValueError("`data_window` needs `event_time`, the column that dates a row")
        return self


class SearchBlock(Frozen):
    """Bounds of a random search over a candidate's hyperparameters."""

    trials: int = Field(default=20, ge=1, le=1000)
    minutes: float = Field(default=5.0, gt=0, le=1440)


class CandidateBlock(Frozen):
    """One estimator that may become the model."""

    estimator: EstimatorName
    params: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    search: SearchBlock | None = None

    @property
    def label(self) -> str:
        """Name of the candidate in logs: the estimator and, when given, its parameters."""
        chosen = ", ".join(f"{key}={value}" for key, value in sorted(self.params.items()))
        return f"{self.estimator}({chosen})" if chosen else self.estimator


class TrainingBlock(Frozen):
    """When and how candidates are trained."""

    schedule: Schedule = "daily"
    compute: str = Field(default="cpu-small", description="a compute class of include/windsock.yaml")
    candidates: tuple[CandidateBlock, ...] = Field(default=(), max_length=50)
    metric: MetricName | None = Field(default=None, description="chooses the best candidate; default by task")
    experiment_tracking: Literal[True] = True


class NotWorse(Frozen):
    """The challenger may be worse than the champion by at most this much of the metric."""

    not_worse: float = Field(ge=0)


class CardBlock(Frozen):
    """What only a person can write on the model card; the gate refuses without it."""

    intended_use: str = Field(default="", max_length=10_000)
    limitations: str = Field(default="", max_length=10_000)
    training_data_description: str = Field(default="", max_length=10_000, description="default: from the snapshot")
    evaluation_results: str = Field(default="", max_length=10_000, description="default: from the evaluation")


class GateBlock(Frozen):
    """What a new version must prove."""

    policy: str | None = Field(default=None, description="a gate policy of include/windsock.yaml, filled in first")
    minimum: dict[MetricName, float] = Field(default_factory=dict, description="none: beat a dummy model")
    against_champion: Literal["better"] | NotWorse = "better"
    latency_ms: float = Field(default=10.0, gt=0, description="limit per sample: 100 rows in one call, divided by 100")
    checks: tuple[CheckName, ...] = Field(default=(), description="further checks by name")
    on_insufficient: Literal["refuse", "ask"] = "refuse"
    card: CardBlock = CardBlock()


class ServingBlock(Frozen):
    """Where and how the model answers."""

    type: Literal["online", "batch"] = "online"
    target: Literal["local", "docker", "kubernetes"] = "local"
    sla_latency_ms: float = Field(default=50.0, gt=0)
    min_replicas: int = Field(default=1, ge=0, le=1000)
    max_replicas: int = Field(default=1, ge=1, le=1000)
    autoscale_metric: Literal["cpu", "memory", "requests"] = "cpu"

    @model_validator(mode="after")
    def _replicas_agree(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        return self


class RolloutBlock(Frozen):
    """How a new version gets its traffic."""

    strategy: Literal["direct", "canary", "ab", "shadow"] = "direct"


class LabelsBlock(Frozen):
    """Where the truth about past predictions arrives."""

    kind: Literal["outcomes", "table", "file"] = "outcomes"
    conn_id: str | None = None
    table: str | None = None
    path: str | None = None


class MonitoringBlock(Frozen):
    """What is watched while the model serves."""

    data_drift: bool = True
    performance_tracking: bool = True
    window: Duration = "1d"
    labels: LabelsBlock = LabelsBlock()
    alert_channel: str | None = None


class ModelSpec(Frozen):
    """One model, from its YAML file; see :func:`windsock.spec.loader.load_spec`."""

    model: ModelBlock
    data: DataBlock = DataBlock()
    training: TrainingBlock = TrainingBlock()
    gate: GateBlock = GateBlock()
    serving: ServingBlock = ServingBlock()
    rollout: RolloutBlock = RolloutBlock()
    monitoring: MonitoringBlock = MonitoringBlock()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def task(self) -> Task:
        """What is predicted: a class or a number."""
        return self.model.task

    @property
    def metric(self) -> str:
        """The metric that chooses and compares models."""
        return self.training.metric or DEFAULT_METRIC[self.task]

    @property
    def candidates(self) -> tuple[CandidateBlock, ...]:
        """The candidates, or the two that are tried when the spec names none."""
        if self.training.candidates:
            return self.training.candidates
        linear = "logistic_regression" if self.task == "classification" else "ridge"
        return (CandidateBlock(estimator=linear), CandidateBlock(estimator="hist_gradient_boosting"))

    def section_digest(self, *sections: str) -> str:
        """Return the SHA-256 of the named sections' canonical JSON, for idempotency keys.

        The source's address and the data window are left out: a snapshot's digest stands for them.
        """
        left_out = {"data": {"source", "data_window"}}
        return digest_of(
            {name: getattr(self, name).model_dump(mode="json", exclude=left_out.get(name)) for name in sections}
        )

    @model_validator(mode="after")
    def _words_fit_the_task(self) -> Self:
        for metric in (self.metric, *self.gate.minimum):
            if self.task not in metric_facts(metric).tasks:
                raise ValueError(f"metric {metric} is not for {self.task}")
        for candidate in self.training.candidates:
            if self.task not in ESTIMATORS.get(candidate.estimator, (self.task,)):
                raise ValueError(f"estimator {candidate.estimator} is not for {self.task}")
        return self


def flat_to_blocks(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Move the keys of the flat form that other teams write to where Windsock keeps them.

    ``training.data_source`` is ``data.source``, ``training.target`` is ``data.target``.

    :param raw: the file's content.
    :returns: the content by blocks, and for each moved key its path as the user wrote it.
    :raises ValueError: if a key stands in both places.
    """
    blocks = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    moved: dict[str, str] = {}
    training = blocks.get("training")
    if not isinstance(training, dict):
        return blocks, moved
    for old, new in (("data_source", "source"), ("target", "target"), ("target_column", "target")):
        if old not in training:
            continue
        data = blocks.setdefault("data", {})
        if not isinstance(data, dict) or new in data:
            raise ValueError(f"training.{old} and data.{new} say the same thing: keep one")
        data[new] = training.pop(old)
        moved[f"data.{new}"] = f"training.{old}"
    return blocks, moved
