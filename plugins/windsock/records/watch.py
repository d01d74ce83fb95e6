"""Records of the watchdog: what is due, and what it found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windsock.records.base import Record, RunContext
from windsock.spec import ModelSpec

WorkKind = Literal["monitor", "rollout"]


class DueWork(Record):
    """Work of one model that a DAG run has to do now.

    :param kind: which DAG does it: ``NAME__monitor`` or ``NAME__ab_rollout``.
    :param key: what is to be done, such as the last window to judge; while it is the same, so is the work.
    :param reason: one sentence.
    :param patience: seconds after which the same work, announced without effect, is announced again at the
        latest; at first it is sooner.
    """

    model: str
    kind: WorkKind
    key: str
    reason: str
    patience: float = Field(default=3600.0, gt=0)


class ModelWork(Record):
    """What one look found for one DAG of a model.

    :param due: what the DAG has to do now; ``None``: nothing.
    :param emptied: windows without rows that have their verdict now.
    """

    due: DueWork | None = None
    emptied: int = Field(default=0, ge=0)


class WatchInput(Record):
    """Input of ``watch``: every model of an installation.

    :param specs: the models whose files can be read.
    :param broken: one sentence for each model file that cannot be used.
    """

    specs: tuple[ModelSpec, ...]
    broken: tuple[str, ...] = ()
    run: RunContext = RunContext()


class WatchReport(Record):
    """What the watchdog saw at one look.

    :param models: how many models it looked at.
    :param due: what is due, of all models.
    :param announced: of that, what was announced now; the rest is under way, was announced a moment ago, or
        its DAG is off or missing.
    :param held: why due work was not announced, one sentence each.
    :param emptied: windows without rows that have their verdict now.
    :param firing: findings that are open.
    :param opened: findings that were not there at the look before.
    :param resolved: findings that are over.
    :param faults: what could not be looked at, one sentence each.
    :param away: code of each fault that was a system that did not answer.
    """

    models: int = 0
    due: tuple[DueWork, ...] = ()
    announced: tuple[DueWork, ...] = ()
    held: tuple[str, ...] = ()
    emptied: int = 0
    firing: int = 0
    opened: int = 0
    resolved: int = 0
    faults: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
