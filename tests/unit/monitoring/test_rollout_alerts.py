from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import NOON, make_check, make_spec
from support.rollouts import make_look, make_rollout, under_way
from support.several import several_entry, several_look, several_rollout, several_under_way
from support.world import MODEL, world_of
from windsock import records as r
from windsock.deployment.roll_back import roll_back
from windsock.monitoring.alerts import decide_alerts, sent
from windsock.monitoring.rollout_alerts import (
    drop_condition,
    pause_condition,
    paused_since,
    rollout_condition,
    rollout_conditions,
    split_condition,
)
from windsock.records import Severity, Status
from windsock.steps.run import run_step

SPEC = make_spec(monitoring={"alert_repeat": "1d"})
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def ended(outcome: str, version: int = 2, **fields: Any) -> r.RolloutEnd:
    made: dict[str, Any] = {
        "experiment": f"v{version}-e4",
        "version": str(version),
        "outcome": r.RolloutOutcome(outcome),
        "epoch": 5,
        "started_at": NOON,
        "ended_at": NOON + DAY,
        "reason": "errors beyond the limit.",
    }
    return r.RolloutEnd(**{**made, **fields})


def look(number: int, ratio: Status, counts: Status = Status.PASS) -> r.RolloutDecision:
    """Return a look whose split and counts are so."""
    checks = (
        make_check("sample_ratio", ratio, code="WS-ROLLOUT-020", message="1 of 900 units, p 1e-9"),
        make_check("counts", counts, code="WS-ROLLOUT-021", message="3 answers are strange."),
    )
    return make_look(number, checks=checks)


class TestEnds:
    @pytest.mark.parametrize(
        ("outcome", "active", "severity"),
        [
            ("rolled_back", True, Severity.HIGH),
            ("kept", True, Severity.LOW),
            ("promoted", False, Severity.NONE),
        ],
    )
    def test_harm_and_no_proof_begin_it_and_a_promotion_ends_it(self, outcome, active, severity):
        condition = rollout_condition("churn", ended(outcome))
        assert condition is not None
        assert (condition.key, condition.active, condition.severity) == ("rollout", active, severity)
        assert condition.text == "Rollout v2-e4 of version 2 ended: errors beyond the limit."

    @pytest.mark.parametrize("outcome", ["stopped", "broken_off"])
    def test_what_somebody_did_is_no_alert(self, outcome):
        assert rollout_condition("churn", ended(outcome)) is None

    def test_an_end_without_a_reason_names_the_outcome(self):
        condition = rollout_condition("churn", ended("rolled_back", reason=""))
        assert condition is not None
        assert condition.text.endswith("ended: rolled back.")

    def test_each_rollout_is_told_once_though_the_alert_stands(self):
        def due(end: r.RolloutEnd, known: list[r.Alert]) -> list[str | None]:
            condition = rollout_condition("churn", end)
            assert condition is not None
            return [one.episode for one in decide_alerts([condition], known, NOON, DAY, spec=SPEC).send]

        first = rollout_condition("churn", ended("rolled_back"))
        assert first is not None
        (alert,) = decide_alerts([first], [], NOON, DAY, spec=SPEC).send
        known = [sent(alert, NOON)]
        assert due(ended("rolled_back"), known) == []
        assert due(ended("rolled_back", 3), known) == ["v3-e4"]
        assert due(ended("promoted", 3), known) == ["v2-e4"]
        assert due(ended("promoted", 3), []) == []

    def test_an_end_is_among_them_until_it_is_told(self):
        """Whoever ended it: the ledger says so, and it is told once, however long it lies back."""
        ports = under_way(world_of(1))
        asked = {"model": MODEL, "experiment": "v2-e4", "outcome": "rolled_back", "reason": "harm"}
        roll_back(r.RollBackInput.model_validate(asked), ports, "key")
        rows = ports.ledger.rows(MODEL)

        def told(known: list[r.Alert], now: Any) -> list[r.Alert]:
            found = rollout_conditions(MODEL, rows, (), known, now)
            return [sent(one, now) for one in decide_alerts(found, known, now, DAY, spec=SPEC).send]

        first = told([], NOON)
        assert [(one.key, one.severity, one.episode) for one in first] == [
            ("rollout", Severity.HIGH, "v2-e4")
        ]
        assert told(first, NOON + 30 * DAY) == []

    def test_of_a_model_without_rollouts_nothing_is_wrong(self):
        found = rollout_conditions(MODEL, world_of(1).ledger.rows(MODEL), (), (), NOON)
        assert [one.active for one in found] == [False, False, False]


def outcomes_lost(number: int, status: Status, name: str = "outcomes") -> r.RolloutDecision:
    """Return a sound look at a last step in which outcomes are so."""
    sound = look(number, Status.PASS)
    lost = make_check(name, status, code="WS-ROLLOUT-032", message="2,767 outcomes are of nobody")
    return sound.replace(checks=(*sound.checks, lost))


class TestOutcomes:
    @pytest.mark.parametrize("name", ["outcomes", "coverage"])
    def test_lost_ones_are_told_after_two_looks(self, name):
        rollout = make_rollout()
        looks = [outcomes_lost(number, Status.FAIL, name) for number in (1, 2)]
        assert split_condition(rollout, looks[:1]) is None
        condition = split_condition(rollout, looks)
        assert condition is not None
        assert (condition.key, condition.active) == ("rollout-split", True)
        assert f"WS-ROLLOUT-032 {name}: fail, 2,767 outcomes are of nobody" in condition.text

    def test_those_that_are_still_to_come_are_not(self):
        condition = split_condition(make_rollout(), [outcomes_lost(1, Status.INSUFFICIENT)])
        assert condition is not None
        assert not condition.active


class TestSplit:
    @pytest.mark.parametrize("bad", [(Status.FAIL,), (Status.ERROR,), (Status.PASS, Status.FAIL)])
    def test_it_is_told_after_two_looks(self, bad):
        rollout = make_rollout()
        assert split_condition(rollout, [look(1, *bad)]) is None
        assert split_condition(rollout, [look(1, Status.PASS), look(2, *bad)]) is None
        condition = split_condition(rollout, [look(1, *bad), look(2, *bad)])
        assert condition is not None
        assert (condition.key, condition.active, condition.severity) == (
            "rollout-split",
            True,
            Severity.MEDIUM,
        )
        assert condition.episode == "v2-e4"
        assert ("WS-ROLLOUT-021" in condition.text) == (len(bad) == 2)
        assert ("WS-ROLLOUT-020" in condition.text) == (len(bad) == 1)
        assert "look 2" in condition.text

    def test_it_is_over_when_both_pass(self):
        looks = [look(1, Status.FAIL), look(2, Status.FAIL), look(3, Status.PASS)]
        condition = split_condition(make_rollout(), looks)
        assert condition is not None
        assert condition.active is False

    @pytest.mark.parametrize("unknown", [(Status.INSUFFICIENT,), (Status.PASS, Status.INSUFFICIENT)])
    def test_too_little_begins_and_ends_nothing(self, unknown):
        assert split_condition(make_rollout(), [look(1, Status.FAIL), look(2, *unknown)]) is None

    def test_a_look_without_these_checks_is_no_pass(self):
        assert split_condition(make_rollout(), [make_look(1, checks=())]) is None

    def test_no_look_says_nothing(self):
        assert split_condition(make_rollout(), []) is None

    def test_it_is_repeated_while_it_stands_and_over_with_the_rollout(self):
        ports = under_way(world_of(1))
        rows, looks = ports.ledger.rows(MODEL), [look(1, Status.FAIL), look(2, Status.FAIL)]
        known: list[r.Alert] = []
        for now, due in [(NOON, 1), (NOON + HOUR, 0), (NOON + DAY, 1)]:
            found = rollout_conditions(MODEL, rows, looks, known, now)
            send = decide_alerts(found, known, now, DAY, spec=SPEC).send
            assert len(send) == due
            known = [sent(one, now) for one in send] or known
        asked = {"model": MODEL, "experiment": "v2-e4", "outcome": "stopped", "reason": "a proxy"}
        roll_back(r.RollBackInput.model_validate(asked), ports, "key")
        found = rollout_conditions(MODEL, ports.ledger.rows(MODEL), (), known, NOON + DAY)
        (alert,) = decide_alerts(found, known, NOON + DAY, DAY, spec=SPEC).send
        assert (alert.key, alert.state, alert.text) == (
            "rollout-split",
            "resolved",
            "Rollout v2-e4 is over.",
        )


class TestPause:
    def steered(self, *actions: str) -> tuple[r.Rollout, Any]:
        ports = under_way(world_of(1))
        for action in actions:
            asked = {"model": MODEL, "action": action, "reason": "a sale", "run": {"requested_by": "ann"}}
            run_step("steer_rollout", r.SteerRolloutInput.model_validate(asked), ports)
        rows = ports.ledger.rows(MODEL)
        rollout = r.running_rollout(rows)
        assert rollout is not None
        return rollout, rows

    @pytest.mark.parametrize(
        ("actions", "after", "active"),
        [
            (["pause"], DAY, False),
            (["pause"], DAY + HOUR, True),
            (["pause", "resume"], 9 * DAY, False),
            (["pause", "resume", "pause"], DAY + HOUR, True),
            ([], 9 * DAY, False),
        ],
    )
    def test_a_long_one_is_told(self, actions, after, active):
        rollout, rows = self.steered(*actions)
        since = paused_since(rows, rollout.experiment) or rows[-1].at
        condition = pause_condition(rollout, rows, since + after)
        assert (condition.key, condition.active, condition.severity) == (
            "rollout-paused",
            active,
            Severity.LOW,
        )
        assert ("ann has paused" in condition.text) is active

    def test_its_reason_is_told(self):
        rollout, rows = self.steered("pause")
        since = paused_since(rows, rollout.experiment)
        said = rollout.replace(paused_reason="a sale")
        assert "UTC (a sale); its deadline" in pause_condition(said, rows, since + 2 * DAY).text

    def test_a_pause_of_another_rollout_does_not_count(self):
        _, rows = self.steered("pause")
        assert paused_since(rows, "v9-e9") is None


class TestSeveral:
    def test_a_drop_is_told_at_once_with_its_reason_and_again_for_each_further_one(self):
        ports = several_under_way(world_of(3), dropped=(5,))
        harm = several_look(1, "drop", about=5, looks={5: {"action": "roll_back", "reason": "errors 0.2"}})
        rows = ports.ledger.rows(MODEL)
        (first,) = [one for one in rollout_conditions(MODEL, rows, [harm], (), NOON) if one.active]
        assert (first.key, first.severity, first.title) == (
            "rollout-dropped",
            Severity.HIGH,
            "churn: version 5 was dropped",
        )
        assert first.text == (
            "Rollout v4-e9 of versions 4, 5 and 6: version 5 is dropped; the champion answers its units; "
            "version 5: errors 0.2 (version 3 serves). Versions 4 and 6 go on. Read why: windsock rollout "
            "report churn"
        )
        ports.ledger.append(several_entry(dropped=(5, 4), epoch=11), after_seq=len(rows))
        rows = ports.ledger.rows(MODEL)
        (second,) = [one for one in rollout_conditions(MODEL, rows, [], (), NOON) if one.active]
        assert second.title == "churn: versions 4 and 5 were dropped"
        assert "Version 6 goes on." in second.text
        assert second.episode != first.episode

    def test_a_step_after_a_drop_is_no_further_drop(self):
        ports = several_under_way(world_of(3), dropped=(5,))
        entry = several_entry(dropped=(5,), epoch=11, step=1, reason="v4-e9: step 2 of 2")
        ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))
        told = drop_condition(several_rollout(dropped=(5,)), ports.ledger.rows(MODEL), ())
        assert "step 2" not in told.text

    def test_where_nothing_was_dropped_or_all_is_over_there_is_no_alert(self):
        ports = several_under_way(world_of(3))
        assert not any(
            one.active for one in rollout_conditions(MODEL, ports.ledger.rows(MODEL), [], (), NOON)
        )
        roll_back(r.RollBackInput(model=MODEL, experiment="v4-e9", outcome="stopped"), ports, "")
        over = rollout_conditions(MODEL, ports.ledger.rows(MODEL), [], (), NOON)
        assert [(one.key, one.text) for one in over][-1] == ("rollout-dropped", "Rollout v4-e9 is over.")

    def test_the_end_names_all_of_them_and_a_promotion_the_one(self):
        tried = ("4", "5", "6")
        harm = rollout_condition("churn", ended("rolled_back", 4, tried=tried))
        assert harm is not None
        assert harm.title == "churn: versions 4, 5 and 6 were rolled back"
        assert harm.text.startswith("Rollout v4-e4 of versions 4, 5 and 6 ended: ")
        good = rollout_condition("churn", ended("promoted", 5, tried=tried))
        assert good is not None
        assert good.title == "churn: version 5 was promoted"

    def test_the_split_of_one_alone_is_told_with_its_version(self):
        broken = make_check("sample_ratio", Status.FAIL, code="WS-ROLLOUT-020", message="p 1e-9")
        sound = look(1, Status.PASS).checks
        looks = [
            several_look(number, about=6, looks={4: {"checks": sound}, 5: {"checks": (broken,)}})
            for number in (1, 2)
        ]
        told = split_condition(several_rollout(), looks)
        assert told is not None
        assert told.active
        assert "version 5: WS-ROLLOUT-020 sample_ratio: fail, p 1e-9." in told.text
        assert "version 4" not in told.text.partition("look 2")[2]

    def test_the_split_of_one_that_was_dropped_before_is_told_no_more(self):
        broken = make_check("sample_ratio", Status.FAIL, code="WS-ROLLOUT-020", message="p 1e-9")
        sound = look(1, Status.PASS).checks
        gone = {5: {"checks": (broken,), "withdrawn": True}, 4: {"checks": sound}, 6: {"checks": sound}}
        told = split_condition(several_rollout(dropped=(5,)), [several_look(n, looks=gone) for n in (1, 2)])
        assert told is not None
        assert not told.active

    def test_a_long_pause_names_them(self):
        ports = several_under_way(world_of(3))
        rows = ports.ledger.rows(MODEL)
        run_step("steer_rollout", r.SteerRolloutInput(model=MODEL, action="pause", reason="x"), ports)
        rows = ports.ledger.rows(MODEL)
        rollout = r.running_rollout(rows)
        assert rollout is not None
        assert "of versions 4, 5 and 6 since" in pause_condition(rollout, rows, ports.now() + 3 * DAY).text
