"""``decide`` with several challengers: each is judged alone, and one thing follows of all."""

from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest
from support.rollout_cases import after, make_arm, make_plan, make_rollout, make_totals
from windsock.records import (
    BASIS_POINTS,
    ArmTotals,
    Challenger,
    CheckResult,
    Rollout,
    RolloutAction,
    RolloutDecision,
    Status,
    StepTotals,
)
from windsock.rollout.decision import decide
from windsock.rollout.look_due import is_pending
from windsock.statistics.sample_ratio import sample_ratio_p

WEEK = after(days=7)
DEADLINE = after(days=28)
UNITS = 20_000
GOOD, EQUAL, BAD = 2_500, 2_000, 1_500


def rollout_of(tried: int, **block: Any) -> Rollout:
    """Return a rollout whose arms are all of one size: versions 2, 3, ... against version 1."""
    fields = {name: block.pop(name) for name in ("paused_by", "withdrawn", "step") if name in block}
    others = tuple(
        Challenger(
            version=str(number),
            digest=digest(str(number)),
            bundle_uri=f"memory://bundles/churn/{number}",
            evidence_digest=digest("e"),
        )
        for number in range(3, 2 + tried)
    )
    strategy = block.pop("strategy", "ab")
    share = {"share": 100 * tried / (1 + tried)} if strategy == "ab" else {}
    plan = make_plan(strategy, challengers=tried, **share, **block)
    return make_rollout(plan, others=others, **fields)


def arm(hits: int, units: int = UNITS, **metrics: int) -> ArmTotals:
    return make_arm(units, {"conversion": hits, **metrics})


def totals_of(champion: ArmTotals, *challengers: ArmTotals, **fields: Any) -> StepTotals:
    return make_totals(champion, challengers[0], others=challengers[1:], **fields)


def look(
    rollout: Rollout, *hits: int | ArmTotals, now: Any = WEEK, before: Any = (), **fields: Any
) -> RolloutDecision:
    """Judge a rollout whose champion converts 2,000 of 20,000 units and its challengers as named."""
    arms = [one if isinstance(one, ArmTotals) else arm(one) for one in hits]
    seen = totals_of(arm(EQUAL), *arms, **fields)
    return decide(rollout, seen, before, number=len(before) + 1, now=now)


def told(decision: RolloutDecision, place: int, name: str) -> CheckResult:
    return next(one for one in decision.looks[place].checks if one.name == name)


def test_each_of_equal_copies_is_judged_as_one_alone_would_be_with_its_part_of_alpha():
    for tried in (2, 3, 4):
        for hits in (EQUAL, 2_150, GOOD, 1_800, BAD):
            decision = look(rollout_of(tried), *[hits] * tried)
            single = make_rollout(make_plan(alpha=0.05 / tried, share=50))
            alone = decide(single, totals_of(arm(EQUAL), arm(hits)), (), number=1, now=WEEK)
            for one in decision.looks:
                assert (one.action, one.estimate) == (alone.action, alone.estimate)
                theirs = [(c.name, c.status, c.value, c.limit, c.interval) for c in one.checks]
                p = sample_ratio_p((UNITS, UNITS), (1, 1))
                ours = [(c.name, c.status, c.value, c.limit, c.interval) for c in alone.checks]
                assert [one for one in theirs if one[0] != "sample_ratio"] == ours[1:]
                assert theirs[0][2] == pytest.approx(p, abs=0.05)
            assert decision.action is alone.action


def test_the_best_of_those_that_are_proved_is_promoted():
    decision = look(rollout_of(3), 2_400, GOOD, 2_450)
    assert (decision.action, decision.version, decision.digest) == (
        RolloutAction.PROMOTE, "3", digest("3"),
    )  # fmt: skip
    assert [one.action for one in decision.looks] == [RolloutAction.PROMOTE] * 3
    assert decision.reason.startswith(
        "version 3: WS-ROLLOUT-026 promotion: difference of conversion +0.025 ["
    )
    assert decision.reason.endswith("; version 4 and 2 are proved too, with less gain")
    assert decision.estimate == decision.looks[1].estimate
    assert decision.checks == decision.looks[1].checks
    assert decision.share == rollout_of(3).share
    assert look(rollout_of(3), 2_400, EQUAL, EQUAL).version == "2"


def test_the_best_is_the_lowest_where_lower_is_better():
    rollout = rollout_of(2, metric="errors", guardrails={"slow": 0.05})
    arms = [arm(EQUAL, errors=errors) for errors in (1_000, 700, 500)]
    decision = decide(rollout, totals_of(*arms), (), number=1, now=WEEK)
    assert (decision.action, decision.version) == (RolloutAction.PROMOTE, "3")


def test_one_that_does_harm_is_dropped_before_another_is_promoted():
    rollout = rollout_of(3)
    decision = look(rollout, GOOD, BAD, EQUAL)
    assert (decision.action, decision.version) == (RolloutAction.DROP, "3")
    assert [one.version for one in decision.dropped] == ["3"]
    assert decision.reason.startswith("version 3: WS-ROLLOUT-025 guardrail:harm: loss of conversion 0")
    assert is_pending(decision, rollout)
    rest = rollout_of(3, withdrawn=(digest("3"),))
    assert not is_pending(decision, rest)
    later = look(rest, GOOD, BAD, EQUAL, before=(decision,))
    assert (later.action, later.version) == (RolloutAction.PROMOTE, "2")
    gone = later.looks[1]
    assert (gone.withdrawn, gone.checks, gone.estimate.difference) == (True, (), None)
    assert later.dropped == ()


def test_several_are_dropped_at_once_and_each_is_named():
    decision = look(rollout_of(3), BAD, EQUAL, BAD)
    assert decision.action is RolloutAction.DROP
    assert [one.version for one in decision.dropped] == ["2", "4"]
    assert "version 2: WS-ROLLOUT-025" in decision.reason
    assert "; version 4: WS-ROLLOUT-025" in decision.reason


def test_a_pause_keeps_nobody_from_being_dropped():
    decision = look(rollout_of(2, paused_by="alice"), GOOD, BAD)
    assert (decision.action, decision.version) == (RolloutAction.DROP, "3")
    held = look(rollout_of(2, paused_by="alice"), GOOD, EQUAL)
    assert (held.action, held.reason) == (RolloutAction.HOLD, "paused by alice; only a guardrail acts")


def test_the_last_one_that_is_left_rolls_back():
    decision = look(rollout_of(2, withdrawn=(digest("b"),)), BAD, BAD)
    assert (decision.action, decision.version) == (RolloutAction.ROLL_BACK, "3")
    every = look(rollout_of(2), BAD, BAD)
    assert (every.action, every.dropped) == (RolloutAction.ROLL_BACK, ())
    assert "version 2: " in every.reason
    assert "; version 3: " in every.reason


def test_what_is_left_keeps_its_part_of_alpha():
    alone = look(rollout_of(2, withdrawn=(digest("b"),)), BAD, 2_100)
    both = look(rollout_of(2), EQUAL, 2_100)
    assert alone.estimate.interval == both.looks[1].estimate.interval


def test_at_the_deadline_the_champion_is_kept_if_anyone_could_be_judged():
    few = arm(5, 50)
    kept = look(rollout_of(2), EQUAL, few, now=DEADLINE)
    assert [one.action for one in kept.looks] == [RolloutAction.KEEP, RolloutAction.ROLL_BACK]
    assert (kept.action, kept.version) == (RolloutAction.KEEP, "2")
    assert kept.reason.startswith("version 2: no proof of gain by the deadline of 28d")
    lacking = look(rollout_of(2), few, few, now=DEADLINE)
    assert lacking.action is RolloutAction.ROLL_BACK
    assert "not enough evidence by the deadline of 28d" in lacking.reason


def test_where_one_does_harm_and_the_rest_lacks_evidence_at_the_deadline_all_end_at_once():
    few = arm(5, 50)
    ended = look(rollout_of(2), few, BAD, now=DEADLINE)
    assert (ended.action, ended.version) == (RolloutAction.ROLL_BACK, "3")
    dropped = look(rollout_of(3), few, BAD, GOOD, now=DEADLINE)
    assert dropped.action is RolloutAction.DROP
    assert [one.version for one in dropped.dropped] == ["2", "3"]


def test_one_is_promoted_at_the_deadline_though_others_are_not_proved():
    decision = look(rollout_of(2), EQUAL, GOOD, now=DEADLINE)
    assert (decision.action, decision.version) == (RolloutAction.PROMOTE, "3")
    waits = look(rollout_of(2, approve=True), EQUAL, GOOD, now=DEADLINE)
    assert (waits.action, waits.version) == (RolloutAction.KEEP, "3")
    assert waits.reason == "version 3: nobody approved by the deadline of 28d"


def canary(hits: int, *, units: int = 2_000) -> ArmTotals:
    return arm(hits, units)


def test_a_canary_advances_once_all_that_are_left_may():
    rollout = rollout_of(2, strategy="canary", steps=[20, 60], minimum_units=1_000, step=0)
    champion = arm(1_600, 16_000)
    both = totals_of(champion, canary(200), canary(200))
    decision = decide(rollout, both, (), number=1, now=WEEK)
    assert decision.action is RolloutAction.ADVANCE
    assert "step 1 of 2 (10 % each) is done: units of the champion and version" in decision.reason
    assert decision.reason.endswith("no guardrail broken; next is 30 % each")
    few = totals_of(champion, canary(200), canary(9, units=90))
    held = decide(rollout, few, (), number=1, now=WEEK)
    assert [one.action for one in held.looks] == [RolloutAction.ADVANCE, RolloutAction.HOLD]
    assert (held.action, held.version) == (RolloutAction.HOLD, "3")
    rest = rollout_of(
        2, strategy="canary", steps=[20, 60], minimum_units=1_000, step=0, withdrawn=(digest("3"),)
    )
    assert decide(rest, few, (), number=2, now=WEEK).action is RolloutAction.ADVANCE


def test_the_one_that_is_nearest_to_its_proof_is_told_of():
    assert look(rollout_of(3), EQUAL, 2_120, 2_050).version == "3"
    assert look(rollout_of(3), arm(5, 50), EQUAL, 1_990).version == "3"


def test_each_split_is_held_against_the_champion_alone():
    rollout = rollout_of(3)
    decision = look(rollout, EQUAL, arm(2_500, 19_000), EQUAL)
    assert told(decision, 1, "sample_ratio").status is Status.FAIL
    assert [told(decision, place, "sample_ratio").passed for place in (0, 2)] == [True, True]
    assert told(decision, 0, "sample_ratio").message.startswith(
        "20,000 of 40,000 units of the champion and version 2 are version 2's, 20,000 expected; p"
    )
    assert rollout.share_each * 4 == pytest.approx(BASIS_POINTS)


def test_what_is_wrong_with_the_counts_is_held_against_those_of_all_arms():
    rollout = rollout_of(3)
    assert look(rollout, EQUAL, EQUAL, EQUAL, damaged=160).looks[0].action is RolloutAction.HOLD
    assert told(look(rollout, EQUAL, EQUAL, EQUAL, damaged=160), 0, "counts").passed
    strange = look(rollout, GOOD, EQUAL, EQUAL, strange=1)
    assert strange.action is RolloutAction.HOLD
    assert strange.reason.startswith(
        "WS-ROLLOUT-021 counts: 1, limit: at most 0, n=160,000 exposures: fail; answers are by a "
        "version that is none of the arms"
    )


def test_notes_name_every_arm_that_refused():
    refusing = arm(EQUAL).model_copy(update={"unanswered": {"invalid": 7}})
    notes = look(rollout_of(3), EQUAL, EQUAL, refusing).notes
    assert notes == ("7 of version 4's 40,000 exposures got no answer: 7 invalid",)


def test_an_arm_that_was_not_counted_is_no_evidence():
    decision = decide(rollout_of(3), totals_of(arm(EQUAL), arm(GOOD)), (), number=1, now=WEEK)
    assert [one.action for one in decision.looks] == [
        RolloutAction.PROMOTE, RolloutAction.HOLD, RolloutAction.HOLD,
    ]  # fmt: skip


def test_planned_looks_are_each_challengers_own():
    rollout = rollout_of(2, horizon="14d", looks=2, minimum_units=30_000)
    first = look(rollout, 2_150, arm(500, 5_000), now=after(days=7))
    assert [one.planned_look for one in first.looks] == [1, None]
    assert first.planned_look == 1
    assert '"planned_look":null' not in first.model_dump_json()
    second = look(rollout, 2_150, 2_150, now=after(days=10), before=(first,))
    assert [one.planned_look for one in second.looks] == [None, 1]
    third = look(rollout, 2_150, 2_150, now=after(days=14), before=(first, second))
    assert [one.planned_look for one in third.looks] == [2, 2]
    for place, history in ((0, first), (1, second)):
        alone = make_rollout(make_plan(horizon="14d", looks=2, minimum_units=30_000, share=50, alpha=0.025))
        seen = totals_of(arm(EQUAL), arm(2_150))
        own = decide(alone, seen, (history.against(place),), number=2, now=after(days=14))
        assert third.looks[place].estimate.bound == own.estimate.bound
    none = look(rollout, 2_150, 2_150, now=after(days=15), before=(first, second, third))
    assert none.planned_look is None
    assert '"planned_look":null' in none.model_dump_json()


def test_a_decision_of_several_is_read_back_as_it_was_written():
    decision = look(rollout_of(4), GOOD, EQUAL, BAD, EQUAL)
    assert RolloutDecision.model_validate_json(decision.model_dump_json()) == decision
