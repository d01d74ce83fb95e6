"""One thing that goes wrong in life: how it is brought about, what must be said, and what ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from support.life.installation import Life
from windsock.records import INSTALLATION

COMMAND = re.compile(r"`(windsock [^`]+)`")


def commands_of(next_action: str) -> list[str]:
    """Return the commands that a NEXT names, as they stand there."""
    return COMMAND.findall(next_action)


def run_first(life: Life, next_action: str) -> str:
    """Do what NEXT says: run the first command that it names, as it stands; return that command."""
    return run_command(life, next_action, 0)


def run_command(life: Life, next_action: str, number: int) -> str:
    """Run one of the commands that NEXT names, as it stands; return it.

    :raises AssertionError: if NEXT has no such command, or the command fails.
    """
    commands = commands_of(next_action)
    assert len(commands) > number, f"NEXT names no command {number + 1}: {next_action}"
    life.run(commands[number])
    return f"`{commands[number]}`"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of life.

    :param name: what it is, as a person would say it; it is also the test's id.
    :param code: what ``windsock status`` says about it, with the key below.
    :param key: key of the finding.
    :param model: the model's name; default: the installation.
    :param break_: brings it about; its time counts from the end of that.
    :param cure: does what NEXT says, as it is written, and returns in words what it did.
    :param holds: must be in the text of the finding.
    :param is_told: whether people are told by the channel.
    :param untold: why not, as the table has it.
    :param limit: seconds that may pass by the finding's own limit; they are not counted as late.
    :param follows: sees, once it is over, that what the fault stopped goes on.
    """

    name: str
    code: str
    key: str
    severity: str
    break_: Callable[[Life], object]
    cure: Callable[[Life, str], str] = run_first
    model: str = INSTALLATION
    holds: str = ""
    is_told: bool = True
    untold: str = "only the status can"
    limit: float = 0.0
    follows: Callable[[Life], object] | None = None


@dataclass(kw_only=True)
class Lived:
    """What became of a fault; times in seconds, ``None``: it never happened.

    :ivar seen: from the fault to the first ``windsock status`` that says it.
    :ivar told: from the fault to the alert that was taken by the channel.
    :ivar times: how often it was told while it stood, by what the channel received.
    :ivar did: what was done, as NEXT says.
    :ivar over: from the end of what was done to the first ``windsock status`` without it.
    :ivar told_over: from there to the alert that it is over.
    :ivar times_over: how often that was told.
    :ivar faults: what was wrong or missing, one sentence each.
    """

    fault: Fault
    text: str = ""
    next_action: str = ""
    severity: str = ""
    seen: float | None = None
    told: float | None = None
    times: int = 0
    did: str = ""
    over: float | None = None
    told_over: float | None = None
    times_over: int = 0
    faults: list[str] = field(default_factory=list)
