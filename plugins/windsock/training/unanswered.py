"""Classes that a model never answers with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import UnansweredClass
from windsock.statistics.metrics import confusion_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from windsock.statistics.metrics import Scored
    from windsock.training.target import Label


def unanswered_classes(
    scored: Scored, classes: Sequence[Label], *, known: Sequence[Label]
) -> tuple[UnansweredClass, ...]:
    """Return the classes of the rows that no row was answered with, the most frequent first.

    :param classes: labels in the order of ``scored``; none for numbers.
    :param known: the model's own classes; the others are values that training never saw.
    """
    if not classes:
        return ()
    matrix = confusion_matrix(scored)
    rows, answered = matrix.sum(axis=1), matrix.sum(axis=0)
    found = [
        UnansweredClass(label=label, rows=int(rows[code]))
        for code, label in enumerate(classes)
        if rows[code] and not answered[code] and label in known
    ]
    return tuple(sorted(found, key=lambda one: (-one.rows, str(one.label))))


def rarest_share(labels: NDArray[Any]) -> float:
    """Return the share of the rows that is of the rarest of their classes."""
    counts = Counter(labels.tolist())
    return min(counts.values()) / len(labels)
