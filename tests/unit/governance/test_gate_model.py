from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.builders import (
    digest,
    make_check,
    make_difference,
    make_evaluation,
    make_spec,
    make_trained,
    make_validation,
)
from support.fakes import FakeLedger, fake_ports
from windsock.exceptions import DatabaseUnavailableError
from windsock.governance import gate_model as gate
from windsock.governance.checks import Case
from windsock.governance.gate_model import decide, gate_model
from windsock.governance.register_model import register_model
from windsock.records import (
    Champion,
    CheckResult,
    GateDecision,
    GateModelInput,
    Latency,
    LedgerAction,
    LedgerEntry,
    MetricValue,
    Outcome,
    RegisterModelInput,
    RunContext,
    Status,
)

OLD = digest("c")


def judged(ports: Any = None, *, spec: Any = None, validation: Any = None, **evaluation: Any) -> GateDecision:
    step = GateModelInput(
        spec=spec or make_spec(),
        validation=validation or make_validation(),
        evaluation=make_evaluation(**evaluation),
        run=RunContext(requested_by="alice"),
    )
    return gate_model(step, ports or fake_ports(), "key")


def make_ledger(*champions: str) -> FakeLedger:
    """Return a ledger in which these bundles became champion, one after the other."""
    ledger = FakeLedger()
    replaced = None
    for number, bundle in enumerate(champions, start=1):
        ledger.append(
            LedgerEntry(
                model="churn",
                action=LedgerAction.COMMIT,
                epoch=number,
                version=str(number),
                digest=bundle,
                actor="scheduler",
                body={"bundle_uri": f"memory://{bundle[0]}", "replaced": replaced},
            ),
            after_seq=number - 1,
        )
        replaced = bundle
    return ledger


def met(ledger: FakeLedger, low: float, high: float) -> dict[str, Any]:
    return {
        "champion": ledger.champion("churn"),
        "against_champion": make_difference(low, high, opponent="champion"),
    }


class TestGateModel:
    def test_a_good_first_model_is_promoted(self) -> None:
        decision = judged()
        assert decision.outcome is Outcome.PROMOTE
        assert decision.first_model
        assert {check.name for check in decision.checks} == set(decision.required)
        assert decision.bundle_digest == digest("b")
        assert decision.policy_digest == make_spec().section_digest("gate")
        assert decision.validation == make_validation()
        assert decision.requested_by == "alice"

    def test_a_better_challenger_is_promoted(self) -> None:
        ledger = make_ledger(OLD)
        decision = judged(fake_ports(ledger=ledger), **met(ledger, 0.01, 0.03))
        assert decision.outcome is Outcome.PROMOTE
        assert not decision.first_model

    def test_the_opponent_is_the_champion_that_was_met(self) -> None:
        ledger = make_ledger(OLD)
        assert judged(fake_ports(ledger=ledger), **met(ledger, 0.01, 0.03)).opponent == OLD
        assert judged().opponent is None

    @pytest.mark.parametrize(("low", "high"), [(-0.01, 0.03), (-0.03, -0.01)])
    def test_a_champion_that_is_not_beaten_is_kept(self, low: float, high: float) -> None:
        ledger = make_ledger(OLD)
        decision = judged(fake_ports(ledger=ledger), **met(ledger, low, high))
        assert decision.outcome is Outcome.KEEP
        assert "champion_comparison" in decision.reason

    def test_a_failed_absolute_check_refuses_also_a_model_that_beats_the_champion(self) -> None:
        ledger = make_ledger(OLD)
        slow = Latency(ms_per_sample=11.0, rows=100, repeats=5)
        decision = judged(fake_ports(ledger=ledger), latency=slow, **met(ledger, 0.01, 0.03))
        assert decision.outcome is Outcome.REFUSE
        assert (
            "WS-GATE-005 latency: time per sample 11 ms, limit: at most 10 ms, n=500: fail" in decision.reason
        )

    def test_an_evaluation_made_before_the_champion_changed_is_refused_and_not_final(self) -> None:
        decision = judged(fake_ports(ledger=make_ledger(OLD)))
        assert decision.outcome is Outcome.REFUSE
        assert decision.has_error
        assert not decision.first_model

    def test_a_champion_that_the_ledger_does_not_know_is_refused(self) -> None:
        ghost = Champion(model="churn", version="1", digest=OLD, bundle_uri="memory://c", epoch=2)
        against = make_difference(0.1, 0.2, opponent="champion")
        decision = judged(champion=ghost, against_champion=against)
        assert decision.outcome is Outcome.REFUSE
        assert decision.has_error

    def test_a_ledger_out_of_reach_is_never_a_first_model(self) -> None:
        class Away(FakeLedger):
            def champion(self, model: str) -> Champion | None:
                raise DatabaseUnavailableError("no answer")

        with pytest.raises(DatabaseUnavailableError):
            judged(fake_ports(ledger=Away()))

    def test_the_evaluation_that_made_a_first_champion_is_judged_as_then(self) -> None:
        ledger = make_ledger(digest("b"))
        decision = judged(fake_ports(ledger=ledger))
        assert decision.outcome is Outcome.PROMOTE
        assert decision.first_model

    def test_the_evaluation_that_made_a_later_champion_is_judged_as_then(self) -> None:
        before = make_ledger(OLD)
        evaluated = met(before, 0.01, 0.03)
        decision = judged(fake_ports(ledger=make_ledger(OLD, digest("b"))), **evaluated)
        assert decision.outcome is Outcome.PROMOTE
        assert not decision.first_model

    def test_a_champion_that_met_itself_is_kept(self) -> None:
        ledger = make_ledger(digest("b"))
        decision = judged(fake_ports(ledger=ledger), **met(ledger, 0.0, 0.0))
        assert decision.outcome is Outcome.KEEP

    def test_a_renamed_check_of_another_package_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate, "run_check", lambda name, case: make_check("something_else"))
        decision = judged()
        assert decision.outcome is Outcome.REFUSE
        assert "did not run" in decision.reason

    def test_a_check_is_given_the_step_the_ports_and_the_champion_of_the_ledger(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []

        def run(name: str, case: Case) -> CheckResult:
            seen.append(case)
            return make_check(name)

        monkeypatch.setattr(gate, "run_check", run)
        ports = fake_ports(ledger=make_ledger(OLD))
        judged(ports)
        assert seen
        for case in seen:
            assert case.ports is ports
            assert case.step.evaluation == make_evaluation()
            assert case.champion == ports.ledger.champion("churn")

    def test_one_check_in_the_place_of_another_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate, "run_check", lambda name, case: make_check("latency"))
        monkeypatch.setattr(gate, "required_checks", lambda spec, **_: ("latency", "model_card"))
        assert judged().outcome is Outcome.REFUSE

    def test_insufficient_evidence_asks_a_person_where_the_policy_says_so(self) -> None:
        wide = make_difference(-0.1, 0.5)
        assert judged(baseline=wide).outcome is Outcome.REFUSE
        asking = make_spec(gate={"on_insufficient": "ask"})
        decision = judged(spec=asking, baseline=wide)
        assert decision.outcome is Outcome.PROMOTE
        assert decision.asks == ("baseline_comparison",)

    def test_a_champion_not_beaten_asks_nobody(self) -> None:
        ledger = make_ledger(OLD)
        decision = judged(
            fake_ports(ledger=ledger),
            spec=make_spec(gate={"on_insufficient": "ask"}),
            baseline=make_difference(-0.1, 0.5),
            **met(ledger, -0.1, 0.1),
        )
        assert (decision.outcome, decision.asks) == (Outcome.KEEP, ())

    SILENT: dict[str, Any] = {
        "value": None,
        "interval": None,
        "opponent_value": None,
        "opponent": "champion",
        "error": "the champion cannot answer these rows: KeyError",
    }

    def silent(self, **gate: Any) -> dict[str, Any]:
        """Return what the gate is given where the champion cannot answer the new rows."""
        ledger = make_ledger(OLD)
        return {
            "ports": fake_ports(ledger=ledger),
            "spec": make_spec(gate={"minimum": {"roc_auc": 0.7}, **gate}),
            "champion": ledger.champion("churn"),
            "against_champion": make_difference(0, 0, **self.SILENT),
        }

    def test_a_champion_that_cannot_answer_refuses_and_names_its_own_case(self) -> None:
        decision = judged(**self.silent())
        assert (decision.outcome, decision.has_error) == (Outcome.REFUSE, True)
        assert "WS-GATE-012 champion_comparison: error, the champion cannot answer" in decision.reason
        assert "baseline_comparison" in decision.required

    def test_a_champion_that_cannot_answer_is_a_person_s_to_replace_where_the_policy_asks(self) -> None:
        decision = judged(**self.silent(on_insufficient="ask"))
        assert (decision.outcome, decision.asks) == (Outcome.PROMOTE, ("champion_comparison",))
        again = decide(decision.required, decision.checks, "ask")
        assert (again.outcome, again.asks) == (decision.outcome, decision.asks)
        assert decide(decision.required, decision.checks, "refuse").outcome is Outcome.REFUSE

    def test_a_model_below_the_baseline_never_replaces_a_champion_that_cannot_answer(self) -> None:
        below = make_difference(-0.3, -0.1)
        assert judged(**self.silent(on_insufficient="ask"), baseline=below).outcome is Outcome.REFUSE

    def test_without_a_baseline_nobody_is_asked_about_a_champion_that_cannot_answer(self) -> None:
        decision = judged(**self.silent(on_insufficient="ask"))
        checks = [check for check in decision.checks if check.name != "baseline_comparison"]
        assert decide([check.name for check in checks], checks, "ask").outcome is Outcome.REFUSE

    def test_a_metric_that_is_missing_refuses(self) -> None:
        spec = make_spec(gate={"minimum": {"roc_auc": 0.8}})
        decision = judged(
            spec=spec, metrics=(MetricValue(name="roc_auc", value=None, n=0, status=Status.ERROR),)
        )
        assert decision.outcome is Outcome.REFUSE
        assert decision.has_error

    def test_an_untrusted_validation_refuses(self) -> None:
        report = make_validation(status=Status.FAIL, checks=(make_check(status=Status.FAIL),))
        assert judged(validation=report).outcome is Outcome.REFUSE

    def test_the_run_that_was_judged_is_named(self) -> None:
        decision = judged(chosen=make_trained(run_id="run7"))
        assert decision.run_id == "run7"


NAMES = (
    "data_validation",
    "performance_minimum:f1",
    "champion_comparison",
    "latency",
    "model_card",
    "fairness",
)
CHECKS = st.builds(
    lambda name, status: CheckResult(name=name, status=status, code="WS-GATE-000"),
    st.sampled_from(NAMES),
    st.sampled_from(list(Status)),
)


class TestDecide:
    @given(
        required=st.lists(st.sampled_from(NAMES), max_size=6),
        results=st.lists(CHECKS, max_size=7),
        on_insufficient=st.sampled_from(["refuse", "ask"]),
    )
    @example(["latency"], [CheckResult(name="latency", status=Status.EMPTY, code="WS-GATE-000")], "ask")
    def test_promotes_only_what_ran_in_full_and_passed(
        self, required: list[str], results: list[CheckResult], on_insufficient: Any
    ) -> None:
        outcome, asks, reason = decide(required, results, on_insufficient)
        names = [check.name for check in results]
        whole = bool(results) and set(names) == set(required) and len(names) == len(set(names))
        if outcome is Outcome.PROMOTE:
            assert whole
            for check in results:
                asked = check.name in asks and on_insufficient == "ask"
                assert check.passed or (asked and check.status is Status.INSUFFICIENT)
            champion = [check for check in results if check.name == "champion_comparison"]
            assert all(check.passed for check in champion)
        else:
            assert asks == ()
        if outcome is Outcome.KEEP:
            assert whole
            assert all(check.status is not Status.ERROR for check in results)
            assert any(check.name == "champion_comparison" and not check.passed for check in results)
            absolute = [check for check in results if check.name != "champion_comparison"]
            assert all(check.status is not Status.FAIL for check in absolute)
            assert on_insufficient == "ask" or all(check.passed for check in absolute)
        assert reason

    @given(
        results=st.lists(CHECKS, min_size=1, max_size=6, unique_by=lambda check: check.name),
        on_insufficient=st.sampled_from(["refuse", "ask"]),
    )
    def test_any_error_refuses(self, results: list[CheckResult], on_insufficient: Any) -> None:
        broken = [*results[:-1], results[-1].model_copy(update={"status": Status.ERROR})]
        assert decide([check.name for check in broken], broken, on_insufficient).outcome is Outcome.REFUSE

    @given(results=st.lists(CHECKS, min_size=1, max_size=6, unique_by=lambda check: check.name))
    def test_all_passed_promotes(self, results: list[CheckResult]) -> None:
        good = [check.model_copy(update={"status": Status.PASS}) for check in results]
        decision = decide([check.name for check in good], good, "refuse")
        assert (decision.outcome, decision.asks) == (Outcome.PROMOTE, ())

    @pytest.mark.parametrize(
        ("required", "ran", "reason"),
        [
            ("", "", "no check ran; a gate without checks lets nothing through"),
            ("latency", "", "no check ran; a gate without checks lets nothing through"),
            ("", "latency", "no check ran; a gate without checks lets nothing through"),
            ("a b c", "b", "required checks did not run: a, c"),
            ("b", "c b a", "checks ran that the policy does not ask for: a, c"),
            ("a b", "a b a", "a check ran more than once"),
        ],
    )
    def test_a_set_that_is_not_the_required_one_refuses_and_says_why(
        self, required: str, ran: str, reason: str
    ) -> None:
        checks = [make_check(name) for name in ran.split()]
        assert decide(required.split(), checks, "ask") == (Outcome.REFUSE, (), reason)

    def test_a_silent_champion_without_a_baseline_refuses_and_says_why(self) -> None:
        silent = make_check("champion_comparison", Status.INSUFFICIENT, code="WS-GATE-012")
        assert decide([silent.name], [silent], "ask").reason == (
            "the champion cannot answer these rows, and the model did not meet the baseline"
        )

    def test_as_many_failures_as_are_shown_are_listed_in_full(self) -> None:
        checks = [make_check(name, Status.FAIL, message="too slow") for name in ("a", "b", "c")]
        assert decide(["a", "b", "c"], checks, "refuse").reason == (
            "WS-DATA-100 a: fail, too slow; WS-DATA-100 b: fail, too slow; WS-DATA-100 c: fail, too slow"
        )

    def test_many_failures_are_counted_not_listed(self) -> None:
        checks = [make_check(f"check{number}", Status.FAIL) for number in range(5)]
        reason = decide([check.name for check in checks], checks, "refuse").reason
        assert reason.endswith("and 2 more")


class TestRecentRows:
    def test_the_reason_says_which_rows_decided(self):
        decision = judged(recent_held_out=200)
        assert decision.outcome is Outcome.PROMOTE
        assert decision.reason == "all 4 required checks passed; judged on 200 recent held-out rows"
        (check,) = [check for check in decision.checks if check.name == "baseline_comparison"]
        assert check.message.endswith(", n=200 recent held-out rows: pass")

    def test_without_recent_rows_it_says_nothing_of_them(self):
        decision = judged()
        assert decision.reason == "all 4 required checks passed"
        assert not any("recent" in check.message for check in decision.checks)

    def test_metrics_on_all_held_out_rows_decide_nothing(self):
        """Over the minimum on all rows, below it on the recent ones."""
        spec = make_spec(gate={"minimum": {"roc_auc": 0.9}})
        good = MetricValue(name="roc_auc", value=0.97, n=900, interval={"low": 0.95, "high": 0.99})
        decision = judged(spec=spec, recent_held_out=200, overall=(good,))
        assert decision.outcome is Outcome.REFUSE
        assert "performance_minimum:roc_auc: roc_auc 0.84" in decision.reason
        assert ", n=200 recent held-out rows: fail" in decision.reason


class TestTheRequestContract:
    def met(self, **said: Any) -> dict[str, Any]:
        champion = Champion(model="churn", version="1", digest=OLD, bundle_uri="memory://old", epoch=1)
        better = make_difference(0.01, 0.05, opponent="champion")
        return {
            "ports": fake_ports(ledger=make_ledger(OLD)),
            "champion": champion,
            "against_champion": better,
            **said,
        }

    def check_of(self, decision: GateDecision) -> CheckResult:
        return next(check for check in decision.checks if check.name == "request_contract")

    def test_an_unchanged_one_passes(self) -> None:
        decision = judged(**self.met())
        assert (decision.outcome, decision.asks) == (Outcome.PROMOTE, ())
        assert self.check_of(decision).status is Status.PASS

    @pytest.mark.parametrize("policy", ["refuse", "ask"])
    def test_a_changed_one_asks_whatever_the_policy(self, policy: str) -> None:
        changes = tuple(f"field 'f{number}' is new" for number in range(7))
        spec = make_spec(gate={"on_insufficient": policy})
        decision = judged(**self.met(contract_changes=changes), spec=spec)
        assert (decision.outcome, decision.asks) == (Outcome.PROMOTE, ("request_contract",))
        check = self.check_of(decision)
        assert (check.status, check.code, check.value) == (Status.INSUFFICIENT, "WS-GATE-016", 7)
        assert check.message is not None
        assert check.message.startswith("field 'f0' is new; field 'f1' is new")
        assert check.message.endswith("; and 2 more")

    def test_it_asks_for_no_other_check_that_is_thin(self) -> None:
        thin = make_difference(-0.01, 0.05, opponent="champion")
        decision = judged(**self.met(contract_changes=("a field is gone",), against_champion=thin))
        assert decision.outcome is Outcome.KEEP
        below = make_difference(-0.1, 0.1)
        decision = judged(**self.met(contract_changes=("a field is gone",), baseline=below))
        assert decision.outcome is Outcome.REFUSE

    def test_what_the_validation_asks_is_asked_for_a_first_model_too(self) -> None:
        decision = judged(validation=make_validation(asks=("column 'x' is new",)))
        assert (decision.outcome, decision.asks) == (Outcome.PROMOTE, ("request_contract",))
        assert self.check_of(decision).message == "column 'x' is new"

    def test_bundles_are_compared_where_an_evaluation_of_before_did_not(self) -> None:
        decision = judged(**self.met(contract_changes=None))
        assert self.check_of(decision).status is Status.ERROR  # there are no such bundles
        assert decision.outcome is Outcome.REFUSE

    def test_a_decision_that_asks_can_be_registered(self) -> None:
        met = self.met(contract_changes=("field 'x' is new",))
        ports = met.pop("ports")
        decision = judged(ports, **met)
        step = RegisterModelInput(
            spec=make_spec(), decision=decision, evaluation=make_evaluation(**met), run=RunContext()
        )
        assert register_model(step, ports, "key").asks == ("request_contract",)
