"""One part of a task that fails never stops the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from windsock.exceptions import TransportError, WindsockError

Result = TypeVar("Result")


class Faults:
    """Runs one part after the other and keeps a sentence about each that failed.

    :param code: code of the runbook that each is logged with.
    :param log: where.
    :ivar told: what failed, one sentence each.
    :ivar away: code of each that was a system that did not answer.
    """

    def __init__(self, code: str, log: logging.Logger) -> None:
        self.code, self.log = code, log
        self.told: list[str] = []
        self.away: list[str] = []

    def run(self, what: str, part: Callable[[], Result], otherwise: Result) -> Result:
        """Return what a part comes to; where it fails, keep that and return something else."""
        try:
            return part()
        except WindsockError as error:
            self.told.append(f"{what}: {error.code}: {error.message}")
            if isinstance(error, TransportError):
                self.away.append(error.code)
        except Exception as error:
            self.told.append(f"{what}: unexpected {type(error).__name__}")
        self.log.warning("%s: %s", self.code, self.told[-1])
        return otherwise
