"""What is kept of a rollout's step: one row of the control database, and the files that it names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windsock.records import Record

PartKind = Literal["exposures", "outcomes", "before", "past"]
"""``before``: outcomes of the time before the rollout, for the covariate. ``past``: exposures of the time
before the step, for the attribution."""
FORM = 4
"""1: without what the rows without an answer, and the units' largest numbers, need. 2: any word was usable
once a metric named one. 3: text that reads as a number was that number."""


class Part(Record):
    """A file that is never changed: rows that were counted.

    :param size: bytes.
    :param digest: SHA-256 of its content.
    :param level: how often it was made of smaller ones.
    """

    kind: PartKind
    name: str
    size: int
    digest: str
    level: int = 0


class HourMark(Record):
    """What an hour of the log was when it was counted.

    :param segments: short hashes of the names of the segments whose rows were counted.
    :param archived: mark of the archived file; empty where there was none.
    """

    segments: tuple[str, ...]
    archived: str = ""


class Kept(Record):
    """What is kept of one step.

    :param generation: grows by one with each change; 0: nothing is kept.
    :param plan: digest of what was counted: the plan, the arms and where the step begins.
    :param hours: the hours that are counted, ``KIND/HOUR``.
    :param last: the newest of them; hours before it without a log are counted, too.
    :param numbers: sums over the units, by their name.
    :param has_before: whether the time before the rollout, and before the step, has been read.
    :param form: by which release it was counted.
    """

    generation: int = Field(default=0, ge=0)
    plan: str = ""
    parts: tuple[Part, ...] = ()
    hours: dict[str, HourMark] = Field(default_factory=dict)
    last: str = ""
    numbers: dict[str, int | float] = Field(default_factory=dict)
    has_before: bool = False
    form: int = 1

    def of(self, kind: PartKind) -> list[Part]:
        """Return the files of one kind."""
        return [part for part in self.parts if part.kind == kind]
