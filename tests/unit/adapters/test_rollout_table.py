from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ledgers import sql_rollouts
from support.postgres import Server, restartable_server
from support.retraining import make_episode
from support.rollouts import make_look
from support.world import MODEL
from windsock.adapters import database
from windsock.adapters.database import writing
from windsock.adapters.monitor_table import SqlMonitor
from windsock.adapters.rollout_marks import RolloutMarks
from windsock.adapters.signing import Verifier
from windsock.exceptions import DatabaseUnavailableError, VerdictError
from windsock.ports import Rollouts
from windsock.records import RolloutAction

pytest_plugins = ["support.databases"]
TESTS = Path(__file__).parents[2]
PLUGINS = Path(database.__file__).parents[2]
EXPERIMENT = "v2-e4"


def change(url: str, statement: str) -> None:
    """Change rows behind Windsock's back."""
    with writing(url) as connection:
        assert connection.exec_driver_sql(statement).rowcount == 1


class TestContract:
    def test_decisions_come_back_by_number_as_they_were_written(self, rollouts: Rollouts) -> None:
        made = [make_look(number, reason="größer, 'besser'; \"so\"") for number in range(1, 13)]
        assert [rollouts.add_decision(one) for one in made] == made
        assert rollouts.decisions(MODEL, EXPERIMENT) == tuple(made)

    def test_the_first_of_a_number_stands(self, rollouts: Rollouts) -> None:
        first = rollouts.add_decision(make_look(1, "roll_back"))
        assert rollouts.add_decision(make_look(1, "promote", reason="another look")) == first
        rollouts.add_decision(make_look(2))
        assert rollouts.add_decision(make_look(1)) == first
        assert [one.action for one in rollouts.decisions(MODEL, EXPERIMENT)] == [
            RolloutAction.ROLL_BACK,
            RolloutAction.HOLD,
        ]

    @pytest.mark.parametrize(("kept", "number"), [(0, 2), (1, 3), (2, 10)])
    def test_a_number_that_leaves_others_out_is_refused(
        self, rollouts: Rollouts, kept: int, number: int
    ) -> None:
        made = tuple(rollouts.add_decision(make_look(one)) for one in range(1, kept + 1))
        with pytest.raises(VerdictError) as refusal:
            rollouts.add_decision(make_look(number))
        assert refusal.value.code == "WS-ROLLOUT-061"
        assert rollouts.decisions(MODEL, EXPERIMENT) == made

    def test_rollouts_and_models_are_kept_apart(self, rollouts: Rollouts) -> None:
        here = rollouts.add_decision(make_look(1))
        later = rollouts.add_decision(make_look(1, experiment="v2-e41"))
        other = rollouts.add_decision(make_look(1, model="basket"))
        assert rollouts.decisions(MODEL, EXPERIMENT) == (here,)
        assert rollouts.decisions(MODEL, "v2-e41") == (later,)
        assert rollouts.decisions("basket", EXPERIMENT) == (other,)
        assert rollouts.decisions("basket", "v2-e41") == ()

    def test_the_last_one_is_the_newest(self, rollouts: Rollouts) -> None:
        assert rollouts.last(MODEL, EXPERIMENT) is None
        for number in range(1, 12):
            made = rollouts.add_decision(make_look(number))
            assert rollouts.last(MODEL, EXPERIMENT) == made
        rollouts.add_decision(make_look(1, experiment="v2-e41"))
        assert rollouts.last(MODEL, EXPERIMENT) == made
        assert rollouts.last("basket", EXPERIMENT) is None

    def test_planned_looks_are_found_whatever_others_say(self, rollouts: Rollouts) -> None:
        quoted = 'look 7, "planned_look":null, \\"planned_look\\":null, "planned_look":3'
        assert rollouts.planned(MODEL, EXPERIMENT) == ()
        made = [
            rollouts.add_decision(make_look(number, reason=quoted, planned_look=planned))
            for number, planned in enumerate((None, 1, None, 2, 11, None), start=1)
        ]
        rollouts.add_decision(make_look(1, experiment="v2-e41", planned_look=1))
        assert rollouts.planned(MODEL, EXPERIMENT) == (made[1], made[3], made[4])

    @pytest.mark.parametrize(
        ("newest", "every", "numbers"),
        [
            (3, 4, [1, 4, 5, 9, 10, 11, 12]),
            (0, 100, [1, 4]),
            (2, 1, list(range(1, 13))),
            (100, 50, list(range(1, 13))),
        ],
    )
    def test_a_series_tells_the_course_in_few(
        self, rollouts: Rollouts, newest: int, every: int, numbers: list[int]
    ) -> None:
        actions = {4: "advance", 6: "promote"}
        for number in range(1, 13):
            rollouts.add_decision(make_look(number, actions.get(number, "hold")))
        rollouts.add_decision(make_look(1, "keep", experiment="v2-e41"))
        found = rollouts.series(MODEL, EXPERIMENT, newest=newest, every=every)
        assert [one.number for one in found] == numbers
        assert rollouts.series("basket", EXPERIMENT, newest=newest, every=every) == ()


class TestRows:
    @pytest.mark.parametrize(
        "damage",
        [
            "SET record = '{\"secret\": 17}'",
            "SET record = ''",
            "SET record = replace(record, '\"hold\"', '\"harm\"')",
            "SET number = 2",
            "SET model = 'basket'",
            "SET experiment = 'v2-e5'",
        ],
    )
    def test_a_row_that_is_not_what_was_written_is_left_out_and_told(
        self, database_url: str, damage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        rollouts = sql_rollouts(database_url)
        rollouts.add_decision(make_look(1))
        change(database_url, f"UPDATE rollout_decisions {damage}")
        model = "basket" if "basket" in damage else MODEL
        experiment = "v2-e5" if "v2-e5" in damage else EXPERIMENT
        assert rollouts.decisions(model, experiment) == ()
        assert rollouts.last(model, experiment) is None
        assert rollouts.series(model, experiment, newest=1, every=1) == ()
        assert "WS-ROLLOUT-060" in caplog.text
        assert "17" not in " ".join(caplog.messages)
        again = make_look(1, model=model, experiment=experiment, reason="judged again")
        assert rollouts.add_decision(again) == again
        assert rollouts.last(model, experiment) == again

    def test_a_forged_decision_moves_nothing_and_holds_no_number(self, database_url: str) -> None:
        rollouts = sql_rollouts(database_url)
        rollouts.add_decision(make_look(1))
        change(
            database_url,
            "INSERT INTO rollout_decisions SELECT model, experiment, 2, 'advance', judged_at, "
            "replace(replace(record, '\"hold\"', '\"advance\"'), '\"number\":1', '\"number\":2'), signature "
            "FROM rollout_decisions",
        )
        assert rollouts.last(MODEL, EXPERIMENT) == make_look(1)
        assert rollouts.add_decision(make_look(2)) == make_look(2)
        assert [one.action.value for one in rollouts.decisions(MODEL, EXPERIMENT)] == ["hold", "hold"]

    @pytest.mark.parametrize("unmarked", [0, 2])
    def test_forged_decisions_by_the_thousand_cost_little(
        self, database_url: str, unmarked: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are passed over behind the signed end; own ones that followed the mark are still found."""
        rollouts = sql_rollouts(database_url)
        rollouts.add_decision(make_look(1))
        with monkeypatch.context() as away:
            away.setattr(RolloutMarks, "put", lambda *_: None)  # as where the storage does not answer
            for number in range(2, 2 + unmarked):
                rollouts.add_decision(make_look(number))
        own = 1 + unmarked
        with writing(database_url) as connection:
            connection.exec_driver_sql(
                "WITH RECURSIVE number(n) AS (SELECT 8 UNION ALL SELECT n + 1 FROM number WHERE n < 2000) "
                "INSERT INTO rollout_decisions SELECT model, experiment, n, action, judged_at, record, "
                "signature FROM rollout_decisions, number WHERE rollout_decisions.number = 1"
            )
        looked_at: list[bytes] = []
        verify = Verifier.verify
        monkeypatch.setattr(
            Verifier, "verify", lambda self, *of: looked_at.append(of[0]) or verify(self, *of)
        )
        assert rollouts.last(MODEL, EXPERIMENT) == make_look(own)
        assert [one.number for one in rollouts.decisions(MODEL, EXPERIMENT)] == list(range(1, own + 1))
        assert rollouts.missing(MODEL, EXPERIMENT) == ()
        assert rollouts.add_decision(make_look(own + 1)) == make_look(own + 1)
        assert len(looked_at) < 1000

    @pytest.mark.parametrize(
        "numbers", ["n + 1000", "-n", "0.001 * n", "'n' || n", "CAST(x'ff' AS TEXT) || n"]
    )
    def test_forged_numbers_of_any_kind_cost_little_and_hide_nothing(
        self, database_url: str, numbers: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not database_url.startswith("sqlite") and numbers not in ("n + 1000", "-n"):
            pytest.skip("the column takes whole numbers only")
        rollouts = sql_rollouts(database_url)
        looks = [make_look(number, "roll_back" if number == 2 else "hold") for number in range(1, 6)]
        for look in looks:
            rollouts.add_decision(look)
        with writing(database_url) as connection:
            connection.exec_driver_sql(
                "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 900) "
                "INSERT INTO rollout_decisions SELECT model, experiment, NUMBERS, action, judged_at, record, "
                "signature FROM rollout_decisions, number WHERE rollout_decisions.number = 2".replace(
                    "NUMBERS", numbers
                )
            )
        looked_at: list[bytes] = []
        verify = Verifier.verify
        monkeypatch.setattr(
            Verifier, "verify", lambda self, *of: looked_at.append(of[0]) or verify(self, *of)
        )
        assert rollouts.last(MODEL, EXPERIMENT) == looks[-1]
        assert rollouts.decisions(MODEL, EXPERIMENT) == tuple(looks)
        assert rollouts.series(MODEL, EXPERIMENT, newest=2, every=100) == (
            looks[0], looks[1], looks[3], looks[4],
        )  # fmt: skip
        assert rollouts.missing(MODEL, EXPERIMENT) == ()
        assert rollouts.add_decision(make_look(6)) == make_look(6)
        assert len(looked_at) < 1000

    def test_an_edited_column_hides_nothing_of_a_rollouts_course(self, database_url: str) -> None:
        rollouts = sql_rollouts(database_url)
        for number in range(1, 6):
            rollouts.add_decision(make_look(number, "advance" if number == 3 else "hold"))
        change(database_url, "UPDATE rollout_decisions SET action = 'hold' WHERE number = 3")
        found = rollouts.series(MODEL, EXPERIMENT, newest=1, every=100)
        assert [one.number for one in found] == [1, 3, 5]

    def test_the_columns_say_what_the_record_says(self, database_url: str) -> None:
        one = sql_rollouts(database_url).add_decision(make_look(1, "keep"))
        with writing(database_url) as connection:
            found = connection.exec_driver_sql(
                "SELECT model, experiment, number, action, judged_at FROM rollout_decisions"
            ).one()
        at = f"{one.judged_at:%Y-%m-%dT%H:%M:%S}.000000Z"
        assert tuple(found) == (MODEL, EXPERIMENT, 1, "keep", at)

    def test_a_database_of_the_version_before_is_brought_up_to_date(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "HEAD", "0002")
        kept = SqlMonitor(database_url).announce(make_episode())
        monkeypatch.undo()
        database._opened.cache_clear()
        rollouts = sql_rollouts(database_url)
        assert rollouts.decisions(MODEL, EXPERIMENT) == ()
        assert rollouts.add_decision(make_look(1)) == make_look(1)
        assert SqlMonitor(database_url).episodes("churn") == (kept,)


class TestAtOnce:
    def test_all_that_judge_at_once_get_the_one_that_stands(self, database_url: str) -> None:
        rollouts = sql_rollouts(database_url)
        rollouts.decisions(MODEL, EXPERIMENT)
        barrier, stands = threading.Barrier(8), []

        def judge(judge: int) -> None:
            for number in (1, 2, 3):
                barrier.wait()
                stands.append(rollouts.add_decision(make_look(number, reason=f"judge {judge}")))

        threads = [threading.Thread(target=judge, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = rollouts.decisions(MODEL, EXPERIMENT)
        assert [one.number for one in kept] == [1, 2, 3]
        assert len(stands) == 24
        assert {one.reason for one in stands} == {one.reason for one in kept}
        assert all(one == kept[one.number - 1] for one in stands)

    @pytest.mark.slow
    @pytest.mark.parametrize("killed", [0, 2])
    def test_processes_at_once_leave_one_decision_a_number_and_no_gap(
        self, database_url: str, killed: int
    ) -> None:
        with Judges(database_url, 4) as judges:
            judges.more(3)
            judges.kill(killed)
            judges.more(10)
        judges.require_one_truth(sql_rollouts(database_url))


@pytest.fixture(scope="class")
def server() -> Iterator[Server]:
    with restartable_server() as server:
        yield server


@pytest.mark.slow
@pytest.mark.postgres
class TestRestart:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
    def test_postgresql_restarts_and_every_decision_that_was_told_stands(
        self, server: Server, how: signal.Signals
    ) -> None:
        url = server.new_database()
        with Judges(url, 3) as judges:
            judges.more(5)
            server.restart(how)
            judges.more(10)
        assert judges.away > 0, "no judge met the restart"
        judges.require_one_truth(sql_rollouts(url))

    def test_what_is_away_is_told_and_comes_back(self, server: Server) -> None:
        rollouts = sql_rollouts(server.new_database())
        first = rollouts.add_decision(make_look(1))
        server.stop()
        try:
            with pytest.raises(DatabaseUnavailableError):
                rollouts.add_decision(make_look(2))
        finally:
            server.start()
        assert rollouts.add_decision(make_look(2)) == make_look(2)
        assert rollouts.decisions(MODEL, EXPERIMENT) == (first, make_look(2))


JUDGES = """
import json, os, sys
from support.ledgers import sql_rollouts
from support.rollouts import make_look
from windsock.exceptions import DatabaseUnavailableError

url, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):  # forked before anything is open, with all that is imported
    if not os.fork():
        break
else:
    while True:
        os.wait()

def say(*told):
    # One short write: lines of several processes are never mixed, and none is half there.
    os.write(1, (json.dumps([os.getpid(), *told]) + "\\n").encode())

say("ready")
rollouts, mine = sql_rollouts(url), None
while True:
    try:
        if mine is None:
            number = len(rollouts.decisions("churn", "v2-e4")) + 1
            mine = make_look(number, reason=f"process {os.getpid()}")
        stands = rollouts.add_decision(mine)
    except DatabaseUnavailableError:
        say("away")
        continue
    mine = None
    say(stands.number, stands.reason)
"""


class Judges:
    """Processes that decide on the same rollout again and again, as fast as they can.

    What was said before an answer was lost is said again.
    """

    def __init__(self, url: str, count: int) -> None:
        self.url, self.count = url, count
        self.told: list[tuple[int, str]] = []
        self.by: Counter[int] = Counter()
        self.away = 0
        self.living: list[int] = []
        self._lock = threading.Condition()

    def __enter__(self) -> Judges:
        sql_rollouts(self.url).decisions(MODEL, EXPERIMENT)
        self.process = subprocess.Popen(
            [sys.executable, "-c", JUDGES, self.url, str(self.count)],
            env={**os.environ, "PYTHONPATH": f"{PLUGINS}{os.pathsep}{TESTS}"},
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.living) == self.count, timeout=120)
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            pid, *told = json.loads(line)
            with self._lock:
                if told == ["ready"]:
                    self.living.append(pid)
                elif told == ["away"]:
                    self.away += 1
                else:
                    self.told.append((told[0], told[1]))
                    self.by[pid] += 1
                self._lock.notify_all()

    def kill(self, count: int) -> None:
        """Kill so many of them at whatever they do."""
        for _ in range(count):
            os.kill(self.living.pop(), signal.SIGKILL)

    def more(self, count: int) -> None:
        """Wait until each process that lives has told so many decisions more."""
        with self._lock:
            goals = {pid: self.by[pid] + count for pid in self.living}
            assert self._lock.wait_for(
                lambda: all(self.by[pid] >= goal for pid, goal in goals.items()), timeout=120
            ), (self.by, goals)

    def __exit__(self, *failure: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def require_one_truth(self, rollouts: Rollouts) -> None:
        """See that numbers have no gap, and that each decision that was told is the one that stands."""
        kept = rollouts.decisions(MODEL, EXPERIMENT)
        assert [one.number for one in kept] == list(range(1, len(kept) + 1))
        assert set(self.told) <= {(one.number, one.reason) for one in kept}
