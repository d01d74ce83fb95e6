"""Labels that come for one class and not for another: what they say of a model is true of neither."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from windsock.monitoring.performance_case import Case
from windsock.records import Answer, ColumnKind, ColumnProfile
from windsock.records.values import category_text
from windsock.statistics.counting import NUMERIC

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
    target = case.bundle.profile.target if case.bundle.profile else None
    known = _rows_by_class(target) if target is not None else {}
    came = Counter(_word(label, target) for label in labelled["label"])
    total = sum(known.values())
    for name, count in known.items():
        expected = len(labelled) * count / total
        if expected >= LEAST_EXPECTED and came.get(name, 0) < LEAST_OF_EXPECTED * expected:
            return name
    if not known and len(came) == 1 and len(labelled) >= LEAST_EXPECTED:
        return f"other than {next(iter(came))}"
    return ""


def _rows_by_class(target: ColumnProfile) -> dict[str, int]:
    """Return how many held-out rows are of each class; numbers have them between their edges."""
    if target.kind not in NUMERIC:
        return dict(target.categories)
    parts = zip(target.edges, target.below, target.up_to, strict=True)
    return {category_text(float(edge)): up_to - below for edge, below, up_to in parts}


def _word(label: Any, target: ColumnProfile | None) -> str:
    """Return a class in the words of the target's profile."""
    if target is None:
        return category_text(label)
    if target.kind in NUMERIC:
        return category_text(float(label))
    return ("true" if label else "false") if target.kind is ColumnKind.BOOLEAN else category_text(label)
