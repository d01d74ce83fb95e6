"""The words that a spec may use: model names, switches, and the names of the closed registries."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from windsock.spec.faults import NotAllowedError, closest
from windsock.spec.registries import known_checks, known_estimators, known_metrics

MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


def _model_name(value: object) -> object:
    if not isinstance(value, str) or not MODEL_NAME.fullmatch(value) or "__" in value:
        raise NotAllowedError(
            "no model name",
            allowed="1 to 60 small letters, digits and single underscores, first a letter: churn_model",
        )
    return value


def _word_from(known: frozenset[str], what: str) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, str) or value not in known:
            raise NotAllowedError(f"unknown {what}", allowed=sorted(known), cure=closest(value, known))
        return value

    return BeforeValidator(check)


def _closed(known: frozenset[str]) -> Any:
    words: list[Any] = sorted(known)
    return Field(json_schema_extra={"enum": words})


def switch(value: object) -> object:
    """Return true for yes and on, false for no and off, and anything else as it is."""
    words = {"yes": True, "on": True, "no": False, "off": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


ModelName = Annotated[
    str, BeforeValidator(_model_name), Field(json_schema_extra={"pattern": "^[a-z](?!.*__)[a-z0-9_]{0,59}$"})
]
EstimatorName = Annotated[str, _word_from(known_estimators(), "estimator"), _closed(known_estimators())]
MetricName = Annotated[str, _word_from(known_metrics(), "metric"), _closed(known_metrics())]
CheckName = Annotated[str, _word_from(known_checks(), "check"), _closed(known_checks())]
Switch = Annotated[bool, BeforeValidator(switch)]
"""true or false; the words yes, on, no and off mean what they say."""
