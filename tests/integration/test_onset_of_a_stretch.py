"""A concept that flips, judged and decided day by day on the real control database, up to the recovery.

Each day two schedulers decide, and the monitor starts anew. Tries of a stretch are few, know one onset, and
need twice the rows after one that could not have shown anything.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from support.builders import digest, make_difference
from support.fakes import FakeLedger, fake_ports
from support.flipped import Log, history
from support.performance import make_profile, metric
from support.retraining import DAY, LATER, MIDNIGHT, AnyBundle, policy_spec
from windsock import records as r
from windsock.adapters.monitor_table import SqlMonitor
from windsock.monitoring.check_performance import check_performance
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain
from windsock.monitoring.decide_retrain import decide_retrain

pytest_plugins = ["support.databases"]
FLIP = MIDNIGHT + 9 * DAY + timedelta(hours=6)
SPEC = policy_spec(breaker=1, cooldown="1h")
A, B, C = digest("a"), digest("b"), digest("c")


class Days:
    """A model that is watched day by day.

    :param url: the control database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.log = Log(history(45, a_day=150, flip=FLIP))
        self.ledger = FakeLedger()
        self.today = 0
        self.decisions: dict[int, r.RetrainDecision] = {}
        self.claims: dict[int, r.RetrainClaim] = {}
        self.promote("1", A)

    @property
    def now(self) -> Any:
        return MIDNIGHT + self.today * DAY + LATER

    def ports(self) -> Any:
        """Ports of a process that has just begun."""
        profile = make_profile(r.ReferencePerformance(rows=5000, realised=(metric("roc_auc", 0.99),)))
        return fake_ports(
            monitor=SqlMonitor(self.url),
            ledger=self.ledger,
            rows=self.log,
            bundles=AnyBundle(profile),
            now=lambda: self.now,
        )

    def promote(self, version: str, bundle: str) -> None:
        self.ledger.append(
            r.LedgerEntry(
                model="churn",
                action=r.LedgerAction.COMMIT,
                epoch=int(version),
                version=version,
                digest=bundle,
                actor="scheduler",
                body={"bundle_uri": "memory://"},
            ),
            after_seq=len(self.ledger.rows("churn")),
        )

    def day(self) -> r.RetrainDecision:
        """Judge the day that is over, and decide twice."""
        self.today += 1
        end = MIDNIGHT + self.today * DAY
        window = r.Span(start=end - DAY, end=end)
        check_performance(r.CheckPerformanceInput(spec=SPEC, window=window), self.ports(), "")
        first = decide_retrain(r.DecideRetrainInput(spec=SPEC), self.ports(), "")
        again = decide_retrain(r.DecideRetrainInput(spec=SPEC), self.ports(), "")
        assert again.order is first.order
        assert (again.episode and again.episode.key) == (first.episode and first.episode.key)
        self.decisions[self.today] = first
        return first

    def until_granted(self, most: int) -> r.RetrainClaim:
        """Let days pass, and claim; the event came twice."""
        for _ in range(most):
            decision = self.day()
            if decision.order is r.RetrainOrder.GRANT:
                claims = [self.claim(decision, run) for run in ("one", "two")]
                assert [claim.granted for claim in claims] == [True, False]
                return claims[0]
        raise AssertionError(f"no retrain in {most} days: {decision.reason}")

    def claim(self, decision: r.RetrainDecision, run: str) -> r.RetrainClaim:
        assert decision.episode is not None
        step = r.ClaimRetrainInput(
            spec=SPEC,
            episode_key=decision.episode.key,
            run=r.RunContext(dag_id="churn", run_id=f"{run}{self.today}"),
        )
        return claim_retrain(step, self.ports(), "")

    def close(self, claim: r.RetrainClaim, outcome: str, half: float) -> r.RetrainOutcome:
        against = make_difference(-half, half, opponent="champion")
        step = r.CloseRetrainInput(spec=SPEC, claim=claim, outcome=r.RetrainOutcome(outcome), against=against)
        return close_retrain(step, self.ports(), "").outcome


def test_from_the_flip_to_the_recovery(database_url: str) -> None:
    days = Days(database_url)
    first = days.until_granted(14)
    assert all(one.order is r.RetrainOrder.WAIT for day, one in days.decisions.items() if day < days.today)
    assert first.onset is not None
    assert abs(first.onset - FLIP) < timedelta(hours=1)
    assert first.episode is not None
    assert 250 <= first.episode.rows <= 420
    assert first.episode.loss > 0.05

    assert days.close(first, "kept", half=2.0) is r.RetrainOutcome.TOO_FEW
    second = days.until_granted(8)
    waited = [one.waits_for for one in days.decisions.values() if one.waits_for]
    assert waited[-1].needed == 2 * first.episode.rows
    assert second.onset == first.onset
    assert second.episode.rows >= 2 * first.episode.rows

    days.promote("2", B)
    days.log.serve(B, days.now, right=0.7)
    assert days.close(second, "promoted", half=0.1) is r.RetrainOutcome.PROMOTED
    third = days.until_granted(12)
    assert third.onset == first.onset, "a promotion is no recovery"

    days.promote("3", C)
    days.log.serve(C, days.now, right=1.0)
    days.close(third, "promoted", half=0.1)
    for _ in range(9):
        assert days.day().order is r.RetrainOrder.WAIT
    monitor = SqlMonitor(database_url)
    assert monitor.windows("churn", "performance")[-1].status is r.Status.PASS
    tries = monitor.episodes("churn")
    assert [one.outcome.value for one in tries] == ["too_few", "promoted", "promoted"]
    assert {one.onset for one in tries} == {first.onset}

    onset = days.now + timedelta(hours=6)
    days.log.serve(C, onset, right=0.5)
    fourth = days.until_granted(10)
    assert abs(fourth.onset - onset) < timedelta(hours=12), "another stretch has its own onset"


def test_the_breaker_counts_what_could_have_shown_a_gain(database_url: str) -> None:
    days = Days(database_url)
    tries = []
    while days.today < 30:
        decision = days.day()
        if decision.order is r.RetrainOrder.GRANT:
            claim = days.claim(decision, "one")
            assert days.close(claim, "kept", half=0.01) is r.RetrainOutcome.KEPT
            tries.append(claim.episode)
    assert (decision.order, decision.stopped) == (r.RetrainOrder.HOLD, ("performance",))
    assert len(tries) > 1
    assert all(
        after.loss >= 2 * before.loss or after.rows >= 2 * before.rows for before, after in pairwise(tries)
    ), "the look-back fills: the loss doubles; then the rows do"
