"""``CircuitBreaker``: a version that fails again and again is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from windsock.exceptions import ServerUnavailableError

State = Literal["closed", "open", "half-open"]

FAILURES = 5
OPEN_SECONDS = 5.0


class SlotOpenError(ServerUnavailableError):
    """A version failed so often that it is not asked for a while."""

    default_code = "WS-SERVING-038"
    default_next = "Read the server's log for why it fails; roll back if it stays so."


class CircuitBreaker:
    """Counts the failures of one slot in one worker (Nygard, Release It!, "Circuit Breaker").

    Closed: every call goes through; ``failures`` of them in a row open it. Open: none does, for
    ``open_seconds``. Then half-open: one call is let through as a trial; its success closes the breaker, its
    failure opens it anew. A trial that reports nothing, since its request was cancelled, is given up after
    ``open_seconds``, and another one is let through.

    Only the worker's event loop may use it; so it needs no lock.

    What a client's rows cause is no failure: the version answered, so report a success.

    :param failures: failures in a row that open it, at least 1.
    :param open_seconds: how long it stays open, in seconds.
    :param clock: a monotonic clock, in seconds.
    :raises ValueError: if one of them is too small.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures < 1 or not open_seconds > 0:
            raise ValueError(
                f"failures {failures} must be 1 or more, open_seconds {open_seconds} more than 0"
            )
        self.failures = failures
        self.open_seconds = open_seconds
        self.clock = clock
        self._in_a_row = 0
        self._closed = True
        self._next_trial = 0.0
        self._trial_is_out = False

    @property
    def state(self) -> State:
        """``closed``, ``open``, or ``half-open`` while a trial is due or under way."""
        if self._closed:
            return "closed"
        return "half-open" if self._trial_is_out or self.clock() >= self._next_trial else "open"

    def allows(self) -> bool:
        """Return whether a call may go through now; after a yes, report how it ended.

        A yes while half-open takes the trial.
        """
        if self._closed:
            return True
        now = self.clock()
        if now < self._next_trial:
            return False
        self._trial_is_out = True
        self._next_trial = now + self.open_seconds
        return True

    def succeeded(self) -> None:
        """Report a call that the version answered.

        While it is open and no trial is under way, this is a call from before and changes nothing.
        """
        if self._closed or self._trial_is_out:
            self._in_a_row, self._closed, self._trial_is_out = 0, True, False

    def failed(self) -> None:
        """Report a call that the version did not answer."""
        if self._closed:
            self._in_a_row += 1
            if self._in_a_row < self.failures:
                return
        elif not self._trial_is_out:
            return  # a call from before it opened
        self._closed = self._trial_is_out = False
        self._next_trial = self.clock() + self.open_seconds
