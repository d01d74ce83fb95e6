from __future__ import annotations

import threading
import time

from windsock.watchdog.bounded import NoAnswer, ask


def test_a_busy_process_is_waited_for_up_to_a_limit():
    ended = threading.Event()

    def busy() -> int:
        while not ended.is_set():
            sum(range(1000))
        return 1

    begun = time.monotonic()
    try:
        assert ask(busy, 0.1, most=1.0) == NoAnswer("no answer within 0.1 s")
        assert 0.9 < time.monotonic() - begun < 10, "0.1 s is not all that a busy process has"
    finally:
        ended.set()


def test_the_limit_holds_for_the_first_wait_too():
    ended = threading.Event()
    begun = time.monotonic()
    try:
        assert ask(lambda: ended.wait(60), 30.0, most=0.2) == NoAnswer("no answer within 0.2 s")
        assert time.monotonic() - begun < 10
    finally:
        ended.set()


def test_an_answer_within_its_time():
    assert ask(lambda: 7, 5.0, most=5.0) == 7
