from __future__ import annotations

import asyncio
import logging

import pytest

from windsock.serving.shadow import Job, ShadowRunner


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Jobs that end when they may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.began: list[int] = []
        self.ended: list[int] = []

    def job(self, number: int) -> Job:
        async def work() -> None:
            self.began.append(number)
            await self.may_end.wait()
            self.ended.append(number)

        return work


def failing(error: Exception) -> Job:
    async def work() -> None:
        raise error

    return work


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_few_run_a_few_wait_and_the_rest_is_dropped_and_counted() -> None:
    async def main() -> None:
        runner, work = ShadowRunner(at_once=2, max_waiting=3), Work()
        assert [runner.submit(work.job(number)) for number in range(7)] == [True] * 5 + [False] * 2
        assert work.began == []  # nothing runs before the caller is done
        await settle()
        assert (work.began, runner.dropped) == ([0, 1], 2)
        work.may_end.set()
        await settle()
        assert (sorted(work.ended), runner.done, runner.failed) == ([0, 1, 2, 3, 4], 5, 0)
        assert runner.submit(work.job(7))
        await settle()
        assert work.ended[-1] == 7

    asyncio.run(main())


def test_a_job_that_comes_while_the_last_one_ends_is_not_forgotten() -> None:
    async def main() -> None:
        runner, work = ShadowRunner(at_once=1, max_waiting=5), Work()
        work.may_end.set()
        runner.submit(work.job(0))
        for number in range(1, 30):  # at each turn of the loop around the end of the one before
            for _ in range(number % 4):
                await asyncio.sleep(0)
            assert runner.submit(work.job(number))
        await settle()
        assert work.ended == list(range(30))

    asyncio.run(main())


def test_a_failure_is_told_by_its_kind_only_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def cannot_even_begin() -> None:
        raise LookupError("customer 4711")

    async def main() -> None:
        runner, work = ShadowRunner(at_once=1), Work()
        work.may_end.set()
        for job in (failing(ValueError("income 1e400")), cannot_even_begin, work.job(1)):
            assert runner.submit(job)  # type: ignore[arg-type]
        await settle()
        assert (runner.failed, runner.done) == (2, 1)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert ["ValueError" in line for line in caplog.messages] == [True, False]
    assert "LookupError" in caplog.messages[1]
    assert not any("income" in line or "4711" in line for line in caplog.messages)


def test_each_kind_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()

    async def fail_at(runner: ShadowRunner, second: float) -> None:
        clock.now = second
        assert runner.submit(failing(ValueError("x")))
        await settle()

    async def main() -> None:
        runner = ShadowRunner(clock=clock)
        for second in (0, 1, 59.9, 60, 61):
            await fail_at(runner, second)
        assert runner.failed == 5

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert [line.rpartition("; ")[2] for line in caplog.messages] == ["1 failed so far", "4 failed so far"]


def test_a_flood_of_drops_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        runner, work = ShadowRunner(at_once=1, max_waiting=0), Work()
        assert [runner.submit(work.job(number)) for number in range(100)].count(True) == 1
        assert runner.dropped == 99
        work.may_end.set()
        await runner.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert len(caplog.messages) == 1


def test_a_job_that_hangs_gives_its_place_back() -> None:
    async def main() -> None:
        runner, work = ShadowRunner(at_once=1, limit_seconds=0.01), Work()
        runner.submit(work.job(1))
        runner.submit(failing(KeyError()))
        while runner.failed < 2:
            await asyncio.sleep(0.005)
        assert (work.began, work.ended, runner.done) == ([1], [], 0)

    asyncio.run(main())


def test_stop_lets_what_waits_end_and_then_takes_no_more() -> None:
    async def main() -> None:
        runner, work = ShadowRunner(at_once=1), Work()
        work.may_end.set()
        for number in range(3):
            runner.submit(work.job(number))
        await runner.stop()
        assert (work.ended, runner.dropped) == ([0, 1, 2], 0)
        assert not runner.submit(work.job(3))
        await runner.stop()
        assert (work.ended, runner.dropped) == ([0, 1, 2], 1)

    asyncio.run(main())


def test_stop_waits_only_a_moment_and_counts_what_it_drops() -> None:
    async def main() -> None:
        runner, work = ShadowRunner(at_once=2), Work()
        for number in range(5):
            runner.submit(work.job(number))
        await settle()
        await runner.stop(0.01)
        assert (work.began, work.ended, runner.dropped) == ([0, 1], [], 5)
        assert len(asyncio.all_tasks()) == 1  # this one

    asyncio.run(main())
