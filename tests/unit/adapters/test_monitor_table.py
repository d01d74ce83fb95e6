from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.builders import digest
from support.fake_monitor import FakeMonitor
from support.ledgers import new_control_database
from support.retraining import DAY, LATER, MIDNIGHT, make_episode, make_window, policy_spec
from windsock import records as r
from windsock.adapters.database import open_database
from windsock.adapters.monitor_table import SqlMonitor
from windsock.adapters.record_rows import sortable
from windsock.exceptions import MonitoringError
from windsock.ports import Monitor
from windsock.records.retraining import LEASE, Lease

pytest_plugins = ["support.databases"]
FREE = {"cooldown": "1s", "per_day": 1000, "breaker": 100}
NOW = MIDNIGHT + 3 * DAY


def claim(
    monitor: Monitor, holder: str = "dag/1", key: str | None = "one", at: datetime = NOW, **policy: Any
):
    return monitor.claim(policy_spec(**{**FREE, **policy}), episode_key=key, holder=holder, now=at)


def outcomes(monitor: Monitor) -> list[tuple[str, str | None]]:
    return [(one.key, one.outcome and one.outcome.value) for one in monitor.episodes("churn")]


class TestWindows:
    def test_they_come_back_in_the_order_of_their_end(self, monitor):
        rows = [make_window(number, numbers={"rows": 3.0, "drift_score": 0.1}) for number in (3, 1, 2)]
        for row in rows:
            assert monitor.add_window(row) == row
        assert monitor.windows("churn") == tuple(sorted(rows, key=lambda one: one.window.end))
        assert monitor.windows("other") == ()

    def test_they_are_chosen_by_kind_and_time(self, monitor):
        for number in (1, 2):
            for kind in ("drift", "performance"):
                monitor.add_window(make_window(number, kind=kind))
        assert len(monitor.windows("churn", "drift")) == 2
        assert len(monitor.windows("churn", since=MIDNIGHT + DAY)) == 2
        assert monitor.windows("churn", "performance", since=MIDNIGHT + DAY) == (
            make_window(2, kind="performance"),
        )

    def test_which_were_judged_is_told_of_many_models_at_once(self, monitor):
        for number in (1, 2, 3):
            monitor.add_window(make_window(number))
        monitor.add_window(make_window(3, kind="performance", status=r.Status.INSUFFICIENT))
        found = monitor.judged({"churn": make_window(2).window.end, "other": MIDNIGHT})
        assert found["other"] == ()
        assert {(one.kind, one.start, one.end, one.status) for one in found["churn"]} == {
            (one.kind, one.window.start, one.window.end, one.status)
            for one in (*monitor.windows("churn", "drift")[1:], *monitor.windows("churn", "performance"))
        }

    def test_of_times_in_different_zones_the_same_one_is_one(self, monitor):
        there = timezone(timedelta(hours=9))
        window = make_window(1)
        moved = r.Span(start=window.window.start.astimezone(there), end=window.window.end.astimezone(there))
        monitor.add_window(window)
        assert monitor.add_window(make_window(1, "pass", window=moved)) == window
        assert len(monitor.windows("churn")) == 1

    @pytest.mark.parametrize(
        ("kind", "first", "second", "stands"),
        [
            ("drift", "fail", "pass", "fail"),
            ("drift", "insufficient", "fail", "insufficient"),
            ("drift", "error", "fail", "fail"),
            ("drift", "error", "error", "error"),
            ("drift", "pass", "error", "pass"),
            ("performance", "insufficient", "fail", "fail"),
            ("performance", "fail", "pass", "pass"),
            ("performance", "fail", "error", "fail"),
            ("performance", "error", "pass", "pass"),
        ],
    )
    def test_which_verdict_of_a_window_stands(self, monitor, kind, first, second, stands):
        monitor.add_window(make_window(1, first, kind=kind))
        assert monitor.add_window(make_window(1, second, kind=kind)).status.value == stands
        assert [one.status.value for one in monitor.windows("churn")] == [stands]

    @pytest.mark.parametrize("kind", ["drift", "performance"])
    @pytest.mark.parametrize("word", ["pass", "insufficient", "error"])
    def test_a_verdict_from_the_future_does_not_stand(self, monitor, kind, word):
        end = MIDNIGHT + DAY
        monitor.add_window(make_window(1, "insufficient", kind=kind, judged_at=end + 5 * DAY))
        true = make_window(1, word, kind=kind, judged_at=end + LATER)
        assert monitor.add_window(true) == true
        assert monitor.windows("churn") == (true,)

    def test_what_was_said_before_is_kept_beside_the_verdict_that_supersedes_it(self, monitor):
        week = r.Span(start=MIDNIGHT - 6 * DAY, end=MIDNIGHT + DAY)
        first = make_window(1, "insufficient", kind="performance", reason="no labels")
        last = make_window(1, kind="performance", lookback=week, judged_at=NOW)
        monitor.add_window(first)
        monitor.add_window(make_window(1, "error", kind="performance"))
        monitor.add_window(make_window(1, "insufficient", kind="performance", judged_at=NOW - DAY))
        assert monitor.add_window(last).status is r.Status.FAIL
        (kept,) = monitor.windows("churn")
        said = r.EarlierVerdict(
            status=r.Status.INSUFFICIENT, reason="", judged_at=NOW - DAY
        )  # the same word twice is one
        assert kept == last.replace(earlier=(said,))
        monitor.add_window(make_window(1, "pass", kind="performance", judged_at=NOW + DAY))
        assert [one.status.value for one in monitor.windows("churn")[0].earlier] == ["insufficient", "fail"]

    def test_a_clock_that_was_ahead_said_nothing(self, monitor):
        monitor.add_window(make_window(1, "pass", kind="performance", judged_at=NOW + 90 * DAY))
        monitor.add_window(make_window(1, kind="performance", judged_at=NOW))
        assert monitor.windows("churn") == (make_window(1, kind="performance", judged_at=NOW),)

    def test_nor_one_that_was_made_before_the_window_ended(self, monitor):
        end = MIDNIGHT + DAY
        early = make_window(1, "insufficient", judged_at=end - LATER)
        monitor.add_window(early)
        sooner = make_window(1, "pass", judged_at=end - 2 * LATER)
        assert monitor.add_window(sooner) == early, "it is no better"
        true = make_window(1, "fail", judged_at=end + LATER)
        assert monitor.add_window(true) == true
        assert monitor.add_window(early) == true
        assert monitor.windows("churn") == (true,)


class TestEpisodes:
    def test_an_announcement_is_counted(self, monitor):
        first = monitor.announce(make_episode())
        second = monitor.announce(make_episode())
        assert (first.announced, second.announced) == (1, 2)
        assert monitor.episodes("churn") == (second,)

    def test_one_is_open_at_a_time(self, monitor):
        monitor.announce(make_episode("one"))
        stands = monitor.announce(make_episode("two"))
        assert (stands.key, stands.announced) == ("one", 2)
        assert len(monitor.episodes("churn")) == 1

    def test_models_are_kept_apart(self, monitor):
        monitor.announce(make_episode("one"))
        assert monitor.announce(make_episode("one", model="basket")).announced == 1

    def test_an_event_while_another_is_open_is_kept_as_answered(self, monitor):
        monitor.announce(make_episode("one"))
        assert monitor.announce(make_episode("event-1", trigger="event")).key == "one"
        assert outcomes(monitor) == [("one", None), ("event-1", "superseded")]
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.KEPT, now=NOW)
        assert monitor.announce(make_episode("event-1", trigger="event")).state is r.EpisodeState.CLOSED

    def test_a_stretch_that_had_its_retrain_is_not_opened_again(self, monitor):
        monitor.announce(make_episode("one"))
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.KEPT, now=NOW)
        late = make_episode("two", opened_at=NOW + LATER)
        assert monitor.announce(late).key == "one"
        fresh = make_episode("three", span=r.Span(start=NOW, end=NOW + DAY), opened_at=NOW + DAY)
        assert monitor.announce(fresh).state is r.EpisodeState.ANNOUNCED

    def test_the_open_ones_of_all_models(self, monitor):
        monitor.announce(make_episode("one"))
        monitor.announce(make_episode("two", model="other"))
        assert {(one.model, one.key) for one in monitor.open_episodes()} == {
            ("churn", "one"),
            ("other", "two"),
        }
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.FAILED, now=NOW)
        assert [one.key for one in monitor.open_episodes()] == ["two"]


class TestClaims:
    def test_an_unknown_episode_is_refused(self, monitor):
        answer = claim(monitor)
        assert not answer.granted
        assert "WS-MONITORING-055" in answer.reason

    def test_one_holder_at_a_time_whatever_it_is_for(self, monitor):
        monitor.announce(make_episode())
        assert claim(monitor, "daily/1", None).granted
        refused = claim(monitor, "drift/1")
        assert (refused.granted, refused.episode.state) == (False, r.EpisodeState.ANNOUNCED)
        monitor.close("churn", holder="daily/1", outcome=r.RetrainOutcome.KEPT, now=NOW)
        assert claim(monitor, "drift/1").granted
        assert not claim(monitor, "daily/2", None).granted

    def test_the_same_holder_claims_for_free_and_lives_longer(self, monitor):
        monitor.announce(make_episode())
        first = claim(monitor, per_day=1, cooldown="1d")
        later = NOW + LEASE - LATER
        assert claim(monitor, at=later, per_day=1, cooldown="1d") == first
        assert not claim(monitor, "dag/2", None, NOW + LEASE + LATER).granted
        assert claim(monitor, "dag/2", None, later + LEASE).granted

    def test_a_closed_episode_is_refused_to_others_and_to_its_own_run(self, monitor):
        monitor.announce(make_episode())
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.REFUSED, now=NOW)
        for holder in ("dag/1", "dag/2"):
            answer = claim(monitor, holder, at=NOW + 9 * DAY)
            assert not answer.granted
            assert "WS-MONITORING-055" in answer.reason

    def test_a_run_that_failed_may_be_cleared_and_goes_on(self, monitor):
        monitor.announce(make_episode())
        first = claim(monitor, per_day=1, cooldown="1d")
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.FAILED, now=NOW)
        assert not claim(monitor, "dag/2", at=NOW + LATER).granted
        again = claim(monitor, at=NOW + LATER, per_day=1, cooldown="1d")
        assert again.granted
        assert (again.claimed_at, again.recent) == (first.claimed_at, first.recent)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.PROMOTED, now=NOW + LATER)
        assert outcomes(monitor) == [("one", "promoted")]

    def test_but_not_once_another_episode_was_opened(self, monitor):
        monitor.announce(make_episode())
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.FAILED, now=NOW)
        monitor.announce(make_episode("two", span=r.Span(start=NOW, end=NOW + DAY), opened_at=NOW + DAY))
        assert not claim(monitor, at=NOW + DAY).granted

    @pytest.mark.parametrize(
        ("policy", "code", "later"),
        [
            ({"cooldown": "2d"}, "WS-MONITORING-053", timedelta(days=2)),
            ({"per_day": 1}, "WS-MONITORING-053", timedelta(days=1)),
            ({"breaker": 1}, "WS-MONITORING-052", None),
        ],
    )
    def test_the_limits_are_looked_at_again(self, monitor, policy, code, later):
        monitor.announce(make_episode())
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.KEPT, now=NOW)
        monitor.announce(make_episode("two", trigger="event", opened_at=NOW))
        refused = claim(monitor, "dag/2", "two", NOW + LATER, **policy)
        assert not refused.granted
        assert code in refused.reason
        assert claim(monitor, "daily/1", None, NOW + LATER, **policy).granted, "limits bind no schedule"
        monitor.close("churn", holder="daily/1", outcome=r.RetrainOutcome.KEPT, now=NOW + LATER)
        if later:
            assert claim(monitor, "dag/2", "two", NOW + later, **policy).granted
        else:
            assert monitor.reset("churn", actor="ada") == 1
            assert claim(monitor, "dag/2", "two", NOW + LATER, **policy).granted

    def test_closing_without_a_claim_changes_nothing(self, monitor):
        monitor.announce(make_episode())
        claim(monitor)
        monitor.close("churn", holder="dag/2", outcome=r.RetrainOutcome.KEPT, now=NOW)
        assert outcomes(monitor) == [("one", None)]
        assert not claim(monitor, "dag/2", None).granted


class TestLongWaits:
    def wait(self, monitor: Monitor) -> datetime:
        monitor.announce(make_episode())
        claim(monitor)
        until = NOW + 3 * DAY + LEASE
        assert monitor.renew("churn", holder="dag/1", until=until, now=NOW + LATER)
        return until

    def test_a_renewed_claim_keeps_others_out_until_its_time(self, monitor):
        until = self.wait(monitor)
        for hours in (7, 77):
            now = NOW + timedelta(hours=hours)
            assert monitor.sweep("churn", digest=digest("a"), now=now) == ()
            assert "WS-MONITORING-054" in claim(monitor, "daily/1", None, now).reason
        assert outcomes(monitor) == [("one", None)]
        assert claim(monitor, "daily/1", None, until).granted
        assert outcomes(monitor) == [("one", "failed")]

    def test_neither_a_second_renewal_nor_a_claim_makes_it_shorter(self, monitor):
        until = self.wait(monitor)
        assert monitor.renew("churn", holder="dag/1", until=NOW + LEASE, now=NOW + LATER)
        assert claim(monitor, at=NOW + LATER).granted
        assert not claim(monitor, "daily/1", None, until - LATER).granted
        assert claim(monitor, "daily/1", None, until).granted

    def test_it_is_given_back_as_any_other(self, monitor):
        self.wait(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.KEPT, now=NOW + DAY)
        assert outcomes(monitor) == [("one", "kept")]
        assert not monitor.renew("churn", holder="dag/1", until=NOW + 9 * DAY, now=NOW + DAY)
        assert claim(monitor, "daily/1", None, NOW + DAY).granted

    def test_a_holder_without_a_claim_changes_nothing_and_is_told(self, monitor):
        assert not monitor.renew("churn", holder="dag/1", until=NOW + DAY, now=NOW)
        claim(monitor, "daily/1", None)
        assert not monitor.renew("churn", holder="dag/1", until=NOW + 9 * DAY, now=NOW)
        assert claim(monitor, "dag/2", None, NOW + LEASE).granted

    def test_one_that_a_clock_far_ahead_renewed_holds_nothing_for_years(self, monitor):
        claim(monitor, "daily/1", None)
        ahead = NOW + 3650 * DAY
        assert monitor.renew("churn", holder="daily/1", until=ahead + 3 * DAY, now=ahead)
        assert claim(monitor, "daily/1", None, NOW + LATER).granted, "its own claim is of now again"
        assert not claim(monitor, "daily/2", None, NOW + LATER).granted
        assert claim(monitor, "daily/2", None, NOW + LATER + LEASE).granted

    def test_a_lease_that_was_kept_before_there_were_renewals_is_of_usual_length(self):
        old = Lease(holder="dag/1", claimed_at=NOW, until=NOW + LEASE)
        assert [old.is_over(NOW + at) for at in (LATER - LEASE, LATER, LEASE)] == [False, False, True]
        assert old.is_over(NOW - LEASE - LATER)


class TestLostRuns:
    def lose(self, monitor: Monitor) -> datetime:
        monitor.announce(make_episode())
        claim(monitor)
        return NOW + LEASE

    def test_a_sweep_closes_the_episode_as_failed_and_frees_the_model(self, monitor):
        over = self.lose(monitor)
        assert monitor.sweep("churn", digest=digest("a"), now=over - LATER) == ()
        (swept,) = monitor.sweep("churn", digest=digest("a"), now=over)
        assert (swept.key, swept.outcome, swept.closed_at) == ("one", r.RetrainOutcome.FAILED, over)
        assert monitor.sweep("churn", digest=digest("a"), now=over) == ()
        assert claim(monitor, "daily/1", None, over).granted

    def test_so_does_the_next_claim(self, monitor):
        over = self.lose(monitor)
        assert claim(monitor, "daily/1", None, over).granted
        assert outcomes(monitor) == [("one", "failed")]
        assert not claim(monitor, at=over).granted, "its model is taken"

    def test_nobody_retrains_for_the_episode_a_second_time(self, monitor):
        over = self.lose(monitor)
        assert not claim(monitor, "dag/2", at=over).granted

    def test_what_it_comes_to_after_all_is_kept(self, monitor):
        over = self.lose(monitor)
        claim(monitor, "daily/1", None, over)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.PROMOTED, now=over + LATER)
        assert outcomes(monitor) == [("one", "promoted")]
        assert not claim(monitor, "daily/2", None, over + LATER).granted, "the other's claim still holds"

    def test_a_clock_that_was_far_ahead_holds_nothing_for_years(self, monitor):
        assert claim(monitor, "daily/1", None, NOW + 3650 * DAY).granted
        assert claim(monitor, "daily/2", None, NOW).granted

    def test_an_announced_episode_of_another_version_is_superseded(self, monitor):
        monitor.announce(make_episode())
        assert monitor.sweep("churn", digest=None, now=NOW) == ()
        assert len(monitor.sweep("churn", digest=digest("b"), now=NOW)) == 1
        assert outcomes(monitor) == [("one", "superseded")]

    def test_a_version_that_waited_has_what_became_of_it(self, monitor):
        monitor.announce(make_episode())
        claim(monitor)
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.QUEUED, now=NOW)
        assert (
            monitor.sweep("churn", digest=digest("a"), now=NOW, ended={"dag/2": r.RetrainOutcome.KEPT}) == ()
        )
        ended = {"dag/1": r.RetrainOutcome.KEPT}
        assert len(monitor.sweep("churn", digest=digest("a"), now=NOW, ended=ended)) == 1
        assert outcomes(monitor) == [("one", "kept")]
        assert monitor.sweep("churn", digest=digest("a"), now=NOW, ended=ended) == ()

    def test_a_claimed_one_is_not(self, monitor):
        monitor.announce(make_episode())
        claim(monitor)
        assert monitor.sweep("churn", digest=digest("b"), now=NOW) == ()


class TestReset:
    def test_it_forgives_closed_episodes_once_and_says_who_did(self, monitor):
        monitor.announce(make_episode())
        claim(monitor)
        assert monitor.reset("churn", actor="ada") == 0, "what runs is not over"
        monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.KEPT, now=NOW)
        assert monitor.reset("churn", actor="ada") == 1
        assert monitor.reset("churn", actor="bo") == 0
        assert [one.forgiven_by for one in monitor.episodes("churn")] == ["ada"]
        assert monitor.reset("other", actor="ada") == 0


def make_alert(key: str = "drift", **fields: Any) -> r.Alert:
    made: dict[str, Any] = {
        "model": "churn",
        "key": key,
        "severity": "high",
        "title": "churn: drift",
        "text": "größer, 'besser'; DROP TABLE alerts",
        "owner": "ds@company.com",
        "first_at": NOW,
        "last_at": NOW,
    }
    return r.Alert(**{**made, **fields})


class TestAlerts:
    def test_the_present_state_is_kept_by_key_and_each_change_in_the_history(self, monitor):
        first = make_alert(pending=True)
        sent = make_alert(sent_at=NOW, times=1)
        seen = sent.model_copy(update={"last_at": NOW + DAY, "text": "the same, said otherwise"})
        other = make_alert("retrain", last_at=NOW + LATER)
        for alert in (first, sent, seen, other):
            assert monitor.put_alert(alert) == alert
        assert monitor.alerts("churn") == (other, seen)
        assert monitor.alert_history("churn") == (first, sent, other)
        assert monitor.alert_history("churn", limit=1) == (other,)
        assert monitor.alerts("other") == monitor.alert_history("other") == ()

    def test_they_are_chosen_by_state(self, monitor):
        over = make_alert("performance", state="resolved", resolved_at=NOW)
        for alert in (make_alert(), over):
            monitor.put_alert(alert)
        assert monitor.alerts("churn", firing=True) == (make_alert(),)
        assert monitor.alerts("churn", firing=False) == (over,)


def test_an_alert_that_cannot_be_read_hides_no_other_and_is_replaced(database_url: str) -> None:
    monitor = SqlMonitor(database_url)
    good, lost = make_alert(), make_alert("retrain")
    for alert in (good, lost):
        monitor.put_alert(alert)
    with open_database(database_url).begin() as connection:
        connection.execute(sa.text("UPDATE alerts SET record = '{}' WHERE key = 'retrain'"))
    assert monitor.alerts("churn") == (good,)
    assert (monitor.unreadable_alerts("churn"), monitor.unreadable_alerts("other")) == (1, 0)
    assert monitor.alerted() == ("churn",)
    assert monitor.put_alert(lost) == lost
    assert (monitor.alerts("churn"), monitor.unreadable_alerts("churn")) == ((good, lost), 0)


def test_a_row_that_was_changed_by_hand_is_told(database_url: str) -> None:
    monitor = SqlMonitor(database_url)
    monitor.announce(make_episode())
    with open_database(database_url).begin() as connection:
        connection.exec_driver_sql("UPDATE retrain_episodes SET record = '{\"secret\": 1}'")
    with pytest.raises(MonitoringError) as refusal:
        monitor.episodes("churn")
    assert refusal.value.code == "WS-MONITORING-051"
    assert "secret" not in str(refusal.value)


COPY = "INSERT INTO retrain_episodes SELECT model, {}, claimed_by, outcome, record FROM retrain_episodes"


@pytest.mark.parametrize(
    "values", ["'two', 2, digest, state", "key, 2, digest, 'closed'", "'two', 1, digest, 'closed'"]
)
def test_the_tables_themselves_refuse_a_second_one(database_url: str, values: str) -> None:
    SqlMonitor(database_url).announce(make_episode())
    with pytest.raises(sa.exc.IntegrityError), open_database(database_url).begin() as connection:
        connection.exec_driver_sql(COPY.format(values))


@given(st.lists(st.datetimes(timezones=st.just(timezone(timedelta(hours=5)))), min_size=2, max_size=2))
def test_times_sort_as_their_text_does(moments: list[datetime]) -> None:
    first, second = moments
    if datetime.min.replace(tzinfo=first.tzinfo) + DAY < min(first, second):
        assert (first < second) == (sortable(first) < sortable(second))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["announce", "event", "claim", "daily", "close", "sweep", "reset", "renew"]),
        st.integers(1, 3),
        st.integers(1, 3),
        st.integers(-2, 9),
        st.sampled_from(["kept", "refused", "promoted", "failed"]),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_keeps_what_the_tests_fake_keeps(tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    real = SqlMonitor(new_control_database(tmp_path_factory.mktemp("monitor")))
    fake = FakeMonitor()
    spec = policy_spec(cooldown="3h", per_day=2)
    now = NOW
    for what, key, holder, hours, outcome in steps:
        now += timedelta(hours=hours)
        answers = [_apply(one, spec, what, key, holder, now, outcome) for one in (real, fake)]
        assert answers[0] == answers[1]
        assert real.episodes("churn") == fake.episodes("churn")
        assert sum(one.state is not r.EpisodeState.CLOSED for one in real.episodes("churn")) <= 1


def _apply(monitor: Any, spec: Any, what: str, key: int, holder: int, now: datetime, outcome: str) -> Any:
    span = r.Span(start=now - DAY, end=now)
    bundle = digest("ab"[key % 2])
    if what in ("announce", "event"):
        trigger = "event" if what == "event" else "drift"
        name = f"{what}-{key}-{now:%d}"
        return monitor.announce(make_episode(name, trigger=trigger, span=span, opened_at=now, digest=bundle))
    if what in ("claim", "daily"):
        opened = [one.key for one in monitor.episodes("churn")][-key:]
        wanted = opened[0] if opened and what == "claim" else None
        return monitor.claim(spec, episode_key=wanted, holder=f"dag/{holder}", now=now)
    if what == "close":
        return monitor.close("churn", holder=f"dag/{holder}", outcome=r.RetrainOutcome(outcome), now=now)
    if what == "renew":
        return monitor.renew("churn", holder=f"dag/{holder}", until=now + key * DAY, now=now)
    if what == "sweep":
        return monitor.sweep("churn", digest=bundle, now=now)
    return monitor.reset("churn", actor="ada")


class TestOfAnotherRow:
    """A record that was copied into the row of another model, kind, window or key says nothing there."""

    @pytest.mark.parametrize(
        "edit",
        [
            "UPDATE monitor_windows SET model = 'churn' WHERE model = 'fraud'",
            "UPDATE monitor_windows SET kind = 'performance' WHERE model = 'churn'",
            "UPDATE monitor_windows SET window_end = '2027-01-01T00:00:00.000000Z' WHERE model = 'churn'",
        ],
    )
    def test_windows(self, tmp_path, edit):
        url = new_control_database(tmp_path)
        kept = SqlMonitor(url)
        kept.add_window(make_window(1))
        kept.add_window(make_window(2, model="fraud"))
        self.edit(url, edit)
        with pytest.raises(MonitoringError, match="WS-MONITORING-051"):
            kept.windows("churn")

    @pytest.mark.parametrize("column", ["model", "key"])
    def test_episodes(self, tmp_path, column):
        url = new_control_database(tmp_path)
        kept = SqlMonitor(url)
        kept.announce(make_episode("one", model="fraud"))
        self.edit(url, f"UPDATE retrain_episodes SET {column} = 'churn'")  # noqa: S608
        with pytest.raises(MonitoringError, match="WS-MONITORING-051"):
            kept.episodes("churn" if column == "model" else "fraud")

    def edit(self, url: str, statement: str) -> None:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()
