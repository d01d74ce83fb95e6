"""``ModelSpec``: everything that Windsock knows about a model before it has seen a row."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from windsock.spec.base import Frozen, digest_of
from windsock.spec.data import DataBlock as DataBlock
from windsock.spec.faults import NotAllowedError
from windsock.spec.margins import AgainstChampion as AgainstChampion
from windsock.spec.margins import NotWorse as NotWorse
from windsock.spec.monitoring import MonitoringBlock
from windsock.spec.registries import (
    DEFAULT_METRIC,
    ESTIMATORS,
    METRICS,
    Task,
    metric_facts,
)
from windsock.spec.rollout import RolloutBlock
from windsock.spec.schedules import Schedule
from windsock.spec.words import MODEL_NAME as MODEL_NAME
from windsock.spec.words import CheckName, EstimatorName, MetricName, ModelName, switch

SEED = 42
FOLDS = 5
HELD_OUT_PERCENT = 20


Tier = Literal["low", "medium", "high"]


class ModelBlock(Frozen):
    """Who the model is."""

    name: ModelName = Field(description="the model's name: of its DAGs, its MLflow model and its address")
    owner: str = Field(
        default="unknown", min_length=1, max_length=250, description="who answers for the model"
    )
    framework: Literal["sklearn"] = Field(
        default="sklearn", description="library that the model is made with"
    )
    task: Task = Field(default="classification", description="what is predicted: a class or a number")
    tier: Tier = Field(default="low", description="how many people must approve: low 0, medium 1, high 2")
    description: str = Field(
        default="", max_length=10_000, description="what the model is for; shown with its DAGs"
    )
    runbook: str = Field(default="", max_length=2_000, description="where on-call reads more")


class SearchBlock(Frozen):
    """Bounds of a random search over a candidate's hyperparameters."""

    trials: int = Field(default=20, ge=1, le=1000, description="how many settings are tried at most")
    minutes: float = Field(default=5.0, gt=0, le=1440, description="how long the search may take at most")


class CandidateBlock(Frozen):
    """One estimator that may become the model."""

    estimator: EstimatorName = Field(description="what is fitted, by its name in the registry")
    params: dict[str, bool | int | float | str | None] = Field(
        default_factory=dict, description="hyperparameters, by the library's names; default: the library's"
    )
    search: SearchBlock | None = Field(
        default=None, description="random search over hyperparameters; default: none"
    )

    @property
    def label(self) -> str:
        """Name of the candidate in logs: the estimator and, when given, its parameters."""
        chosen = ", ".join(f"{key}={value}" for key, value in sorted(self.params.items()))
        return f"{self.estimator}({chosen})" if chosen else self.estimator


class TrainingBlock(Frozen):
    """When and how candidates are trained."""

    schedule: Schedule = Field(
        default="daily",
        description="hourly, daily (02:00 UTC), weekly (Sunday), monthly (the 1st), or five cron fields",
    )
    compute: str = Field(default="cpu-small", description="a compute class of include/windsock.yaml")
    candidates: tuple[CandidateBlock, ...] = Field(
        default=(),
        max_length=50,
        description="estimators that compete; default: a linear model and boosted trees",
    )
    metric: MetricName | None = Field(
        default=None, description="chooses the best candidate; default: roc_auc, or r2 for regression"
    )
    experiment_tracking: Annotated[Literal[True], BeforeValidator(switch)] = Field(
        default=True, description="every training is a run in MLflow; it cannot be switched off"
    )


class CardBlock(Frozen):
    """What only a person can write on the model card; the gate refuses without it."""

    intended_use: str = Field(default="", max_length=10_000, description="what the model may be used for")
    limitations: str = Field(
        default="", max_length=10_000, description="what it may not be used for, and where it fails"
    )
    training_data_description: str = Field(
        default="", max_length=10_000, description="default: from the snapshot"
    )
    evaluation_results: str = Field(default="", max_length=10_000, description="default: from the evaluation")


class GateBlock(Frozen):
    """What a new version must prove."""

    policy: str | None = Field(
        default=None, description="a gate policy of include/windsock.yaml, filled in first"
    )
    minimum: dict[MetricName, float] = Field(
        default_factory=dict, description="worst value allowed for each metric; none: beat a dummy model"
    )
    against_champion: AgainstChampion = Field(
        default="better", description="better, or {not_worse: 0.01}: may be worse by that much of the metric"
    )
    latency_ms: float = Field(
        default=10.0, gt=0, description="limit per sample: 100 rows in one call, divided by 100"
    )
    checks: tuple[CheckName, ...] = Field(default=(), description="further checks by name")
    on_insufficient: Literal["refuse", "ask"] = Field(
        default="refuse", description="when the evidence is too thin: say no, or ask a person"
    )
    card: CardBlock = Field(
        default=CardBlock(), description="the model card; the gate refuses an incomplete one"
    )

    @property
    def always_meets_baseline(self) -> bool:
        """Whether a model that knows nothing must be beaten even where there is a champion to beat."""
        return not self.minimum or "baseline_comparison" in self.checks


class ConstantAnswer(Frozen):
    """One and the same answer for every request whose version failed."""

    constant: str | int | float | bool = Field(
        description="the answer of every request whose version failed: one of the classes, or a number"
    )


def _fallback_form(value: object) -> str:
    return "constant" if isinstance(value, dict | ConstantAnswer) else "word"


FallbackChoice = Annotated[
    Annotated[Literal["champion", "error"], Tag("word")] | Annotated[ConstantAnswer, Tag("constant")],
    Discriminator(_fallback_form),
]


class ServingBlock(Frozen):
    """Where and how the model answers."""

    type: Literal["online", "batch"] = Field(
        default="online", description="answers over HTTP, or scores in batches"
    )
    target: Literal["local", "docker", "kubernetes"] = Field(default="local", description="where it runs")
    sla_latency_ms: float = Field(default=50.0, gt=0, description="time in which a request must be answered")
    min_replicas: int = Field(default=1, ge=0, le=1000, description="fewest copies that run")
    max_replicas: int = Field(default=1, ge=1, le=1000, description="most copies that run")
    autoscale_metric: Literal["cpu", "memory", "requests"] = Field(
        default="cpu", description="what decides on the number of copies"
    )
    fallback_answer: FallbackChoice = Field(
        default="champion",
        description="when a version fails: champion answers, error 503, or {constant: VALUE} for everybody",
    )

    @model_validator(mode="after")
    def _replicas_agree(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise NotAllowedError(
                f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}",
                allowed=f"0 to {self.max_replicas}",
                at=("min_replicas",),
            )
        return self


class ModelSpec(Frozen):
    """One model, from its YAML file; see :func:`windsock.spec.loader.load_spec`."""

    model: ModelBlock = Field(description="who the model is; the only block that must be there")
    data: DataBlock = Field(default=DataBlock(), description="which rows, and what their columns mean")
    training: TrainingBlock = Field(
        default=TrainingBlock(), description="when and how candidates are trained"
    )
    gate: GateBlock = Field(default=GateBlock(), description="what a new version must prove")
    serving: ServingBlock = Field(default=ServingBlock(), description="where and how the model answers")
    rollout: RolloutBlock = Field(default=RolloutBlock(), description="how a new version gets its traffic")
    monitoring: MonitoringBlock = Field(
        default=MonitoringBlock(), description="what is watched while the model serves"
    )

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

        The source's address and what chooses its rows are left out: a snapshot's digest stands for them.
        So are the day until which changes are accepted and the leaks that a person has checked: they decide
        what is accepted and asked, not what is trained; and
        keys that an earlier version did not have, where they are not written: its records are still found.
        """
        of_data = {
            "source",
            "data_window",
            "unlabelled",
            "where",
            "accept_changes_until",
            "known_leaks_checked",
            "copied_rows_checked",
        }
        left_out = {"data": of_data}
        added = {"data": {"columns"}}

        def content(name: str) -> dict[str, Any]:
            block = getattr(self, name)
            unwritten = {key for key in added.get(name, ()) if not getattr(block, key)}
            return dict(block.model_dump(mode="json", exclude=left_out.get(name, set()) | unwritten))

        return digest_of({name: content(name) for name in sections})

    @model_validator(mode="after")
    def _a_regression_has_a_margin(self) -> Self:
        if self.task == "regression" and self.rollout.metric is None:
            try:
                self.rollout.require_margin("absolute_error")
            except NotAllowedError as no:
                raise NotAllowedError(
                    no.problem, allowed=no.allowed, cure=no.cure, at=("rollout", *no.at)
                ) from None
        return self

    @model_validator(mode="after")
    def _words_fit_the_task(self) -> Self:
        asked: list[tuple[str, tuple[str | int, ...]]] = [(self.metric, ("training", "metric"))]
        asked += [(metric, ("gate", "minimum", metric)) for metric in self.gate.minimum]
        for metric, place in asked:
            if self.task not in metric_facts(metric).tasks:
                fitting = [name for name, facts in METRICS.items() if self.task in facts.tasks]
                raise NotAllowedError(
                    f"metric {metric} is not for {self.task}", allowed=sorted(fitting), at=place
                )
        for number, candidate in enumerate(self.training.candidates):
            if self.task not in ESTIMATORS.get(candidate.estimator, (self.task,)):
                fitting = [name for name, tasks in ESTIMATORS.items() if self.task in tasks]
                raise NotAllowedError(
                    f"estimator {candidate.estimator} is not for {self.task}",
                    allowed=sorted(fitting),
                    at=("training", "candidates", number, "estimator"),
                )
        return self
