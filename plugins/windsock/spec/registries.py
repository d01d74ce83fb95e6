"""The closed registries: which words a spec may use for estimators, metrics, checks and sources.

Other packages add words through entry points (``windsock.estimators``, ``windsock.metrics``,
``windsock.checks``, ``windsock.sources``); a YAML file never names a Python path. Looking up the
*names* imports nothing: an entry point is loaded only where the thing itself is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Literal, NamedTuple

from windsock.exceptions import SpecError

Task = Literal["classification", "regression"]

ESTIMATORS: dict[str, tuple[Task, ...]] = {
    "logistic_regression": ("classification",),
    "ridge": ("regression",),
    "hist_gradient_boosting": ("classification", "regression"),
    "random_forest": ("classification", "regression"),
}


class Metric(NamedTuple):
    """What is known of a metric by its name alone.

    :param tasks: the tasks it fits.
    :param greater_is_better: its direction.
    :param chance: value of a model that knows nothing, where it is fixed; else ``None``.
    """

    tasks: tuple[Task, ...]
    greater_is_better: bool
    chance: float | None = None


METRICS: dict[str, Metric] = {
    "roc_auc": Metric(("classification",), True, 0.5),
    "average_precision": Metric(("classification",), True),
    "accuracy": Metric(("classification",), True),
    "balanced_accuracy": Metric(("classification",), True),
    "f1": Metric(("classification",), True),
    "f1_macro": Metric(("classification",), True),
    "f1_weighted": Metric(("classification",), True),
    "precision": Metric(("classification",), True),
    "recall": Metric(("classification",), True),
    "log_loss": Metric(("classification",), False),
    "brier": Metric(("classification",), False),
    "r2": Metric(("regression",), True, 0.0),
    "rmse": Metric(("regression",), False),
    "mae": Metric(("regression",), False),
}

UNBOUNDED = float("inf")


def metric_bounds(name: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a metric can have; infinite where nothing bounds it.

    >>> metric_bounds("roc_auc"), metric_bounds("rmse"), metric_bounds("r2")
    ((0.0, 1.0), (0.0, inf), (-inf, 1.0))
    """
    if name not in METRICS:
        return -UNBOUNDED, UNBOUNDED
    if name == "r2":
        return -UNBOUNDED, 1.0
    if name == "brier":
        return 0.0, 2.0
    return 0.0, 1.0 if METRICS[name].greater_is_better else UNBOUNDED


OF_ANSWERS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "f1_weighted",
    "precision",
    "recall",
)
"""Metrics of a classifier that need the classes that it answers with; all others need its probabilities."""

DEFAULT_METRIC: dict[Task, str] = {"classification": "roc_auc", "regression": "r2"}

CHECKS = (
    "data_validation",
    "performance_minimum",
    "baseline_comparison",
    "champion_comparison",
    "request_contract",
    "answered_classes",
    "leak_suspects",
    "latency",
    "model_card",
)
"""The gate's own checks; ``windsock.checks`` entry points add to them."""

SOURCES = ("file", "sql", "api", "feature_store")


@lru_cache(maxsize=8)
def _extensions(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=f"windsock.{group}")}


def extension(group: str, name: str) -> Callable[..., Any]:
    """Load what an installed package registered under a name.

    :param group: ``estimators``, ``metrics``, ``checks`` or ``sources``.
    :param name: the word the spec uses.
    :raises SpecError: if nothing is registered under it.
    """
    point = _extensions(group).get(name)
    if point is None:
        raise SpecError(f"no installed package offers {name!r} in windsock.{group}")
    loaded: Callable[..., Any] = point.load()
    return loaded


def known_estimators() -> frozenset[str]:
    """Return every estimator name that a spec may use."""
    return frozenset(ESTIMATORS) | frozenset(_extensions("estimators"))


def known_metrics() -> frozenset[str]:
    """Return every metric name that a spec may use."""
    return frozenset(METRICS) | frozenset(_extensions("metrics"))


def known_checks() -> frozenset[str]:
    """Return every gate check that a policy may ask for."""
    return frozenset(CHECKS) | frozenset(_extensions("checks"))


def known_sources() -> frozenset[str]:
    """Return every source kind that a spec may use."""
    return frozenset(SOURCES) | frozenset(_extensions("sources"))


def metric_facts(name: str) -> Metric:
    """Return what is known of a metric; an extension's loader answers with a :class:`Metric` at ``.facts``.

    :raises SpecError: if the name is not registered.
    """
    if name in METRICS:
        return METRICS[name]
    facts: Metric = extension("metrics", name).facts  # type: ignore[attr-defined]
    return facts
