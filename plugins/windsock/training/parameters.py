"""Whether candidates' hyperparameters are ones that their estimators know, before anything is trained."""

from __future__ import annotations

from typing import Any, NamedTuple

from windsock.exceptions import WindsockError
from windsock.spec import SEED, ModelSpec
from windsock.spec.faults import closest
from windsock.training.estimators import OURS, estimator_kind


class ParameterFault(NamedTuple):
    """One parameter that cannot be.

    :param key: path of the parameter in the spec.
    :param allowed: what may be there.
    :param cure: what to write instead, where that is known.
    """

    key: tuple[str | int, ...]
    problem: str
    allowed: str = ""
    cure: str = ""


def parameter_faults(spec: ModelSpec) -> tuple[ParameterFault, ...]:
    """Return every parameter that an estimator does not know, or whose value it cannot take."""
    found: list[ParameterFault] = []
    for number, candidate in enumerate(spec.training.candidates):
        try:
            estimator = estimator_kind(candidate.estimator, spec.task).make(spec.task, SEED)
        except WindsockError:
            continue  # a name that no package offers is a fault of its own
        allowed = sorted(set(estimator.get_params(deep=False)) - OURS)
        for name, value in candidate.params.items():
            key = ("training", "candidates", number, "params", name)
            if name not in allowed:
                problem = f"{candidate.estimator} has no parameter {name}"
                found.append(ParameterFault(key, problem, ", ".join(allowed), closest(name, allowed)))
            elif said := _refused(estimator, name, value):
                found.append(ParameterFault(key, f"{candidate.estimator} cannot take it: {said}"))
    return tuple(found)


def _refused(estimator: Any, name: str, value: Any) -> str:
    """Return why an estimator does not take a value, by its own words; nothing if it does, or cannot say."""
    from sklearn.base import clone

    check = getattr(estimator, "_validate_params", None)
    if check is None:
        return ""
    asked = clone(estimator).set_params(**{name: value})
    try:
        asked._validate_params()
    except ValueError as error:
        return str(error)
    return ""
