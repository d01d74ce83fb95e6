"""What `windsock maturity` found: ten checks, each with its evidence, and the level that they come to."""

from __future__ import annotations

from pydantic import Field

from windsock.records.base import Record

LEVELS = {
    0: "manual",
    1: "reproducible training",
    2: "automated retraining behind a gate",
    3: "monitored, and retrained when it drifts",
    4: "experiments, fairness and audit",
}
"""The levels of MLOps maturity."""


class MaturityCheck(Record):
    """One thing that a level asks for.

    :param evidence: what shows that it is so and of when; where it does not hold, what is missing.
    """

    level: int = Field(ge=1, le=4)
    name: str
    holds: bool
    evidence: str


class Maturity(Record):
    """How far one model is, or an installation with its least far model.

    :param level: the highest of which all checks hold, and all of those below.
    :param next_step: a command, or a line of the model's file; empty where every check holds.
    """

    model: str
    level: int = Field(ge=0, le=4)
    name: str
    checks: tuple[MaturityCheck, ...]
    next_step: str = ""


__all__ = ["LEVELS", "Maturity", "MaturityCheck"]
