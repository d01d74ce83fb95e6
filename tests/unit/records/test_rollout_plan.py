"""``RolloutPlan``: what a model's YAML file asks for, frozen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from windsock.records import RolloutOverrides, RolloutPlan
from windsock.spec import ModelSpec


def spec_with(task: str = "classification", **block) -> ModelSpec:
    return ModelSpec.model_validate(
        {"model": {"name": "churn", "task": task}, "rollout": {"strategy": "ab", **block}}
    )


def test_the_usual_plan():
    plan = RolloutPlan.of_spec(spec_with())
    assert plan.shares == (5_000,)
    assert plan.metric == "accuracy"
    assert list(plan.metrics) == ["accuracy", "errors", "slow"]
    assert plan.limits == {"harm": 0.0, "errors": 0.01, "slow": 0.05}
    assert plan.margin is None
    assert (plan.minimum_units, plan.alpha, plan.looks) == (10_000, 0.05, 20)
    assert plan.length("cycle") == timedelta(days=7)
    assert plan.length("deadline") == timedelta(days=28)
    assert plan.horizon_length is None
    assert plan.slow_ms == 50.0


def test_what_counts_is_frozen_with_the_plan():
    plan = RolloutPlan.of_spec(spec_with(strategy="canary", metric="conversion"))
    assert (plan.margin, plan.relative_margin) == (0.02, 0.2)
    assert (plan.attribution, plan.unit_cap) == ("7d", 100)
    free = spec_with(attribution=None, unit_cap=None, metric="m", metrics={"m": {"kind": "mean"}})
    written = RolloutPlan.of_spec(free).model_dump(mode="json")
    assert not {"attribution", "unit_cap", "relative_margin"} & set(written)
    assert "attribution" not in written["metrics"]["m"]  # as plans of before, with their digests


def test_a_regression_is_compared_by_its_errors():
    plan = RolloutPlan.of_spec(spec_with(task="regression"))
    assert plan.metric == "absolute_error"
    assert plan.metrics["absolute_error"].lower_is_better


def test_a_canary_ends_at_100_which_is_no_step():
    plan = RolloutPlan.of_spec(spec_with(strategy="canary", steps=[5, 25, 50, 100]))
    assert plan.shares == (500, 2_500, 5_000)
    assert plan.margin == 0.02


def test_a_shadow_has_no_traffic():
    assert RolloutPlan.of_spec(spec_with(strategy="shadow")).shares == (0,)


def test_guardrails_bring_their_metrics():
    plan = RolloutPlan.of_spec(
        spec_with(
            metric="ctr", metrics={"revenue": {"kind": "mean"}}, guardrails={"revenue": 0.5, "slow": None}
        )
    )
    assert list(plan.metrics) == ["ctr", "errors", "revenue"]
    assert plan.limits == {"harm": 0.0, "errors": 0.01, "revenue": 0.5}


def test_outcomes_arrive_where_labels_do_unless_it_is_said_otherwise():
    table = {"kind": "table", "conn_id": "shop", "table": "orders"}
    spec = ModelSpec.model_validate(
        {
            "model": {"name": "churn"},
            "monitoring": {"labels": table},
            "rollout": {"strategy": "ab"},
        }
    )
    assert RolloutPlan.of_spec(spec).labels.table == "orders"
    assert RolloutPlan.of_spec(spec_with(labels=table)).labels.conn_id == "shop"


def test_a_person_may_ask_for_something_else_this_once():
    spec = spec_with(strategy="canary")
    plan = RolloutPlan.of_spec(spec, RolloutOverrides(steps=(10.0, 50.0), metric="conversion", horizon="14d"))
    assert plan.shares == (1_000, 5_000)
    assert plan.metric == "conversion"
    assert plan.horizon_length == timedelta(days=14)
    assert RolloutPlan.of_spec(spec).shares == (500, 2_500, 5_000)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (RolloutOverrides(steps=(50.0, 10.0)), "do not grow"),
        (RolloutOverrides(metric="clicks"), "unknown metric clicks"),
        (RolloutOverrides(metric="mean"), "a canary by mean has no usual margin"),
        (RolloutOverrides(steps=(5.0, 5.001)), "5.001 percent is 500 of 10,000"),
        (RolloutOverrides(horizon="90d"), "longer than the deadline"),
    ],
)
def test_what_cannot_be_is_refused(asked, named):
    with pytest.raises(ValueError, match=named):
        RolloutPlan.of_spec(spec_with(strategy="canary"), asked)


@pytest.mark.parametrize("strategy", ["ab", "shadow"])
def test_steps_for_what_has_none_are_refused_with_a_cure(strategy):
    with pytest.raises(ValueError, match=f"is `{strategy}`: only a canary has steps. Leave them empty"):
        RolloutPlan.of_spec(spec_with(strategy=strategy), RolloutOverrides(steps=(1.0, 5.0)))


def test_a_direct_rollout_has_no_plan():
    with pytest.raises(ValueError, match="direct"):
        RolloutPlan.of_spec(spec_with(strategy="direct"))


def test_a_plan_survives_the_ledger():
    plan = RolloutPlan.of_spec(spec_with(horizon="14d", pre_period="7d", guardrails={"ctr": 0.01}))
    assert RolloutPlan.model_validate_json(plan.model_dump_json()) == plan
