"""The row of what is kept is believed only if the installation signed it, for this step."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
import sqlalchemy as sa

from support.rollout_log import RolloutLog, happened, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.rollout_events.rows import CountRows
from windsock.adapters.signing import create_keys, replace_signing_key
from windsock.exceptions import RolloutRefusedError

ASKED = [
    shown("1", unit="a"),
    shown("2", unit="b", minute=2, variant="challenger"),
    shown("3", unit="c", minute=62, variant="challenger"),
]
HAPPENED = [happened(prediction_id="1", minute=5), happened(prediction_id="3", minute=70)]
RIGHT = naive(rollout(), ASKED, HAPPENED)
COLUMNS = "generation, record, signature"


@pytest.fixture
def log(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="windsock")
    log = RolloutLog(tmp_path)
    log.write(*ASKED, *HAPPENED)
    log.archive(180)
    assert told_of(log.totals(rollout(), 180)) == RIGHT
    return log


def row_of(log):
    with sa.create_engine(log.url).connect() as connection:
        return dict(connection.execute(sa.text(f"SELECT {COLUMNS} FROM rollout_counts")).mappings().one())  # noqa: S608


def put(log, **columns):
    changed = {**row_of(log), **columns}
    with sa.create_engine(log.url).begin() as connection:
        assignments = "generation = :generation, record = :record, signature = :signature"
        connection.execute(sa.text(f"UPDATE rollout_counts SET {assignments}"), changed)  # noqa: S608


def forged(log):
    record = json.loads(row_of(log)["record"])
    record["numbers"]["challenger/conversion/num"] = 500
    return json.dumps(record)


def numbers(log):
    put(log, record=forged(log))


def part(log):
    record = json.loads(row_of(log)["record"])
    record["parts"] = record["parts"][:1]
    put(log, record=json.dumps(record))


def unsigned(log):
    put(log, record=forged(log), signature="")


def nonsense(log):
    put(log, signature="xyz")


def generation(log):
    put(log, generation=7)


def stranger(log):
    keys = create_keys(log.folder / "stranger")
    rows = CountRows(log.url, keys, "churn", rollout().experiment, 0)
    assert rows.switch(1, log.row().read().replace(generation=2, numbers={}))


def other_step(log):
    kept = log.row().read().replace(numbers={})
    with sa.create_engine(log.url).begin() as connection:
        connection.execute(sa.text("DELETE FROM rollout_counts"))
    assert log.row(step=1).switch(0, kept)
    with sa.create_engine(log.url).begin() as connection:
        connection.execute(sa.text("UPDATE rollout_counts SET step = 0"))


FORGERIES = [numbers, part, unsigned, nonsense, generation, stranger, other_step]


@pytest.mark.parametrize("forge", FORGERIES)
def test_what_nobody_signed_is_counted_anew(log, caplog, forge):
    forge(log)
    for minute in (181, 182):
        assert told_of(log.totals(rollout(), minute)) == RIGHT
    assert [record.getMessage()[:14] for record in caplog.records] == ["WS-ROLLOUT-049"]


@pytest.mark.parametrize("forge", FORGERIES)
def test_it_is_refused_where_the_log_is_gone(log, forge):
    archive = ParquetPredictionArchive(log.state, log.storage, now=lambda: rollout().step_since)
    archive.remove_older(ASKED[2].receive_time)
    forge(log)
    before = row_of(log)
    with pytest.raises(RolloutRefusedError) as raised:
        log.totals(rollout(), 181)
    assert raised.value.code == "WS-ROLLOUT-047"
    assert row_of(log) == before


def test_a_rollout_without_traffic_in_its_first_hours_is_counted_anew(log):
    one = rollout(step_since=rollout().step_since - timedelta(hours=5))
    assert told_of(log.totals(one, 181)) == RIGHT
    numbers(log)
    assert told_of(log.totals(one, 182)) == RIGHT


def test_an_older_row_that_is_put_back_counts_the_hours_since_again_and_no_more(log, caplog):
    older = row_of(log)
    more = [shown("4", unit="d", minute=190), shown("5", unit="a", minute=191, variant="challenger")]
    log.write(*more, late := happened(prediction_id="4", minute=195))
    right = naive(rollout(), [*ASKED, *more], [*HAPPENED, late])
    assert told_of(log.totals(rollout(), 250)) == right
    put(log, **older)
    for minute in (251, 252):
        assert told_of(log.totals(rollout(), minute)) == right
    assert caplog.records == []


def test_what_a_key_signed_that_was_replaced_since_holds(log, caplog):
    replace_signing_key(log.keys_dir)
    assert told_of(log.totals(rollout(), 181)) == RIGHT
    assert caplog.records == []
