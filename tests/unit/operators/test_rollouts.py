"""The operators of the rollout DAG, on in-memory ports and the real steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import DownstreamTasksSkipped

from support.builders import digest
from support.context import make_context
from support.rollout_steps import with_pack
from support.rollouts import ab_spec, make_look, under_way
from support.several import GONE, several_look, several_under_way
from support.world import MODEL, actions, deploy, shares, version_of, world_of
from windsock import records as r
from windsock.exceptions import DatabaseUnavailableError, RolloutRefusedError, VerdictError
from windsock.hooks.windsock import WindsockHook
from windsock.operators import judge_rollout
from windsock.operators.assets import challenger_asset, rollout_asset, sometimes
from windsock.operators.judge_rollout import JudgeRolloutOperator, estimate_lines
from windsock.operators.move_rollout import MoveRolloutOperator
from windsock.operators.promote_model import PromoteModelOperator
from windsock.operators.roll_back import RollBackOperator
from windsock.operators.start_rollout import StartRolloutOperator, steps_of
from windsock.operators.steer_rollout import SteerRolloutOperator
from windsock.steps.rollout_verdicts import describe_rollout_decision
from windsock.steps.run import run_step

SPEC = ab_spec()
CANARY = ab_spec(strategy="canary")
ENDED = [sometimes(rollout_asset(MODEL))]


@pytest.fixture
def ports(monkeypatch):
    """A world in which version 1 serves and version 2 stands ready, behind every operator."""
    made = world_of(1)
    deploy(made, 2)
    monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
    return made


class Events:
    """Airflow's ``outlet_events``."""

    def __init__(self):
        self.added = []

    def __getitem__(self, alias):
        return SimpleNamespace(add=lambda asset, extra: self.added.append((asset.uri, extra)))


def context_of(task, **params):
    context = make_context(task, **params)
    context["outlet_events"] = Events()
    return context


def in_dag(make):
    """Return a task that has one after it."""
    with DAG("rollout", schedule=None):
        task = make()
        task >> BaseOperator(task_id="after")
    return task


def skips(task, context):
    """Run a task that skips what follows; return what it pushed."""
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.execute(context)
    assert skipped.value.tasks == ["after"]
    return context["ti"].pushed.get("return_value")


def steer(**fields):
    return in_dag(lambda: SteerRolloutOperator(task_id="steer_rollout", spec=SPEC, outlets=ENDED, **fields))


def start(spec=SPEC):
    return in_dag(lambda: StartRolloutOperator(task_id="start_rollout", spec=spec))


def judge(rollout="v2-e4"):
    return in_dag(lambda: JudgeRolloutOperator(task_id="judge_rollout", spec=SPEC, rollout=rollout))


def move(decision, *, approval=None, spec=SPEC):
    return MoveRolloutOperator(
        task_id="move_rollout",
        spec=spec,
        decision=decision.model_dump(mode="json"),
        approval=approval,
        outlets=ENDED,
    )


def decided(ports, number, action, **fields):
    """Return a look's decision, as the judging task hands it over, after it was kept."""
    look = make_look(number, action, **fields)
    if action == "promote":
        look = with_pack(ports, look)
    ports.rollouts.add_decision(look)
    return look.model_copy(update={"report_uri": "memory://reports/1.html"})


def ends(context):
    return [(uri, extra["experiment"], extra["outcome"]) for uri, extra in context["outlet_events"].added]


def promotion(spec):
    return PromoteModelOperator(
        task_id="promote_model",
        spec=spec,
        version=version_of(2).model_dump(mode="json"),
        outlets=[sometimes(challenger_asset(MODEL))],
    )


class TestPromote:
    def test_a_version_that_waits_is_told_to_who_starts_it(self, ports):
        task = promotion(SPEC)
        context = context_of(task)
        assert task.execute(context)["waiting"] is True
        told = {"version": "2", "digest": digest("2")}
        assert context["outlet_events"].added == [("x-windsock://churn/challenger", told)]

    def test_a_version_that_serves_is_not(self, ports):
        task = promotion(ab_spec(strategy="direct"))
        context = context_of(task)
        assert task.execute(context)["waiting"] is False
        assert context["outlet_events"].added == []


class TestRollBack:
    def test_one_click_ends_a_rollout_and_tells_it(self, ports):
        under_way(ports)
        for _ in range(2):  # tried again, it tells it again
            task = RollBackOperator(task_id="roll_back", spec=MODEL, outlets=ENDED)
            context = context_of(task, user="ann", reason="complaints")
            assert task.execute(context)["rolled_back_version"] == "2"
            assert ends(context)[0][:2] == ("x-windsock://churn/rollout", "v2-e4")
        assert shares(ports)["1"] == 10_000

    def test_a_click_without_a_reason_rolls_back_too(self, ports):
        under_way(ports)
        task = RollBackOperator(task_id="roll_back", spec=MODEL, outlets=ENDED)
        assert task.execute(context_of(task, reason=None))["rolled_back_version"] == "2"

    def test_without_a_rollout_no_end_is_told(self, monkeypatch):
        made = world_of(1, 2)
        monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
        task = RollBackOperator(task_id="roll_back", spec=MODEL, outlets=ENDED)
        context = context_of(task)
        assert task.execute(context)["version"] == "1"
        assert ends(context) == []


class TestSteer:
    def test_a_run_of_the_scheduler_goes_on(self, ports):
        task = steer()
        assert task.execute(context_of(task)) is None
        assert task.verdict.word == "PASS"

    @pytest.mark.parametrize(("action", "row"), [("pause", "pause"), ("resume", "resume")])
    def test_pause_and_resume_are_kept(self, ports, action, row):
        under_way(ports)
        if action == "resume":
            skips(task := steer(), context_of(task, action="pause"))
        task = steer()
        pushed = skips(task, context_of(task, user="ann", action=action, reason="a sale"))
        assert (pushed["rollout"]["paused_by"] is not None) == (action == "pause")
        last = ports.ledger.rows(MODEL)[-1]
        assert (last.action.value, last.actor, last.body["reason"]) == (row, "ann", "a sale")

    @pytest.mark.parametrize(("action", "outcome"), [("stop", "stopped"), ("roll_back", "rolled_back")])
    def test_stop_and_roll_back_end_it_and_tell_it(self, ports, action, outcome):
        under_way(ports)
        task = steer()
        context = context_of(task, user="ann", action=action, version="2", reason="complaints")
        skips(task, context)
        assert shares(ports)["1"] == 10_000
        assert r.running_rollout(ports.ledger.rows(MODEL)) is None
        assert ends(context) == [("x-windsock://churn/rollout", "v2-e4", outcome)]
        assert context["outlet_events"].added[0][1]["reason"] == "complaints"

    @pytest.mark.parametrize(
        ("action", "done"), [("pause", "paused"), ("stop", "stopped"), ("roll_back", "rolled back")]
    )
    def test_a_form_that_was_sent_without_a_reason_says_who_did_what(self, ports, action, done):
        under_way(ports)
        task = steer()
        skips(task, context_of(task, user="ann", action=action, reason=None))
        row = next(row for row in reversed(ports.ledger.rows(MODEL)) if "reason" in row.body)
        assert row.body["reason"] == f"{done} by hand by ann"

    @pytest.mark.parametrize("action", ["pause", "resume", "stop", "roll_back"])
    def test_without_a_rollout_nothing_is_done(self, ports, action):
        before = actions(ports)
        task = steer()
        skips(task, context_of(task, action=action))
        assert task.verdict.word == "UNCHANGED"
        assert actions(ports) == before

    @pytest.mark.parametrize("action", ["pause", "stop", "roll_back"])
    def test_a_dry_run_does_nothing(self, ports, action):
        under_way(ports)
        before = actions(ports)
        task = steer()
        skips(task, context_of(task, action=action, dry_run=True))
        assert task.verdict.word == "DRY RUN"
        assert actions(ports) == before

    def test_another_version_than_the_named_one_is_left_alone(self, ports):
        under_way(ports)
        before = actions(ports)
        task = steer()
        with pytest.raises(VerdictError) as refused:
            task.execute(context_of(task, action="stop", version="9"))
        assert refused.value.code == "WS-ROLLOUT-090"
        assert (task.verdict.word, actions(ports)) == ("FAIL", before)

    def test_a_ledger_that_is_away_is_an_error(self, ports, monkeypatch):
        def away(model):
            raise DatabaseUnavailableError("away")

        monkeypatch.setattr(ports.ledger, "rows", away)
        task = steer()
        with pytest.raises(DatabaseUnavailableError):
            task.execute(context_of(task, action="stop"))
        assert task.verdict.word == "ERROR"


class TestStart:
    def test_without_anything_the_rest_is_skipped_and_green(self, ports):
        task = start()
        pushed = skips(task, context_of(task))
        assert pushed["rollout"] is None
        assert task.verdict.word in ("PASS", "UNCHANGED")

    def test_the_version_that_waits_is_started(self, ports):
        (waiting := promotion(SPEC)).execute(context_of(waiting))
        task = start()
        pushed = task.execute(context_of(task))
        assert (pushed["started"], pushed["rollout"]["version"]) == (True, "2")
        assert shares(ports) == {"1": 5000, "2": 5000}

    def test_the_form_overrides_the_file_for_this_rollout(self, ports):
        (waiting := promotion(CANARY)).execute(context_of(waiting))
        task = start(CANARY)
        asked = {"steps": "10, 100", "metric": "ctr", "horizon": "14d", "version": "2"}
        plan = task.execute(context_of(task, **asked))["rollout"]["plan"]
        assert (plan["shares"], plan["metric"], plan["horizon"]) == ([1000], "ctr", "14d")

    def test_a_run_without_a_form_asks_for_nothing(self, ports):
        content = start().step_input(context_of(None))
        assert content == {"overrides": {}, "version": None, "only_look": False}

    def test_a_dry_run_starts_nothing(self, ports):
        (waiting := promotion(SPEC)).execute(context_of(waiting))
        before = actions(ports)
        task = start()
        assert skips(task, context_of(task, dry_run=True))["waiting"] == "2"
        assert actions(ports) == before

    def test_a_version_that_does_not_wait_is_refused(self, ports):
        task = start()
        with pytest.raises(RolloutRefusedError):
            task.execute(context_of(task, version="7"))
        assert task.verdict.word == "FAIL"

    @pytest.mark.parametrize(
        ("text", "steps"), [(None, None), ("", None), ("5, 25,50 ", [5, 25, 50]), ("0.5,100", [0.5, 100])]
    )
    def test_steps_are_read_from_a_line(self, text, steps):
        assert steps_of(text) == steps


class TestJudge:
    def test_a_look_is_kept_and_shown(self, ports, caplog):
        caplog.set_level("INFO", logger="windsock.task")
        under_way(ports)
        task = judge()
        decision = task.execute(context_of(task))
        assert (decision["number"], decision["action"], decision["dry_run"]) == (1, "hold", False)
        assert len(ports.rollouts.decisions(MODEL, "v2-e4")) == 1
        assert "difference no value" in caplog.text
        assert task.verdict.word == "HOLD"

    def test_a_dry_run_keeps_nothing(self, ports):
        under_way(ports)
        task = judge()
        assert task.execute(context_of(task, dry_run=True))["dry_run"] is True
        assert ports.rollouts.decisions(MODEL, "v2-e4") == ()

    @pytest.mark.parametrize("waited_for", ["v2-e4", "v1-e1"])
    def test_a_rollout_that_is_over_is_not_judged(self, ports, waited_for):
        if waited_for == "v1-e1":
            under_way(ports)
        task = judge(waited_for)
        skips(task, context_of(task))
        assert task.verdict.word == "UNCHANGED"
        assert waited_for in task.verdict.why
        assert ports.rollouts.decisions(MODEL, "v2-e4") == ()


class TestMove:
    def test_hold_moves_nothing(self, ports):
        under_way(ports)
        before = actions(ports)
        task = move(decided(ports, 1, "hold"))
        assert task.execute(context_of(task)) is None
        assert (task.verdict.word, actions(ports)) == ("HOLD", before)

    @pytest.mark.parametrize("action", ["promote", "roll_back", "keep", "advance"])
    def test_a_dry_run_moves_nothing(self, ports, action):
        under_way(ports)
        before = actions(ports)
        task = move(make_look(1, action, dry_run=True))
        assert task.execute(context_of(task)) is None
        assert (task.verdict.word, actions(ports)) == ("DRY RUN", before)

    @pytest.mark.parametrize(("action", "outcome"), [("keep", "kept"), ("roll_back", "rolled_back")])
    def test_an_end_gives_the_champion_all_and_is_told(self, ports, action, outcome):
        under_way(ports)
        task = move(decided(ports, 1, action, reason="errors beyond the limit"))
        context = context_of(task)
        assert task.execute(context)["version"] == "1"
        assert shares(ports)["1"] == 10_000
        assert ends(context) == [("x-windsock://churn/rollout", "v2-e4", outcome)]
        (alert,) = ports.monitor.alerts(MODEL, firing=True)
        severity = {"kept": "low", "rolled_back": "high"}[outcome]
        assert (alert.key, alert.severity.value, alert.episode) == ("rollout", severity, "v2-e4")
        assert "errors beyond the limit" in alert.text

    def test_a_proved_version_becomes_champion_and_ends_the_alert(self, ports):
        under_way(ports)
        task = move(decided(ports, 1, "promote"))
        context = context_of(task)
        assert task.execute(context)["version"] == "2"
        assert shares(ports)["2"] == 10_000
        assert ends(context) == [("x-windsock://churn/rollout", "v2-e4", "promoted")]
        assert ports.monitor.alerts(MODEL, firing=True) == ()

    @pytest.mark.parametrize("action", ["promote", "roll_back", "keep"])
    def test_a_second_try_changes_nothing_and_tells_the_end_again(self, ports, action):
        under_way(ports)
        decision = decided(ports, 1, action)
        (first := move(decision)).execute(context_of(first))
        before = actions(ports)
        again = move(decision)
        context = context_of(again)
        again.execute(context)
        assert (again.verdict.word, actions(ports)) == ("UNCHANGED", before)
        assert len(ends(context)) == 1

    def test_a_look_at_what_ended_meanwhile_moves_and_tells_nothing(self, ports):
        under_way(ports)
        (ending := move(decided(ports, 1, "roll_back"))).execute(context_of(ending))
        before = actions(ports)
        task = move(make_look(2, "advance"))
        context = context_of(task)
        assert task.execute(context) is None
        assert (task.verdict.word, actions(ports), ends(context)) == ("UNCHANGED", before, [])

    def test_a_canary_advances_once(self, ports):
        (waiting := promotion(CANARY)).execute(context_of(waiting))
        (begun := start(CANARY)).execute(context_of(begun))
        decision = decided(ports, 1, "advance", share=500)
        for _ in range(2):
            task = move(decision, spec=CANARY)
            context = context_of(task)
            shift = task.execute(context)
            assert (shift["step"], ends(context)) == (1, [])
        assert shares(ports) == {"1": 7500, "2": 2500}
        assert task.verdict.word == "UNCHANGED"

    @pytest.mark.parametrize("action", ["advance", "promote"])
    def test_a_pause_holds_up_more_traffic(self, ports, action):
        under_way(ports)
        decision = decided(ports, 1, action)
        skips(pause := steer(), context_of(pause, action="pause", user="ann", reason="a sale"))
        task = move(decision)
        assert task.execute(context_of(task)) is None
        assert task.verdict.word == "HOLD"
        assert task.verdict.why == f"paused by ann (a sale); {action} waits"
        assert task.verdict.next_action.startswith("resume it")

    @pytest.mark.parametrize(
        "reason",
        [
            "paused by ann (a sale); only a guardrail acts",
            "WS-ROLLOUT-032 outcomes: 0",
            "2 of 7 days have passed",
        ],
    )
    def test_what_holds_is_told_as_the_look_told_it(self, ports, reason):
        under_way(ports)
        decision = decided(ports, 1, "hold", reason=reason)
        task = move(decision)
        task.execute(context_of(task))
        told = describe_rollout_decision(decision)
        assert (task.verdict.why, task.verdict.next_action) == (told.why, told.next_action)

    def test_a_pause_holds_up_no_roll_back(self, ports):
        under_way(ports)
        skips(pause := steer(), context_of(pause, action="pause"))
        task = move(decided(ports, 1, "roll_back"))
        task.execute(context_of(task))
        assert shares(ports)["1"] == 10_000

    def test_a_promotion_that_a_later_look_does_not_see_waits(self, ports):
        under_way(ports)
        decision = decided(ports, 1, "promote")
        decided(ports, 2, "hold", reason="the split is broken")
        task = move(decision)
        assert task.execute(context_of(task)) is None
        assert "look 2 says hold by now: the split is broken" in task.verdict.why
        assert shares(ports).get("2") != 10_000

    def test_a_persons_no_ends_it_as_stopped(self, ports):
        under_way(ports)
        refused = r.Approval(
            model=MODEL, version="2", digest=digest("2"), status="fail", needed=1, reason="rejected by rita"
        )
        task = move(decided(ports, 1, "promote"), approval=refused.model_dump(mode="json"))
        context = context_of(task)
        task.execute(context)
        assert shares(ports)["1"] == 10_000
        assert ends(context) == [("x-windsock://churn/rollout", "v2-e4", "stopped")]
        assert "rejected by rita" in context["outlet_events"].added[0][1]["reason"]
        assert ports.monitor.alerts(MODEL, firing=True) == ()

    def test_an_alert_that_cannot_be_kept_is_an_error_and_a_retry_tells_the_end(self, ports, monkeypatch):
        under_way(ports)
        decision = decided(ports, 1, "roll_back")

        def away(alert):
            raise DatabaseUnavailableError("away")

        with monkeypatch.context() as patched:
            patched.setattr(ports.monitor, "put_alert", away)
            task = move(decision)
            with pytest.raises(DatabaseUnavailableError):
                task.execute(context_of(task))
            assert task.verdict.word == "ERROR"
        again = move(decision)
        context = context_of(again)
        assert again.execute(context)["outcome"] == "rolled_back"
        assert len(ends(context)) == 1
        assert [alert.key for alert in ports.monitor.alerts(MODEL, firing=True)] == ["rollout"]


class TestAlerts:
    """What is told follows from ledger and looks: the same, whoever brought it about."""

    def told(self, ports):
        return [(one.key, one.state, one.episode) for one in ports.monitor.alerts(MODEL)]

    def by_command(self, ports, outcome):
        asked = {"model": MODEL, "experiment": "v2-e4", "outcome": outcome, "reason": "complaints"}
        run_step("roll_back", r.RollBackInput.model_validate(asked), ports)

    def test_a_roll_back_by_command_is_told_by_the_next_run_once(self, ports):
        under_way(ports)
        self.by_command(ports, "rolled_back")
        skips(first := start(), context_of(first, dry_run=True))
        assert self.told(ports) == []
        for _ in range(2):
            task = start()
            skips(task, context_of(task))
            assert self.told(ports) == [("rollout", "firing", "v2-e4")]
        assert [one.pending for one in ports.monitor.alert_history(MODEL)] == [True, False]

    def test_a_stop_is_no_alert(self, ports):
        under_way(ports)
        self.by_command(ports, "stopped")
        task = start()
        skips(task, context_of(task))
        assert self.told(ports) == []

    def test_a_split_that_stays_broken_is_told_and_ends_with_the_rollout(self, ports):
        under_way(ports)
        broken = make_look().checks[0].model_copy(update={"status": r.Status.FAIL})
        counts = broken.model_copy(update={"name": "counts", "status": r.Status.PASS})
        for number, known in [(1, []), (2, [("rollout-split", "firing", "v2-e4")])]:
            task = move(decided(ports, number, "hold", checks=(broken, counts)))
            task.execute(context_of(task))
            assert self.told(ports) == known
        skips(stop := steer(), context_of(stop, action="stop", reason="a proxy"))
        assert self.told(ports)[0][:2] == ("rollout-split", "resolved")


class TestSeveral:
    @pytest.fixture
    def three(self, monkeypatch):
        made = several_under_way(world_of(3))
        monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
        return made

    @pytest.mark.parametrize("version", ["4", "5", "6", "4, 6", "6,5,4"])
    def test_any_of_its_versions_names_it(self, three, version):
        task = steer()
        skips(task, context_of(task, action="stop", version=version, reason="complaints"))
        assert r.running_rollout(three.ledger.rows(MODEL)) is None

    @pytest.mark.parametrize(
        ("version", "named"), [("3", "version 3"), ("4, 7", "versions 4 and 7"), ("45", "version 45")]
    )
    def test_what_it_does_not_try_does_not_name_it(self, three, version, named):
        task = steer()
        with pytest.raises(VerdictError) as refused:
            task.execute(context_of(task, action="stop", version=version))
        assert refused.value.code == "WS-ROLLOUT-090"
        assert f"asked for {named}, but versions 4, 5 and 6 are being rolled out" in refused.value.message
        assert r.running_rollout(three.ledger.rows(MODEL)) is not None

    def test_the_estimate_lines_are_of_each(self):
        look = several_look(3, about=6, looks={5: {"withdrawn": True}})
        numbers = "conversion 0.1 against {}, difference {} (confidence_sequence); {}"
        first = numbers.format("0.1", "+0 [-0.01, +0.01]", "hold: because of 4")
        third = numbers.format("0.108", "+0.008 [-0.002, +0.018]", "hold")
        assert estimate_lines(look) == [
            "champion 3: 70,000 units",
            f"challenger 4: 10,000 units, {first}",
            f"challenger 5: 10,100 units; {GONE}",
            f"challenger 6: 10,200 units, {third}",
        ]

    def test_the_checks_of_each_are_in_the_log(self, monkeypatch):
        titles = []
        monkeypatch.setattr(judge_rollout, "log_checks", lambda title, checks, shown: titles.append(title))
        look = several_look(3, about=6, looks={5: {"withdrawn": True}})
        judge().report(SimpleNamespace(record=look))
        assert titles == ["version 6", "version 4: hold"]

    def test_a_decision_that_moves_nothing_names_whom_it_concerns(self, three):
        look = several_look(1, "hold", about=6)
        three.rollouts.add_decision(look)
        task = move(look)
        task.execute(context_of(task))
        assert (task.verdict.word, task.verdict.ids["version"]) == ("HOLD", "4,5,6")
