"""``decide`` on anything: what may never be, whatever was seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import NOON
from support.rollout_cases import make_arm, make_plan, make_rollout, make_totals
from windsock.records import (
    BASIS_POINTS,
    ArmTotals,
    Moments,
    Rollout,
    RolloutAction,
    RolloutDecision,
    Status,
    StepTotals,
)
from windsock.rollout.decision import decide, required_checks
from windsock.statistics.sample_ratio import sample_ratio_p

GOES_ON = frozenset({RolloutAction.PROMOTE, RolloutAction.ADVANCE})


def sums(units: int) -> st.SearchStrategy[Moments]:
    """Return metrics of 0 or 1, some of them for fewer units than were exposed."""
    return st.integers(0, units).flatmap(
        lambda known: st.integers(0, known).map(
            lambda hits: Moments(units=known, num=hits, den=known, num_num=hits, den_den=known, num_den=hits)
        )
    )


@st.composite
def arms(draw: Any) -> ArmTotals:
    units = draw(st.sampled_from([0, 1, 99, 100, 150, 4_000, 5_000, 20_000, 20_300, 1_000_000]))
    named = draw(st.sets(st.sampled_from(["accuracy", "conversion", "errors", "slow"])))
    metrics = {name: draw(sums(units)) for name in sorted(named)}
    return ArmTotals(units=units, exposures=2 * units, metrics=metrics)


@st.composite
def near_arms(draw: Any) -> ArmTotals:
    """Return arms that are close to a promotion."""
    units = draw(st.sampled_from([19_900, 20_000, 20_100, 21_000]))
    hits = draw(st.integers(1_500, 2_600))
    errors, slow = draw(st.sampled_from([0, 40, 300])), draw(st.sampled_from([0, 400, 2_000]))
    return make_arm(units, {"accuracy": hits, "conversion": hits, "errors": errors, "slow": slow})


@st.composite
def rollouts(draw: Any) -> Rollout:
    strategy = draw(st.sampled_from(["ab", "canary", "shadow"]))
    block: dict[str, Any] = {
        "metric": draw(st.sampled_from(["accuracy", "conversion"])),
        "promote": draw(st.sampled_from(["better", {"not_worse": 0.02}])),
        "horizon": draw(st.sampled_from([None, "14d"])),
        "minimum_units": draw(st.sampled_from([2, 10_000, 40_000])),
    }
    plan = make_plan(strategy, **block)
    return make_rollout(
        plan,
        step=draw(st.sampled_from([0, len(plan.shares) - 1])),
        paused_by=draw(st.sampled_from([*[None] * 7, "alice"])),
    )


@st.composite
def looks(draw: Any) -> tuple[Rollout, StepTotals, Any]:
    rollout = draw(rollouts())
    arm = near_arms() if draw(st.integers(0, 3)) else st.one_of(arms(), near_arms())
    totals = make_totals(
        draw(arm),
        draw(arm),
        step=draw(st.sampled_from([*[rollout.step] * 7, 2])),
        strange=draw(st.sampled_from([*[0] * 7, 1])),
        damaged=draw(st.sampled_from([*[0] * 7, 5_000])),
    )
    return rollout, totals, NOON + timedelta(hours=draw(st.sampled_from([-5, 2, 167, 168, 200, 400, 672])))


def judge(rollout: Rollout, totals: StepTotals, now: Any) -> RolloutDecision:
    return decide(rollout, totals, (), number=1, now=now)


@settings(max_examples=300, deadline=None)
@given(looks())
def test_nothing_goes_on_while_any_promise_is_broken(case):
    rollout, totals, now = case
    decision = judge(rollout, totals, now)
    if decision.action not in GOES_ON:
        return
    told = {check.name: check for check in decision.checks}
    assert set(told) == set(required_checks(rollout.plan, last_step=rollout.is_last_step))
    assert rollout.paused_by is None
    assert (totals.strange, totals.step) == (0, rollout.step)
    assert min(totals.champion.units, totals.challenger.units) >= 100
    assert totals.units >= rollout.plan.minimum_units
    if rollout.share:
        units = (totals.champion.units, totals.challenger.units)
        assert sample_ratio_p(units, (BASIS_POINTS - rollout.share, rollout.share)) >= 0.0005
    assert all(check.status not in (Status.FAIL, Status.ERROR) for check in told.values())
    guards = [check for name, check in told.items() if name.startswith("guardrail:")]
    if decision.action is RolloutAction.ADVANCE:
        assert not rollout.is_last_step
        assert now < rollout.deadline_at
        return
    assert rollout.is_last_step
    assert now - rollout.started_at >= rollout.plan.length("cycle")
    assert all(check.passed for check in guards if check.name != "guardrail:harm")
    assert decision.estimate.interval is not None
    assert decision.estimate.interval.low > -(rollout.plan.margin or 0.0)


@settings(max_examples=100, deadline=None)
@given(looks())
def test_the_same_look_gives_the_same_decision(case):
    first, second = judge(*case), judge(*case)
    assert first == second
    assert RolloutDecision.model_validate_json(first.model_dump_json()) == first
    assert first.reason
    assert all(check.code.startswith("WS-ROLLOUT-0") and check.message for check in first.checks)


@settings(max_examples=100, deadline=None)
@given(near_arms(), near_arms())
def test_of_two_arms_at_most_one_is_better(one, other):
    rollout, now = make_rollout(), NOON + timedelta(days=8)
    actions = [judge(rollout, make_totals(*pair), now).action for pair in ((one, other), (other, one))]
    assert actions.count(RolloutAction.PROMOTE) <= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(1_500, 2_500), st.integers(1_500, 2_500), st.integers(1, 100))
def test_more_conversions_never_make_it_worse(champion, challenger, more):
    order = [RolloutAction.ROLL_BACK, RolloutAction.HOLD, RolloutAction.PROMOTE]
    rollout, now = make_rollout(), NOON + timedelta(days=8)
    ranks = []
    for hits in (challenger, challenger + more):
        totals = make_totals(
            make_arm(20_000, {"conversion": champion}), make_arm(20_000, {"conversion": hits})
        )
        ranks.append(order.index(judge(rollout, totals, now).action))
    assert ranks[0] <= ranks[1]


@settings(max_examples=100, deadline=None)
@given(near_arms(), near_arms(), st.booleans())
def test_a_worse_challenger_is_never_promoted_as_a_better_one(champion, challenger, planned):
    rollout = make_rollout(make_plan(horizon="14d" if planned else None))
    decision = judge(rollout, make_totals(champion, challenger), NOON + timedelta(days=8))
    if decision.estimate.difference is None or decision.estimate.difference <= 0:
        assert decision.action is not RolloutAction.PROMOTE
