from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import (
    digest,
    make_check,
    make_difference,
    make_evaluation,
    make_spec,
    make_validation,
)
from support.fakes import fake_ports
from windsock.exceptions import TrackingUnavailableError
from windsock.governance import checks
from windsock.governance.checks import Case, interval_status, required_checks, run_check
from windsock.records import (
    Champion,
    CheckResult,
    GateModelInput,
    Interval,
    Latency,
    MetricValue,
    ModelCard,
    Status,
)

CHAMPION = Champion(model="churn", version="1", digest=digest("c"), bundle_uri="memory://c", epoch=2)


def make_case(
    spec: Any = None, *, champion: Champion | None = None, validation: Any = None, **evaluation: Any
) -> Case:
    step = GateModelInput(
        spec=spec or make_spec(),
        validation=validation or make_validation(),
        evaluation=make_evaluation(**evaluation),
    )
    return Case(step, fake_ports(), champion)


class TestRequiredChecks:
    def test_a_first_model_without_a_minimum_meets_the_baseline(self) -> None:
        assert required_checks(make_spec(), first_model=True) == (
            "data_validation",
            "baseline_comparison",
            "latency",
            "model_card",
        )

    def test_a_minimum_and_a_champion_take_the_place_of_the_baseline(self) -> None:
        spec = make_spec(gate={"minimum": {"roc_auc": 0.8, "f1": 0.5}})
        assert required_checks(spec, first_model=False) == (
            "data_validation",
            "performance_minimum:f1",
            "performance_minimum:roc_auc",
            "champion_comparison",
            "request_contract",
            "latency",
            "model_card",
        )

    def test_a_first_model_meets_the_baseline_also_with_a_minimum(self) -> None:
        spec = make_spec(gate={"minimum": {"roc_auc": 0.8}})
        assert "baseline_comparison" in required_checks(spec, first_model=True)

    def test_without_a_minimum_a_later_model_meets_baseline_and_champion(self) -> None:
        names = required_checks(make_spec(), first_model=False)
        assert {"baseline_comparison", "champion_comparison"} <= set(names)

    def test_own_words_named_again_change_nothing(self) -> None:
        spec = make_spec(gate={"checks": ["latency", "champion_comparison", "performance_minimum"]})
        assert required_checks(spec, first_model=True) == required_checks(make_spec(), first_model=True)

    def test_the_baseline_can_be_asked_for(self) -> None:
        spec = make_spec(gate={"minimum": {"roc_auc": 0.8}, "checks": ["baseline_comparison"]})
        assert "baseline_comparison" in required_checks(spec, first_model=False)

    def test_words_of_other_packages_are_required(self) -> None:
        spec = make_spec()
        gate = spec.gate.model_copy(update={"checks": ("fairness",)})
        names = required_checks(spec.model_copy(update={"gate": gate}), first_model=True)
        assert names[-1] == "fairness"


class TestIntervalStatus:
    @pytest.mark.parametrize(
        ("low", "high", "relation", "limit", "expected"),
        [
            (0.81, 0.9, ">=", 0.8, Status.PASS),
            (0.8, 0.9, ">=", 0.8, Status.PASS),
            (0.79, 0.9, ">=", 0.8, Status.INSUFFICIENT),
            (0.7, 0.8, ">=", 0.8, Status.INSUFFICIENT),
            (0.7, 0.79, ">=", 0.8, Status.FAIL),
            (0.001, 0.1, ">", 0.0, Status.PASS),
            (0.0, 0.1, ">", 0.0, Status.INSUFFICIENT),
            (-0.1, 0.0, ">", 0.0, Status.FAIL),
            (2.0, 3.0, "<=", 3.0, Status.PASS),
            (2.0, 3.1, "<=", 3.0, Status.INSUFFICIENT),
            (3.1, 4.0, "<=", 3.0, Status.FAIL),
        ],
    )
    def test_at_and_around_the_limit(
        self, low: float, high: float, relation: Any, limit: float, expected: Status
    ) -> None:
        assert interval_status(Interval(low=low, high=high), relation, limit) is expected

    @given(
        ends=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(sorted),
        limit=st.floats(-1e6, 1e6),
        relation=st.sampled_from([">=", ">", "<=", "<"]),
    )
    def test_pass_means_that_every_point_satisfies_the_relation(
        self, ends: list[float], limit: float, relation: Any
    ) -> None:
        holds = {">=": float.__ge__, ">": float.__gt__, "<=": float.__le__, "<": float.__lt__}[relation]
        status = interval_status(Interval(low=ends[0], high=ends[1]), relation, limit)
        at_ends = {bool(holds(end, limit)) for end in ends}
        expected = (
            Status.PASS if at_ends == {True} else Status.FAIL if at_ends == {False} else Status.INSUFFICIENT
        )
        assert status is expected


class TestDataValidation:
    def test_passes(self) -> None:
        assert run_check("data_validation", make_case()).passed

    @pytest.mark.parametrize("status", [Status.FAIL, Status.INSUFFICIENT, Status.ERROR])
    def test_takes_over_the_report_s_status(self, status: Status) -> None:
        report = make_validation(status=status, checks=(make_check("nulls:age", status),))
        result = run_check("data_validation", make_case(validation=report))
        assert result.status is status
        assert "nulls:age" in result.message

    def test_a_report_that_says_pass_over_a_failed_check_fails(self) -> None:
        report = make_validation(checks=(make_check("rows", Status.FAIL),))
        assert run_check("data_validation", make_case(validation=report)).status is Status.FAIL

    @pytest.mark.parametrize(
        "other",
        [
            {"validation": make_validation(snapshot_digest=digest("9"))},
            {"snapshot_digest": digest("9")},
            {"validation": make_validation(model="other")},
            {"model": "other"},
        ],
    )
    def test_evidence_about_something_else_is_an_error(self, other: dict[str, Any]) -> None:
        assert run_check("data_validation", make_case(**other)).status is Status.ERROR


class TestPerformanceMinimum:
    SPEC = make_spec(gate={"minimum": {"roc_auc": 0.8}})

    def judged(self, *metrics: MetricValue) -> CheckResult:
        return run_check("performance_minimum:roc_auc", make_case(self.SPEC, metrics=metrics))

    def test_the_whole_interval_must_be_inside(self) -> None:
        result = self.judged(
            MetricValue(name="roc_auc", value=0.84, n=200, interval=Interval(low=0.8, high=0.88))
        )
        assert (result.status, result.value, result.limit, result.relation, result.n) == (
            Status.PASS, 0.84, 0.8, ">=", 200,
        )  # fmt: skip

    def test_a_good_value_with_a_wide_interval_is_not_enough(self) -> None:
        result = self.judged(
            MetricValue(name="roc_auc", value=0.84, n=20, interval=Interval(low=0.7, high=0.95))
        )
        assert result.status is Status.INSUFFICIENT

    def test_without_an_interval_it_is_not_enough(self) -> None:
        assert self.judged(MetricValue(name="roc_auc", value=0.99, n=200)).status is Status.INSUFFICIENT

    def test_what_carries_the_value_is_counted_and_what_would_do_is_named(self) -> None:
        spec = make_spec(gate={"minimum": {"recall": 0.97}})
        seen = MetricValue(
            name="recall", value=1.0, n=18, unit="positives", rows=200, interval=Interval(low=0.815, high=1.0)
        )
        result = run_check("performance_minimum:recall", make_case(spec, metrics=(seen,)))
        assert (result.status, result.n, result.unit) == (Status.INSUFFICIENT, 18, "positives")
        assert result.message == (
            "recall 1 [0.815, 1], limit: at least 0.97, n=18 positives of 200 rows: insufficient; "
            "with this value 122 positives (about 1,356 rows) would do"
        )
        seen = seen.replace(value=0.95, interval=Interval(low=0.73, high=0.999))
        result = run_check("performance_minimum:recall", make_case(spec, metrics=(seen,)))
        assert result.message.endswith("no number of rows would do: the value itself is not inside the limit")

    def test_why_there_is_no_interval_is_said(self) -> None:
        reason = "19 positives, at least 20 needed"
        seen = MetricValue(name="roc_auc", value=0.9, n=19, unit="positives", rows=200, reason=reason)
        result = self.judged(seen)
        assert result.status is Status.INSUFFICIENT
        assert result.message == (
            "roc_auc 0.9 without an interval, limit: at least 0.8, n=19 positives of 200 rows: insufficient; "
            f"{reason}"
        )

    def test_a_record_of_before_counts_rows(self) -> None:
        stored = '{"name": "roc_auc", "value": 0.82, "n": 200, "interval": {"low": 0.79, "high": 0.85}}'
        before = MetricValue.model_validate_json(stored)
        assert not {"unit", "rows", "reason"} & set(before.model_dump(mode="json"))  # its digest holds
        result = self.judged(before)
        assert result.message == (
            "roc_auc 0.82 [0.79, 0.85], limit: at least 0.8, n=200 rows: insufficient; with this value about "
            "450 rows would do"
        )

    def test_an_interval_of_less_than_95_percent_is_an_error(self) -> None:
        narrow = Interval(low=0.83, high=0.85, level=0.5)
        assert (
            self.judged(MetricValue(name="roc_auc", value=0.84, n=200, interval=narrow)).status
            is Status.ERROR
        )

    def test_an_interval_upside_down_is_an_error(self) -> None:
        wrong = Interval(low=0.9, high=0.1)
        assert (
            self.judged(MetricValue(name="roc_auc", value=0.84, n=200, interval=wrong)).status is Status.ERROR
        )

    def test_a_missing_metric_is_an_error(self) -> None:
        assert self.judged(MetricValue(name="f1", value=0.9, n=200)).status is Status.ERROR

    def test_a_metric_without_a_value_is_an_error(self) -> None:
        broken = MetricValue(name="roc_auc", value=None, n=200, status=Status.ERROR)
        assert self.judged(broken).status is Status.ERROR

    def test_of_a_metric_where_less_is_better_the_limit_is_a_maximum(self) -> None:
        spec = make_spec(gate={"minimum": {"log_loss": 0.5}})
        for low, high, expected in ((0.3, 0.4, Status.PASS), (0.6, 0.7, Status.FAIL)):
            metric = MetricValue(name="log_loss", value=0.5, n=200, interval=Interval(low=low, high=high))
            result = run_check("performance_minimum:log_loss", make_case(spec, metrics=(metric,)))
            assert (result.status, result.relation) == (expected, "<=")


class TestComparisons:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [(0.1, 0.2, Status.PASS), (-0.1, 0.2, Status.INSUFFICIENT), (-0.2, -0.1, Status.FAIL)],
    )
    def test_baseline(self, low: float, high: float, expected: Status) -> None:
        case = make_case(baseline=make_difference(low, high))
        assert run_check("baseline_comparison", case).status is expected

    @pytest.mark.parametrize(
        "fields",
        [
            {"value": None},
            {"error": "one class only"},
            {"metric": "f1"},
            {"opponent": "champion"},
        ],
    )
    def test_a_comparison_that_is_none_is_an_error(self, fields: dict[str, Any]) -> None:
        case = make_case(baseline=make_difference(0.1, 0.2).model_copy(update=fields))
        assert run_check("baseline_comparison", case).status is Status.ERROR

    def test_a_comparison_without_an_interval_is_not_enough(self) -> None:
        case = make_case(baseline=make_difference(0.1, 0.2, interval=None))
        assert run_check("baseline_comparison", case).status is Status.INSUFFICIENT

    @pytest.mark.parametrize(
        ("against", "low", "high", "expected"),
        [
            ("better", 0.001, 0.02, Status.PASS),
            ("better", -0.001, 0.02, Status.INSUFFICIENT),
            ("better", -0.02, -0.001, Status.FAIL),
            ({"not_worse": 0.01}, -0.009, 0.02, Status.PASS),
            ({"not_worse": 0.01}, -0.011, 0.02, Status.INSUFFICIENT),
            ({"not_worse": 0.01}, -0.03, -0.011, Status.FAIL),
        ],
    )
    def test_champion(self, against: Any, low: float, high: float, expected: Status) -> None:
        case = make_case(
            make_spec(gate={"against_champion": against}),
            champion=CHAMPION,
            against_champion=make_difference(low, high, opponent="champion"),
        )
        case = case._replace(step=case.step.model_copy(update={"evaluation": _met(case, CHAMPION)}))
        assert run_check("champion_comparison", case).status is expected

    def test_another_champion_than_the_ledger_s_is_an_error(self) -> None:
        other = CHAMPION.model_copy(update={"digest": digest("d"), "version": "7"})
        case = make_case(champion=CHAMPION, against_champion=make_difference(0.1, 0.2, opponent="champion"))
        for met in (other, None):
            judged = case._replace(step=case.step.model_copy(update={"evaluation": _met(case, met)}))
            result = run_check("champion_comparison", judged)
            assert result.status is Status.ERROR
            assert "evaluate again" in result.message

    def test_a_champion_without_a_comparison_is_an_error(self) -> None:
        case = make_case(champion=CHAMPION)
        case = case._replace(step=case.step.model_copy(update={"evaluation": _met(case, CHAMPION)}))
        assert run_check("champion_comparison", case).status is Status.ERROR


def _met(case: Case, champion: Champion | None) -> Any:
    return case.step.evaluation.model_copy(update={"champion": champion})


class TestLatencyAndCard:
    @pytest.mark.parametrize(
        ("ms", "expected"),
        [(0.0, Status.PASS), (10.0, Status.PASS), (10.01, Status.FAIL), (-1.0, Status.ERROR)],
    )
    def test_latency(self, ms: float, expected: Status) -> None:
        case = make_case(latency=Latency(ms_per_sample=ms, rows=100, repeats=5))
        assert run_check("latency", case).status is expected

    @pytest.mark.parametrize("counts", [{"rows": 0, "repeats": 5}, {"rows": 100, "repeats": 0}])
    def test_a_latency_that_was_not_measured_is_an_error(self, counts: dict[str, int]) -> None:
        case = make_case(latency=Latency(ms_per_sample=0.0, **counts))
        assert run_check("latency", case).status is Status.ERROR

    def test_the_card_s_missing_fields_are_named(self) -> None:
        card = ModelCard(
            intended_use=" ", limitations="", training_data_description="x", evaluation_results="y"
        )
        result = run_check("model_card", make_case(card=card))
        assert result.status is Status.FAIL
        assert "intended_use, limitations" in result.message


class TestExtensions:
    @pytest.fixture
    def offer(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        def offer(check: Any) -> None:
            monkeypatch.setattr(checks, "extension", lambda group, name: check)

        return offer

    def test_a_check_of_another_package_sees_the_step_and_the_ports(self, offer: Any) -> None:
        seen = []

        def check(step: GateModelInput, ports: Any) -> CheckResult:
            seen.append((step.spec.name, ports.ledger))
            return make_check("fairness", code="ACME-001")

        offer(check)
        case = make_case()
        assert run_check("fairness", case).passed
        assert seen == [("churn", case.ports.ledger)]

    @pytest.mark.parametrize("error", [ValueError("row 17: Alice"), TrackingUnavailableError("no answer")])
    def test_an_exception_is_status_error(self, offer: Any, error: Exception) -> None:
        def check(step: Any, ports: Any) -> CheckResult:
            raise error

        offer(check)
        result = run_check("fairness", make_case())
        assert (result.name, result.status, result.code) == ("fairness", Status.ERROR, "WS-GATE-008")
        assert "Alice" not in result.message

    @pytest.mark.parametrize("answer", [True, None, "pass", {"status": "pass"}])
    def test_anything_but_a_result_is_status_error(self, offer: Any, answer: object) -> None:
        offer(lambda step, ports: answer)
        assert run_check("fairness", make_case()).status is Status.ERROR

    def test_a_name_that_nobody_offers_is_status_error(self) -> None:
        assert run_check("no_such_check", make_case()).status is Status.ERROR

    def test_an_exception_in_an_own_check_is_status_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(case: Case) -> CheckResult:
            raise ZeroDivisionError

        monkeypatch.setitem(checks.OWN_CHECKS, "latency", broken)
        result = run_check("latency", make_case())
        assert (result.status, result.code) == (Status.ERROR, "WS-GATE-005")
