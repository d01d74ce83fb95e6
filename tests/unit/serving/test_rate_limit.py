from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.serving import PLUGINS
from windsock.exceptions import StorageError
from windsock.serving import rate_limit
from windsock.serving.rate_limit import SECOND, RateLimit, RateTable

START = 7_000 * SECOND


class Clock:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def make_limit(clock: Clock, *, rate: float, burst: int, table: RateTable | None = None) -> RateLimit:
    table = table or RateTable()
    return RateLimit(table.words, table.places(["a"])["a"], rate=rate, burst=burst, clock=clock)


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limit = make_limit(clock, rate=2, burst=3)
    assert [limit.take() for _ in range(3)] == [0, 0, 0]
    assert limit.take() == SECOND // 2
    clock.now += SECOND // 2 - 1
    assert limit.take() == 1
    clock.now += 1
    assert limit.take() == 0
    assert limit.take() == SECOND // 2
    clock.now += 100 * SECOND  # a long pause gives the burst back, and no more
    assert [limit.take() == 0 for _ in range(5)] == [True, True, True, False, False]


RATES = st.floats(0.001, 1e6, allow_nan=False)
BURSTS = st.integers(1, 1000)
STEPS = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 5)), min_size=1, max_size=200)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rate=RATES, burst=BURSTS, steps=STEPS)
def test_never_more_than_burst_and_rate_times_time(rate: float, burst: int, steps: list) -> None:
    """In every span between two admitted requests, not only in that from the first one on."""
    clock = Clock()
    limit = make_limit(clock, rate=rate, burst=burst)
    admitted: list[tuple[int, int]] = []
    for pause, cost in steps:
        clock.now += pause
        if limit.take(cost) == 0:
            admitted.append((clock.now, min(cost, burst)))
    for first in range(len(admitted)):
        total = 0
        for moment, cost in admitted[first:]:
            total += cost
            assert total <= burst + rate * (moment - admitted[first][0]) / SECOND + 1e-6


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rate=RATES, burst=BURSTS, steps=STEPS)
def test_who_waits_as_told_is_admitted(rate: float, burst: int, steps: list) -> None:
    clock = Clock()
    limit = make_limit(clock, rate=rate, burst=burst)
    for pause, cost in steps:
        clock.now += pause
        wait = limit.take(cost)
        assert wait <= -(-SECOND * burst // rate) + burst
        if wait:
            clock.now += wait - 1
            assert limit.take(cost) == 1
            clock.now += 1
            assert limit.take(cost) == 0


def test_a_slower_rate_of_before_does_not_lock_a_client_out() -> None:
    clock, table = Clock(), RateTable()
    slow = make_limit(clock, rate=0.001, burst=1000, table=table)
    assert all(slow.take() == 0 for _ in range(1000))
    fast = make_limit(clock, rate=100, burst=10, table=table)
    assert fast.take() == SECOND // 100


def test_refusing_costs_a_client_nothing() -> None:
    clock = Clock()
    limit = make_limit(clock, rate=1, burst=1)
    assert limit.take() == 0
    assert {limit.take() for _ in range(50)} == {SECOND}


class TestTable:
    def test_the_same_place_in_every_worker_whatever_the_order(self, tmp_path: Path) -> None:
        first, second = RateTable(tmp_path / "rates"), RateTable(tmp_path / "rates")
        ours = first.places(["a", "b"])
        theirs = second.places(["c", "b", "a"])
        assert {name: theirs[name] for name in "ab"} == ours
        assert first.places(["c"])["c"] == theirs["c"]
        assert len({*ours.values(), theirs["c"]}) == 3
        clock = Clock()
        one = RateLimit(first.words, ours["a"], rate=1, burst=2, clock=clock)
        other = RateLimit(second.words, theirs["a"], rate=1, burst=2, clock=clock)
        assert [one.take(), other.take(), one.take()] == [0, 0, SECOND]

    def test_workers_that_ask_at_once_let_through_what_is_allowed_and_never_less(
        self, tmp_path: Path
    ) -> None:
        """Four processes ask as fast as they can for a second; the limit is for all of them."""
        code = (
            "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
            "from windsock.serving.rate_limit import RateLimit, RateTable;"
            "table = RateTable(Path(sys.argv[2])); place = table.places(['x', 'a'])['a'];"
            "limit = RateLimit(table.words, place, rate=2000, burst=500); print('here', flush=True);"
            "sys.stdin.readline(); begun = time.monotonic(); n = 0; asked = 0\n"
            "while time.monotonic() < begun + 1: n += limit.take() == 0; asked += 1\n"
            "print(n, asked, begun, time.monotonic())"
        )
        file = str(tmp_path / "rates")
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(PLUGINS), file],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "here\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        said = [worker.communicate(timeout=60)[0].split() for worker in workers]
        seconds = max(float(words[3]) for words in said) - min(float(words[2]) for words in said)
        admitted, asked = sum(int(words[0]) for words in said), sum(int(words[1]) for words in said)
        allowed = 500 + 2000 * seconds
        assert asked > 2 * allowed
        # A limit for each worker alone would let four times as much through.
        assert allowed * 0.9 <= admitted <= allowed * 2

    def test_the_mark_that_clients_were_set_up_is_shared(self, tmp_path: Path) -> None:
        first, second = RateTable(tmp_path / "rates"), RateTable(tmp_path / "rates")
        assert not second.required
        first.require()
        assert second.required
        assert RateTable(tmp_path / "rates").required

    def test_no_slot_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "SLOTS", 2)
        table = RateTable()
        known = table.places(["a", "b"])
        with pytest.raises(StorageError, match="no slot"):
            table.places(["c"])
        assert table.places(["b", "a"]) == known

    def test_no_space(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="no memory for the rate limits"):
            RateTable(tmp_path / "no such folder" / "rates")

    def test_a_worker_that_died_with_the_lock_holds_nobody_up(self, tmp_path: Path) -> None:
        code = (
            "import fcntl, os, sys; file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT);"
            "fcntl.flock(file, fcntl.LOCK_EX); os._exit(9)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "rates")], check=False, timeout=30)
        assert RateTable(tmp_path / "rates").places(["a"])
