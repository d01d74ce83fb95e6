from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import digest, make_difference, make_spec
from support.fakes import fake_ports
from support.retraining import DAY, MIDNIGHT, make_episode, policy_spec
from windsock import records as r
from windsock.exceptions import MonitoringError, SettingsError
from windsock.monitoring.alerts import conditions_of
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain, learned
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.spec.known_refusals import known_refusals

NOW = MIDNIGHT + 2 * DAY + timedelta(minutes=2)

RUN, OTHER = (r.RunContext(dag_id="churn__drift_retrain", run_id=one) for one in ("run1", "run2"))


@pytest.fixture
def ports():
    made = fake_ports(now=lambda: NOW)
    made.monitor.announce(make_episode())
    return made


def claim_input(
    run_id: str | None = "run1", key: str | None = "one", **retrain: object
) -> r.ClaimRetrainInput:
    return r.ClaimRetrainInput(
        spec=policy_spec(**retrain),
        episode_key=key,
        run=r.RunContext(dag_id="churn__drift_retrain", run_id=run_id),
    )


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


def promote(ledger, version: str, bundle: str) -> None:
    write(ledger, r.LedgerAction.COMMIT, version, bundle)


def write(ledger, action: r.LedgerAction, version: str, bundle: str, **body: object) -> None:
    ledger.append(
        r.LedgerEntry(
            model="churn",
            action=action,
            epoch=int(version),
            version=version,
            digest=bundle,
            actor="scheduler",
            body={"bundle_uri": "memory://", **body},
        ),
        after_seq=len(ledger.rows("churn")),
    )


def decide_row(ports, outcome: str, run: r.RunContext = RUN, against: object = None) -> None:
    """Write what the gate said in a run, with its evidence."""
    met = against.model_dump(mode="json") if against is not None else None
    content = json.dumps({"evaluation": {"against_champion": met}}).encode()
    pack = ports.bundles.put_document("evidence/churn/one.json", content)
    kept = {"evidence_uri": "evidence/churn/one.json", "evidence_digest": pack}
    write(ports.ledger, r.LedgerAction.DECIDE, "0", digest("b"), outcome=outcome, run=run.named, **kept)


class TestClose:
    def test_the_outcome_closes_the_episode(self, ports):
        claim = claim_retrain(claim_input(), ports, "")
        step = r.CloseRetrainInput(spec=policy_spec(), claim=claim, outcome=r.RetrainOutcome.KEPT, run=RUN)
        end = close_retrain(step, ports, "")
        assert (end.episode_key, end.outcome, end.closed_at) == ("one", r.RetrainOutcome.KEPT, NOW)
        (episode,) = ports.monitor.episodes("churn")
        assert (episode.state, episode.outcome) == (r.EpisodeState.CLOSED, r.RetrainOutcome.KEPT)
        assert claim_retrain(claim_input("run2", key=None), ports, "").granted

    def test_a_claim_that_was_refused_closes_nothing(self, ports):
        claim_retrain(claim_input(), ports, "")
        refused = claim_retrain(claim_input("run2"), ports, "")
        step = r.CloseRetrainInput(
            spec=policy_spec(), claim=refused, outcome=r.RetrainOutcome.FAILED, run=OTHER
        )
        assert close_retrain(step, ports, "").episode_key is None
        (episode,) = ports.monitor.episodes("churn")
        assert episode.state is r.EpisodeState.CLAIMED

    def test_what_could_not_have_shown_a_gain_is_too_few(self, ports):
        ports.monitor.kept_episodes["churn"]["one"] = make_episode(loss=0.1, announced=1)
        claim = claim_retrain(claim_input(), ports, "")
        step = r.CloseRetrainInput(
            spec=policy_spec(),
            claim=claim,
            run=RUN,
            outcome=r.RetrainOutcome.KEPT,
            against=make_difference(-0.1, 0.3, opponent="champion"),
        )
        assert close_retrain(step, ports, "").outcome is r.RetrainOutcome.TOO_FEW
        (episode,) = ports.monitor.episodes("churn")
        assert episode.outcome is r.RetrainOutcome.TOO_FEW

    def close(self, ports, outcome: str, **fields: object) -> r.RetrainOutcome:
        ports.monitor.kept_episodes["churn"]["one"] = make_episode(announced=1)
        claim = claim_retrain(claim_input(), ports, "")
        step = r.CloseRetrainInput(
            spec=policy_spec(), claim=claim, run=RUN, outcome=r.RetrainOutcome(outcome), **fields
        )
        return close_retrain(step, ports, "").outcome

    @pytest.mark.parametrize("said", ["promoted", "queued"])
    def test_a_word_alone_promotes_nothing_and_queues_nothing(self, ports, said):
        promote(ports.ledger, "1", digest("a"))
        assert self.close(ports, said) is r.RetrainOutcome.UNCHANGED

    @pytest.mark.parametrize("said", ["promoted", "queued", "failed"])
    @pytest.mark.parametrize(("gate", "came"), [("keep", "kept"), ("refuse", "refused")])
    def test_the_gate_s_no_is_in_the_ledger(self, ports, said, gate, came):
        promote(ports.ledger, "1", digest("a"))
        decide_row(ports, gate)
        assert self.close(ports, said) is r.RetrainOutcome(came)

    @pytest.mark.parametrize(("run", "gate"), [(RUN, "promote"), (OTHER, "keep")])
    def test_a_fault_after_a_yes_or_beside_another_run_s_no_is_a_fault(self, ports, run, gate):
        promote(ports.ledger, "1", digest("a"))
        decide_row(ports, gate, run)
        assert self.close(ports, "failed") is r.RetrainOutcome.FAILED

    @pytest.mark.parametrize("rolled_back", [False, True])
    def test_another_version_is_a_promotion_also_where_a_person_has_rolled_it_back(self, ports, rolled_back):
        promote(ports.ledger, "1", digest("a"))
        claim = claim_retrain(claim_input(), ports, "")
        ports.ledger.now = lambda: NOW
        promote(ports.ledger, "2", digest("b"))
        if rolled_back:
            promote(ports.ledger, "3", digest("a"))
        step = r.CloseRetrainInput(
            spec=policy_spec(), claim=claim, outcome=r.RetrainOutcome.PROMOTED, run=RUN
        )
        assert close_retrain(step, ports, "").outcome is r.RetrainOutcome.PROMOTED

    def test_a_version_that_waits_is_in_the_ledger(self, ports):
        promote(ports.ledger, "1", digest("a"))
        write(ports.ledger, r.LedgerAction.QUEUE, "2", digest("b"), run=RUN.named)
        assert self.close(ports, "queued") is r.RetrainOutcome.QUEUED

    @pytest.mark.parametrize(("kept_is_wide", "came"), [(True, "too_few"), (False, "kept")])
    def test_the_difference_is_that_of_the_signed_evidence(self, ports, kept_is_wide, came):
        promote(ports.ledger, "1", digest("a"))
        wide, narrow = (make_difference(-one, one, opponent="champion") for one in (0.4, 0.01))
        kept, handed = (wide, narrow) if kept_is_wide else (narrow, wide)
        decide_row(ports, "keep", against=kept)
        assert self.close(ports, "kept", against=handed) is r.RetrainOutcome(came)
        assert ports.monitor.episodes("churn")[0].difference == kept

    def test_evidence_that_is_gone_makes_no_rows_too_few(self, ports):
        promote(ports.ledger, "1", digest("a"))
        decide_row(ports, "keep")
        ports.bundles.documents.clear()
        wide = make_difference(-0.4, 0.4, opponent="champion")
        assert self.close(ports, "kept", against=wide) is r.RetrainOutcome.KEPT

    def test_an_edited_claim_changes_nothing(self, ports):
        ports.monitor.kept_episodes["churn"]["one"] = make_episode(loss=0.1, announced=1)
        claim = claim_retrain(claim_input(), ports, "")
        ports.monitor.announce(make_episode("two", model="fraud"))
        ports.monitor.claim(make_spec(model={"name": "fraud"}), episode_key="two", holder="d/9", now=NOW)
        edited = claim.replace(
            model="fraud", holder="d/9", episode=claim.episode.replace(loss=9.0, key="two")
        )
        step = r.CloseRetrainInput(
            spec=policy_spec(),
            claim=edited,
            run=RUN,
            outcome=r.RetrainOutcome.KEPT,
            against=make_difference(-0.1, 0.3, opponent="champion"),
        )
        end = close_retrain(step, ports, "")
        assert (end.model, end.holder, end.episode_key) == ("churn", RUN.label, "one")
        assert end.outcome is r.RetrainOutcome.TOO_FEW
        assert ports.monitor.lease("churn") is None
        assert ports.monitor.lease("fraud").holder == "d/9"

    def test_a_run_must_be_named(self, ports):
        claim = claim_retrain(claim_input(), ports, "")
        step = r.CloseRetrainInput(spec=policy_spec(), claim=claim, outcome=r.RetrainOutcome.KEPT)
        with pytest.raises(MonitoringError, match="WS-MONITORING-050"):
            close_retrain(step, ports, "")


class TestLearned:
    @pytest.mark.parametrize(
        ("low", "high", "loss", "few"),
        [
            (-0.1, 0.3, 0.1, True),
            (-0.05, 0.05, 0.1, False),
            (-0.1, 0.1, 0.1, False),
            (-0.3, -0.2, 0.1, False),
            (-0.1, 0.3, None, True),
            (-0.1, 0.3, 0.0, True),
            (-0.1, 0.3, -0.02, True),
            (-0.04, 0.05, None, False),
            (-0.05, 0.06, None, True),
        ],
    )
    @pytest.mark.parametrize("outcome", ["kept", "refused"])
    def test_the_interval_is_held_against_the_loss(self, outcome, low, high, loss, few):
        said = r.RetrainOutcome(outcome)
        episode, against = make_episode(loss=loss), make_difference(low, high, opponent="champion")
        assert learned(said, episode, against, drop=0.05) is (r.RetrainOutcome.TOO_FEW if few else said)

    @pytest.mark.parametrize("trigger", ["drift", "event", "performance"])
    def test_without_a_loss_it_is_held_against_what_counts_as_one(self, trigger):
        wide = make_difference(-0.3, 0.5, opponent="champion")
        kept, episode = r.RetrainOutcome.KEPT, make_episode(trigger=trigger)
        assert learned(kept, episode, wide, drop=0.05) is r.RetrainOutcome.TOO_FEW
        assert learned(kept, episode, wide, drop=0.5) is kept
        assert learned(kept, episode, wide, drop=0) is kept

    def test_without_any_labels_no_retrain_would_have_more(self):
        wide = make_difference(-0.3, 0.5, opponent="champion")
        kept = r.RetrainOutcome.KEPT
        assert learned(kept, make_episode(rows=0), wide, drop=0.05) is kept
        assert learned(kept, make_episode(rows=300), wide, drop=0.05) is r.RetrainOutcome.TOO_FEW

    @pytest.mark.parametrize("outcome", ["promoted", "queued", "failed", "superseded"])
    def test_other_outcomes_stand(self, outcome):
        said = r.RetrainOutcome(outcome)
        assert learned(said, make_episode(loss=0.01), make_difference(-1, 1), drop=0.05) is said

    def test_without_a_comparison_the_outcome_stands(self):
        kept = r.RetrainOutcome.KEPT
        assert learned(kept, make_episode(loss=0.1), None, drop=0.05) is kept
        assert learned(kept, None, make_difference(-1, 1), drop=0.05) is kept
        broken = make_difference(-1, 1, value=None, interval=None, error="the champion does not load")
        assert learned(kept, make_episode(loss=0.1), broken, drop=0.05) is kept

    def test_rows_that_give_no_interval_are_too_few(self):
        against = make_difference(-1, 1, interval=None, reason="9 positives, at least 20 needed")
        came = learned(r.RetrainOutcome.KEPT, make_episode(loss=0.1), against, drop=0.05)
        assert came is r.RetrainOutcome.TOO_FEW

    @pytest.mark.parametrize(("half", "few"), [(4.9, False), (5.1, True)])
    def test_for_drift_a_share_is_of_what_the_champion_has(self, half, few):
        against = make_difference(-half, half, metric="rmse", opponent_value=100.0)
        came = learned(r.RetrainOutcome.KEPT, make_episode(), against, drop=0.05)
        assert (came is r.RetrainOutcome.TOO_FEW) == few

    @pytest.mark.parametrize(("half", "few"), [(19, False), (21, True)])
    def test_a_share_is_of_what_the_champion_had_before(self, half, few):
        """The champion's rmse rose by a quarter, to 100: it was 80, so 20 are lost."""
        against = make_difference(-half, half, metric="rmse", opponent_value=100.0)
        came = learned(r.RetrainOutcome.KEPT, make_episode(loss=0.25), against, drop=0.05)
        assert (came is r.RetrainOutcome.TOO_FEW) == few


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
