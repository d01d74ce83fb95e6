"""Events that are doubled, lost and late, two schedulers, killed runs: one retrain for each episode."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.builders import digest, make_difference
from support.fake_monitor import FakeMonitor
from support.fakes import FakeLedger, fake_ports
from support.retraining import MIDNIGHT, AnyBundle, make_window, policy_spec, run_of
from windsock import records as r
from windsock.adapters import database
from windsock.adapters.monitor_table import SqlMonitor
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.ports import Monitor
from windsock.records.retraining import LEASE

pytest_plugins = ["support.databases"]
TESTS = Path(__file__).parents[1]
PLUGINS = Path(database.__file__).parents[2]
HOUR = timedelta(hours=1)
PER_DAY = 3
WIDE = make_difference(-0.3, 0.5, opponent="champion")
SPEC = policy_spec(windows=1, of=2, cooldown="2h", per_day=PER_DAY, breaker=3).model_copy()
SPEC = SPEC.model_copy(update={"monitoring": SPEC.monitoring.model_copy(update={"window": "1h"})})


class Storm:
    """A model for some weeks, an hour a round, under a bus that keeps no promise.

    :param monitor: what keeps the rows.
    :param seed: of everything that happens by chance.
    """

    def __init__(self, monitor: Monitor, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.monitor = monitor
        self.now = MIDNIGHT
        self.ledger = FakeLedger()
        self.ports = fake_ports(
            monitor=monitor, ledger=self.ledger, bundles=AnyBundle(), now=lambda: self.now
        )
        self.pool = ThreadPoolExecutor(2)  # two schedulers
        self.bus: list[tuple[int, str]] = []
        self.ending: list[tuple[int, r.RetrainClaim, r.RetrainOutcome]] = []
        self.late_windows: list[tuple[int, r.WindowVerdict]] = []
        self.round = self.runs = self.sent = self.lost = self.versions = 0
        self.holders: dict[str, set[str]] = {}
        self.begun: list[datetime] = []
        self.active: tuple[str, datetime] | None = None
        self.killed = self.breakers = self.held = 0
        self.promote()

    def promote(self) -> None:
        self.versions += 1
        self.write(r.LedgerAction.COMMIT, epoch=self.versions)

    def write(self, action: r.LedgerAction, *, epoch: int, **body: Any) -> None:
        self.ledger.append(
            r.LedgerEntry(
                model="churn",
                action=action,
                epoch=epoch,
                version=str(self.versions),
                digest=f"{self.versions:064x}"[::-1],
                actor="scheduler",
                body={"bundle_uri": "memory://", **body},
            ),
            after_seq=len(self.ledger.rows("churn")),
        )

    def both(self, *calls: Any) -> list[Any]:
        """Run two calls at once, as two schedulers do."""
        return [one.result() for one in [self.pool.submit(call) for call in calls]]

    def hour(self, *, calm: bool = False) -> None:
        self.round += 1
        self.now = MIDNIGHT + self.round * HOUR + timedelta(minutes=1)
        if not calm and self.chance.random() < 0.02:  # a clock that is wrong for an hour
            self.now += self.chance.choice([-3, -2, 2]) * HOUR
        if self.active is not None and self.active[1] <= self.now:
            self.active = None  # given up for lost, by the clock there is
        self.judge(calm)
        self.decide(calm)
        self.end_runs()
        due = [key for at, key in self.bus if at <= self.round]
        self.bus = [(at, key) for at, key in self.bus if at > self.round]
        self.chance.shuffle(due)
        for key in due:
            self.deliver(key)
        if self.chance.random() < 0.1:
            self.run("daily", None)
        self.check()

    def judge(self, calm: bool) -> None:
        """Judge the hour that has passed; some verdicts come late, and twice."""
        champion = self.ledger.champion("churn")
        assert champion is not None
        end = MIDNIGHT + self.round * HOUR
        word = (
            "pass"
            if calm
            else self.chance.choices(["fail", "pass", "insufficient", "error"], [8, 1, 1, 1])[0]
        )
        window = make_window(
            1, word, window=r.Span(start=end - HOUR, end=end), digest=champion.digest, judged_at=end
        )
        kind = self.chance.choice(["drift", "drift", "performance"])
        self.late_windows.append(
            (self.round + self.chance.choice([0, 0, 0, 3]), window.model_copy(update={"kind": kind}))
        )
        for at, late in list(self.late_windows):
            if at <= self.round:
                self.late_windows.remove((at, late))
                self.both(*[lambda late=late: self.monitor.add_window(late)] * 2)

    def decide(self, calm: bool) -> None:
        step = r.DecideRetrainInput(spec=SPEC)
        asks = [step, step]
        if not calm and self.chance.random() < 0.15:
            asks[1] = r.DecideRetrainInput(spec=SPEC, event_id=f"outside-{self.chance.randrange(200)}")
        decisions = self.both(*[lambda one=one: decide_retrain(one, self.ports, "") for one in asks])
        for decision in decisions:
            self.held += decision.order is r.RetrainOrder.HOLD and not decision.breaker
            if decision.order is r.RetrainOrder.GRANT:
                self.send(decision.episode.key, calm)
        if decisions[0].breaker:
            self.breakers += 1
            if self.chance.random() < 0.2:
                self.monitor.reset("churn", actor="ada")

    def send(self, key: str, calm: bool) -> None:
        """Hand an event to the bus, which loses, doubles and delays."""
        for _ in range(1 if calm else self.chance.choice([1, 1, 2, 3])):
            self.sent += 1
            if not calm and self.chance.random() < 0.3:
                self.lost += 1
                continue
            self.bus.append((self.round + (0 if calm else self.chance.choice([0, 0, 1, 2, 30])), key))

    def deliver(self, key: str) -> None:
        """Each scheduler makes a run of the event; both claim at the same moment."""
        self.runs += 2
        claims = self.both(*[lambda n=n: self.claim(f"run{self.runs - n}", key) for n in (0, 1)])
        assert sum(claim.granted for claim in claims) <= 1
        for claim in claims:
            self.began(claim)

    def run(self, dag: str, key: str | None) -> None:
        self.runs += 1
        self.began(self.claim(f"{dag}{self.runs}", key))

    def claim(self, run_id: str, key: str | None) -> r.RetrainClaim:
        run = r.RunContext(dag_id="churn", run_id=run_id)
        return claim_retrain(r.ClaimRetrainInput(spec=SPEC, episode_key=key, run=run), self.ports, "")

    def began(self, claim: r.RetrainClaim) -> None:
        if not claim.granted:
            return
        assert self.active is None, "two runs retrain one model"
        self.active = (claim.holder, self.now + LEASE)
        if claim.episode is not None:
            self.holders.setdefault(claim.episode.key, set()).add(claim.holder)
            self.begun.append(claim.claimed_at)
        fate = self.chance.random()
        if fate < 0.3:  # the worker is killed, and its task tried again
            assert self.claim(claim.holder.removeprefix("churn/"), None) == claim
        if fate < 0.15:  # the run is lost for good
            self.killed += 1
            return
        outcome = self.chance.choice(list(r.RetrainOutcome)[:4])
        self.ending.append((self.round + self.chance.choice([0, 1, 2, 3, 9]), claim, outcome))

    def end_runs(self) -> None:
        for at, claim, outcome in list(self.ending):
            if at > self.round:
                continue
            self.ending.remove((at, claim, outcome))
            self.keep(outcome, run_of(claim))
            against = WIDE if len(self.begun) % 5 == 0 else None  # then its rows could show nothing
            step = r.CloseRetrainInput(
                spec=SPEC, claim=claim, outcome=outcome, against=against, run=run_of(claim)
            )
            for _ in range(self.chance.choice([1, 2])):
                close_retrain(step, self.ports, "")
            if self.active is not None and self.active[0] == claim.holder:
                self.active = None

    def keep(self, outcome: r.RetrainOutcome, run: r.RunContext) -> None:
        """Write what a retrain came to into the ledger, as its own tasks do before it is closed."""
        if outcome is r.RetrainOutcome.PROMOTED:
            self.promote()
        if outcome is r.RetrainOutcome.QUEUED:
            self.versions += 1
            self.write(r.LedgerAction.QUEUE, epoch=0, run=run.named)

    def check(self) -> None:
        """Hold the promises, after each hour."""
        assert all(len(holders) == 1 for holders in self.holders.values())
        for first, last in zip(sorted(self.begun), sorted(self.begun)[PER_DAY:], strict=False):
            assert last - first >= timedelta(days=1), "more retrains than the budget"

    def calm_down(self) -> None:
        """Let a bus that keeps its promises bring what stands to its end."""
        for _ in range(60):
            self.hour(calm=True)
        self.pool.shutdown()


def weather(monitor: Monitor, events: int) -> Storm:
    """Let a storm pass and hold its promises."""
    storm = Storm(monitor, seed=20261121)
    while storm.sent < events:
        storm.hour()
        assert storm.round < 20 * events, "nothing happens any more"
    hours = storm.round
    storm.calm_down()
    episodes = monitor.episodes("churn")
    claimed = {one.key for one in episodes if one.claimed_at is not None}
    assert claimed == set(storm.holders)
    assert all(one.state is r.EpisodeState.CLOSED for one in episodes)
    for one in episodes:
        assert (one.outcome is r.RetrainOutcome.SUPERSEDED) == (one.claimed_at is None), "none is left out"
    assert len(storm.begun) == len(claimed) <= PER_DAY * (hours / 24 + 3)
    assert storm.runs > 2 * len(claimed)
    assert min(len(claimed), storm.killed, storm.lost, storm.held) > events / 100, "the storm must be one"
    return storm


def test_events_cause_one_retrain_for_each_episode_and_no_more_than_the_budget(monitor: Monitor) -> None:
    events = 1000 if isinstance(monitor, FakeMonitor) else 150
    weather(monitor, events)


@pytest.mark.acceptance
def test_so_do_a_thousand_on_a_real_database(database_url: str) -> None:
    monitor = SqlMonitor(database_url)
    storm = weather(monitor, 1000)
    assert {one.outcome for one in monitor.episodes("churn")} == set(r.RetrainOutcome)
    assert storm.breakers >= 5  # there are two, each with a row of its own


CLAIMER = """
import json, sys
from datetime import timedelta
from support.retraining import MIDNIGHT, make_episode, policy_spec
from windsock.adapters.monitor_table import SqlMonitor
from windsock.records import RetrainOutcome, Span

url, holder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
monitor, spec = SqlMonitor(url), policy_spec(cooldown="1s", per_day=1000, breaker=100)
granted = []
for number in range(count):
    now = MIDNIGHT + timedelta(hours=number)
    span = Span(start=now - timedelta(hours=1), end=now)
    monitor.announce(make_episode(f"episode{number}", span=span, opened_at=now))
    claim = monitor.claim(spec, episode_key=f"episode{number}", holder=f"{holder}/{number}", now=now)
    if claim.granted:
        granted.append(number)
        monitor.close("churn", holder=claim.holder, outcome=RetrainOutcome.KEPT, now=now)
print(json.dumps(granted))
"""


@pytest.mark.slow
def test_of_processes_that_claim_the_same_episodes_one_gets_each(database_url: str) -> None:
    count, environment = 60, {**os.environ, "PYTHONPATH": f"{PLUGINS}{os.pathsep}{TESTS}"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, database_url, f"scheduler{number}", str(count)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    granted: list[int] = []
    for process in started:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        granted += json.loads(out)
    episodes = SqlMonitor(database_url).episodes("churn")
    assert len(granted) == len(set(granted)), "an episode was granted twice"
    assert sorted(f"episode{number}" for number in granted) == sorted(
        one.key for one in episodes if one.claimed_at
    )
    assert len(granted) > count / 10  # who meets another's claim goes on: how many are left to claim varies
    assert digest("a") == episodes[0].digest
