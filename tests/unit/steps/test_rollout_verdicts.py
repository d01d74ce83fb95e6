from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.builders import NOON, digest
from support.rollout_cases import after, make_conversions, make_plan, make_rollout
from support.several import several_look, several_rollout
from windsock import records as r
from windsock.rollout import hindrances
from windsock.rollout.decision import decide
from windsock.steps import StepResult, refusal_of, verdict_of
from windsock.steps.rollout_verdicts import AGAIN, CURES, HINDRANCES, LACKING, NEXT, WORDS

BETTER = make_conversions(2_000, 2_400)


def result(record: r.Record, *, unchanged: bool = False) -> StepResult:
    return StepResult(step="x", record=record, key="", unchanged=unchanged)


def decision(totals: r.StepTotals = BETTER, *, days: float = 8, **fields: Any) -> r.RolloutDecision:
    made = decide(make_rollout(), totals, (), number=3, now=after(days=days))
    return made.model_copy(update=fields)


@pytest.mark.parametrize(
    ("action", "word"),
    [("hold", "HOLD"), ("advance", "PASS"), ("promote", "PASS"), ("keep", "KEEP"), ("roll_back", "FAIL")],
)
def test_each_decision_has_its_word_and_none_is_red(action, word):
    given = result(decision(action=r.RolloutAction(action)))
    assert verdict_of(given).word == word
    assert refusal_of(given) is None


def test_a_roll_back_says_the_number_against_the_limit():
    verdict = verdict_of(result(decision(make_conversions(2_000, 1_600), evidence_digest=digest("c"))))
    assert verdict.lines()[0] == "VERDICT: FAIL"
    assert "loss of conversion 0.02 [0.01" in verdict.why
    assert ", limit: at most 0, n=40,000 units: fail" in verdict.why
    assert "champion gets all traffic back" in verdict.next_action
    assert verdict.ids == {
        "model": "churn",
        "version": "2",
        "experiment": "v2-e5",
        "number": "3",
        "bundle": digest("b")[:12],
        "evidence": digest("c")[:12],
    }


def test_a_decision_that_is_said_again_keeps_its_word_unless_it_was_good():
    keep = decision(make_conversions(2_000, 2_000), days=28, unchanged=True)
    assert verdict_of(result(keep, unchanged=True)).word == "KEEP"
    assert verdict_of(result(decision(unchanged=True), unchanged=True)).word == "UNCHANGED"


def test_a_dry_run_says_what_would_be():
    verdict = verdict_of(result(decision(dry_run=True)))
    assert verdict.word == "DRY RUN"
    assert verdict.why.startswith("would promote: WS-ROLLOUT-026")
    assert verdict.next_action == "nothing was stored, and nothing follows"


def test_a_broken_split_says_what_to_look_for():
    broken = decision(make_conversions(2_000, 2_400, challenger_units=18_000))
    verdict = verdict_of(result(broken))
    assert verdict.word == "HOLD"
    assert verdict.next_action.startswith("find out why units are missing in one arm")


def test_a_pause_says_how_it_ends():
    paused = decide(make_rollout(paused_by="alice"), BETTER, (), number=1, now=after(days=8))
    verdict = verdict_of(result(paused))
    assert verdict.why.startswith("paused by alice")
    assert "resume" in verdict.next_action


def test_what_is_under_way():
    state = r.RolloutState(model="churn", rollout=make_rollout(), look_due=after(hours=1))
    verdict = verdict_of(result(state, unchanged=True))
    assert verdict.why == (
        "version 2 is tried against version 1: step 1 of 1, 50 % of the units; "
        "next look 2026-05-01 13:00:00 UTC"
    )
    assert verdict.ids["experiment"] == "v2-e5"


def test_a_paused_rollout_holds():
    verdict = verdict_of(result(r.RolloutState(model="churn", rollout=make_rollout(paused_by="alice"))))
    assert verdict.word == "HOLD"
    assert "paused by alice" in verdict.why
    assert "resume" in verdict.next_action


def test_a_pause_is_told_once_and_with_its_reason():
    rollout = make_rollout(paused_by="alice", paused_reason="a sale")
    told = f"rollout {rollout.experiment} is paused by alice (a sale)"
    for reason in ("", told, f"{told} already"):
        state = r.RolloutState(model="churn", rollout=rollout, reason=reason)
        assert verdict_of(result(state)).why.count("paused by alice (a sale)") == 1


def test_a_shadow_answers_nobody():
    rollout = make_rollout(make_plan("shadow", metric="accuracy"))
    assert "as a shadow" in verdict_of(result(r.RolloutState(model="churn", rollout=rollout))).why


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "no rollout is under way; none waits"),
        ({"waiting": "4"}, "no rollout is under way; version 4 waits for its rollout"),
        ({"reason": "version 4 is held"}, "version 4 is held"),
    ],
)
def test_nothing_under_way(fields, why):
    verdict = verdict_of(result(r.RolloutState(model="churn", **fields)))
    assert (verdict.word, verdict.why) == ("PASS", why)


@pytest.mark.parametrize("code", sorted(HINDRANCES))
def test_a_version_that_cannot_start_holds_and_says_what_helps(code):
    state = r.RolloutState(model="churn", waiting="4", reason=f"{code}: version 4 waits and cannot start")
    verdict = verdict_of(result(state, unchanged=True))
    assert verdict.word == "HOLD"
    assert verdict.why == state.reason
    assert verdict.next_action == HINDRANCES[code].format(model="churn")
    assert refusal_of(result(state, unchanged=True)) is None


def test_every_reason_why_a_version_cannot_start_has_what_helps():
    told = set(re.findall(r'f"(WS-[A-Z]+-\d+): ', Path(hindrances.__file__).read_text()))
    assert told == set(HINDRANCES)


def test_a_step_that_has_begun():
    shift = r.TrafficShift(
        model="churn", experiment="v2-e5", version="2", step=1, share=2_500, epoch=6, shifted_at=NOON
    )
    verdict = verdict_of(result(shift))
    assert verdict.why == "version 2 answers 25 % of the units, step 2"
    assert verdict.ids == {"model": "churn", "version": "2", "experiment": "v2-e5", "epoch": "6"}
    over = shift.model_copy(update={"unchanged": True, "reason": "rollout v2-e5 is over"})
    assert verdict_of(result(over, unchanged=True)).why == "rollout v2-e5 is over"


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("", "version 4 waits for its rollout"),
        ("version 4 waits for its rollout (ab); version 3 keeps serving",) * 2,
    ],
)
def test_a_version_that_waits_does_not_say_that_it_serves(reason, why):
    waits = r.Promotion(
        model="churn", version="4", digest=digest(), epoch=3, waiting=True, reason=reason, committed_at=NOON
    )
    verdict = verdict_of(result(waits))
    assert (verdict.word, verdict.why) == ("PASS", why)
    assert "churn__ab_rollout" in verdict.next_action
    assert "version 4 serves" not in " ".join(verdict.lines())


def test_a_roll_back_for_want_of_evidence_says_how_the_version_may_try_again():
    given = decision(make_conversions(0, 0), days=28)
    verdict = verdict_of(result(given))
    assert (given.action, verdict.word) == (r.RolloutAction.ROLL_BACK, "FAIL")
    assert given.reason.startswith(LACKING)
    assert "churn__daily_retrain with `force`" in verdict.next_action


def test_each_cause_of_a_hold_has_its_next_step():
    held = {
        "WS-ROLLOUT-027": make_conversions(0, 0),
        "WS-ROLLOUT-031": make_conversions(0, 0, unusable=2_640),
        "WS-ROLLOUT-032": make_conversions(0, 0, unknown=2_767),
        "WS-ROLLOUT-033": make_conversions(0, 0, early=2_674),
        "WS-ROLLOUT-034": make_conversions(2_000, 2_000, outcomes=4_000, repeated_outcomes=9_000),
    }
    for code, totals in held.items():
        given = decision(totals)
        assert given.reason.startswith(code)
        again = AGAIN.format(model=given.model)
        assert verdict_of(result(given)).next_action == CURES[code].format(again=again)


def test_a_rollout_that_nobody_was_asked_by_yet_is_not_to_be_stopped():
    given = decision(make_conversions(0, 0, units=0))
    assert given.reason.startswith("WS-ROLLOUT-020 sample_ratio: insufficient, no request has come yet")
    assert verdict_of(result(given)).next_action.startswith("nothing to do while requests are still to come")


class TestSeveral:
    def test_a_drop_says_what_becomes_of_the_others(self) -> None:
        harm = {5: {"action": "roll_back"}, 6: {"action": "roll_back"}}
        given = result(several_look(2, "drop", about=5, looks=harm))
        verdict = verdict_of(given)
        assert verdict.word == "FAIL"
        assert verdict.why == "version 5: because of 5"
        assert "the others go on" in verdict.next_action
        assert (verdict.ids["version"], verdict.ids["bundle"]) == ("5,6", "555555555555,666666666666")
        assert "version=5,6 " in verdict.lines()[3]
        assert refusal_of(given) is None

    def test_every_action_has_a_word_and_a_next_step(self) -> None:
        assert set(WORDS) == set(NEXT) == set(r.RolloutAction)

    @pytest.mark.parametrize(("action", "versions"), [("promote", "6"), ("hold", "4,5,6"), ("keep", "4,5,6")])
    def test_the_ids_name_whom_it_concerns(self, action: str, versions: str) -> None:
        assert verdict_of(result(several_look(1, action, about=6))).ids["version"] == versions

    def test_what_is_under_way_names_all_and_those_that_were_dropped(self) -> None:
        state = r.RolloutState(model="churn", rollout=several_rollout(dropped=(5,)))
        verdict = verdict_of(result(state))
        assert verdict.why == (
            "versions 4, 5 and 6 are tried against version 3: step 1 of 1, 30 % of the units, 10 % each; "
            "dropped: version 5"
        )
        assert verdict.ids["version"] == "4,5,6"

    def test_those_that_wait_are_named(self) -> None:
        verdict = verdict_of(result(r.RolloutState(model="churn", waiting="4, 5")))
        assert verdict.why == "no rollout is under way; versions 4 and 5 wait for their rollout"
        assert verdict.ids["version"] == "4,5"

    def test_a_roll_back_of_all_names_all(self) -> None:
        record = r.RollBack(
            model="churn",
            version="3",
            digest=digest("3"),
            epoch=9,
            rolled_back_version="4, 5 and 6",
            committed_at=NOON,
        )
        assert verdict_of(result(record)).why == "version 3 serves instead of versions 4, 5 and 6, epoch 9"

    @pytest.mark.parametrize("reason", ["WS-ROLLOUT-020 sample_ratio: 3e-9", "paused by ann; wait"])
    def test_what_helps_follows_from_the_version_s_own_reason(self, reason: str) -> None:
        look = several_look(1, about=6, looks={6: {"reason": reason}})
        assert look.reason == f"version 6: {reason}"
        helps = verdict_of(result(look)).next_action
        assert helps.startswith(("find out why units are missing", "resume it"))

    def test_a_roll_back_for_lacking_evidence_says_what_to_see_to(self) -> None:
        lacking = {
            number: {"action": "roll_back", "reason": f"{LACKING}: no outcomes"} for number in (4, 5, 6)
        }
        look = several_look(1, "roll_back", looks=lacking)
        assert "See to the evidence that was missing" in verdict_of(result(look)).next_action
