"""Counted hours whose log is gone stay counted: what comes late is added, or it is said that it cannot be."""

from __future__ import annotations

import fcntl
import logging

import pytest
import sqlalchemy as sa

from support.rollout_log import RolloutLog, at, happened, plan, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.exceptions import RolloutRefusedError

HOURS = 6
ROWS = [
    shown(f"p{hour}-{unit}", unit=f"u{hour}-{unit}", minute=60 * hour + 1 + unit, variant=variant)
    for hour in range(HOURS)
    for unit, variant in enumerate(["champion", "challenger"] * 4)
]
OUTCOMES = [happened(unit="u1-3", event_id="a", minute=70), happened(prediction_id="p5-1", minute=310)]


@pytest.fixture
def log(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="windsock")
    log = RolloutLog(tmp_path)
    log.write(*ROWS, *OUTCOMES)
    log.archive(60 * HOURS + 60)
    assert told_of(log.totals(rollout(), 60 * HOURS + 60)) == counted()
    return log


def counted(*more):
    every = [*ROWS, *OUTCOMES, *more]
    exposures = [row for row in every if hasattr(row, "variant")]
    return naive(rollout(), exposures, [row for row in every if not hasattr(row, "variant")])


def retain(log, minute, **needed):
    archive = ParquetPredictionArchive(log.state, log.storage, now=lambda: at(60 * HOURS + 60))
    return archive.remove_older(at(minute), **needed)


def row_of(log):
    return log.row().read()


@pytest.mark.parametrize("removed", [240, 360], ids=["some hours are left", "none is left"])
@pytest.mark.parametrize("archives", [False, True])
@pytest.mark.parametrize("hour", [1, 5])
def test_a_late_segment_is_added_to_what_was_counted(log, caplog, removed, archives, hour):
    assert retain(log, removed) > 0
    late = [
        shown("late", unit="new", minute=60 * hour + 30),
        shown("again", unit="u1-3", minute=60 * hour + 31, variant="challenger"),
        happened(prediction_id="late", minute=60 * hour + 32),
        happened(2, prediction_id="p5-0", minute=60 * hour + 58),
    ]
    log.write(*late)
    if archives:
        log.archive(430)
    whole = counted(*late)
    for minute in (431, 432):
        assert told_of(log.totals(rollout(), minute)) == whole
    codes = [record.getMessage()[:14] for record in caplog.records]
    assert codes == ["WS-ROLLOUT-040"]  # once: then its rows are counted, too
    log.archive(433)
    log.write(shown("next", unit="u5-0", minute=434))
    assert told_of(log.totals(rollout(), 435)) == counted(*late, shown("next", unit="u5-0", minute=434))
    assert told_of(log.totals(rollout(), 500)) == counted(*late, shown("next", unit="u5-0", minute=434))


def test_a_late_segment_earlier_than_what_was_counted_takes_its_unit_along(log):
    retain(log, 240)
    log.write(late := shown("late", unit="u1-3", minute=10, variant="champion"))
    totals = log.totals(rollout(), 431)
    assert totals.moved == 1
    assert told_of(totals) == counted(late)


def test_a_late_segment_that_is_still_written_counts_and_is_not_kept(log):
    retain(log, 240)
    [file] = log.write(late := shown("late", unit="new", minute=10))
    with file.open("ab") as server:
        fcntl.flock(server, fcntl.LOCK_EX)
        for minute in (431, 432):
            assert told_of(log.totals(rollout(), minute)) == counted(late)
        assert row_of(log).generation == 1
    assert told_of(log.totals(rollout(), 433)) == counted(late)
    assert row_of(log).generation == 2


def test_torn_lines_of_a_late_segment_are_told(log):
    retain(log, 240)
    log.write(shown("late", unit="new", minute=301), tail=b"{\n")
    for minute in (431, 432):
        assert log.totals(rollout(), minute).damaged == 1
        log.archive(432)


def test_all_is_counted_anew_as_long_as_the_log_is_there(log):
    late = shown("p1-3", unit="u1-3", minute=60 + 2, variant="challenger")  # of two the first one counts
    log.write(late)
    assert told_of(log.totals(rollout(), 431)) == counted(late)


def test_retention_that_leaves_what_a_rollout_needs_loses_nothing(log):
    one = rollout()
    assert retain(log, 360, needed={"churn": one.started_at}) == 0
    log.write(late := shown("late", unit="new", minute=301))
    for name in log.kept():
        log.storage.remove(f"rollouts/churn/v2-e7/0/{name}")
    assert told_of(log.totals(one, 431)) == counted(late)


class TestRefused:
    def refused(self, log, one=None):
        log.write(shown("next", unit="next", minute=433))
        before = row_of(log)
        with pytest.raises(RolloutRefusedError) as raised:
            log.totals(one or rollout(), 434)
        assert raised.value.code == "WS-ROLLOUT-047"
        assert row_of(log) == before
        return raised.value

    def test_a_damaged_file_and_hours_that_are_gone(self, log):
        retain(log, 240)
        for name in log.kept():
            log.storage.remove(f"rollouts/churn/v2-e7/0/{name}")
        error = self.refused(log)
        assert "the log of 5 counted hours, from outcomes/" in error.message
        assert "windsock rollout stop churn" in error.next_action

    def test_what_nothing_new_is_added_to_stays(self, log):
        retain(log, 240)
        for name in log.kept():
            log.storage.remove(f"rollouts/churn/v2-e7/0/{name}")
        assert told_of(log.totals(rollout(), 431)) == counted()

    def test_another_plan(self, log):
        retain(log, 240)
        self.refused(log, rollout(plan("errors")))

    def test_a_plan_that_needs_no_outcomes_does_not_miss_them(self, log):
        log.storage.remove("outcomes")
        assert log.totals(rollout(plan("errors")), 431).units == len(ROWS)

    def test_a_row_that_cannot_be_read(self, log):
        retain(log, 240)
        with sa.create_engine(log.url).begin() as connection:
            connection.execute(sa.text("UPDATE rollout_counts SET record = '{'"))
        assert "the hours since" in self.refused(log).message

    def test_a_row_that_cannot_be_read_and_a_log_that_goes_back_far_enough(self, log):
        with sa.create_engine(log.url).begin() as connection:
            connection.execute(sa.text("UPDATE rollout_counts SET record = '{'"))
        assert told_of(log.totals(rollout(), 431)) == counted()


@pytest.mark.parametrize("behind", [1, 59])
def test_a_server_whose_clock_is_behind_is_counted(tmp_path, behind):
    log = RolloutLog(tmp_path)
    log.write(row := shown("1", unit="a", minute=-behind))
    for minute in (5, 62, 70):
        assert log.totals(rollout(), minute).units == 1
        log.archive(minute)
    assert row.receive_time < rollout().step_since
