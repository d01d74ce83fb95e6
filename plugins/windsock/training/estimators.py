"""The closed registry's real side: what stands behind an estimator's name in a spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from windsock.exceptions import TrainingRefusedError
from windsock.records import InputField
from windsock.spec import SEED, CandidateBlock, Task, extension
from windsock.spec.registries import ESTIMATORS
from windsock.training.preprocessing import build_preprocessing, category_positions

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

Style = Literal["linear", "trees", "native"]

OURS = frozenset({"random_state", "n_jobs", "verbose", "warm_start", "categorical_features"})
"""Parameters that a spec may not set: they are fixed, so that the same input gives the same model."""


@dataclass(frozen=True, kw_only=True)
class EstimatorKind:
    """What an estimator name stands for. Extensions (``windsock.estimators``) offer one of these.

    :param make: returns the unfitted scikit-learn estimator for a task and a seed.
    :param style: preprocessing it needs; see :func:`windsock.training.preprocessing.build_preprocessing`.
    :param space: returns for each parameter worth searching a list or a scipy distribution.
    """

    make: Callable[[Task, int], Any]
    style: Style = "linear"
    space: Callable[[], Mapping[str, Any]] = field(default=dict)


def _logistic_regression(task: Task, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=seed)


def _ridge(task: Task, seed: int) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(random_state=seed)


def _hist_gradient_boosting(task: Task, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    return kind(random_state=seed)


def _random_forest(task: Task, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    # Leaves of one row fit noise and make bundles of hundreds of megabytes.
    return kind(n_estimators=100, min_samples_leaf=5, n_jobs=1, random_state=seed)


def _logistic_regression_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform

    return {"C": loguniform(1e-4, 1e2)}


def _ridge_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform

    return {"alpha": loguniform(1e-3, 1e4)}


def _hist_gradient_boosting_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform, randint

    return {
        "learning_rate": loguniform(0.02, 0.3),
        "max_iter": randint(50, 400),
        "max_leaf_nodes": randint(4, 64),
        "min_samples_leaf": randint(5, 100),
        "l2_regularization": loguniform(1e-4, 10),
    }


def _random_forest_space() -> Mapping[str, Any]:
    from scipy.stats import randint

    return {
        "n_estimators": [50, 100, 200],
        "max_depth": [None, 6, 12, 20],
        "min_samples_leaf": randint(2, 30),
        "max_features": ["sqrt", 0.3, 0.6],
    }


BUILT_IN: dict[str, EstimatorKind] = {
    "logistic_regression": EstimatorKind(make=_logistic_regression, space=_logistic_regression_space),
    "ridge": EstimatorKind(make=_ridge, space=_ridge_space),
    "hist_gradient_boosting": EstimatorKind(
        make=_hist_gradient_boosting, style="native", space=_hist_gradient_boosting_space
    ),
    "random_forest": EstimatorKind(make=_random_forest, style="trees", space=_random_forest_space),
}


def estimator_kind(name: str, task: Task) -> EstimatorKind:
    """Return what a name stands for.

    :raises TrainingRefusedError: if it is not for this task, or an extension offers something else.
    """
    if name in BUILT_IN:
        if task not in ESTIMATORS[name]:
            raise TrainingRefusedError(
                f"estimator {name} is for {', '.join(ESTIMATORS[name])}, not for {task}",
                code="WS-TRAINING-020",
            )
        return BUILT_IN[name]
    offered: Any = extension("estimators", name)
    if not isinstance(offered, EstimatorKind):
        raise TrainingRefusedError(
            f"estimator {name}: its package offers a {type(offered).__name__}, not an EstimatorKind",
            code="WS-TRAINING-021",
            next_action="Mend the package's entry point in windsock.estimators.",
        )
    return offered


def make_estimator(candidate: CandidateBlock, task: Task, params: Mapping[str, Any] | None = None) -> Any:
    """Return the unfitted estimator of a candidate, with the fixed seed and one job.

    :param params: parameters of a search's trial, over those of the candidate.
    :raises TrainingRefusedError: if a parameter is unknown; the message names the allowed ones.
    """
    estimator = estimator_kind(candidate.estimator, task).make(task, SEED)
    wanted = {**candidate.params, **(params or {})}
    allowed = set(estimator.get_params(deep=False)) - OURS
    if unknown := sorted(set(wanted) - allowed):
        raise TrainingRefusedError(
            f"{candidate.estimator} has no parameter {', '.join(unknown)}; "
            f"allowed: {', '.join(sorted(allowed))}",
            code="WS-TRAINING-022",
            next_action="Mend `training.candidates` in the model's YAML file.",
        )
    return estimator.set_params(**wanted)


def build_pipeline(
    features: pd.DataFrame,
    fields: Sequence[InputField],
    candidate: CandidateBlock,
    task: Task,
    params: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Return the unfitted pipeline of a candidate: preprocessing inside, so that folds never see each other.

    :param features: the rows that it will be fitted on, from ``to_features``. A field without any value in
        them is ignored by the pipeline, then and later.
    :param fields: the features.
    :param params: parameters of a search's trial, over those of the candidate.
    :raises TrainingRefusedError: if a parameter is unknown, or no field has a value.
    """
    from sklearn.pipeline import Pipeline

    used = [field for field in fields if features[field.name].notna().any()]
    if not used:
        raise TrainingRefusedError(
            f"none of {len(fields)} features has a value in {len(features):,} rows",
            code="WS-TRAINING-004",
            next_action="Mend the data at its source, or choose other columns.",
        )
    estimator = make_estimator(candidate, task, params)
    style = estimator_kind(candidate.estimator, task).style
    known = estimator.get_params(deep=False)
    bins = known.get("max_bins")
    preprocessing = build_preprocessing(used, style, max_codes=bins if isinstance(bins, int) else 255)
    if style == "native" and "categorical_features" in known:
        estimator.set_params(categorical_features=category_positions(used) or None)
    return Pipeline([("preprocessing", preprocessing), ("estimator", estimator)])
