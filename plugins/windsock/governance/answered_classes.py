"""The gate's check that a model answers with each class, where the spec decides by classes."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.records import CheckResult, Status, UnansweredClass
from windsock.spec import ModelSpec
from windsock.spec.registries import OF_ANSWERS
from windsock.texts import first_of

ANSWERED_CLASSES = "answered_classes"
ANSWERED_CODE = "WS-GATE-017"
ENOUGH_ROWS = 20
"""Where none of so many rows of a class is answered with it, at most 14 % ever are (95 % confidence)."""
SHOWN = 5


def answered_classes(spec: ModelSpec, unanswered: Sequence[UnansweredClass]) -> CheckResult:
    """Return fail where a class is never answered and the spec decides by the classes that are answered.

    A model that only ranks may leave a rare class unanswered, for each row is likelier to be of another one;
    the result names the class all the same.

    :param unanswered: classes of the held-out rows that the model never answered with, the most frequent
        first.
    """
    by_classes = _decides_by_classes(spec)
    decides = f"the spec decides by {', '.join(by_classes)}"
    status, message = Status.PASS, "the model answers with each class of the held-out rows"
    if unanswered:
        message = f"never answered: {_named(unanswered)}; "
        if not by_classes:
            message += f"{spec.metric} needs no classes: let clients use the scores, not the predicted class"
        elif unanswered[0].rows >= ENOUGH_ROWS:
            status = Status.FAIL
            message += f"{decides}: bring more rows of it, or decide by a ranking metric"
        else:
            status = Status.INSUFFICIENT
            message += f"{decides}: {ENOUGH_ROWS} held-out rows of it would be enough to say"
    return CheckResult(
        name=ANSWERED_CLASSES,
        status=status,
        code=ANSWERED_CODE,
        value=len(unanswered),
        limit=0,
        relation="<=",
        n=unanswered[0].rows if unanswered else None,
        message=message,
    )


def _decides_by_classes(spec: ModelSpec) -> list[str]:
    """Return the metrics of a spec that depend on which class is answered."""
    found = sorted({spec.metric, *spec.gate.minimum} & set(OF_ANSWERS))
    by_accuracy = spec.rollout.strategy != "direct" and spec.rollout.metric in (None, "accuracy")
    return [*found, "rollout.metric accuracy"] if by_accuracy else found


def _named(unanswered: Sequence[UnansweredClass]) -> str:
    return first_of([f"{one.label!r} ({one.rows:,} held-out rows)" for one in unanswered], SHOWN)
