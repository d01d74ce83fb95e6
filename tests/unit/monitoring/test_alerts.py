from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import NOON, make_check, make_spec
from support.monitoring_records import make_column, make_drift, make_performance, make_retrain_decision
from windsock import records as r
from windsock.monitoring.alerts import (
    AlertPlan,
    Condition,
    conditions_of,
    decide_alerts,
    sent,
)
from windsock.records import Severity, Status

SPEC = make_spec(
    model={"runbook": "https://wiki/churn"}, monitoring={"alert_channel": "ops", "alert_repeat": "1d"}
)
DAY = timedelta(days=1)


def drifted(**fields: Any) -> r.DriftReport:
    usual: dict[str, Any] = {
        "status": Status.FAIL,
        "severity": Severity.HIGH,
        "columns": (make_column("tenure", Status.FAIL, effect=0.4), make_column("spend")),
        "reason": "1 of 2 columns drifted",
    }
    return make_drift(**{**usual, **fields})


def by_key(*reports: Any) -> dict[str, Condition]:
    return {one.key: one for one in conditions_of(*reports)}


class TestConditions:
    def test_drift_names_its_columns_and_what_follows(self):
        decision = make_retrain_decision(r.RetrainOrder.GRANT)
        condition = by_key(drifted(), None, decision)["drift"]
        assert (condition.active, condition.severity) == (True, Severity.HIGH)
        assert condition.episode == decision.episode.key
        assert "tenure" in condition.text
        assert "spend" not in condition.text
        assert "A retrain is announced" in condition.text

    def test_what_holds_a_retrain_back_is_told(self):
        decision = make_retrain_decision(r.RetrainOrder.HOLD, not_before=NOON + DAY)
        assert (
            "No retrain follows before 2026-05-02 12:00 UTC."
            in by_key(drifted(), None, decision)["drift"].text
        )

    @pytest.mark.parametrize(
        ("expected", "when"),
        [(NOON + DAY, "there are as many by 2026-05-02 12:00 UTC"), (None, "no labels come any more")],
    )
    def test_what_a_retrain_waits_for_is_told(self, expected, when):
        waits = r.RowsNeeded(rows=120, needed=250, expected_at=expected)
        text = by_key(drifted(), None, make_retrain_decision(waits_for=waits))["drift"].text
        assert "A retrain waits for labelled answers since the change: 120 of 250 are there" in text
        assert when in text

    def test_a_verdict_that_passes_ends_it(self):
        assert by_key(make_drift(), None, None)["drift"].active is False

    @pytest.mark.parametrize("status", [Status.INSUFFICIENT, Status.ERROR])
    def test_what_could_not_be_judged_neither_begins_nor_ends_it(self, status):
        found = by_key(make_drift(status=status), make_performance(status=status), None)
        assert "drift" not in found
        assert {key: one.active for key, one in found.items()} == {
            "unjudged:drift": status is Status.ERROR,
            "unjudged:performance": status is Status.ERROR,
        }

    def test_each_check_of_performance_is_an_alert_of_its_own(self):
        checks = (
            make_check("latency_p95", Status.FAIL, value=140.0, limit=100.0, relation="<="),
            make_check("realised:roc_auc", Status.PASS, value=0.84),
            make_check("trend", Status.INSUFFICIENT),
            make_check("business", Status.ERROR),
        )
        report = make_performance(status=Status.FAIL, severity=Severity.NONE, checks=checks)
        found = by_key(None, report, None)
        assert {key: one.active for key, one in found.items() if key.startswith("performance")} == {
            "performance:latency_p95": True,
            "performance:realised:roc_auc": False,
        }
        assert found["performance:latency_p95"].severity is Severity.LOW
        assert "latency_p95: 140, limit: at most 100: fail." in found["performance:latency_p95"].text

    def test_each_check_has_its_own_severity_and_not_the_reports(self):
        checks = (
            r.CheckResult(
                name="performance_drop:f1",
                status=Status.FAIL,
                code="WS-MONITORING-030",
                value=0.3,
                limit=0.05,
            ),
            r.CheckResult(
                name="latency_p95", status=Status.FAIL, code="WS-MONITORING-039", value=140, limit=100
            ),
            r.CheckResult(
                name="performance_trend:f1",
                status=Status.FAIL,
                code="WS-MONITORING-031",
                value=0.06,
                limit=0.05,
            ),
        )
        found = by_key(
            None, make_performance(status=Status.FAIL, severity=Severity.CRITICAL, checks=checks), None
        )
        assert {key.partition(":")[2]: one.severity for key, one in found.items() if one.active} == {
            "performance_drop:f1": Severity.CRITICAL,
            "latency_p95": Severity.LOW,
            "performance_trend:f1": Severity.MEDIUM,
        }

    def test_the_breaker_pages(self):
        condition = by_key(None, None, make_retrain_decision(r.RetrainOrder.HOLD, breaker=True))[
            "retrain:breaker"
        ]
        assert (condition.active, condition.severity) == (True, Severity.CRITICAL)
        assert "windsock monitor churn --reset" in condition.text
        assert not by_key(None, None, make_retrain_decision())["retrain:breaker"].active

    def test_the_breaker_of_a_loss_says_that_it_lets_some_through(self):
        for stopped, some in ((("drift", "event"), False), (("performance",), True)):
            decision = make_retrain_decision(r.RetrainOrder.HOLD, breaker=True, stopped=stopped)
            text = by_key(None, None, decision)["retrain:breaker"].text
            assert ("but for one at a time as loss or labelled answers double" in text) == some
            assert "until a version is promoted or a person resets it" in text

    def test_many_columns_are_counted(self):
        columns = tuple(make_column(f"c{number}", Status.FAIL) for number in range(30))
        assert "and 20 more" in by_key(drifted(columns=columns), None, None)["drift"].text

    def test_nothing_seen_says_nothing(self):
        assert conditions_of(None, None, None) == ()


def condition(active: bool = True, key: str = "drift", **fields: Any) -> Condition:
    usual = {"severity": Severity.HIGH, "title": "churn: drift", "text": "it drifts"}
    return Condition(key=key, active=active, **{**usual, **fields})


def plan(*conditions: Condition, known: Any = (), now: datetime = NOON) -> AlertPlan:
    return decide_alerts(conditions, known, now, DAY, spec=SPEC)


def told(*conditions: Condition, now: datetime = NOON, known: Any = ()) -> r.Alert:
    """The alert as it stands once it was sent."""
    (alert,) = plan(*conditions, now=now, known=known).send
    return sent(alert, now)


class TestWhenToSend:
    def test_a_new_one_is_sent_with_owner_channel_and_runbook(self):
        (alert,) = plan(condition()).send
        assert (alert.owner, alert.channel, alert.runbook) == ("ds@company.com", "ops", "https://wiki/churn")
        assert (alert.state, alert.pending, alert.times, alert.first_at) == ("firing", True, 0, NOON)

    def test_one_that_stands_is_told_again_after_the_repeat_time_only(self):
        first = told(condition())
        quiet = plan(condition(text="still"), known=[first], now=NOON + DAY - timedelta(seconds=1))
        assert quiet.send == ()
        assert [(one.last_at, one.text, one.first_at) for one in quiet.note] == [
            (NOON + DAY - timedelta(seconds=1), "still", NOON)
        ]
        again = told(condition(), known=quiet.note, now=NOON + DAY)
        assert (again.times, again.first_at, again.sent_at) == (2, NOON, NOON + DAY)

    def test_seen_twice_in_one_run_it_is_one(self):
        assert len(plan(condition(), condition()).send) == 1

    def test_a_graver_one_is_told_at_once_and_a_milder_one_is_not(self):
        first = told(condition(severity=Severity.MEDIUM))
        assert plan(condition(severity=Severity.CRITICAL), known=[first]).send
        assert not plan(condition(severity=Severity.LOW), known=[first]).send

    def test_an_episode_is_told_once(self):
        first = told(condition())
        second = told(condition(episode="one"), known=[first])
        assert second.episode == "one"
        for later in (condition(episode="one"), condition()):
            quiet = plan(later, known=[second])
            assert quiet.send == ()
            assert quiet.note[0].episode == "one"
        assert plan(condition(episode="two"), known=[second]).send

    def test_the_end_is_told_once(self):
        first = told(condition())
        (over,) = plan(condition(active=False), known=[first], now=NOON + DAY).send
        assert (over.state, over.resolved_at, over.pending) == ("resolved", NOON + DAY, True)
        assert plan(condition(active=False), known=[sent(over, NOON + DAY)]) == AlertPlan((), ())

    def test_the_end_of_what_nobody_was_told_is_told_to_nobody(self):
        (unsent,) = plan(condition()).send
        over = plan(condition(active=False), known=[unsent])
        assert over.send == ()
        assert [(one.state, one.pending) for one in over.note] == [("resolved", False)]

    def test_what_begins_again_is_a_new_alert(self):
        first = told(condition())
        over = told(condition(active=False), known=[first])
        again = told(condition(), known=[over], now=NOON + DAY)
        assert (again.first_at, again.times, again.state) == (NOON + DAY, 1, "firing")

    def test_what_was_not_taken_is_tried_again_whatever_is_seen(self):
        (unsent,) = plan(condition()).send
        for seen in ((condition(),), ()):
            assert [one.key for one in plan(*seen, known=[unsent]).send] == ["drift"]
        first = told(condition())
        (over,) = plan(condition(active=False), known=[first]).send
        for seen in ((condition(active=False),), ()):
            assert [one.state for one in plan(*seen, known=[over]).send] == ["resolved"]

    def test_what_was_not_judged_stays_as_it_is(self):
        assert plan(known=[told(condition())]) == AlertPlan((), ())

    def test_one_that_was_never_wrong_is_no_alert(self):
        assert plan(condition(active=False)) == AlertPlan((), ())

    def test_one_that_its_channel_keeps_silent_is_not_tried_each_time(self):
        (alert,) = plan(condition()).send
        silent = alert.model_copy(update={"pending": False})
        assert plan(condition(), known=[silent], now=NOON + 9 * DAY).send == ()

    def test_texts_are_bounded(self):
        (alert,) = plan(condition(text="x" * 5000)).send
        assert len(alert.text) == 1000


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.booleans()), max_size=40))
def test_messages_alternate_and_keep_their_distance(steps):
    known: dict[str, r.Alert] = {}
    messages: list[tuple[str, datetime]] = []
    now = NOON
    for active, hours, taken in steps:
        now += timedelta(hours=hours)
        made = plan(condition(active=active), known=list(known.values()), now=now)
        assert len(made.send) + len(made.note) <= 1
        for alert in made.note:
            known[alert.key] = alert
        for alert in made.send:
            known[alert.key] = sent(alert, now) if taken else alert
            if taken:
                messages.append((alert.state, now))
        if active and taken:
            assert known["drift"].state == "firing"
            assert not known["drift"].pending
    for (first, at), (second, later) in zip(messages, messages[1:], strict=False):
        if first == second == "firing":
            assert later - at >= DAY or not all(taken for _, _, taken in steps)
        assert (first, second) != ("resolved", "resolved")
