"""An answer within seconds, or that there was none: what hangs never holds the rest up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from windsock.exceptions import WindsockError

Result = TypeVar("Result")

GRACE_SECONDS = 2.0
WORKING_SECONDS = 0.005
"""A process that uses less of a processor in that time only waits."""
LONGEST = 20
"""So many times as long a call is waited for at most, however busy the machine is."""


class NoAnswer(NamedTuple):
    """Why there is no answer.

    :param why: one sentence with its code, where it has one.
    :param next_action: what to do, where the error says so.
    """

    why: str
    next_action: str = ""


def ask(call: Callable[[], Result], seconds: float, *, most: float | None = None) -> Result | NoAnswer:
    """Return what a call comes to, or why there is nothing; no longer than some seconds.

    It runs in a thread of its own that nobody waits for beyond that, and that ends with the process. On a
    machine that is busy it is waited for while this process still works, such as at loading libraries: who
    waits for an answer uses no processor.

    :param most: seconds that it is waited for at most, however busy the machine is.
    """
    longest = LONGEST * seconds if most is None else most
    seconds = min(seconds, longest)
    done: list[Result | NoAnswer] = []

    def run() -> None:
        try:
            done.append(call())
        except WindsockError as error:
            done.append(NoAnswer(f"{error.code}: {error.message}", error.next_by_hand))
        except Exception as error:
            done.append(NoAnswer(f"unexpected {type(error).__name__}"))

    thread = threading.Thread(target=run, daemon=True)
    begun = time.monotonic()
    thread.start()
    thread.join(seconds)
    while thread.is_alive() and (rest := begun + longest - time.monotonic()) > 0:
        used = time.process_time()
        thread.join(min(seconds, GRACE_SECONDS, rest))
        if time.process_time() - used < WORKING_SECONDS:
            break
    return done[0] if done else NoAnswer(f"no answer within {seconds:g} s")
