"""Since when the world is another one, and what a retrain of a stretch waits for."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import digest
from support.fakes import FakeLedger, fake_ports
from support.flipped import FLIP, Log, history
from support.retraining import (
    DAY,
    LATER,
    MIDNIGHT,
    AnyBundle,
    make_closed,
    make_window,
    make_windows,
    policy_spec,
)
from windsock import records as r
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.decide_retrain import decide_retrain, weigh

A, B = digest("a"), digest("b")


def at(number: float) -> datetime:
    """A minute after the end of a day's window."""
    return MIDNIGHT + number * DAY + LATER


class World:
    """A version that serves, its verdicts, and the log."""

    def __init__(self, frame: pd.DataFrame, windows: str = "gggggbb", kind: str = "performance") -> None:
        self.now = at(len(windows))
        self.rows = Log(frame)
        self.ports = fake_ports(now=lambda: self.now, bundles=AnyBundle(), rows=self.rows)
        self.ledger = self.ports.ledger
        assert isinstance(self.ledger, FakeLedger)
        self.promote("1", A)
        self.judge(make_windows(windows, kind=kind, numbers={"loss:roc_auc": 0.4}))

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

    def judge(self, windows: list[r.WindowVerdict]) -> None:
        for window in windows:
            self.ports.monitor.add_window(window)

    def decide(self, **policy: Any) -> r.RetrainDecision:
        return decide_retrain(r.DecideRetrainInput(spec=policy_spec(**policy)), self.ports, "")

    def run(self, outcome: str, **policy: Any) -> r.RetrainClaim:
        """Claim the announced episode and close it."""
        (key,) = [one.key for one in self.ports.monitor.episodes("churn") if one.state == "announced"]
        step = r.ClaimRetrainInput(
            spec=policy_spec(**policy), episode_key=key, run=r.RunContext(dag_id="dag", run_id=key)
        )
        claim = claim_retrain(step, self.ports, "")
        assert claim.granted, claim.reason
        self.ports.monitor.close(
            "churn", holder=claim.holder, outcome=r.RetrainOutcome(outcome), now=self.now
        )
        return claim


class TestRows:
    def test_an_episode_knows_its_onset_its_rows_and_the_loss(self):
        episode = World(history()).decide().episode
        assert episode is not None
        assert abs(episode.onset - FLIP) < timedelta(hours=1)
        assert episode.rows == pytest.approx(350, abs=10)
        assert episode.loss == 0.4
        assert episode.span.start == MIDNIGHT + 5 * DAY, "what it is about is as it was"

    def test_it_waits_for_as_many_as_can_show_something(self):
        world = World(history(a_day=100))
        decision = world.decide()
        assert (decision.order, decision.episode) == (r.RetrainOrder.WAIT, None)
        assert 250 <= decision.waits_for.needed < 300
        assert decision.waits_for.rows == pytest.approx(175, abs=9)
        assert decision.waits_for.expected_at == pytest.approx(FLIP + 2.7 * DAY, abs=timedelta(hours=6))
        assert "WS-MONITORING-100" in decision.reason
        assert f"{decision.waits_for.rows} of {decision.waits_for.needed} are there" in decision.reason
        assert world.ports.monitor.episodes("churn") == ()

    def test_and_is_granted_when_they_are_there(self):
        world = World(history(days=9, a_day=100), "gggggbbbb")
        assert world.decide().order is r.RetrainOrder.GRANT

    def test_of_two_classes_the_rarer_one_counts(self):
        waits = World(history(a_day=1000, positives=0.02)).decide().waits_for
        assert waits.rows > 1000
        assert waits.needed == pytest.approx(125 / 0.02, rel=0.3)

    def test_where_no_label_comes_at_all_none_are_waited_for(self):
        episode = World(history(labelled=False), kind="drift").decide().episode
        assert episode.rows == 0

    def test_labels_that_come_late_are_waited_for(self):
        decision = World(history(days=7, late=3 * DAY), kind="drift").decide()
        assert decision.waits_for.rows == 0
        begun = MIDNIGHT + 5 * DAY  # the scores do not tell when in the window
        enough = begun + 3 * DAY + 250 / 200 * DAY
        assert decision.waits_for.expected_at == pytest.approx(enough, abs=timedelta(hours=6))

    def test_labels_that_come_no_more_have_no_date_and_drift_goes_on(self):
        frame = history(days=30, flip=MIDNIGHT + 28 * DAY)
        frame.loc[frame["receive_time"] > pd.Timestamp(MIDNIGHT + 10 * DAY), ["outcome", "label_time"]] = None
        world = World(frame, "g" * 28 + "bb", kind="drift")
        decision = world.decide()
        assert decision.waits_for.expected_at is None
        assert "no labels come any more" in decision.reason

    def test_while_rows_come_that_a_loss_waits_for_drift_has_no_retrain(self):
        world = World(history(a_day=100))
        world.judge(make_windows("gbbbbbb"))
        decision = world.decide()
        assert decision.order is r.RetrainOrder.WAIT
        assert decision.reason.startswith("performance")

    def test_a_hold_goes_before_rows(self):
        world = World(history(a_day=100))
        world.ports.monitor.kept_episodes["churn"] = {"one": make_closed("one", at(4.5), claimed=at(4.5))}
        decision = world.decide(cooldown="5d")
        assert (decision.order, decision.waits_for) == (r.RetrainOrder.HOLD, None)
        assert world.rows.asked == [], "the log is read only where a retrain is possible"

    def test_nothing_is_read_while_nothing_asks(self):
        world = World(history(), "ggggggg")
        world.decide()
        assert world.rows.asked == []

    def test_weighing_announces_nothing(self):
        world = World(history())
        spec = policy_spec()
        assert weigh(r.DecideRetrainInput(spec=spec), world.ports).order is r.RetrainOrder.GRANT
        assert world.ports.monitor.episodes("churn") == ()


class TestStretch:
    def test_the_onset_is_kept_through_tries_and_promotions(self):
        world = World(history(days=12), "gggggbb")
        first = world.decide().episode
        world.run("promoted")
        world.promote("2", B)
        world.judge([make_window(day, digest=B, kind="performance") for day in (8, 9, 10)])
        world.now = at(10)
        second = world.decide().episode
        assert second is not None
        assert second.key != first.key
        assert second.onset == first.onset
        assert second.span.start > first.span.start

    def test_a_recovery_ends_it(self):
        world = World(history(days=16), "gggggbb")
        first = world.decide().episode
        world.run("promoted")
        world.promote("2", B)
        judged = [(8, "pass"), (9, "fail"), (10, "fail")]
        world.judge([make_window(day, word, digest=B, kind="performance") for day, word in judged])
        world.now = at(12)
        second = world.decide().episode
        assert second is not None
        assert second.onset == MIDNIGHT + 8 * DAY, "no answer of the new version tells more than its windows"
        assert second.onset > first.onset

    @pytest.mark.parametrize(("outcome", "granted"), [("too_few", 9), ("failed", 8), ("promoted", 8)])
    def test_after_too_few_twice_as_many_are_needed(self, outcome, granted):
        """At 200 a day the first try had 350, and 700 are there two days later."""
        policy = {"windows": 1, "of": 1}
        world = World(history(days=20), "gggggbb")
        first = world.decide().episode
        assert 340 < first.rows < 355
        world.run(outcome, **policy)
        world.judge([make_window(day, kind="performance") for day in range(8, 21)])
        decisions = {}
        for day in (8, 9):
            world.now = at(day)
            decisions[day] = weigh(r.DecideRetrainInput(spec=policy_spec(**policy)), world.ports)
        assert [day for day, one in decisions.items() if one.order is r.RetrainOrder.GRANT][0] == granted
        if outcome == "too_few":
            assert decisions[8].waits_for.needed == 2 * first.rows
            assert "twice as many are needed" in decisions[8].reason

    def test_an_open_breaker_lets_one_through_when_rows_have_doubled(self):
        """At 200 a day the first try had 350, and 700 are there two days later."""
        policy = {"windows": 1, "of": 1, "breaker": 1}
        world = World(history(days=20), "gggggbb")
        world.judge(
            [make_window(day, kind="performance", numbers={"loss:roc_auc": 0.4}) for day in (8, 9, 10)]
        )
        first = world.decide(**policy).episode
        world.run("kept", **policy)
        world.now = at(8)
        held = world.decide(**policy)
        assert (held.order, held.breaker) == (r.RetrainOrder.HOLD, True)
        assert f"or at {2 * first.rows:,} labelled answers since the onset" in held.reason
        world.now = at(9)
        again = world.decide(**policy)
        assert (again.order, again.stopped) == (r.RetrainOrder.GRANT, ("performance",))
        assert again.episode.rows >= 2 * first.rows
        assert world.run("kept", **policy).granted
        world.now = at(10)
        assert world.decide(**policy).order is r.RetrainOrder.HOLD

    def test_a_stretch_that_is_older_than_what_the_policy_counts_keeps_its_onset(self):
        world = World(history(days=60, a_day=40, flip=MIDNIGHT + DAY), "g" + "b" * 55)
        early = make_closed(
            "one",
            at(4),
            "failed",
            trigger="performance",
            onset=MIDNIGHT + DAY,
            span=r.Span(start=MIDNIGHT + DAY, end=MIDNIGHT + 3 * DAY),
        )
        world.ports.monitor.kept_episodes["churn"] = {"one": early}
        assert world.decide().episode.onset == MIDNIGHT + DAY

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["too_few", "failed", "promoted", "queued"]), st.integers(1, 4)),
            min_size=1,
            max_size=5,
        ),
        st.integers(40, 400),
    )
    def test_whatever_tries_come_to_a_stretch_has_one_onset_and_too_few_doubles(self, tries, a_day):
        world = World(history(days=30, a_day=a_day), "gggggbb")
        world.judge([make_window(day, kind="performance") for day in range(8, 31)])
        day = 7
        for outcome, wait in tries:
            world.now = at(day)
            decision = world.decide(cooldown="1s", per_day=99)
            if decision.order is r.RetrainOrder.GRANT:
                world.run(outcome, cooldown="1s", per_day=99)
            day += wait
        made = world.ports.monitor.episodes("churn")
        assert len({one.onset for one in made}) <= 1
        for before, after in pairwise(made):
            assert after.rows >= before.rows >= 250
            assert before.outcome is not r.RetrainOutcome.TOO_FEW or after.rows >= 2 * before.rows

    def test_the_claim_has_the_onset_and_reaches_back_to_it(self):
        world = World(history())
        episode = world.decide().episode
        claim = world.run("kept", recent="1d")
        assert claim.onset == episode.onset
        assert claim.recent.start <= claim.onset

    def test_an_event_from_outside_has_no_onset(self):
        world = World(history())
        step = r.DecideRetrainInput(spec=policy_spec(), event_id="x")
        assert decide_retrain(step, world.ports, "").episode.onset is None
        assert world.rows.asked == []


class TestNotWonBack:
    """A version that only beat a broken champion, and whose windows neither fail nor pass."""

    def world(self, windows: str = "iii", **lost: Any) -> World:
        world = World(history(days=12, a_day=200), "gggggbb")
        assert world.decide().order is r.RetrainOrder.GRANT
        world.run("promoted")
        body = {"bundle_uri": "memory://", "better_than_broken": MIDNIGHT.isoformat(), **lost}
        world.ledger.now = lambda: world.now
        world.ledger.append(
            r.LedgerEntry(
                model="churn",
                action=r.LedgerAction.COMMIT,
                epoch=2,
                version="2",
                digest=B,
                actor="scheduler",
                body={name: value for name, value in body.items() if value},
            ),
            after_seq=len(world.ledger.rows("churn")),
        )
        self.judge(world, windows, 7)
        return world

    def judge(self, world: World, windows: str, first: int) -> None:
        late = make_windows("-" * first + windows, kind="performance", digest=B)
        world.judge([one for one in late if one.window.start >= MIDNIGHT + first * DAY])
        world.now = at(first + len(windows))

    def test_is_tried_again_once_the_rows_have_doubled(self):
        world = self.world("i")
        first = world.ports.monitor.episodes("churn")[0]
        held = world.decide()
        assert (held.order, held.waits_for.needed) == (r.RetrainOrder.WAIT, 2 * first.rows)
        assert "only beat a broken champion" in held.reason
        self.judge(world, "iii", 8)
        again = world.decide()
        assert again.order is r.RetrainOrder.GRANT, again.reason
        assert again.episode.onset == first.onset
        assert again.episode.rows >= 2 * first.rows
        world.run("kept")
        self.judge(world, "i", 11)
        assert world.decide().waits_for.needed == 2 * again.episode.rows

    @pytest.mark.parametrize("passed", [2, 5, 7])
    def test_what_the_bundle_passed_before_it_served_in_the_loss_is_no_recovery(self, passed):
        """The same bundle served when all was well, and came back during the loss."""
        world = self.world("i")
        world.judge([make_window(passed, "pass", kind="performance", digest=B)])
        held = world.decide()
        assert held.waits_for is not None, held.reason
        self.judge(world, "iii", 8)
        assert world.decide().order is r.RetrainOrder.GRANT

    @pytest.mark.parametrize(("windows", "lost"), [("gi", {}), ("ii", {"better_than_broken": None})])
    def test_after_a_recovery_or_a_promotion_in_quiet_nothing_asks(self, windows, lost):
        decision = self.world(windows, **lost).decide()
        assert (decision.order, decision.waits_for) == (r.RetrainOrder.WAIT, None)
