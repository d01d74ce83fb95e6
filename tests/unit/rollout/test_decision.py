"""``decide``: each rule with a case that meets it and one that just does not."""

from __future__ import annotations

from typing import Any

import pytest

from support.rollout_cases import (
    after,
    make_arm,
    make_conversions,
    make_plan,
    make_rollout,
    make_totals,
    values,
)
from windsock.records import (
    CheckResult,
    Moments,
    Rollout,
    RolloutAction,
    RolloutDecision,
    Status,
    StepTotals,
)
from windsock.rollout.decision import decide, required_checks

BETTER = make_conversions(2_000, 2_400)
EQUAL = make_conversions(2_000, 2_000)
WORSE = make_conversions(2_000, 1_600)
WEEK = after(days=7)


def look(
    totals: StepTotals, rollout: Rollout | None = None, *, now: Any = WEEK, before: Any = ()
) -> RolloutDecision:
    return decide(rollout or make_rollout(), totals, before, number=len(before) + 1, now=now)


def check(decision: RolloutDecision, name: str) -> CheckResult:
    return next(one for one in decision.checks if one.name == name)


def test_a_better_challenger_is_promoted_with_the_number_against_its_limit():
    decision = look(BETTER)
    assert decision.action is RolloutAction.PROMOTE
    assert decision.reason.startswith("WS-ROLLOUT-026 promotion: difference of conversion +0.02 [+0.01")
    assert ", limit: above 0, n=40,000 units: pass" in decision.reason
    assert all(one.passed for one in decision.checks)
    assert tuple(one.name for one in decision.checks) == (
        "sample_ratio", "counts", "units", "outcomes", "cycle",
        "guardrail:harm", "guardrail:errors", "guardrail:slow", "promotion",
    )  # fmt: skip
    estimate = decision.estimate
    assert (estimate.champion, estimate.challenger) == (0.1, 0.12)
    assert estimate.interval.low < estimate.fixed.low < estimate.difference < estimate.fixed.high
    assert estimate.chance_better > 0.999


def test_an_equal_challenger_holds():
    decision = look(EQUAL)
    assert decision.action is RolloutAction.HOLD
    assert check(decision, "promotion").status is Status.INSUFFICIENT


@pytest.mark.parametrize("days", [0, 1, 6.99, 7, 20])
def test_harm_is_rolled_back_at_any_look(days):
    decision = look(WORSE, now=after(days=days))
    assert decision.action is RolloutAction.ROLL_BACK
    assert decision.reason.startswith("WS-ROLLOUT-025 guardrail:harm: loss of conversion 0.02 [")


def test_harm_is_rolled_back_while_paused_while_a_person_is_asked_and_with_a_broken_split():
    rollout = make_rollout(paused_by="alice", asked_by="run-1", asked_until=after(days=9))
    assert look(WORSE, rollout).action is RolloutAction.ROLL_BACK
    assert look(make_conversions(2_000, 1_400, challenger_units=18_000)).action is RolloutAction.ROLL_BACK


def test_a_pause_is_told_with_its_reason():
    rollout = make_rollout(paused_by="alice", paused_reason="a sale")
    assert look(BETTER, rollout).reason == "paused by alice (a sale); only a guardrail acts"
    late = look(BETTER, rollout, now=after(days=28))
    assert late.reason == "paused by alice (a sale), so nothing was promoted by the deadline of 28d"


def test_nothing_is_promoted_while_paused():
    decision = look(BETTER, make_rollout(paused_by="alice"))
    assert (decision.action, decision.reason[:15]) == (RolloutAction.HOLD, "paused by alice")
    late = after(days=28, seconds=-1)
    assert look(BETTER, make_rollout(paused_by="alice"), now=late).action is RolloutAction.HOLD


@pytest.mark.parametrize(
    ("totals", "action", "reason"),
    [
        (BETTER, RolloutAction.KEEP, "paused by alice, so nothing was promoted by the deadline of 28d"),
        (EQUAL, RolloutAction.KEEP, "no proof of gain by the deadline of 28d: WS-ROLLOUT-026"),
        (make_totals(), RolloutAction.ROLL_BACK, "not enough evidence by the deadline of 28d: WS-ROLLOUT"),
        (WORSE, RolloutAction.ROLL_BACK, "WS-ROLLOUT-025 guardrail:harm"),
    ],
    ids=["better", "equal", "nothing", "worse"],
)
def test_a_pause_ends_at_the_deadline(totals, action, reason):
    decision = look(totals, make_rollout(paused_by="alice"), now=after(days=28))
    assert decision.action is action
    assert decision.reason.startswith(reason)


@pytest.mark.parametrize("horizon", [None, "14d"])
def test_an_approval_is_waited_for_until_the_deadline_and_no_longer(horizon):
    rollout = make_rollout(
        make_plan(approve=True, horizon=horizon), asked_by="run-1", asked_until=after(days=40)
    )
    first = look(BETTER, rollout, now=after(days=28, seconds=-1))
    assert first.action is RolloutAction.PROMOTE
    late = look(BETTER, rollout, now=after(days=28), before=(first,))
    assert (late.action, late.reason) == (RolloutAction.KEEP, "nobody approved by the deadline of 28d")
    assert look(WORSE, rollout, now=after(days=28)).action is RolloutAction.ROLL_BACK
    assert look(make_totals(), rollout, now=after(days=28)).action is RolloutAction.ROLL_BACK


def test_a_promotion_is_repeated_while_a_person_is_asked():
    rollout = make_rollout(asked_by="run-1", asked_until=after(days=9))
    first = look(BETTER, rollout)
    second = look(BETTER, rollout, before=(first,), now=after(days=8))
    assert [first.action, second.action] == [RolloutAction.PROMOTE] * 2
    assert look(EQUAL, rollout, before=(first,), now=after(days=8)).action is RolloutAction.HOLD


def test_a_broken_split_holds_whatever_the_gain():
    decision = look(make_conversions(2_000, 2_400, challenger_units=18_500))
    assert decision.action is RolloutAction.HOLD
    assert decision.reason.startswith("WS-ROLLOUT-020 sample_ratio: 18,500 of 38,500 units")
    assert check(decision, "sample_ratio").value < 0.0005


def test_a_broken_split_ends_at_the_deadline():
    decision = look(make_conversions(2_000, 2_400, challenger_units=18_500), now=after(days=28))
    assert decision.action is RolloutAction.ROLL_BACK
    assert "not enough evidence by the deadline of 28d: WS-ROLLOUT-020" in decision.reason


@pytest.mark.parametrize(
    ("field", "allowed", "refused"), [("strange", 0, 1), ("damaged", 80, 81), ("moved", 400, 401)]
)
def test_strange_counts_hold(field, allowed, refused):
    assert look(BETTER.model_copy(update={field: allowed})).action is RolloutAction.PROMOTE
    decision = look(BETTER.model_copy(update={field: refused}))
    assert decision.action is RolloutAction.HOLD
    assert decision.reason.startswith(f"WS-ROLLOUT-021 counts: {refused}, limit: at most ")


@pytest.mark.parametrize("other", [{"experiment": "v2-e9"}, {"step": 1}])
@pytest.mark.parametrize("totals", [BETTER, WORSE], ids=["better", "worse"])
def test_nothing_follows_from_counts_of_another_step(other, totals):
    decision = look(totals.model_copy(update=other))
    assert decision.action is RolloutAction.HOLD
    assert "WS-ROLLOUT-021 counts: error, the counts are of" in decision.reason
    assert check(decision, "promotion").status is Status.ERROR
    assert check(decision, "guardrail:harm").status is Status.ERROR


def test_fewer_than_the_minimum_of_units_hold():
    rollout = make_rollout(make_plan(minimum_units=40_001))
    decision = look(BETTER, rollout)
    assert decision.action is RolloutAction.HOLD
    assert (
        decision.reason
        == "WS-ROLLOUT-022 units: units in this step 40,000, limit: at least 40,001: insufficient"
    )
    assert look(BETTER, make_rollout(make_plan(minimum_units=40_000))).action is RolloutAction.PROMOTE


def test_each_arm_needs_units_however_low_the_minimum():
    rollout = make_rollout(make_plan(minimum_units=2))
    assert look(make_conversions(0, 99, units=99), rollout).action is RolloutAction.HOLD
    decision = look(make_conversions(99, 0, units=99), rollout)
    assert decision.action is RolloutAction.HOLD
    assert "in the smaller arm 99, limit: at least 100" in decision.reason
    assert look(make_conversions(100, 0, units=100), rollout).action is RolloutAction.ROLL_BACK


def test_no_promotion_before_a_whole_cycle():
    decision = look(BETTER, now=after(days=7, seconds=-1))
    assert decision.action is RolloutAction.HOLD
    assert decision.reason.startswith(
        "WS-ROLLOUT-023 cycle: time in this step 6 days, 23:59:59, limit: at least 7 days, 0:00:00: "
    )


def test_a_clock_that_was_ahead_promotes_nobody():
    assert look(BETTER, now=after(days=-1)).action is RolloutAction.HOLD


@pytest.mark.parametrize(("errors", "status"), [(800, Status.FAIL), (180, Status.INSUFFICIENT)])
def test_a_guardrail_that_is_not_within_its_limit_keeps_a_gain_from_being_promoted(errors, status):
    challenger = make_arm(20_000, {"conversion": 2_400, "errors": errors})
    decision = look(make_totals(make_arm(20_000, {"conversion": 2_000}), challenger))
    assert check(decision, "guardrail:errors").status is status
    expected = RolloutAction.ROLL_BACK if status is Status.FAIL else RolloutAction.HOLD
    assert decision.action is expected
    assert decision.reason.startswith("WS-ROLLOUT-025 guardrail:errors: loss of errors 0.0")


def without(totals: StepTotals, metric: str) -> StepTotals:
    """Return what was seen without a metric in the challenger's arm."""
    kept = {name: sums for name, sums in totals.challenger.metrics.items() if name != metric}
    arm = totals.challenger.model_copy(update={"metrics": kept})
    return totals.model_copy(update={"challenger": arm})


@pytest.mark.parametrize("metric", ["conversion", "errors", "slow"])
def test_a_metric_that_is_missing_in_one_arm_never_passes(metric):
    decision = look(without(BETTER, metric))
    assert decision.action is RolloutAction.HOLD
    name = "harm" if metric == "conversion" else metric
    assert check(decision, f"guardrail:{name}").status is Status.INSUFFICIENT
    assert check(decision, f"guardrail:{name}").value is None
    late = look(without(BETTER, metric), now=after(days=28))
    assert late.action is RolloutAction.ROLL_BACK


def test_a_metric_that_no_guardrail_needs_is_missed_at_the_deadline_too():
    rollout = make_rollout(make_plan(guardrails={"harm": None}))
    decision = look(without(BETTER, "conversion"), rollout, now=after(days=28))
    assert decision.action is RolloutAction.ROLL_BACK
    assert "not enough evidence by the deadline of 28d: WS-ROLLOUT-027 outcomes: " in decision.reason


@pytest.mark.parametrize("sums", [
    Moments(units=20_000, num=1e200, den=20_000, num_num=1.7e308, den_den=20_000, num_den=1e200),
    Moments(units=20_000, num=2_000, den=0, num_num=2_000),
    values(20_000, 5.0, 0.0),
], ids=["not finite", "no denominator", "no spread"])  # fmt: skip
def test_a_mean_without_a_usable_value_never_passes(sums):
    plan = make_plan(metric="mean", promote={"not_worse": 1.0})
    arm = make_arm(20_000, {"mean": sums})
    decision = look(make_totals(arm, arm), make_rollout(plan))
    assert decision.action is RolloutAction.HOLD
    assert check(decision, "promotion").status is Status.INSUFFICIENT
    assert check(decision, "guardrail:harm").status is Status.INSUFFICIENT


@pytest.mark.parametrize(
    "totals",
    [
        make_totals(),
        make_totals(make_arm(20_000, {"conversion": 2_000})),
        make_totals(None, make_arm(20_000, {"conversion": 2_000})),
        make_conversions(0, 0),
    ],
    ids=["nothing", "champion only", "challenger only", "no conversion"],
)
@pytest.mark.parametrize("strategy", ["ab", "canary", "shadow"])
@pytest.mark.parametrize("step", [0, -1])
def test_empty_arms_never_go_on(totals, strategy, step):
    plan = make_plan(strategy, promote="better", metric="accuracy")
    place = step % len(plan.shares)
    seen = totals.model_copy(update={"step": place})
    rollout = make_rollout(plan, step=place)
    actions = {look(seen, rollout, now=after(days=days)).action for days in (0, 7, 27, 28, 60)}
    assert actions <= {RolloutAction.HOLD, RolloutAction.KEEP, RolloutAction.ROLL_BACK}


def test_no_conversions_at_all_are_no_evidence():
    decision = look(make_conversions(0, 0), now=after(days=28))
    assert decision.action is RolloutAction.ROLL_BACK
    assert check(decision, "guardrail:errors").passed


def test_enough_evidence_without_proof_keeps_the_champion_at_the_deadline():
    decision = look(EQUAL, now=after(days=28))
    assert decision.action is RolloutAction.KEEP
    assert decision.reason.startswith("no proof of gain by the deadline of 28d: WS-ROLLOUT-026")
    assert look(EQUAL, now=after(days=28, seconds=-1)).action is RolloutAction.HOLD


def test_too_little_traffic_is_rolled_back_at_the_deadline():
    small = make_conversions(100, 110, units=1_000)
    assert look(small, now=after(days=27)).action is RolloutAction.HOLD
    decision = look(small, now=after(days=28))
    assert decision.action is RolloutAction.ROLL_BACK
    assert decision.reason == (
        "not enough evidence by the deadline of 28d: "
        "WS-ROLLOUT-022 units: units in this step 2,000, limit: at least 10,000: insufficient"
    )


def test_a_proof_at_the_deadline_is_a_proof():
    assert look(BETTER, now=after(days=28)).action is RolloutAction.PROMOTE


def test_a_small_loss_within_the_margin_is_promoted():
    rollout = make_rollout(make_plan(promote={"not_worse": 0.02}))
    decision = look(make_conversions(2_000, 1_990), rollout)
    assert decision.action is RolloutAction.PROMOTE
    assert ", limit: above -0.02, " in decision.reason
    assert look(make_conversions(2_000, 1_990)).action is RolloutAction.HOLD
    assert look(make_conversions(2_000, 1_790), rollout).action is not RolloutAction.PROMOTE


@pytest.mark.parametrize(
    ("challenger", "action"),
    [(4.0, RolloutAction.PROMOTE), (5.0, RolloutAction.HOLD), (6.0, RolloutAction.ROLL_BACK)],
)
def test_lower_is_better_for_an_error(challenger, action):
    plan = make_plan(metric="absolute_error")
    arms = [make_arm(20_000, {"absolute_error": values(20_000, mean, 5.0)}) for mean in (5.0, challenger)]
    decision = look(make_totals(*arms), make_rollout(plan))
    assert decision.action is action
    assert check(decision, "promotion").relation == "<"


def test_lower_is_better_where_the_file_says_so():
    plan = make_plan(metric="returns", metrics={"returns": {"kind": "conversion", "better": "lower"}})
    arms = [make_arm(20_000, {"returns": hits}) for hits in (2_400, 2_000)]
    assert look(make_totals(*arms), make_rollout(plan)).action is RolloutAction.PROMOTE
    assert look(make_totals(*reversed(arms)), make_rollout(plan)).action is RolloutAction.ROLL_BACK


def test_a_guardrail_that_the_file_takes_away_is_not_asked_for():
    plan = make_plan(guardrails={"harm": None, "slow": None, "errors": None})
    decision = look(WORSE, make_rollout(plan))
    assert decision.action is RolloutAction.HOLD
    names = [one.name for one in decision.checks]
    assert names == ["sample_ratio", "counts", "units", "outcomes", "cycle", "promotion"]
    assert check(decision, "promotion").status is Status.FAIL


def test_guardrails_share_alpha_over_names_and_steps():
    two = make_plan(guardrails={"harm": None})
    level = check(look(EQUAL, make_rollout(two)), "guardrail:errors").interval.level
    assert level == pytest.approx(1 - 2 * 0.05 / 2)
    canary = make_rollout(make_plan("canary"), step=0)
    seen = make_conversions(950, 50, units=9_500, challenger_units=500)
    level = check(look(seen, canary), "guardrail:errors").interval.level
    assert level == pytest.approx(1 - 2 * 0.05 / 3 / 3)


SMALL_STEP = make_conversions(950, 50, units=9_500, challenger_units=500)


class TestCanary:
    rollout = make_rollout(make_plan("canary"), step=0)

    def test_it_advances_when_it_is_baked(self):
        decision = look(SMALL_STEP, self.rollout, now=after(hours=1))
        assert decision.action is RolloutAction.ADVANCE
        assert "step 1 of 3 (5 %) is done" in decision.reason
        assert "next is 25 %" in decision.reason
        assert "promotion" not in {one.name for one in decision.checks}

    def test_not_before(self):
        decision = look(SMALL_STEP, self.rollout, now=after(minutes=59))
        assert decision.action is RolloutAction.HOLD
        assert decision.reason.startswith("WS-ROLLOUT-024 bake")

    def test_bake_time_is_that_of_the_step(self):
        rollout = self.rollout.model_copy(update={"step_since": after(hours=5)})
        assert look(SMALL_STEP, rollout, now=after(hours=5.5)).action is RolloutAction.HOLD

    def test_it_may_wait_for_outcomes_but_not_for_errors(self):
        arms = [make_arm(9_500), make_arm(500)]
        assert look(make_totals(*arms), self.rollout).action is RolloutAction.ADVANCE
        decision = look(without(SMALL_STEP, "errors"), self.rollout)
        assert decision.action is RolloutAction.HOLD
        assert decision.reason.startswith(
            "WS-ROLLOUT-025 guardrail:errors: units of the smaller arm with errors 0, "
        )

    def test_a_pause_holds_it(self):
        rollout = self.rollout.model_copy(update={"paused_by": "alice"})
        assert look(SMALL_STEP, rollout).action is RolloutAction.HOLD

    def test_a_broken_guardrail_rolls_it_back_before_it_is_baked(self):
        seen = make_totals(make_arm(9_500), make_arm(500, {"errors": 100}))
        assert look(seen, self.rollout, now=after(minutes=5)).action is RolloutAction.ROLL_BACK

    def test_it_does_not_advance_after_the_deadline(self):
        decision = look(SMALL_STEP, self.rollout, now=after(days=28))
        assert decision.action is RolloutAction.KEEP
        assert "still at step 1 of 3" in decision.reason

    def test_the_horizon_of_a_test_is_none_of_the_small_steps(self):
        rollout = make_rollout(make_plan("canary", horizon="14d"), step=0)
        assert look(SMALL_STEP, rollout, now=after(days=15)).action is RolloutAction.ADVANCE

    def test_its_last_step_lasts_a_whole_cycle(self):
        """However long the steps before it took: what decides are the counts of this one."""
        rollout = make_rollout(make_plan("canary"), step_since=after(days=8))
        seen = make_conversions(2_000, 1_990, step=2)
        decision = look(seen, rollout, now=after(days=15, seconds=-1))
        assert decision.action is RolloutAction.HOLD
        assert decision.reason == (
            "WS-ROLLOUT-023 cycle: time in this step 6 days, 23:59:59, limit: at least 7 days, 0:00:00: "
            "insufficient"
        )
        assert look(seen, rollout, now=after(days=15)).action is RolloutAction.PROMOTE

    def test_its_last_step_is_the_promotion(self):
        rollout = make_rollout(make_plan("canary"))
        seen = make_conversions(2_000, 1_990, step=2)
        assert look(seen, rollout).action is RolloutAction.PROMOTE
        assert look(seen, rollout, now=after(days=6)).action is RolloutAction.HOLD
        fresh = rollout.model_copy(update={"step_since": after(days=7)})
        assert look(seen, fresh, now=after(days=7, minutes=5)).action is RolloutAction.HOLD


class TestShadow:
    plan = make_plan("shadow", metric="accuracy")

    def seen(self, challenger_units: int = 20_000, hits: int = 18_000) -> StepTotals:
        return make_totals(
            make_arm(20_000, {"accuracy": 18_000}), make_arm(challenger_units, {"accuracy": hits})
        )

    def test_an_agreeing_shadow_is_promoted(self):
        assert look(self.seen(), make_rollout(self.plan)).action is RolloutAction.PROMOTE

    def test_one_that_is_wrong_more_often_is_rolled_back(self):
        assert look(self.seen(hits=17_000), make_rollout(self.plan)).action is RolloutAction.ROLL_BACK

    def test_one_that_missed_units_holds(self):
        rollout = make_rollout(self.plan)
        assert look(self.seen(19_000, 17_100), rollout).action is RolloutAction.PROMOTE
        decision = look(self.seen(18_999, 17_100), rollout)
        assert decision.action is RolloutAction.HOLD
        assert decision.reason.startswith(
            "WS-ROLLOUT-020 sample_ratio: units that the shadow was asked about 94.99 %, limit: at least 95 %"
        )

    def test_a_unit_of_both_arms_is_usual(self):
        totals = self.seen().model_copy(update={"moved": 20_000})
        assert look(totals, make_rollout(self.plan)).action is RolloutAction.PROMOTE

    def test_it_can_not_show_what_people_do(self):
        rollout = make_rollout(make_plan("shadow", promote={"not_worse": 0.1}))
        decision = look(make_conversions(2_000, 2_000), rollout)
        assert decision.action is RolloutAction.HOLD
        assert check(decision, "promotion").status is Status.ERROR
        assert check(decision, "guardrail:harm").status is Status.ERROR
        assert look(EQUAL, rollout, now=after(days=28)).action is RolloutAction.ROLL_BACK


class TestHorizon:
    """20 planned looks of a day; 2,000 units a day."""

    rollout = make_rollout(make_plan(horizon="20d", cycle="1d", minimum_units=2_000))

    def at(
        self, day: float, gain: float, before: Any = (), rollout: Rollout | None = None, **fields: Any
    ) -> RolloutDecision:
        units = int(1_000 * max(1, int(day)))
        totals = make_conversions(units // 10, int(units * (0.1 + gain)), units=units, **fields)
        return look(totals, rollout or self.rollout, now=after(days=day), before=before)

    def walk(self, gain: float, days: int, step: float = 1.0) -> list[RolloutDecision]:
        made: list[RolloutDecision] = []
        for number in range(1, int(days / step) + 1):
            made.append(self.at(number * step, gain, made))
            if made[-1].action is not RolloutAction.HOLD:
                break
        return made

    def test_looks_are_planned_and_their_bounds_are_those_of_the_literature(self):
        made = self.walk(0.0, 5)
        assert [one.planned_look for one in made] == [1, 2, 3, 4, 5]
        assert [one.estimate.fraction for one in made] == [0.05, 0.1, 0.15, 0.2, 0.25]
        assert [one.estimate.information for one in made] == [2_000, 4_000, 6_000, 8_000, 10_000]
        rollout = make_rollout(make_plan(horizon="5d", looks=5, cycle="1d", minimum_units=2_000))
        five: list[RolloutDecision] = []
        for day in range(1, 6):
            five.append(self.at(day, 0.0, five, rollout))
        # Lan-DeMets O'Brien-Fleming, K=5, two-sided 0.05, as gsDesign prints them
        published = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
        assert [one.estimate.bound for one in five] == pytest.approx(published, abs=2e-3)
        assert five[-1].action is RolloutAction.KEEP
        assert five[-1].reason.startswith("no proof of gain by the horizon of 5d: WS-ROLLOUT-026")

    def test_looks_between_spend_nothing(self):
        often, seldom = self.walk(0.0, 6, step=0.25), self.walk(0.0, 6)
        planned = [one for one in often if one.planned_look is not None]
        assert [one.planned_look for one in planned] == [1, 2, 3, 4, 5, 6]
        assert [one.estimate.bound for one in planned] == [one.estimate.bound for one in seldom]

    def test_a_look_that_comes_late_counts_as_the_latest_one(self):
        first = self.at(1, 0.0)
        late = self.at(7.9, 0.0, [first])
        assert late.planned_look == 7
        assert self.at(7.95, 0.0, [first, late]).planned_look is None

    def test_a_gain_is_promoted_at_a_planned_look_only(self):
        before = [self.at(9, 0.0)]
        between = self.at(9.5, 0.05, before)
        assert between.action is RolloutAction.HOLD
        assert "planned look 10 of 20 is due at" in between.reason
        assert self.at(10, 0.05, [*before, between]).action is RolloutAction.PROMOTE

    def test_what_a_planned_look_has_proved_is_repeated_while_it_lasts(self):
        proved = self.at(10, 0.02)
        assert proved.action is RolloutAction.PROMOTE
        again = self.at(10.5, 0.02, [proved])
        assert (again.action, again.planned_look) == (RolloutAction.PROMOTE, None)
        assert self.at(10.5, 0.005, [proved]).action is RolloutAction.HOLD

    def test_a_proof_while_paused_counts_after_it_is_resumed(self):
        paused = self.rollout.model_copy(update={"paused_by": "alice"})
        held = self.at(10, 0.02, rollout=paused)
        assert (held.action, held.planned_look) == (RolloutAction.HOLD, 10)
        assert self.at(10.5, 0.02, [held]).action is RolloutAction.PROMOTE

    def test_harm_is_rolled_back_between_planned_looks(self):
        decision = self.at(8.5, -0.04, [self.at(8, 0.0)])
        assert decision.planned_look is None
        assert decision.action is RolloutAction.ROLL_BACK

    def test_the_last_look_decides_and_later_ones_say_the_same(self):
        last = self.at(20, 0.001)
        assert (last.planned_look, last.estimate.fraction) == (20, 1.0)
        assert last.action is RolloutAction.KEEP
        assert last.estimate.bound == pytest.approx(1.96, abs=0.01)
        assert self.at(21, 0.1, [last]).action is RolloutAction.KEEP

    def test_a_broken_split_holds_at_the_horizon_too(self):
        decision = self.at(20, 0.0, challenger_units=18_000)
        assert decision.action is RolloutAction.HOLD

    def test_too_few_units_at_the_horizon_hold_until_the_deadline(self):
        rollout = make_rollout(make_plan(horizon="20d", minimum_units=60_000))
        held = self.at(20, 0.1, rollout=rollout)
        assert (held.action, held.planned_look) == (RolloutAction.HOLD, None)
        assert self.at(28, 0.1, rollout=rollout).action is RolloutAction.ROLL_BACK

    def test_the_small_steps_of_a_canary_have_no_planned_looks(self):
        plan = make_plan("canary", horizon="20d", cycle="1d", minimum_units=2_000, promote="better")
        early = look(SMALL_STEP, make_rollout(plan, step=0), now=after(days=5))
        assert (early.planned_look, early.estimate.method) == (None, "confidence_sequence")
        seen = make_conversions(500, 500, units=5_000, step=2)
        last = look(seen, make_rollout(plan), now=after(days=5.5), before=[early])
        assert (last.planned_look, last.estimate.fraction) == (5, 0.25)


def test_a_covariate_makes_the_interval_narrower():
    rollout = make_rollout(make_plan(metric="mean", pre_period="14d"))
    arms = []
    for mean in (10.0, 10.2):
        sums = values(20_000, mean, 5.0)
        # a covariate of mean 10 and deviation 5 that goes along with the metric by 0.8
        together = 20_000 * (mean * 10.0 + 0.8 * 25.0)
        pre = {"pre": 200_000.0, "pre_pre": 20_000 * 125.0, "num_pre": together, "den_pre": 200_000.0}
        arms.append(make_arm(20_000, {"mean": sums.model_copy(update=pre)}))
    seen = look(make_totals(*arms), rollout).estimate
    plain = look(make_totals(*arms), make_rollout(make_plan(metric="mean"))).estimate
    assert seen.variance_ratio == pytest.approx(1 - 0.8**2, abs=0.001)
    assert seen.interval.high - seen.interval.low < 0.65 * (plain.interval.high - plain.interval.low)


def test_the_set_of_checks_is_what_the_plan_asks_for():
    assert required_checks(make_plan("canary"), last_step=False) == (
        "sample_ratio", "counts", "units", "bake", "guardrail:harm", "guardrail:errors", "guardrail:slow",
    )  # fmt: skip
    for strategy in ("ab", "canary", "shadow"):
        plan = make_plan(strategy, metric="accuracy")
        for step in range(len(plan.shares)):
            rollout = make_rollout(plan, step=step)
            ran = [one.name for one in look(make_totals(step=step), rollout).checks]
            assert sorted(ran) == sorted(required_checks(plan, last_step=rollout.is_last_step))


def test_the_record_tells_what_was_judged():
    decision = look(BETTER)
    assert (decision.model, decision.version, decision.champion_version) == ("churn", "2", "1")
    assert (decision.experiment, decision.number, decision.step, decision.share) == ("v2-e5", 1, 0, 5_000)
    assert (decision.judged_at, decision.totals) == (WEEK, BETTER)
    assert RolloutDecision.model_validate_json(decision.model_dump_json()) == decision
