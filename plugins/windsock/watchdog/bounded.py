"""An answer within seconds, or that there was none: what hangs never holds the rest up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from windsock.exceptions import WindsockError

Result = TypeVar("Result")


class NoAnswer(NamedTuple):
    """Why there is no answer.

    :param why: one sentence with its code, where it has one.
    :param next_action: what to do, where the error says so.
    """

    why: str
    next_action: str = ""


def ask(call: Callable[[], Result], seconds: float) -> Result | NoAnswer:
    """Return what a call comes to, or why there is nothing; no longer than some seconds.

    It runs in a thread of its own that nobody waits for beyond that, and that ends with the process.
    """
    done: list[Result | NoAnswer] = []

    def run() -> None:
        try:
            done.append(call())
        except WindsockError as error:
            done.append(NoAnswer(f"{error.code}: {error.message}", error.next_action))
        except Exception as error:
            done.append(NoAnswer(f"unexpected {type(error).__name__}"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return done[0] if done else NoAnswer(f"no answer within {seconds:g} s")
