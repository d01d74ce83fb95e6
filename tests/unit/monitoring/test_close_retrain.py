"""What a retrain came to: by the ledger and the gate's evidence, and by what its rows could have shown."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from support.builders import digest, make_difference, make_spec
from support.fakes import fake_ports
from support.retraining import DAY, MIDNIGHT, claim_input, make_episode, policy_spec, promote, write
from windsock import records as r
from windsock.exceptions import MonitoringError
from windsock.monitoring import retrain_end
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain, learned
from windsock.monitoring.decide_retrain import sweep_episodes

NOW = MIDNIGHT + 2 * DAY + timedelta(minutes=2)
RUN, OTHER = (r.RunContext(dag_id="churn__drift_retrain", run_id=one) for one in ("run1", "run2"))


@pytest.fixture
def ports():
    made = fake_ports(now=lambda: NOW)
    made.monitor.announce(make_episode())
    return made


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

    @pytest.mark.parametrize("said", ["promoted", "queued", "too_few", "superseded"])
    def test_a_word_alone_promotes_nothing_and_queues_nothing(self, ports, said):
        promote(ports.ledger, "1", digest("a"))
        assert self.close(ports, said) is r.RetrainOutcome.UNCHANGED

    @pytest.mark.parametrize("said", list(r.RetrainOutcome))
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

    @pytest.mark.parametrize("said", ["failed", "kept", "too_few", "unchanged"])
    def test_what_the_run_s_own_rows_say_is_not_led_by_a_word(self, ports, said):
        promote(ports.ledger, "1", digest("a"))
        decide_row(ports, "promote")
        write(ports.ledger, r.LedgerAction.QUEUE, "2", digest("b"), run=RUN.named)
        assert self.close(ports, said) is r.RetrainOutcome.QUEUED

    @pytest.mark.parametrize("said", ["failed", "kept", "too_few", "queued"])
    @pytest.mark.parametrize(("action", "came"), [("commit", "promoted"), ("reject", "refused")])
    def test_so_is_what_became_of_the_version_that_its_gate_let_through(self, ports, said, action, came):
        promote(ports.ledger, "1", digest("a"))
        claim = claim_retrain(claim_input(), ports, "")
        decide_row(ports, "promote")
        write(ports.ledger, r.LedgerAction(action), "2", digest("b"))
        step = r.CloseRetrainInput(spec=policy_spec(), claim=claim, outcome=r.RetrainOutcome(said), run=RUN)
        assert close_retrain(step, ports, "").outcome is r.RetrainOutcome(came)

    @pytest.mark.parametrize("gate", [None, "promote", "keep"])
    def test_another_version_that_waits_is_not_this_run_s(self, ports, gate):
        promote(ports.ledger, "1", digest("a"))
        if gate is not None:
            decide_row(ports, gate)
        write(ports.ledger, r.LedgerAction.QUEUE, "3", digest("c"), run=OTHER.named)
        came = r.RetrainOutcome.KEPT if gate == "keep" else r.RetrainOutcome.UNCHANGED
        assert self.close(ports, "queued") is came

    @pytest.mark.parametrize(("ends", "came"), [(False, "queued"), (True, "kept")])
    def test_the_same_version_that_another_run_queued_waits_for_this_one_too(self, ports, ends, came):
        promote(ports.ledger, "1", digest("a"))
        write(ports.ledger, r.LedgerAction.QUEUE, "2", digest("b"), run=OTHER.named)
        decide_row(ports, "promote")
        assert self.close(ports, "queued") is r.RetrainOutcome.QUEUED
        ended = {OTHER.label: r.RetrainOutcome.KEPT} if ends else {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retrain_end, "retrains_by_rollout", lambda rows: ended)
            sweep_episodes(ports, "churn", digest("a"), NOW)
        assert ports.monitor.episodes("churn")[0].outcome is r.RetrainOutcome(came)

    @pytest.mark.parametrize("said", ["kept", "failed"])
    def test_what_is_left_out_is_in_the_evidence(self, ports, said):
        promote(ports.ledger, "1", digest("a"))
        wide = make_difference(-0.4, 0.4, opponent="champion")
        decide_row(ports, "keep", against=wide)
        assert self.close(ports, said) is r.RetrainOutcome.TOO_FEW
        assert ports.monitor.episodes("churn")[0].difference == wide

    def test_after_the_gate_s_yes_no_difference_makes_a_person_s_no_too_few(self, ports):
        promote(ports.ledger, "1", digest("a"))
        wide = make_difference(-0.4, 0.4, opponent="champion")
        decide_row(ports, "promote", against=wide)
        assert self.close(ports, "refused", against=wide) is r.RetrainOutcome.REFUSED

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
