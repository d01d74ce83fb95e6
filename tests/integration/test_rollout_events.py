"""A rollout is counted while it is killed, while others count, and while a server writes its log."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from typing import Any

import pytest

from support import rollout_judge
from support.databases import database_url, postgres_url  # noqa: F401 - fixtures
from support.forks import Counting
from support.log_rows import answered, row
from support.rollout_judge import JUDGED
from support.rollout_log import (
    CHALLENGER,
    CHAMPION,
    EXPERIMENT,
    RolloutLog,
    happened,
    lane,
    refused,
    rollout,
    shown,
)
from support.rollout_recount import naive, told_of
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.ports import utc_now
from windsock.records import OutcomeEvent
from windsock.serving.prediction_log import PredictionLog

HOURS = 10
KILLS = 5
MINUTE = 60 * HOURS + 5
ROWS, BATCHES = 20, 40


def history(seed: int) -> tuple[list[Any], list[Any]]:
    """Return exposures and outcomes of some hours, a third of them repeats, or without an answer."""
    draw = random.Random(seed)  # noqa: S311 - a test's own
    exposures, outcomes = [], []
    for number in range(60 * HOURS):
        unit = f"u{draw.randrange(80)}"
        arm = lane(draw.randrange(4))
        named = f"p{draw.randrange(number + 1)}" if draw.random() < 0.3 else f"p{number}"
        made = refused if draw.random() < 0.3 else shown
        exposures.append(made(named, unit=unit, minute=number + 0.1, **arm))
        event = f"e{draw.randrange(200)}"
        outcomes.append(happened(draw.randrange(3), unit=unit, event_id=event, minute=number + 0.2))
        known = f"p{draw.randrange(number + 1)}"
        outcomes.append(happened(draw.random() < 0.5, prediction_id=known, minute=number + 0.3))
    return exposures, outcomes


@pytest.mark.slow
def test_processes_that_are_killed_anywhere_count_nothing_twice(tmp_path, database_url):  # noqa: F811
    exposures, outcomes = history(5)
    log = RolloutLog(tmp_path, url=database_url)
    log.write(*exposures[::2], *outcomes[::2])
    log.write(*exposures[1::2], *outcomes[1::2])
    log.archive(60 * HOURS // 2)
    rows, draw = log.row(), random.Random(7)  # noqa: S311
    for kill in range(KILLS):
        callers = [Counting(rollout_judge.main, tmp_path, database_url, MINUTE) for _ in range(2)]
        for caller in callers:
            assert caller.hear() == "begins"
        wanted = min(HOURS - 1, kill * 2 + 1)  # so many hours are kept when the kill comes, or more
        while rows.read().generation < wanted and any(caller.process.is_alive() for caller in callers):
            threading.Event().wait(draw.random() / 20)
        threading.Event().wait(draw.random() / 5)
        for caller in callers:
            caller.kill()
    last = [Counting(rollout_judge.main, tmp_path, database_url, MINUTE) for _ in range(2)]
    said = [caller.rest()[-1] for caller in last]
    assert [caller.process.exitcode for caller in last] == [0, 0]
    expected = naive(JUDGED, exposures, outcomes)
    assert [json.loads(line) for line in said] == [expected, expected]
    assert rows.read().generation == HOURS
    assert told_of(log.totals(JUDGED, MINUTE)) == expected


@pytest.mark.slow
def test_counting_beside_a_server_and_its_archive_loses_nothing(tmp_path):
    log = RolloutLog(tmp_path)
    begun = utc_now()
    one = rollout(step_since=begun, started_at=begun)
    server = PredictionLog(log.state)
    server.start()
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            totals = log.events().totals(one, now=utc_now())
            seen.append(totals.champion.exposures + totals.challenger.exposures)
            assert totals.damaged == 0

    judging = threading.Thread(target=look)
    judging.start()
    asyncio.run(_serve(server))
    done.set()
    judging.join()
    server.stop()
    whole = ROWS * BATCHES
    assert seen == sorted(seen)
    assert seen[-1] <= whole
    later = two_hours_later()
    before = log.events().totals(one, now=later)
    ParquetPredictionArchive(log.state, log.storage, now=lambda: later).close_segments()
    for totals in (before, log.events().totals(one, now=later), log.events().totals(one, now=later)):
        assert (totals.champion.exposures, totals.challenger.exposures) == (whole // 2, whole // 2)
        assert (totals.outcomes, totals.repeated_outcomes, totals.unknown) == (BATCHES, BATCHES, 0)
        assert (totals.damaged, totals.strange, totals.moved) == (0, 0, 0)


async def _serve(server: PredictionLog) -> None:
    """Write batches of both arms, and two outcomes of the same event after each."""
    for batch in range(BATCHES):
        is_champion = batch % 2 == 0
        rows = [row(f"{batch}-{place}", unit=f"{batch % 2}-{place}") for place in range(ROWS)]
        made = answered(
            *rows,
            at=utc_now(),
            variant="champion" if is_champion else "challenger",
            digest=CHAMPION if is_champion else CHALLENGER,
            experiment=EXPERIMENT,
            epoch=7,
        )
        assert server.add_rows(*made)
        for _ in range(2):
            event = OutcomeEvent(
                model="churn", prediction_id=f"{batch}-0", outcome=True, receive_time=utc_now()
            )
            await server.add_outcome(event)


def two_hours_later() -> Any:
    from datetime import timedelta

    return utc_now() + timedelta(hours=2)
