from __future__ import annotations

from datetime import timedelta

import pytest

from support.builders import make_spec
from support.retraining import DAY, MIDNIGHT, make_episode, make_window
from support.rollout_steps import running, started_world
from support.world import MODEL, world_of
from windsock.records import (
    Alert,
    EpisodeState,
    Gap,
    LedgerView,
    OpenQuestion,
    RunFacts,
    Severity,
    Span,
)
from windsock.records.retraining import LEASE, Lease
from windsock.watchdog import loop_findings as loop

NOW = MIDNIGHT + 9 * DAY
MINUTE = timedelta(minutes=1)
SPEC = make_spec()


def lease(**fields):
    made = {"holder": "churn__drift_retrain/run1", "claimed_at": NOW - 10 * MINUTE, "until": NOW + DAY}
    return Lease(**{**made, "seen_at": NOW - 10 * MINUTE, **fields})


class TestEpisode:
    def condition(self, waits=11 * MINUTE, held=None, *, is_blocked=False, **fields):
        episode = make_episode(opened_at=NOW - waits, **fields)
        return loop.episode_condition(MODEL, [episode], held, NOW, is_blocked=is_blocked)

    def test_one_that_nobody_took_though_it_was_announced_once_more(self):
        found = self.condition()
        assert (found.active, found.code, found.episode) == (True, "WS-WATCH-015", "one")
        assert "11 min ago, limit: 10 min" in found.text
        assert not self.condition(10 * MINUTE).active

    def test_one_that_is_claimed_waits_behind_another_run_or_cannot_start_is_none(self):
        assert not self.condition(state=EpisodeState.CLAIMED).active
        assert not self.condition(held=lease()).active
        assert self.condition(held=lease(until=NOW - MINUTE)).active
        assert not self.condition(is_blocked=True).active
        assert not loop.episode_condition(MODEL, [], None, NOW, is_blocked=False).active

    def test_where_the_monitor_is_off_it_is_switched_on_first(self):
        episode = make_episode(opened_at=NOW - 11 * MINUTE)
        silent = loop.episode_condition(MODEL, [episode], None, NOW, is_blocked=False, is_silent=True)
        assert silent.next_action.startswith("`windsock models on churn` switches churn__monitor on")
        assert "then trigger churn__monitor" in silent.next_action
        assert self.condition().next_action.startswith("trigger churn__monitor")


class TestClaim:
    @pytest.mark.parametrize(
        ("state", "active"), [("running", False), ("queued", False), ("failed", True), ("", True)]
    )
    def test_a_run_that_is_gone(self, state, active):
        run = RunFacts(holder="churn__drift_retrain/run1", state=state)
        found = loop.claim_condition(MODEL, lease(), run, NOW)
        assert found.active is active
        assert "--end-claim" in found.next_action or not active

    def test_nothing_is_said_of_a_run_that_nobody_knows(self):
        assert loop.claim_condition(MODEL, lease(), None, NOW) is None
        unknown = RunFacts(holder="x/y", unknown="no answer")
        assert loop.claim_condition(MODEL, lease(), unknown, NOW) is None

    def test_a_claim_that_is_over_or_that_just_began_is_none(self):
        run = RunFacts(holder="churn__drift_retrain/run1")
        assert not loop.claim_condition(MODEL, lease(until=NOW - MINUTE), None, NOW).active
        assert not loop.claim_condition(MODEL, lease(seen_at=NOW - MINUTE), run, NOW).active
        assert not loop.claim_condition(MODEL, None, None, NOW).active


class TestWindows:
    """Windows of a day that close at midnight, with an hour's lateness at most."""

    def spans(self, *judged, now=NOW, spec=SPEC):
        ports = world_of(1)
        rows = [row.replace(at=MIDNIGHT) for row in ports.ledger.rows(MODEL)]
        return loop.unjudged_spans(spec, judged, rows, now)

    def both(self, number):
        return [make_window(number, "pass", kind=kind) for kind in ("drift", "performance")]

    def test_all_that_closed_after_the_latest_verdict_and_two_windows_before_now(self):
        later = NOW + DAY / 2
        assert self.spans(*self.both(7), now=later) == ()
        found = self.spans(*self.both(4), now=later)
        assert [one.end for one in found] == [MIDNIGHT + number * DAY for number in (5, 6, 7)][: len(found)]
        assert found

    def test_one_with_rows_before_later_ones_that_have_their_verdict(self):
        later = NOW + DAY / 2
        verdicts = [one for number in (3, 4, 6, 7) for one in self.both(number)]
        assert [one.end for one in self.spans(*verdicts, now=later)] == [MIDNIGHT + 5 * DAY]
        skipped = [
            one.replace(window=Span(start=one.window.start - DAY, end=one.window.end)) for one in verdicts
        ]
        assert self.spans(*skipped, now=later) == ()

    def test_a_kind_that_is_behind_counts_and_one_that_is_off_does_not(self):
        later = NOW + DAY / 2
        only_drift = [make_window(7, "pass", kind="drift")]
        assert self.spans(*only_drift, now=later)
        spec = make_spec(monitoring={"performance_tracking": False})
        assert self.spans(*only_drift, now=later, spec=spec) == ()
        off = make_spec(monitoring={"performance_tracking": False, "data_drift": False})
        assert self.spans(now=later, spec=off) == ()

    def test_a_verdict_by_a_clock_that_was_ahead_hides_nothing(self):
        later = NOW + DAY / 2
        ahead = [make_window(99, "pass", kind=kind) for kind in ("drift", "performance")]
        assert self.spans(*ahead, now=later)

    def test_the_finding_names_how_many_and_the_limit(self):
        spans = self.spans(*self.both(4), now=NOW + DAY / 2)
        found = loop.unjudged_condition(SPEC, spans, NOW + DAY / 2)
        assert found.active
        assert f"{len(spans)} windows of 1d with rows have no verdict" in found.text
        assert "`windsock monitor churn --check`" in found.next_action
        assert not loop.unjudged_condition(SPEC, (), NOW).active


def test_a_rollout_that_nobody_looks_at():
    ports = started_world()
    rollout = running(ports)
    soon, late = rollout.step_since + timedelta(hours=1), rollout.step_since + DAY
    assert not loop.rollout_condition(MODEL, rollout, None, soon).active
    found = loop.rollout_condition(MODEL, rollout, None, late)
    assert (found.active, found.severity) == (True, Severity.HIGH)
    assert "24.0 h ago, limit: 3.0 h; its check is 1h" in found.text
    assert not loop.rollout_condition(MODEL, None, None, late).active


class TestRoute:
    def condition(self, ports, after=timedelta(hours=1), state="its own"):
        rows, champion = ports.ledger.rows(MODEL), ports.ledger.champion(MODEL)
        state = ports.router.state(MODEL) if state == "its own" else state
        return loop.route_condition(MODEL, champion, rows, state, rows[-1].at + after)

    def test_the_server_serves_the_champion(self):
        assert self.condition(world_of(1, 2)).active is False

    def test_a_server_that_lost_its_plan(self):
        found = self.condition(world_of(1, 2), state=None)
        assert (found.active, found.severity) == (True, Severity.CRITICAL)
        assert "champion is version 2, the server serves no version" in found.text

    def test_a_server_that_serves_another_version(self):
        found = self.condition(world_of(1, 2), state=world_of(1).router.state(MODEL))
        assert "champion is version 2, the server serves version 1" in found.text

    def test_while_the_traffic_is_being_changed_nothing_is_said(self):
        assert self.condition(world_of(1), after=MINUTE, state=None) is None
        assert loop.route_condition(MODEL, None, [], None, NOW) is None


def test_an_alias_that_differs_for_longer_than_it_takes_to_follow():
    ports = world_of(1, 2)
    rows, champion = ports.ledger.rows(MODEL), ports.ledger.champion(MODEL)
    late = rows[-1].at + timedelta(hours=1)
    assert loop.alias_condition(MODEL, champion, rows, "1", late).active
    assert "names no version" in loop.alias_condition(MODEL, champion, rows, "", late).text
    assert not loop.alias_condition(MODEL, champion, rows, "2", late).active
    assert loop.alias_condition(MODEL, champion, rows, "1", rows[-1].at + MINUTE) is None


def alert(**fields):
    made = {"model": MODEL, "key": "drift", "severity": "high", "title": "drift", "text": "x", "owner": "o"}
    return Alert(**{**made, "first_at": NOW - 7 * MINUTE, "last_at": NOW, "pending": True, **fields})


def test_alerts_that_no_channel_takes_for_two_tries():
    why = "slack, connection slack_default: its host cannot be reached (URLError)"
    found = loop.pending_condition(MODEL, [alert(refusal=why)], NOW)
    assert (found.active, found.code) == (True, "WS-WATCH-024")
    assert f"the oldest for 7 min, limit: 4 min; {why}." in found.text
    assert "`windsock alerts test`" in found.next_action
    assert not loop.pending_condition(MODEL, [alert(first_at=NOW - MINUTE)], NOW).active
    assert not loop.pending_condition(MODEL, [alert(pending=False)], NOW).active
    assert not loop.pending_condition(MODEL, [alert(key="watch:pending")], NOW).active, "not about itself"


@pytest.mark.parametrize("field", ["first_at", "sent_at", "resolved_at", "due_at"])
def test_an_alert_that_waits_since_a_time_to_come_is_not_taken_either(field):
    found = loop.pending_condition(MODEL, [alert(**{field: NOW + timedelta(days=365)})], NOW)
    assert found.active
    assert "the oldest since 20" in found.text
    assert "which is to come, limit: 4 min" in found.text
    assert "-" not in found.text.partition("the oldest for")[2]


def test_a_ledger_that_is_broken():
    broken = LedgerView(gaps=(Gap(at=3, link="x"),))
    assert loop.ledger_condition(MODEL, broken).active
    assert not loop.ledger_condition(MODEL, LedgerView()).active


@pytest.mark.parametrize(
    ("left", "active", "said"),
    [(13, False, ""), (11, True, "in 11.0 h, limit: 12.0 h before its end"), (-1, True, "was over")],
)
def test_a_question_that_is_close_to_its_end(left, active, said):
    until = NOW + timedelta(hours=left)
    question = OpenQuestion(
        model=MODEL, about="version 2", task="churn__daily_retrain/r/approve", until=until
    )
    found = loop.question_condition(MODEL, [question], NOW)
    assert found.active is active
    assert said in found.text
    assert not loop.question_condition(MODEL, [question.replace(until=None)], NOW).active


def test_lengths_are_told_for_people():
    assert [loop.minutes(one) for one in (7 * MINUTE, 3.5 * 60 * MINUTE, 2 * DAY)] == [
        "7 min",
        "3.5 h",
        "2.0 d",
    ]


class TestEndOfAQuestion:
    """A run that asks keeps its claim for the time of the question and the usual length of a claim beyond."""

    HOLDER = "churn__daily_retrain/run1"

    def until(self, held, task="churn__daily_retrain/run1/approve_model"):
        question = OpenQuestion(model=MODEL, about="it", task=task, until=NOW + 3 * DAY)
        return loop.until_claim_ends(question, held).until

    @pytest.mark.parametrize("task", ["churn__daily_retrain/run1/approve_model", "churn__daily_retrain"])
    def test_is_that_of_the_claim(self, task):
        held = lease(holder=self.HOLDER, until=NOW + 5 * 60 * MINUTE + LEASE)
        assert self.until(held, task) == NOW + 5 * 60 * MINUTE

    @pytest.mark.parametrize(
        "fields",
        [
            {"holder": "churn__drift_retrain/run9", "until": NOW + DAY + LEASE},
            {"holder": HOLDER, "until": NOW - 10 * MINUTE + LEASE},
        ],
        ids=["of another DAG", "of usual length"],
    )
    def test_is_not_that_of_a_claim_that_waits_for_nobody(self, fields):
        assert self.until(lease(**fields)) == NOW + 3 * DAY

    def test_is_as_asked_where_nobody_has_a_claim(self):
        assert self.until(None) == NOW + 3 * DAY
