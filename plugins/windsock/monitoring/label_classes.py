"""Labels that come for one class and not for another: what they say of a model is true of neither."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from windsock.monitoring.performance_case import Case
from windsock.records import Answer
from windsock.records.values import category_text

if TYPE_CHECKING:
    import pandas as pd

NEARLY_ALL = 0.95
"""Where so many answers have a label, what the others would say changes little."""
LEAST_EXPECTED = 10
"""A class of which fewer labels are expected may be missing by chance."""
LEAST_OF_EXPECTED = 0.25
"""A class has fewer of its labels than this share of what is expected: they are late or lost."""


def missing_class(case: Case, rows: pd.DataFrame, labelled: pd.DataFrame) -> str:
    """Return the class whose labels are late or lost, as text; empty where there is none.

    A class is missing where far fewer of the labels are of it than held-out rows had. That its rows have
    become rare themselves looks alike while labels are incomplete, so nothing passes or fails by them.

    :param rows: answers of the stretch.
    :param labelled: those with a label.
    """
    if case.schema.answer is Answer.NUMBER or not len(rows) or len(labelled) / len(rows) >= NEARLY_ALL:
        return ""
    came = Counter(map(category_text, labelled["label"]))
    target = case.bundle.profile.target if case.bundle.profile else None
    known = target.categories if target is not None else {}
    total = sum(known.values()) + (target.other if target is not None else 0)
    for name, count in known.items():
        expected = len(labelled) * count / total
        if expected >= LEAST_EXPECTED and came.get(name, 0) < LEAST_OF_EXPECTED * expected:
            return name
    if not known and len(came) == 1 and len(labelled) >= LEAST_EXPECTED:
        return f"other than {next(iter(came))}"
    return ""
