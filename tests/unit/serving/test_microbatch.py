from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from windsock.exceptions import ServerUnavailableError
from windsock.serving.microbatch import MicroBatcher, OverloadedError, Scores, Values

BAD = (-1.0,)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Model:
    """Answers each row with its own number; refuses rows that are ``BAD``; can be held."""

    def __init__(self) -> None:
        self.calls: list[list[Values]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.threads: set[str] = set()

    def __call__(self, rows: list[Values]) -> Scores:
        self.calls.append(list(rows))
        self.threads.add(threading.current_thread().name)
        assert self.may_go.wait(10)
        if BAD in rows:
            raise ValueError("no finite answer")
        return [[value, 1.0 - value] for (value,) in rows]

    def sizes(self) -> list[int]:
        return [len(call) for call in self.calls]


def rows_of(*values: float) -> list[Values]:
    return [(float(value),) for value in values]


def answers_to(rows: list[Values]) -> Scores:
    return [[value, 1.0 - value] for (value,) in rows]


async def held(model: Model, batcher: MicroBatcher) -> asyncio.Task[Scores]:
    """Return a request whose call has begun and goes on until the model may go."""
    model.may_go.clear()
    before = len(model.calls)
    task = asyncio.create_task(batcher.scores(rows_of(0)))
    while len(model.calls) == before:
        await asyncio.sleep(0)
    return task


async def asked(batcher: MicroBatcher, *requests: list[Values]) -> list[asyncio.Task[Scores]]:
    """Return requests that wait in the queue."""
    tasks = [asyncio.create_task(batcher.scores(rows)) for rows in requests]
    await asyncio.sleep(0)
    return tasks


def test_a_request_alone_is_answered_at_once_in_a_thread(pool: ThreadPoolExecutor) -> None:
    model = Model()
    assert asyncio.run(MicroBatcher(model, pool).scores(rows_of(3, 4))) == answers_to(rows_of(3, 4))
    assert model.sizes() == [2]
    assert threading.current_thread().name not in model.threads


def test_no_rows_are_no_call(pool: ThreadPoolExecutor) -> None:
    model = Model()
    assert asyncio.run(MicroBatcher(model, pool).scores([])) == []
    assert model.calls == []


def test_what_arrives_during_a_call_is_answered_by_the_next_one(pool: ThreadPoolExecutor) -> None:
    model = Model()

    async def main() -> list[Scores]:
        batcher = MicroBatcher(model, pool)
        first = await held(model, batcher)
        rest = await asked(batcher, *[rows_of(number, number + 0.5) for number in range(1, 8)])
        assert batcher.waiting == 14
        model.may_go.set()
        answers = await asyncio.gather(first, *rest)
        assert batcher.waiting == 0
        return answers

    answers = asyncio.run(main())
    assert model.sizes() == [1, 14]
    assert answers[1:] == [answers_to(rows_of(number, number + 0.5)) for number in range(1, 8)]


def test_a_batch_has_at_most_so_many_rows_and_a_larger_request_goes_alone(pool: ThreadPoolExecutor) -> None:
    model = Model()

    async def main() -> None:
        batcher = MicroBatcher(model, pool, max_rows=4)
        first = await held(model, batcher)
        sizes = [2, 2, 1, 9, 1, 3]
        rest = await asked(batcher, *[rows_of(*range(size)) for size in sizes])
        model.may_go.set()
        await first
        for size, answer in zip(sizes, await asyncio.gather(*rest), strict=True):
            assert answer == answers_to(rows_of(*range(size)))

    asyncio.run(main())
    assert model.sizes() == [1, 4, 1, 9, 4]


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    requests=st.lists(st.lists(st.sampled_from([1.0, 2.0, 3.0, -1.0]), max_size=6), max_size=12),
    gone=st.sets(st.integers(0, 11)),
    max_rows=st.integers(1, 8),
)
def test_each_gets_its_own_whatever_the_others_send(
    requests: list[list[float]], gone: set[int], max_rows: int
) -> None:
    model = Model()

    async def main(pool: ThreadPoolExecutor) -> list[Any]:
        batcher = MicroBatcher(model, pool, max_rows)
        first = await held(model, batcher)
        tasks = await asked(batcher, *[rows_of(*request) for request in requests])
        for number in gone & set(range(len(tasks))):
            tasks[number].cancel()
        model.may_go.set()
        found = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert (batcher.waiting, await batcher.scores(rows_of(7))) == (0, answers_to(rows_of(7)))
        return found[1:]

    with ThreadPoolExecutor(1) as pool:
        answers = asyncio.run(main(pool))
    for number, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        if not request:
            assert answer == []
        elif number in gone:
            assert isinstance(answer, asyncio.CancelledError)
        elif -1.0 in request:
            assert isinstance(answer, ValueError)
        else:
            assert answer == answers_to(rows_of(*request))


def test_one_client_s_bad_row_fails_that_client_alone_in_few_calls(pool: ThreadPoolExecutor) -> None:
    model = Model()

    async def main() -> list[Any]:
        batcher = MicroBatcher(model, pool)
        first = await held(model, batcher)
        rest = await asked(batcher, *[rows_of(number) for number in range(30)], [BAD], rows_of(31))
        model.may_go.set()
        await first
        return await asyncio.gather(*rest, return_exceptions=True)

    *before, bad, after = asyncio.run(main())
    assert before == [answers_to(rows_of(number)) for number in range(30)]
    assert (type(bad), after) == (ValueError, answers_to(rows_of(31)))
    assert len(model.calls) == 1 + 1 + 2 * 5  # the held one, the batch of 32, its halves five times


def test_another_error_is_everybody_s_and_is_not_tried_again(pool: ThreadPoolExecutor) -> None:
    calls: list[int] = []

    def fail(rows: list[Values]) -> Scores:
        calls.append(len(rows))
        raise MemoryError

    async def main() -> list[Any]:
        batcher = MicroBatcher(fail, pool)
        return await asyncio.gather(
            *(batcher.scores(rows_of(number)) for number in range(5)), return_exceptions=True
        )

    assert [type(answer) for answer in asyncio.run(main())] == [MemoryError] * 5
    assert calls == [5]


def test_answers_that_are_too_few_are_nobody_s(pool: ThreadPoolExecutor) -> None:
    async def main() -> list[Any]:
        batcher = MicroBatcher(lambda rows: answers_to(rows)[1:], pool)
        return await asyncio.gather(*(batcher.scores(rows_of(n)) for n in range(2)), return_exceptions=True)

    for answer in asyncio.run(main()):
        assert isinstance(answer, ServerUnavailableError)
        assert "1 of 2 rows" in answer.message


def test_too_many_waiting_rows_are_refused_and_those_waiting_are_answered(pool: ThreadPoolExecutor) -> None:
    model = Model()

    async def main() -> None:
        batcher = MicroBatcher(model, pool, max_rows=4, max_waiting=10)
        first = await held(model, batcher)
        waiting = await asked(batcher, rows_of(*range(12)))  # larger than the bound: nothing else waits
        with pytest.raises(OverloadedError, match="12 rows wait") as refusal:
            await batcher.scores(rows_of(1))
        assert (refusal.value.code, refusal.value.retry_after) == ("WS-SERVING-039", 1.0)
        model.may_go.set()
        assert await waiting[0] == answers_to(rows_of(*range(12)))
        await first
        assert await batcher.scores(rows_of(1)) == answers_to(rows_of(1))

    asyncio.run(main())


def test_rows_of_clients_that_have_gone_are_not_asked(pool: ThreadPoolExecutor) -> None:
    model = Model()

    async def main() -> None:
        batcher = MicroBatcher(model, pool)
        first = await held(model, batcher)
        gone, stays = await asked(batcher, rows_of(1), rows_of(2))
        gone.cancel()
        first.cancel()  # its call goes on and its answer is thrown away
        await asyncio.sleep(0)
        model.may_go.set()
        assert await stays == answers_to(rows_of(2))
        assert (gone.cancelled(), first.cancelled()) == (True, True)

    asyncio.run(main())
    assert model.calls == [rows_of(0), rows_of(2)]


def test_when_the_executor_ends_nobody_waits_for_ever() -> None:
    model = Model()

    async def main() -> list[Any]:
        pool = ThreadPoolExecutor(1)
        batcher = MicroBatcher(model, pool)
        model.may_go.clear()
        blocking = pool.submit(model.may_go.wait, 10)
        waiting = await asked(batcher, rows_of(1), rows_of(2))
        await asyncio.sleep(0)
        later = await asked(batcher, rows_of(3))
        pool.shutdown(wait=False, cancel_futures=True)
        found = await asyncio.gather(*waiting, *later, return_exceptions=True)
        found += await asyncio.gather(batcher.scores(rows_of(4)), return_exceptions=True)
        model.may_go.set()
        assert blocking.result() is True
        return found

    *waited, late = asyncio.run(main())
    assert [type(answer) for answer in waited] == [ServerUnavailableError] * 3
    assert isinstance(late, RuntimeError)
    assert model.calls == []
