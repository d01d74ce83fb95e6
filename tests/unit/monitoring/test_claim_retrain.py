from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import digest, make_difference, make_spec
from support.fakes import fake_ports
from support.retraining import DAY, MIDNIGHT, claim_input, make_episode, policy_spec, promote
from windsock import records as r
from windsock.exceptions import MonitoringError, SettingsError
from windsock.monitoring.alerts import conditions_of
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.records.retraining import LEASE
from windsock.spec.known_refusals import known_refusals

NOW = MIDNIGHT + 2 * DAY + timedelta(minutes=2)

AFTER = r.Span(start=NOW, end=NOW + 2 * LEASE)
CLAIM = r.RetrainClaim(model="churn", granted=True, reason="", holder="", claimed_at=NOW)
RUN, OTHER = (r.RunContext(dag_id="churn__drift_retrain", run_id=one) for one in ("run1", "run2"))


@pytest.fixture
def ports():
    made = fake_ports(now=lambda: NOW)
    made.monitor.announce(make_episode())
    return made


def test_the_run_holds_the_episode(ports):
    claim = claim_retrain(claim_input(), ports, "")
    assert claim.granted
    assert claim.holder == "churn__drift_retrain/run1"
    (episode,) = ports.monitor.episodes("churn")
    assert (episode.state, episode.claimed_by) == (r.EpisodeState.CLAIMED, claim.holder)
    assert claim.episode == episode


def test_a_second_try_of_the_run_has_the_same_claim(ports):
    assert claim_retrain(claim_input(), ports, "") == claim_retrain(claim_input(), ports, "")


def test_another_run_has_none(ports):
    claim_retrain(claim_input(), ports, "")
    second = claim_retrain(claim_input("run2"), ports, "")
    assert not second.granted
    assert "WS-MONITORING-054" in second.reason
    assert second.recent is None


def test_the_recent_rows_reach_as_far_back_as_the_policy_says(ports):
    assert claim_retrain(claim_input(recent="7d"), ports, "").recent == r.Span(start=NOW - 7 * DAY, end=NOW)


def test_and_at_least_over_the_episode(ports):
    claim = claim_retrain(claim_input(recent="1h"), ports, "")
    assert claim.recent == r.Span(start=MIDNIGHT, end=NOW)


def test_a_retrain_on_schedule_claims_the_model_and_mixes_nothing_in(ports):
    claim = claim_retrain(claim_input(key=None), ports, "")
    assert (claim.granted, claim.episode, claim.recent) == (True, None, None)


def test_an_episode_of_a_version_that_serves_no_more_is_not_retrained_for(ports):
    promote(ports.ledger, "2", digest("b"))
    claim = claim_retrain(claim_input(), ports, "")
    assert not claim.granted
    assert "superseded" in claim.reason


def test_a_claim_without_a_run_is_refused(ports):
    with pytest.raises(MonitoringError) as refusal:
        claim_retrain(claim_input(run_id=None), ports, "")
    assert refusal.value.code == "WS-MONITORING-050"
    assert [one.state for one in ports.monitor.episodes("churn")] == [r.EpisodeState.ANNOUNCED]


class TestOutsideEvents:
    def claim(
        self, ports, event_id: str = "order-7", run_id: str = "run1", **retrain: object
    ) -> r.RetrainClaim:
        step = r.ClaimRetrainInput(
            spec=policy_spec(**retrain), event_id=event_id, run=r.RunContext(dag_id="dag", run_id=run_id)
        )
        return claim_retrain(step, ports, "")

    @pytest.fixture
    def ports(self):
        made = fake_ports(now=lambda: NOW)
        promote(made.ledger, "1", digest("a"))
        return made

    def test_it_enters_by_the_policy_and_is_claimed(self, ports):
        claim = self.claim(ports)
        assert claim.granted
        assert claim.episode.trigger == "event"
        assert self.claim(ports) == claim, "a second try of the run"
        assert len(ports.monitor.episodes("churn")) == 1

    def test_its_double_is_refused_now_and_later(self, ports):
        first = self.claim(ports)
        assert not self.claim(ports, run_id="run2").granted
        ports.monitor.close("churn", holder=first.holder, outcome=r.RetrainOutcome.PROMOTED, now=NOW)
        later = fake_ports(ledger=ports.ledger, monitor=ports.monitor, now=lambda: NOW + 9 * DAY)
        assert "WS-MONITORING-055" in self.claim(later, run_id="run2").reason
        assert self.claim(later, "order-8", "run2").granted

    def test_the_policy_may_hold_it_back(self, ports):
        first = self.claim(ports)
        ports.monitor.close("churn", holder=first.holder, outcome=r.RetrainOutcome.KEPT, now=NOW)
        held = self.claim(ports, "order-8", "run2")
        assert not held.granted
        assert "WS-MONITORING-053" in held.reason
        assert len(ports.monitor.episodes("churn")) == 1

    def test_few_held_out_rows_open_the_breaker_of_events(self, ports):
        wide, kept = make_difference(-0.3, 0.5, opponent="champion"), r.RetrainOutcome.KEPT
        for number in (1, 2):
            later = replace(ports, now=lambda number=number: NOW + number * 9 * DAY)
            claim = self.claim(later, f"order-{number}", f"run{number}", breaker=2)
            assert claim.granted, claim.reason
            step = r.CloseRetrainInput(
                spec=policy_spec(),
                claim=claim,
                outcome=kept,
                against=wide,
                run=r.RunContext(dag_id="dag", run_id=f"run{number}"),
            )
            assert close_retrain(step, later, "").outcome is r.RetrainOutcome.TOO_FEW
        later = replace(ports, now=lambda: NOW + 30 * DAY)
        held = self.claim(later, "order-3", "run3", breaker=2)
        assert not held.granted
        assert "WS-MONITORING-052" in held.reason
        assert "had too few held-out rows" in held.reason
        asked = r.DecideRetrainInput(spec=policy_spec(breaker=2))
        decision = decide_retrain(asked, later, "")
        assert decision.stopped == ("event",)
        (alert,) = [one for one in conditions_of(None, None, decision) if one.key == "retrain:breaker"]
        assert alert.active
        assert "No retrain that an event from outside asks for follows until" in alert.text
        assert alert.text.count("too_few") == 2

    def test_what_is_announced_already_answers_it(self, ports):
        ports.monitor.announce(make_episode())
        claim = self.claim(ports)
        assert claim.granted
        assert claim.episode.key == "one"
        assert [one.outcome for one in ports.monitor.episodes("churn")] == [None, r.RetrainOutcome.SUPERSEDED]


class Lacks:
    """An installation that lacks something."""

    def __init__(self, fault=None, found=()):
        self.fault, self.found, self.asked = fault, found, []

    def check(self, model, *, deploys):
        self.asked.append((model, deploys))
        if self.fault is not None:
            raise self.fault
        return self.found


def test_a_retrain_that_cannot_come_to_its_end_claims_nothing(ports):
    lacking = replace(ports, preflight=Lacks(SettingsError("no key")))
    with pytest.raises(SettingsError):
        claim_retrain(claim_input(), lacking, "")
    assert claim_retrain(claim_input("run2"), ports, "").granted


def test_what_may_be_put_right_meanwhile_is_in_the_claim(ports):
    look = Lacks(found=("no server answers",))
    claim = claim_retrain(claim_input(), replace(ports, preflight=look), "")
    assert (claim.granted, claim.findings[-1], look.asked) == (True, "no server answers", [("churn", True)])
    asked = claim_input().replace(dry_run=True)
    claim_retrain(asked, replace(ports, preflight=look), "")
    assert look.asked[-1] == ("churn", False)


def test_an_empty_model_card_is_told_before_the_gate_refuses_it():
    spec = make_spec(gate={"card": {"intended_use": "Rank.", "limitations": " "}})
    (told,) = known_refusals(spec)
    assert "limitations is empty" in told
    assert known_refusals(make_spec(gate={"card": {"intended_use": "Rank.", "limitations": "Few."}})) == ()


class TestWithoutALease:
    """A database that was edited, or restored in part: the episode is claimed, and its lease is gone."""

    @pytest.fixture
    def ports(self, ports):
        promote(ports.ledger, "1", digest("a"))
        assert claim_retrain(claim_input(), ports, "").granted
        ports.monitor.leases.clear()
        return ports

    @pytest.mark.parametrize("others", [False, True], ids=["no lease", "another's lease"])
    @pytest.mark.parametrize("asks", ["claim", "decision"])
    def test_it_blocks_no_longer_than_a_claim_of_usual_length(self, ports, asks, others, caplog):
        def ask(at):
            later = replace(ports, now=lambda: at)
            if asks == "claim":
                return claim_retrain(claim_input("run2"), later, "")
            return decide_retrain(r.DecideRetrainInput(spec=policy_spec()), later, "")

        if others:
            assert claim_retrain(claim_input("run3", key=None), ports, "").granted
        ask(NOW + LEASE - timedelta(minutes=1))
        assert ports.monitor.episodes("churn")[0].state is r.EpisodeState.CLAIMED
        assert "WS-MONITORING-104" not in caplog.text
        ask(NOW + LEASE)
        (episode,) = ports.monitor.episodes("churn")
        assert (episode.state, episode.outcome) == (r.EpisodeState.CLOSED, r.RetrainOutcome.FAILED)
        assert caplog.text.count("WS-MONITORING-104") == 1
        assert ports.monitor.announce(make_episode("two", opened_at=AFTER.end, span=AFTER)).key == "two"

    def test_one_that_a_clock_far_ahead_claimed_blocks_nothing(self, ports):
        kept = ports.monitor.kept_episodes["churn"]
        kept["one"] = kept["one"].replace(claimed_at=NOW + 365 * DAY)
        decide_retrain(r.DecideRetrainInput(spec=policy_spec()), ports, "")
        assert ports.monitor.episodes("churn")[0].outcome is r.RetrainOutcome.FAILED

    def test_its_own_run_has_the_same_claim_again_and_no_other_has(self, ports):
        assert not claim_retrain(claim_input("run2"), ports, "").granted
        again = claim_retrain(claim_input(), ports, "")
        assert (again.granted, again.claimed_at) == (True, NOW)
        assert ports.monitor.lease("churn").holder == again.holder

    @pytest.mark.parametrize("others", [False, True], ids=["no lease", "another's lease"])
    def test_the_end_of_its_run_closes_it(self, ports, others):
        if others:
            assert claim_retrain(claim_input("run3", key=None), ports, "").granted
        step = r.CloseRetrainInput(spec=policy_spec(), claim=CLAIM, outcome=r.RetrainOutcome.KEPT, run=RUN)
        assert close_retrain(step, ports, "").episode_key == "one"
        assert ports.monitor.episodes("churn")[0].outcome is r.RetrainOutcome.KEPT
        assert (ports.monitor.lease("churn") is not None) == others
