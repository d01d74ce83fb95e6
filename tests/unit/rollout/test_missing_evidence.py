"""What is missing: the right end of each case was written down first, then ``decide`` was held to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from support.rollout_cases import (
    after,
    events,
    heavy,
    make_answers,
    make_arm,
    make_conversions,
    make_plan,
    make_rollout,
    make_totals,
    plan_of_before,
    values,
)
from windsock.records import (
    CheckResult,
    Moments,
    RolloutAction,
    RolloutDecision,
    RolloutPlan,
    Status,
    StepTotals,
)
from windsock.rollout.decision import decide
from windsock.spec import LabelsBlock

HOLD, PROMOTE, ROLL_BACK = RolloutAction.HOLD, RolloutAction.PROMOTE, RolloutAction.ROLL_BACK
KEEP, ADVANCE = RolloutAction.KEEP, RolloutAction.ADVANCE


def usual(strategy: str = "canary", **block: Any) -> RolloutPlan:
    """Return a plan; what a file cannot say of margins is put into it afterwards."""
    later = {name: block.pop(name) for name in ("relative_margin", "unit_cap") if name in block}
    return make_plan(strategy, **block).model_copy(update=later)


def look(
    totals: StepTotals, plan: RolloutPlan | None = None, *, days: float = 8, step: int = -1
) -> RolloutDecision:
    plan = plan or usual()
    place = step % len(plan.shares)
    rollout = make_rollout(plan, step=place)
    return decide(rollout, totals.model_copy(update={"step": place}), (), number=1, now=after(days=days))


def check(decision: RolloutDecision, name: str) -> CheckResult:
    return next(one for one in decision.checks if one.name == name)


class Case(NamedTuple):
    """What was seen, and its right end.

    :param end: after a week, and the code that says why.
    :param last: at the deadline.
    """

    totals: StepTotals
    end: RolloutAction
    code: str
    last: RolloutAction
    plan: Callable[[], RolloutPlan] = usual


def answered(champion: dict[str, Any], challenger: dict[str, Any], units: int = 20_000) -> StepTotals:
    return make_totals(make_answers(units, **champion), make_answers(units, **challenger))


def by_accuracy(strategy: str = "canary", **block: Any) -> Callable[[], RolloutPlan]:
    return lambda: usual(strategy, metric="accuracy", **block)


def with_bots(cap: int | None) -> StepTotals:
    theirs = (cap or 20_000, 0.1)
    sums = heavy(20_000, own=(7, 0.1), few=4, theirs=theirs).model_copy(
        update={"largest": 20_000, "capped": 4 if cap else 0}
    )
    return make_totals(*(make_arm(20_000, {"ctr": sums}) for _ in range(2)))


NONE = make_conversions(0, 0, units=6_000)
HALVED = make_conversions(0, 0, units=6_000, unusable=2_640)
SOME = {"outcomes": 2_000}
RIGHT, REFUSED = {"right": 17_000}, {"labelled": 18_000, "right": 16_000, "refused": 2_000}
CASES = {
    "12,000 units and no outcome": Case(NONE, HOLD, "WS-ROLLOUT-027", ROLL_BACK),
    "no outcome in an A/B": Case(NONE, HOLD, "WS-ROLLOUT-027", ROLL_BACK, lambda: usual("ab")),
    "no outcome, a horizon": Case(
        NONE, HOLD, "WS-ROLLOUT-027", ROLL_BACK, lambda: usual("ab", horizon="8d")
    ),
    "no outcome, a plan of before": Case(
        NONE, HOLD, "WS-ROLLOUT-027", ROLL_BACK, lambda: plan_of_before()
    ),
    "no outcome, no guardrail of harm": Case(
        NONE, HOLD, "WS-ROLLOUT-027", ROLL_BACK, lambda: usual(guardrails={"harm": None})
    ),
    "outcomes with another word": Case(HALVED, HOLD, "WS-ROLLOUT-031", ROLL_BACK),
    "a third of them with another word": Case(
        make_conversions(2_000, 2_000, unusable=2_000, outcomes=4_000), HOLD, "WS-ROLLOUT-031", ROLL_BACK
    ),
    "words, and none that is named": Case(
        make_conversions(0, 0, units=6_000, outcomes=2_640), HOLD, "WS-ROLLOUT-027", ROLL_BACK
    ),
    "another spelling of the unit": Case(
        make_conversions(0, 0, units=6_000, unknown=2_767), HOLD, "WS-ROLLOUT-032", ROLL_BACK
    ),
    "another spelling, a plan of before": Case(
        make_conversions(0, 0, units=6_000, unknown=2_767),
        HOLD, "WS-ROLLOUT-027", ROLL_BACK, lambda: plan_of_before(),
    ),
    "a clock an hour behind": Case(
        make_conversions(0, 0, units=6_000, early=2_674), HOLD, "WS-ROLLOUT-033", ROLL_BACK
    ),
    "event ids used again": Case(
        make_conversions(2_000, 2_000, outcomes=4_000, repeated_outcomes=9_000),
        HOLD, "WS-ROLLOUT-034", ROLL_BACK,
    ),
    "every outcome came too late": Case(
        make_conversions(0, 0, units=6_000, late=900), HOLD, "WS-ROLLOUT-027", ROLL_BACK
    ),
    "a few ids that another unit has": Case(
        make_conversions(5_000, 5_000, units=50_000, outcomes=10_000, repeated_exposures=900, reused=900),
        HOLD, "WS-ROLLOUT-021", ROLL_BACK,
    ),
    "prediction ids used again": Case(
        make_conversions(25, 25, units=250, repeated_exposures=19_500, reused=19_500, outcomes=50),
        HOLD, "WS-ROLLOUT-021", ROLL_BACK, lambda: usual("ab"),
    ),
    "refusing 1 %, what is allowed": Case(
        answered(RIGHT, {"right": 16_830, "refused": 200}), HOLD, "WS-ROLLOUT-025", KEEP, by_accuracy()
    ),
    "refusing 0.2 %": Case(
        answered(RIGHT, {"right": 16_966, "refused": 40}), PROMOTE, "WS-ROLLOUT-026", PROMOTE, by_accuracy()
    ),
    "refusing 20 %": Case(
        answered(RIGHT, {"right": 13_600, "refused": 4_000}),
        ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK, by_accuracy(),
    ),
    "refusing 30 %": Case(
        answered(RIGHT, {"right": 11_900, "refused": 6_000}),
        ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK, by_accuracy(),
    ),
    "a shadow that raises for 20 %": Case(
        answered(RIGHT, {"right": 13_600, "refused": 4_000, "cause": "failed"}),
        ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK, by_accuracy("shadow"),
    ),
    "a shadow that raises for all": Case(
        answered(RIGHT, {"right": 0, "refused": 20_000, "cause": "failed"}),
        ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK, by_accuracy("shadow"),
    ),
    "right 80 %, wrong 10 %, refused 10 % against right 85 %": Case(
        answered(RIGHT, REFUSED), ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK, by_accuracy("ab")
    ),
    "the same without a guardrail of errors": Case(
        answered(RIGHT, REFUSED),
        ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK, by_accuracy("ab", guardrails={"errors": None}),
    ),
    "the same without any guardrail": Case(
        answered(RIGHT, REFUSED),
        HOLD, "WS-ROLLOUT-026", KEEP,
        by_accuracy("ab", guardrails={"errors": None, "harm": None, "slow": None}),
    ),
    "labels lost in one arm": Case(
        answered({"labelled": 8_000, "right": 6_800}, {"labelled": 7_000, "right": 5_960}),
        HOLD, "WS-ROLLOUT-028", ROLL_BACK, by_accuracy(),
    ),
    "1 % -> 0.5 %, 12,000 units": Case(
        make_conversions(60, 30, units=6_000, **SOME), HOLD, "WS-ROLLOUT-026", KEEP,
        lambda: usual(guardrails={"harm": None}),
    ),
    "1 % -> 0.5 %, 40,000 units": Case(
        make_conversions(200, 100, **SOME), ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK
    ),
    "0.2 % -> 0": Case(make_conversions(40, 0, **SOME), ROLL_BACK, "WS-ROLLOUT-025", ROLL_BACK),
    "0.2 % -> 0, 12,000 units": Case(
        make_conversions(12, 0, units=6_000, **SOME), HOLD, "WS-ROLLOUT-027", ROLL_BACK
    ),
    "0.2 % -> 0 by an absolute margin alone": Case(
        make_conversions(12, 0, units=6_000, **SOME), HOLD, "WS-ROLLOUT-027", ROLL_BACK,
        lambda: usual(relative_margin=None),
    ),
    "bots with 20,000 visits, no cap": Case(
        with_bots(None), HOLD, "WS-ROLLOUT-029", ROLL_BACK, lambda: usual(metric="ctr", unit_cap=None)
    ),
    "a mean of nothing but zeros": Case(
        make_totals(*(make_arm(20_000, {"mean": Moments(units=20_000, den=20_000, den_den=20_000)}),) * 2),
        HOLD, "WS-ROLLOUT-027", ROLL_BACK, lambda: usual(metric="mean", promote={"not_worse": 1.0}),
    ),
    "everybody converted": Case(
        make_conversions(20_000, 20_000, outcomes=40_000), HOLD, "WS-ROLLOUT-027", ROLL_BACK
    ),
    "12 labels in an arm": Case(
        answered({"labelled": 12, "right": 12}, {"labelled": 12, "right": 12}),
        HOLD, "WS-ROLLOUT-027", ROLL_BACK, by_accuracy(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_comes_to_its_right_end(case):
    decision, last = look(case.totals, case.plan()), look(case.totals, case.plan(), days=28)
    assert (decision.action, decision.reason[:14]) == (case.end, case.code), decision.reason
    assert last.action is case.last, last.reason
    assert case.code in last.reason


def by_table(**block: Any) -> RolloutPlan:
    plan = usual(metric="accuracy", **block)
    table = LabelsBlock(kind="table", conn_id="crm", table="labels")
    return plan.model_copy(update={"labels": table})


SOUND: dict[str, tuple[StepTotals, Callable[[], RolloutPlan]]] = {
    "conversion of 10 %": (make_conversions(5_000, 5_000, units=50_000, outcomes=10_000), usual),
    "outcomes of earlier exposures": (
        make_conversions(
            5_000, 5_000, units=50_000, outcomes=10_000, earlier=30_000, carried=9_000, late=500
        ),
        usual,
    ),
    "each outcome sent twice": (
        make_conversions(5_000, 5_000, units=50_000, outcomes=10_000, repeated_outcomes=10_000), usual
    ),
    "some that cannot be used": (
        make_conversions(
            5_000, 5_000, units=50_000, outcomes=10_000, unusable=900, unknown=900, early=900
        ),
        usual,
    ),
    "half of the outcomes lost in both arms": (
        make_conversions(5_030, 4_990, units=100_000, outcomes=10_020), usual
    ),
    "a rare conversion, 0.2 %, with enough units": (
        make_conversions(3_000, 3_010, units=1_500_000, outcomes=6_010), usual
    ),
    "a tenth of the requests tried again": (
        make_conversions(5_000, 5_000, units=50_000, outcomes=10_000, repeated_exposures=10_000), usual
    ),
    "bots with 20,000 visits, capped": (
        with_bots(100).model_copy(update=SOME), lambda: usual(metric="ctr")
    ),
    "few labels, alike in both arms": (
        answered({"labelled": 6_000, "right": 5_100}, {"labelled": 6_020, "right": 5_120}), by_accuracy()
    ),
    "labels of all but what was refused": (
        make_totals(
            make_answers(500_000, right=425_000), make_answers(500_000, right=424_900, refused=2_000)
        ),
        by_accuracy(),
    ),
    "a table with labels of other times, and of none": (
        answered(RIGHT, RIGHT).model_copy(update={"unknown": 900_000, "unusable": 50_000}), by_table
    ),
    "a plan of before, with outcomes of before": (
        make_conversions(2_000, 1_990, outcomes=3_990, unknown=5_000, early=2_000),
        lambda: plan_of_before(),
    ),
    "fewer returns, which is better": (
        make_totals(make_arm(20_000, {"returns": 600}), make_arm(20_000, {"returns": 8}), outcomes=608),
        lambda: usual(
            "ab", metric="returns", metrics={"returns": {"kind": "conversion", "better": "lower"}}
        ),
    ),
    "a guardrail of complaints, which are rare": (
        make_totals(
            make_arm(50_000, {"conversion": 5_000, "complaints": 3}),
            make_arm(50_000, {"conversion": 5_000, "complaints": 0}),
            outcomes=10_003,
        ),
        lambda: usual(
            metrics={"complaints": {"kind": "conversion", "better": "lower"}}, guardrails={"complaints": 0.01}
        ),
    ),
    "a rate above 1": (
        make_totals(
            *(make_arm(20_000, {"ctr": values(20_000, 1.5, 1.0)}) for _ in range(2)), outcomes=60_000
        ),
        lambda: usual(metric="ctr", promote={"not_worse": 0.1}),
    ),
    "a mean of which most is 0": (
        make_totals(*(make_arm(20_000, {"mean": values(20_000, 2.0, 20.0)}) for _ in range(2)), outcomes=900),
        lambda: usual(metric="mean", promote={"not_worse": 2.0}),
    ),
    "an absolute error": (
        make_totals(*(make_arm(20_000, {"absolute_error": values(20_000, 5.0, 4.0)}) for _ in range(2))),
        lambda: usual(metric="absolute_error", promote={"not_worse": 0.5}),
    ),
    "a metric that needs no outcome": (
        make_totals(make_arm(20_000, {"slow": 2_000}), make_arm(20_000, {"slow": 1_500})),
        lambda: usual("ab", metric="slow"),
    ),
    "no answer was ever wrong": (answered({"right": 20_000}, {"right": 20_000}), by_accuracy()),
}  # fmt: skip


@pytest.mark.parametrize(("totals", "plan"), SOUND.values(), ids=SOUND)
def test_what_is_sound_is_not_held(totals, plan):
    decision = look(totals, plan())
    assert decision.action is PROMOTE, decision.reason


@pytest.mark.parametrize(
    "totals",
    [
        make_conversions(0, 0, units=9_500, challenger_units=500),
        make_conversions(9, 0, units=9_500, challenger_units=500, outcomes=9),
        make_conversions(0, 0, units=9_500, challenger_units=500, unusable=2_000),
    ],
    ids=["none yet", "a few late ones", "another word"],
)
def test_between_steps_nothing_is_required_of_outcomes(totals):
    decision = look(totals, days=0.1, step=0)
    assert decision.action is ADVANCE, decision.reason
    assert check(decision, "guardrail:harm").interval is None
    assert "outcomes" not in [one.name for one in decision.checks]
    assert any("WS-ROLLOUT-031" in note for note in decision.notes) is bool(totals.unusable)


@pytest.mark.parametrize("case", ["12,000 units and no outcome", "outcomes with another word"])
def test_no_outcome_is_never_an_interval(case):
    decision = look(CASES[case].totals)
    assert check(decision, "promotion").status is Status.INSUFFICIENT
    assert check(decision, "promotion").interval is None
    assert check(decision, "guardrail:harm").status is Status.INSUFFICIENT
    assert check(decision, "guardrail:harm").interval is None
    assert (decision.estimate.difference, decision.estimate.interval) == (None, None)


def test_a_guardrail_that_is_broken_rolls_back_whatever_is_missing():
    totals = make_conversions(2_000, 1_000, outcomes=3_000, unusable=3_000)
    decision = look(totals)
    assert decision.action is ROLL_BACK
    assert decision.reason.startswith("WS-ROLLOUT-025 guardrail:harm")


def test_a_look_without_outcomes_spends_nothing_of_a_planned_test():
    plan = usual("ab", horizon="20d", cycle="1d")
    assert look(NONE, plan, days=5).planned_look is None
    seen = make_conversions(600, 600, units=6_000, outcomes=1_200)
    assert look(seen, plan, days=6).planned_look == 6


class TestMessages:
    """A person reads what is wrong, the likely cause and what to do."""

    @pytest.mark.parametrize(
        ("case", "words"),
        [
            (
                "outcomes with another word",
                [
                    "100 %, limit: at most 20 %, n=2,640 of 2,640: fail",
                    "some 10,560 sound ones must come",
                    "`outcome` of the metric",
                ],
            ),
            ("words, and none that is named", ["2,640 outcomes count, and none is", "`outcome` of the"]),
            ("everybody converted", ["all of either arm was positive", "name the one that is"]),
            ("another spelling of the unit", ["2,767", "spelled otherwise", "the same text in both"]),
            ("a clock an hour behind", ["2,674", "a clock is behind"]),
            ("event ids used again", ["9,000", "send a new one with each event"]),
            ("12,000 units and no outcome", ["no outcome arrived", "`rollout.labels`"]),
            ("every outcome came too late", ["900 outcomes came later", "raise `rollout.attribution`"]),
            ("another spelling, a plan of before", ["2,767 outcomes are of units", "spelled otherwise"]),
            (
                "a few ids that another unit has",
                ["counts: 900, limit: at most ", "exposures have the prediction id of another unit"],
            ),
            (
                "prediction ids used again",
                ["counts: 19,500, limit: at most ", "send a new id with each request, or none"],
            ),
            ("bots with 20,000 visits, no cap", ["the largest has 20,000", "`rollout.unit_cap`"]),
            ("labels lost in one arm", ["35.0% of the challenger's", "40.0% of the champion's"]),
        ],
    )
    def test_the_reason(self, case, words):
        decision = look(CASES[case].totals, CASES[case].plan())
        assert [word for word in words if word not in decision.reason] == []

    def test_a_relative_margin(self):
        plan = usual(guardrails={"harm": None})
        decision = look(make_conversions(200, 160, outcomes=360), plan)
        assert "limit: above -0.002 (20 % of the champion's 0.01)" in decision.reason
        assert check(decision, "promotion").limit == pytest.approx(-0.002)

    def test_the_smaller_margin_holds(self):
        decision = look(make_conversions(25_000, 25_000, units=50_000, outcomes=50_000))
        assert "limit: above -0.02, n=100,000 units" in decision.reason
        alone = usual().model_copy(update={"margin": None})
        decision = look(make_conversions(25_000, 25_000, units=50_000, outcomes=50_000), alone)
        assert "limit: above -0.1 (20 % of the champion's 0.5)" in decision.reason

    def test_one_that_could_not_be_judged_at_the_start_promotes_nothing_unless_it_is_meant(self):
        totals = make_conversions(1_000, 990, units=100_000, outcomes=1_990)  # 1 %, with a margin of 2
        block = {"promote": {"not_worse": 0.02}, "guardrails": {"harm": None}}
        held = look(totals, usual(**block))
        promotion = check(held, "promotion")
        assert (held.action, promotion.status) == (RolloutAction.HOLD, Status.INSUFFICIENT)
        assert "WS-ROLLOUT-018: the margin of 0.02 is above half of the champion's 0.01" in held.reason
        block["promote"] = {"not_worse": 0.02, "confirmed": True}
        assert look(totals, usual(**block)).action is RolloutAction.PROMOTE
        before = plan_of_before(**{**block, "promote": {"not_worse": 0.02}})
        assert look(totals, before).action is RolloutAction.PROMOTE

    def test_a_relative_margin_of_what_should_be_low(self):
        metrics = {"returns": {"kind": "conversion", "better": "lower"}}
        plan = usual(metric="returns", metrics=metrics, guardrails={"harm": None})
        totals = make_totals(*(make_arm(20_000, {"returns": hits}) for hits in (400, 420)), outcomes=820)
        promotion = check(look(totals, plan), "promotion")
        assert (promotion.relation, promotion.status) == ("<", Status.INSUFFICIENT)
        assert promotion.limit == pytest.approx(0.004)


def test_refusals_are_told_by_arm_and_cause():
    arm = make_answers(20_000, right=16_900, refused=100)
    arm = arm.model_copy(update={"unanswered": {"failed": 30, "invalid": 70}})
    decision = look(make_totals(make_answers(20_000, right=17_000), arm), usual(metric="accuracy"))
    told = "100 of the challenger's 20,000 exposures got no answer: 70 invalid, 30 failed"
    assert decision.notes == (told,)


def test_what_does_not_count_is_told():
    totals = make_conversions(
        2_000, 2_000, units=50_000, outcomes=4_000, carried=3, late=4, earlier=5, unitless=9_000
    )
    notes = look(totals).notes
    assert [note.split()[0] for note in notes] == ["9,000", "3", "4", "5"]
    assert "send `unit`" in notes[0]


def test_a_capped_unit_is_told_by_its_size_alone():
    notes = look(with_bots(100).model_copy(update=SOME), usual(metric="ctr")).notes
    assert len(notes) == 1
    assert notes[0].startswith("8 units weigh as much as one with 100")
    assert "largest has 20,000" in notes[0]
    assert look(make_conversions(2_000, 2_000), plan_of_before()).notes == ()


def test_an_accuracy_is_over_what_was_asked():
    """Of 20,000 exposures 2,000 were refused and half of the others have a label: 80 % of what was asked."""
    arm = make_answers(20_000, labelled=9_000, right=8_000, refused=2_000)
    decision = look(make_totals(make_answers(20_000, labelled=10_000, right=8_500), arm), by_accuracy()())
    assert decision.estimate.champion == pytest.approx(0.85)
    assert decision.estimate.challenger == pytest.approx(8_000 / 10_000)


@pytest.mark.parametrize("guardrails", [{}, {"errors": None}], ids=["exposures weighed", "as they are"])
def test_rows_that_only_share_a_request_with_a_refused_one_are_not_wrong(guardrails):
    arm = make_answers(20_000, labelled=15_000, right=12_000, refused=2_000)
    arm = arm.model_copy(update={"unanswered": {"unanswerable": 2_000, "other_version": 3_000}})
    totals = make_totals(make_answers(20_000, right=17_000), arm)
    decision = look(totals, by_accuracy(guardrails=guardrails)())
    assert decision.estimate.challenger == pytest.approx(12_000 / 17_000)


def test_refused_people_weigh_what_they_are_though_bots_were_answered():
    """All have labels; 30,000 exposures of 100 bots are capped to 10,000, and people were refused 1 of 5."""
    sums = {"num": 20_800, "den": 26_000, "asked": 4_000, "num_num": 816_000, "den_den": 1_016_000}
    sums |= {"num_den": 820_000, "asked_asked": 4_000, "units": 16_100, "asked_units": 20_100}
    shown = Moments(units=20_100, num=4_000, den=30_000, num_num=4_000, den_den=1_020_000, num_den=4_000)
    arm = make_answers(20_100, right=0, refused=4_000)
    metrics = {**arm.metrics, "accuracy": Moments.model_validate(sums), "errors": shown}
    arm = arm.model_copy(update={"exposures": 50_000, "metrics": metrics})
    decision = look(make_totals(make_answers(20_000, right=17_000), arm), by_accuracy()())
    assert decision.estimate.challenger == pytest.approx(20_800 / 30_000)


def test_the_events_of_one_unit_are_those_of_one_unit():
    sums = Moments(units=20_000, num=40, den=40_000, num_num=1_600, den_den=80_000, num_den=80)
    arms = [make_arm(20_000, {"ctr": sums}) for _ in range(2)]
    decision = look(make_totals(*arms, outcomes=80), usual(metric="ctr"))
    assert decision.reason.startswith(
        "WS-ROLLOUT-027 outcomes: units with a positive outcome to be expected in the smaller arm for ctr 1"
    )


def test_events_are_planned_by_the_smaller_arm():
    plan = usual("ab", share=5, metric="conversion")
    totals = make_totals(
        make_arm(95_000, {"conversion": 361}), make_arm(5_000, {"conversion": 18}), outcomes=379
    )
    decision = look(totals, plan)
    assert check(decision, "outcomes").value == pytest.approx(18.95)
    assert decision.reason.startswith("WS-ROLLOUT-027")
    enough = make_totals(
        make_arm(95_000, {"conversion": 382}), make_arm(5_000, {"conversion": 18}), outcomes=400
    )
    assert check(look(enough, plan), "outcomes").passed


def test_more_visits_by_one_arm_are_no_lost_labels():
    """The challenger's units come back twice as often, and each answer has its label as often as before."""
    champion = make_arm(20_000, {"accuracy": events(20_000, 17_000)}, exposures=40_000)
    sums = events(10_000, 8_500)
    champion = champion.model_copy(update={"metrics": {**champion.metrics, "accuracy": sums}})
    twice = Moments(units=15_000, num=17_000, den=20_000, num_num=22_000, den_den=30_000, num_den=25_000)
    challenger = make_arm(20_000, {"accuracy": twice}, exposures=80_000)
    assert check(look(make_totals(champion, challenger), by_accuracy()()), "coverage").passed
