"""What is counted is kept once, whoever is killed, comes at the same time, or takes something away."""

from __future__ import annotations

import builtins
import fcntl
import logging
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from support.databases import database_url, postgres_url  # noqa: F401 - fixtures
from support.rollout_log import RolloutLog, at, happened, plan, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.adapters.rollout_events import parts, step_count
from windsock.adapters.rollout_events.parts import PartFiles
from windsock.adapters.rollout_events.rows import CountRows
from windsock.exceptions import SettingsError, StorageError

ROWS = [
    shown("1", unit="a"),
    shown("2", unit="b", minute=2, variant="challenger"),
    shown("3", unit="a", minute=70),
    happened(prediction_id="1", minute=5),
    happened(unit="b", event_id="e", minute=75),
]


def plain(*rows):
    return naive(
        rollout(),
        [row for row in rows if hasattr(row, "variant")],
        [row for row in rows if not hasattr(row, "variant")],
    )


@pytest.fixture
def log(tmp_path):
    log = RolloutLog(tmp_path)
    log.write(*ROWS)
    return log


@pytest.fixture
def warned(caplog):
    caplog.set_level(logging.WARNING, logger="windsock")
    return lambda: [record.getMessage()[:14] for record in caplog.records]


def row_of(log, step=0):
    return log.row(step).read()


class TestKept:
    def test_what_is_kept_is_not_read_again(self, log, monkeypatch):
        log.archive(130)
        first = log.totals(rollout(), 130)
        monkeypatch.setattr(step_count, "open_engine", None)
        monkeypatch.setattr(step_count.Sources, "take_hour", None)
        assert told_of(log.totals(rollout(), 140)) == told_of(first) == plain(*ROWS)
        assert row_of(log).generation == 1

    def test_an_hour_is_archived_between_two_calls(self, log, warned):
        one = rollout()
        assert told_of(log.totals(one, 62)) == plain(*ROWS[:2], *ROWS[3:4])
        log.archive(62)
        assert told_of(log.totals(one, 63)) == plain(*ROWS[:2], *ROWS[3:4])
        log.archive(121)
        assert told_of(log.totals(one, 121)) == plain(*ROWS)
        assert told_of(log.totals(one, 140)) == plain(*ROWS)
        assert warned() == []

    @pytest.mark.parametrize("archives", [False, True])
    def test_a_late_segment_counts(self, log, warned, archives):
        log.archive(130)
        log.totals(rollout(), 130)
        more = shown("9", unit="z", minute=8)
        log.write(more)
        if archives:
            log.archive(140)
        assert told_of(log.totals(rollout(), 140)) == plain(*ROWS, more)
        assert warned() == ["WS-ROLLOUT-040"]
        assert told_of(log.totals(rollout(), 141)) == plain(*ROWS, more)
        assert warned() == ["WS-ROLLOUT-040"]

    def test_an_hour_without_a_log_gets_one_late(self, log, warned):
        log.archive(130)
        log.totals(rollout(), 190)
        more = happened(prediction_id="3", minute=-1)
        log.write(more)
        assert told_of(log.totals(rollout(), 195)) == plain(*ROWS, more)
        assert warned() == ["WS-ROLLOUT-040"]

    def test_an_hour_that_a_server_still_writes_is_not_kept(self, log):
        [file] = log.write(shown("8", unit="y", minute=9), tail=b'{"model": "chu')
        with file.open("ab") as server:
            fcntl.flock(server, fcntl.LOCK_EX)
            totals = log.totals(rollout(), 130)
            assert (totals.units, totals.damaged, row_of(log).generation) == (3, 0, 0)
        totals = log.totals(rollout(), 131)
        assert (totals.units, totals.damaged, row_of(log).generation) == (3, 1, 1)

    def test_an_archive_that_retention_removed_stays_counted(self, log, warned):
        log.archive(130)
        log.totals(rollout(), 130)
        log.storage.remove("predictions")
        assert told_of(log.totals(rollout(), 131)) == plain(*ROWS)
        assert warned() == []

    def test_steps_are_kept_apart_and_forgotten_together(self, log):
        log.archive(130)
        log.totals(rollout(), 130)
        later = rollout(step=1, step_epoch=9, step_since=at(60))
        assert log.totals(later, 130).units == 0
        log.events().forget("churn", "v2-e7")
        assert row_of(log).generation == row_of(log, 1).generation == 0
        assert not log.storage.exists("rollouts/churn/v2-e7")
        assert told_of(log.totals(rollout(), 131)) == plain(*ROWS)

    def test_what_is_kept_is_named_until_it_is_forgotten(self, log):
        assert log.events().kept("churn") == ()
        log.archive(130)
        log.totals(rollout(), 130)
        assert log.events().kept("churn") == ("v2-e7",)
        assert log.events().kept("other") == ()
        log.storage.write_bytes("rollouts/churn/v1-e3/0/left.parquet", b"")  # of a removal that was killed
        assert log.events().kept("churn") == ("v1-e3", "v2-e7")
        for experiment in ("v1-e3", "v2-e7"):
            log.events().forget("churn", experiment)
            log.events().forget("churn", experiment)
        assert log.events().kept("churn") == ()

    def test_small_files_become_one(self, tmp_path, monkeypatch):
        monkeypatch.setattr(step_count, "FOLD_ROWS", 1)
        log, rows = RolloutLog(tmp_path), []
        for hour in range(20):
            rows += [shown(f"{hour}", unit=f"{hour % 5}", minute=60 * hour + 1)]
            rows += [happened(unit=f"{hour % 3}", event_id=f"{hour}", minute=60 * hour + 2)]
        log.write(*rows)
        assert told_of(log.totals(rollout(), 60 * 21)) == plain(*rows)
        kept = row_of(log)
        assert kept.generation == 20
        assert [part.level for part in kept.of("exposures")] == [1, 1, 0, 0, 0, 0]
        assert len(log.kept()) > len(kept.parts)
        log.write(shown("z", minute=60 * 30))
        log.totals(rollout(), 60 * 31 + 2)
        assert sorted(log.kept()) == sorted(part.name for part in row_of(log).parts)

    def test_many_rows_become_several_files(self, log, monkeypatch):
        monkeypatch.setattr(parts, "FILE_BYTES", 1_000)
        monkeypatch.setattr(parts, "GROUP_ROWS", 2_048)
        rows = [shown(f"{number}", unit=f"{number}", minute=number / 150) for number in range(8_000)]
        one = RolloutLog(log.folder / "other")
        one.write(*rows)
        assert told_of(one.totals(rollout(), 130)) == plain(*rows)
        assert told_of(one.totals(rollout(), 131)) == plain(*rows)
        assert {part.level for part in row_of(one).parts} == {0}
        assert len(row_of(one).parts) > 1
        one.write(*(row.model_copy(update={"receive_time": at(125)}) for row in rows[:9]))
        totals = one.totals(rollout(), 126)
        assert (totals.champion.units, totals.repeated_exposures) == (8_000, 9)


class TestFaults:
    def test_a_kill_between_files_and_row_counts_nothing_twice(self, log, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(CountRows, "switch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                log.totals(rollout(), 130)
        orphans = set(log.kept())
        assert len(orphans) == 2
        assert told_of(log.totals(rollout(), 131)) == plain(*ROWS)
        assert orphans < set(log.kept())
        log.write(shown("9", minute=125))
        log.totals(rollout(), 250)
        assert not orphans & set(log.kept())

    def test_a_kill_after_the_row_counts_nothing_twice(self, log, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(PartFiles, "sweep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                log.totals(rollout(), 130)
        assert told_of(log.totals(rollout(), 131)) == plain(*ROWS)

    @pytest.mark.parametrize("harm", ["removed", "cut", "changed"])
    def test_a_kept_file_is_gone_or_damaged(self, log, warned, harm):
        log.totals(rollout(), 130)
        for name in log.kept():
            file = log.storage.local_path(f"rollouts/churn/v2-e7/0/{name}")
            content = file.read_bytes()
            if harm == "removed":
                file.unlink()
            else:
                file.write_bytes(content[:-9] if harm == "cut" else content[:40] + b"?" + content[41:])
        more = shown("9", unit="z", minute=125)
        log.write(more)
        assert told_of(log.totals(rollout(), 190)) == plain(*ROWS, more)
        assert warned() == ["WS-ROLLOUT-041"]

    @pytest.mark.parametrize(
        ("record", "code"),
        [("{", "042"), ('{"numbers": {"champion/units": 9}, "last": "20990101T00"}', "049")],
    )
    def test_a_row_that_is_not_what_was_written(self, log, warned, record, code):
        log.totals(rollout(), 130)
        with sa.create_engine(log.url).begin() as connection:
            connection.execute(sa.text("UPDATE rollout_counts SET record = :record"), {"record": record})
        assert told_of(log.totals(rollout(), 131)) == plain(*ROWS)
        assert warned() == [f"WS-ROLLOUT-{code}"]
        assert row_of(log).generation == 2

    def test_a_damaged_archive_is_an_error(self, log):
        log.archive(130)
        [name] = [name for name in log.storage.names("predictions/churn") if name.endswith("T12.parquet")]
        log.storage.write_bytes(f"predictions/churn/{name}", b"PAR1 no more")
        with pytest.raises(StorageError) as raised:
            log.totals(rollout(), 130)
        assert raised.value.code == "WS-MONITORING-012"

    def test_a_failing_database_says_no_value(self, log, monkeypatch):
        monkeypatch.setattr(
            step_count, "difference", lambda connection, *_: connection.execute("SELECT 'a'::INT")
        )
        with pytest.raises(StorageError) as raised:
            log.totals(rollout(), 30)
        assert raised.value.code == "WS-ROLLOUT-046"
        assert "'a'" not in str(raised.value)

    def test_without_duckdb_it_is_said(self, log, monkeypatch):
        usual = builtins.__import__

        def lacks(name, *rest):
            if name == "duckdb":
                raise ImportError
            return usual(name, *rest)

        monkeypatch.setattr(builtins, "__import__", lacks)
        with pytest.raises(SettingsError) as raised:
            log.totals(rollout(), 30)
        assert raised.value.code == "WS-ROLLOUT-045"

    def test_a_file_that_cannot_be_removed_is_told(self, log, warned, monkeypatch):
        log.totals(rollout(), 130)
        log.storage.write_bytes("rollouts/churn/v2-e7/0/outcomes-20200101T000000-x.parquet", b"")

        def refuses(self, path):
            raise StorageError("no")

        monkeypatch.setattr(parts.Storage, "remove", refuses)
        log.write(shown("9", minute=125))
        log.totals(rollout(), 190)
        assert warned() == ["WS-ROLLOUT-043"]


class TestManyCallers:
    def test_two_at_once_are_as_one(self, tmp_path, database_url):  # noqa: F811
        log = RolloutLog(tmp_path, url=database_url)
        log.write(*ROWS)
        found, start = [], threading.Barrier(3)

        def look():
            start.wait()
            found.append(told_of(log.totals(rollout(), 130)))

        callers = [threading.Thread(target=look) for _ in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert found == [plain(*ROWS)] * 3
        assert told_of(log.totals(rollout(), 131)) == plain(*ROWS)
        assert row_of(log).generation == 1
        assert sorted(log.kept()) == sorted(part.name for part in row_of(log).parts)

    def test_who_comes_second_takes_what_the_first_kept(self, log, monkeypatch):
        usual, raced = CountRows.switch, []

        def switch(self, before, kept):
            if not raced:
                raced.append(True)
                assert told_of(log.totals(rollout(), 130)) == plain(*ROWS)
            return usual(self, before, kept)

        monkeypatch.setattr(CountRows, "switch", switch)
        assert told_of(log.totals(rollout(), 130)) == plain(*ROWS)
        assert row_of(log).generation == 1
        assert len(log.kept()) == 2

    def test_others_that_never_stop_are_an_error(self, log, monkeypatch):
        monkeypatch.setattr(CountRows, "switch", lambda *_: False)
        with pytest.raises(StorageError) as raised:
            log.totals(rollout(), 130)
        assert raised.value.code == "WS-ROLLOUT-044"
        assert log.kept() == []

    def test_another_plan_is_counted_anew(self, log, warned):
        log.totals(rollout(), 130)
        one = rollout(plan("errors"))
        assert set(log.totals(one, 131).champion.metrics) == {"errors"}
        assert warned() == ["WS-ROLLOUT-042"]


def test_a_time_of_another_zone_is_the_same_moment(log):
    from datetime import timezone

    elsewhere = timezone(timedelta(hours=5))
    one = rollout(step_since=at(0).astimezone(elsewhere))
    assert told_of(log.events().totals(one, now=at(130).astimezone(elsewhere))) == plain(*ROWS)
