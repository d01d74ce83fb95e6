from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import world as served
from support.builders import digest
from support.fakes import FakeLedger, fake_ports
from support.retraining import (
    DAY,
    LATER,
    MIDNIGHT,
    AnyBundle,
    make_closed,
    make_episode,
    make_window,
    make_windows,
    policy_spec,
)
from support.rollout_steps import AB, end, running, start
from windsock import records as r
from windsock.monitoring.decide_retrain import decide, decide_retrain
from windsock.spec import RetrainBlock

A, B = digest("a"), digest("b")


def day(number: float) -> datetime:
    """A minute after the end of a day's window."""
    return MIDNIGHT + number * DAY + LATER


def ask(
    windows: Any,
    episodes: Any = (),
    /,
    *,
    now: datetime | None = None,
    champion: str | None = A,
    event_id: str | None = None,
    **policy: Any,
) -> r.RetrainDecision:
    rows = make_windows(windows) if isinstance(windows, str) else list(windows)
    moment = now or day(len(windows) if isinstance(windows, str) else 9)
    return decide(
        rows, list(episodes), RetrainBlock(**policy), moment, champion, DAY, model="churn", event_id=event_id
    )


class TestStretch:
    @pytest.mark.parametrize(
        ("windows", "policy", "granted"),
        [
            ("", {}, False),
            ("b", {}, False),
            ("bb", {}, True),
            ("bg", {}, False),
            ("bbg", {}, False),
            ("gbb", {}, True),
            ("bgb", {}, False),
            ("bgb", {"windows": 2, "of": 3}, True),
            ("bbg", {"windows": 2, "of": 3}, False),
            ("bggb", {"windows": 2, "of": 3}, False),
            ("b", {"windows": 1, "of": 1}, True),
            ("bb", {"windows": 2, "of": 5}, True),
            ("gg", {}, False),
        ],
    )
    def test_k_of_the_last_n_with_the_latest(self, windows, policy, granted):
        decision = ask(windows, **policy)
        assert (decision.order is r.RetrainOrder.GRANT) == granted
        assert (decision.episode is not None) == granted

    @pytest.mark.parametrize("windows", ["bib", "beb", "bb--", "biieeb", "bbi", "bbe"])
    def test_what_gives_no_verdict_is_neither_good_nor_bad(self, windows):
        assert ask(windows).order is r.RetrainOrder.GRANT

    @pytest.mark.parametrize("windows", ["ii", "ee", "bi", "be", "iiii"])
    def test_and_asks_for_nothing(self, windows):
        assert ask(windows).order is r.RetrainOrder.WAIT

    def test_the_episode_is_named_by_the_version_and_the_first_bad_window(self):
        episode = ask("gbb").episode
        assert episode is not None
        assert episode.key == "aaaaaaaaaaaa-20260502T000000Z"
        assert (episode.trigger, episode.digest) == ("drift", A)
        assert episode.span == r.Span(start=MIDNIGHT + DAY, end=MIDNIGHT + 3 * DAY)

    def test_the_same_stretch_has_the_same_key_wherever_it_is_seen(self):
        keys = {ask("bb", now=day(2) + later).episode.key for later in (LATER, timedelta(hours=5), DAY)}
        assert len(keys) == 1

    @given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
    def test_order_and_doubles_are_no_matter(self, order, doubled):
        rows = make_windows("bgbbgb")
        mixed = [rows[number] for number in [*order, *doubled]]
        for policy in ({"windows": 2, "of": 2}, {"windows": 3, "of": 5}, {"windows": 1, "of": 1}):
            assert ask(mixed, now=day(6), **policy) == ask(rows, now=day(6), **policy)

    def test_a_doubled_window_is_one(self):
        assert ask([make_window(1), make_window(1)], now=day(1)).order is r.RetrainOrder.WAIT

    def test_of_a_window_that_was_judged_twice_the_later_verdict_counts(self):
        again = make_window(2, "pass", judged_at=day(2) + LATER)
        assert ask([again, make_window(1), make_window(2)], now=day(3)).order is r.RetrainOrder.WAIT

    def test_verdicts_about_the_same_answers_are_one_piece_of_evidence(self):
        """Labels come three days late; both windows were judged by those of the same week."""
        week = r.Span(start=MIDNIGHT - 4 * DAY, end=MIDNIGHT + 3 * DAY)
        same = [make_window(number, kind="performance", lookback=week) for number in (5, 6)]
        assert ask(same, now=day(6)).order is r.RetrainOrder.WAIT
        next_week = r.Span(start=week.start + DAY, end=week.end + DAY)
        asked = ask([*same, make_window(7, kind="performance", lookback=next_week)], now=day(7))
        assert asked.order is r.RetrainOrder.GRANT
        assert asked.episode.span == r.Span(start=MIDNIGHT + 5 * DAY, end=MIDNIGHT + 7 * DAY)

    def test_a_window_that_was_judged_again_is_no_second_one_of_the_latest(self):
        week = r.Span(start=MIDNIGHT - 4 * DAY, end=MIDNIGHT + 3 * DAY)
        again = make_window(3, kind="performance", lookback=week, judged_at=day(6) + DAY)
        latest = make_window(6, kind="performance", lookback=week)
        assert ask([again, latest], now=day(6)).order is r.RetrainOrder.WAIT
        before = make_window(2, kind="performance", judged_at=day(6))
        asked = ask([before, again, latest], now=day(6))
        assert asked.order is r.RetrainOrder.GRANT
        assert asked.episode.span.end == latest.window.end

    def test_windows_of_another_version_do_not_count(self):
        rows = [make_window(1, digest=B), make_window(2)]
        assert ask(rows, now=day(2)).order is r.RetrainOrder.WAIT
        assert ask([*rows, make_window(3)], now=day(3)).order is r.RetrainOrder.GRANT

    def test_windows_of_another_length_do_not_count(self):
        hours = [
            make_window(1, window=r.Span(start=MIDNIGHT + hour, end=MIDNIGHT + hour + timedelta(hours=1)))
            for hour in (timedelta(hours=1), timedelta(hours=2))
        ]
        assert ask(hours, now=day(2)).order is r.RetrainOrder.WAIT

    def test_windows_in_the_future_do_not_count(self):
        assert ask("bb", now=day(1)).order is r.RetrainOrder.WAIT
        assert ask("bb", now=day(2)).order is r.RetrainOrder.GRANT

    def test_windows_of_long_ago_do_not_count(self):
        assert ask("bb", now=day(40)).order is r.RetrainOrder.GRANT
        assert ask("bb", now=day(42)).order is r.RetrainOrder.WAIT

    def test_without_a_version_that_serves_nothing_has_drifted(self):
        decision = ask("bb", champion=None)
        assert (decision.order, decision.episode) == (r.RetrainOrder.WAIT, None)
        assert "no version serves" in decision.reason

    def test_a_loss_of_performance_asks_too(self):
        rows = make_windows("bb", kind="performance")
        episode = ask(rows, now=day(2)).episode
        assert episode is not None
        assert episode.trigger == "performance"

    def test_drift_and_loss_are_not_added_up(self):
        rows = [make_window(1), make_window(2, kind="performance")]
        assert ask(rows, now=day(2)).order is r.RetrainOrder.WAIT

    @pytest.mark.parametrize(
        ("triggers", "granted"), [((), False), (("performance",), False), (("drift",), True)]
    )
    def test_only_what_the_policy_names_may_ask(self, triggers, granted):
        assert (ask("bb", triggers=triggers).order is r.RetrainOrder.GRANT) == granted

    def test_the_reason_has_the_numbers(self):
        assert "1 of the last 2 judged windows" in ask("bg").reason
        assert "2 of the last 2 judged windows" in ask("bb").reason


class TestStandingEpisodes:
    def test_one_that_nobody_claimed_is_announced_again_under_its_key(self):
        standing = make_episode("standing", announced=1)
        for windows in ("bb", "bbb", "bbg", "bbgg"):
            decision = ask(windows, [standing])
            assert (decision.order, decision.episode) == (r.RetrainOrder.GRANT, standing)

    def test_but_not_one_of_a_version_that_serves_no_more(self):
        assert ask("gg", [make_episode(digest=B)]).order is r.RetrainOrder.WAIT

    def test_while_one_is_claimed_nothing_is_announced(self):
        claimed = make_episode(state="claimed", claimed_by="dag/run", claimed_at=day(2))
        decision = ask("bbbb", [claimed], cooldown="1s", per_day=100)
        assert decision.order is r.RetrainOrder.WAIT
        assert "dag/run" in decision.reason

    def test_windows_from_before_the_end_of_a_retrain_had_theirs(self):
        closed = make_closed("one", day(2))
        free = {"cooldown": "1s", "per_day": 100, "breaker": 100}
        assert ask("bb", [closed], **free).order is r.RetrainOrder.WAIT
        assert ask("bbb", [closed], **free).order is r.RetrainOrder.WAIT
        fresh = ask("bbbb", [closed], **free)
        assert fresh.order is r.RetrainOrder.GRANT
        assert fresh.episode is not None
        assert fresh.episode.span.start == MIDNIGHT + 2 * DAY

    def test_a_stretch_that_had_its_retrain_has_no_second_one_whatever_the_clock_says(self):
        had = make_closed("aaaaaaaaaaaa-20260501T000000Z", day(900))
        decision = ask("bb", [had], cooldown="1s", per_day=100, breaker=100)
        assert decision.order is not r.RetrainOrder.GRANT


class TestLimits:
    def test_the_cooldown_holds(self):
        closed = make_closed("one", day(2), claimed=day(2))
        decision = ask("bbbb", [closed], cooldown="3d")
        assert (decision.order, decision.episode) == (r.RetrainOrder.HOLD, None)
        assert decision.not_before == day(5)
        assert not decision.breaker
        assert "WS-MONITORING-053" in decision.reason
        assert ask("bbbbb", [closed], now=day(5), cooldown="3d").order is r.RetrainOrder.GRANT

    def test_the_budget_holds_for_any_24_hours(self):
        noon = MIDNIGHT + 4.5 * DAY
        claims = [
            make_closed(str(hour), noon, claimed=MIDNIGHT + 4 * DAY + timedelta(hours=hour))
            for hour in (0, 7, 12)
        ]
        free = {"cooldown": "1s", "breaker": 9, "windows": 1, "of": 1, "per_day": 3}
        held = ask([make_window(5)], claims, now=MIDNIGHT + 5 * DAY - LATER, **free)
        assert held.order is r.RetrainOrder.WAIT, "the window is not over yet"
        held = ask([], claims, now=MIDNIGHT + 5 * DAY - LATER, event_id="x", **free)
        assert held.order is r.RetrainOrder.HOLD
        assert held.not_before == MIDNIGHT + 5 * DAY
        assert "the budget is 3" in held.reason
        assert ask([make_window(5)], claims, now=held.not_before, **free).order is r.RetrainOrder.GRANT

    @pytest.mark.parametrize(
        ("outcomes", "stopped"),
        [
            (["kept"], False),
            (["kept", "kept"], True),
            (["kept", "refused"], True),
            (["kept", "failed", "refused"], True),
            (["failed", "failed", "failed"], False),
            (["kept", "promoted", "kept"], False),
            (["promoted", "kept", "kept"], True),
            (["kept", "superseded", "kept"], True),
            (["too_few", "too_few", "too_few"], False),
            (["kept", "too_few", "kept"], True),
        ],
    )
    def test_the_breaker_stops_after_retrains_that_did_not_help(self, outcomes, stopped):
        closed = [
            make_closed(str(number), day(number), outcome) for number, outcome in enumerate(outcomes, start=1)
        ]
        decision = ask("bbbbbbbb", closed)
        assert decision.breaker == stopped
        assert decision.order is (r.RetrainOrder.HOLD if stopped else r.RetrainOrder.GRANT)
        if stopped:
            assert "WS-MONITORING-052" in decision.reason
            assert decision.not_before is None

    @pytest.mark.parametrize(("now", "stopped"), [(0.1, True), (0.19, True), (0.21, False), (None, True)])
    def test_what_did_not_help_against_half_the_loss_says_nothing_of_the_whole(self, now, stopped):
        closed = [make_closed(str(number), day(number), trigger="performance", loss=0.1) for number in (1, 2)]
        numbers = {} if now is None else {"loss:roc_auc": now}
        rows = make_windows("bbbbbb", kind="performance", numbers=numbers)
        asked = decide(rows, closed, RetrainBlock(), day(6), A, DAY, model="churn", metric="roc_auc")
        assert asked.order is (r.RetrainOrder.HOLD if stopped else r.RetrainOrder.GRANT)
        assert asked.breaker, "one more is tried; nothing has shown yet that it helps"

    def test_another_version_that_serves_ends_the_breaker(self):
        closed = [make_closed(str(number), day(number)) for number in (1, 2)]
        rows = make_windows("bbbbbb", digest=B)
        decision = ask(rows, closed, now=day(6), champion=B)
        assert (decision.order, decision.breaker) == (r.RetrainOrder.GRANT, False)

    def test_a_person_ends_the_breaker(self):
        closed = [make_closed(str(number), day(number), forgiven_by="ada") for number in (1, 2)]
        assert ask("bbbbbb", closed).order is r.RetrainOrder.GRANT
        assert ask("bbbbbb", [*closed, make_closed("3", day(3))]).order is r.RetrainOrder.GRANT

    def test_the_breaker_stays_in_sight_while_nothing_asks(self):
        closed = [make_closed(str(number), day(number)) for number in (1, 2)]
        decision = ask("bbgg", closed)
        assert (decision.order, decision.breaker) == (r.RetrainOrder.WAIT, True)

    def test_retrains_that_did_not_help_against_drift_leave_a_loss_its_own(self):
        closed = [make_closed(str(number), day(number), trigger="drift") for number in (1, 2)]
        drift, loss = make_windows("bbbbbb"), make_windows("bbbbbb", kind="performance")
        held = ask(drift, closed, now=day(6))
        assert (held.order, held.stopped) == (r.RetrainOrder.HOLD, ("drift", "event"))
        granted = ask([*drift, *loss], closed, now=day(6))
        assert (granted.order, granted.breaker) == (r.RetrainOrder.GRANT, True)
        assert granted.episode.trigger == "performance"

    def test_a_loss_goes_before_drift(self):
        both = [*make_windows("bb"), *make_windows("bb", kind="performance")]
        assert ask(both, now=day(2)).episode.trigger == "performance"
        assert ask(both, now=day(2), triggers=("drift",)).episode.trigger == "drift"

    def test_both_breakers_hold_everything_and_say_why(self):
        closed = [
            make_closed(str(number), day(number), trigger=trigger)
            for number, trigger in enumerate(("drift", "performance", "drift", "performance"), start=1)
        ]
        both = [*make_windows("b" * 8), *make_windows("b" * 8, kind="performance")]
        held = ask(both, closed, now=day(8))
        assert (held.order, held.stopped) == (r.RetrainOrder.HOLD, ("performance", "drift", "event"))
        for against in ("a loss of performance", "drift"):
            assert f"did not help against {against}" in held.reason

    def test_a_clock_that_is_set_back_grants_nothing_twice(self):
        ahead = make_closed("one", day(30), "failed", claimed=day(30))
        decision = ask("bb", [ahead])
        assert decision.order is r.RetrainOrder.HOLD
        assert decision.not_before == day(31)
        forgiven = ahead.model_copy(update={"forgiven_by": "ada"})
        assert ask("bb", [forgiven]).order is r.RetrainOrder.GRANT

    @given(
        st.lists(st.tuples(st.integers(0, 80), st.sampled_from(["kept", "failed", "promoted"])), max_size=12),
        st.integers(1, 4),
        st.integers(1, 40),
        st.integers(0, 90),
    )
    def test_no_grant_breaks_budget_or_cooldown(self, claims, per_day, cooldown, at):
        episodes = [
            make_closed(str(number), MIDNIGHT + timedelta(hours=hour), outcome)
            for number, (hour, outcome) in enumerate(claims)
        ]
        now = MIDNIGHT + timedelta(hours=at)
        decision = ask(
            "", episodes, now=now, event_id="x", per_day=per_day, cooldown=f"{cooldown}h", breaker=2
        )
        begun = [one.claimed_at for one in episodes]
        free = sum(now - DAY < one for one in begun) < per_day and all(
            one + timedelta(hours=cooldown) <= now for one in begun
        )
        assert (decision.order is r.RetrainOrder.GRANT) == (free and not decision.breaker)
        if decision.order is r.RetrainOrder.HOLD and not decision.breaker:
            assert decision.not_before is not None
            assert decision.not_before > now


class TestEvents:
    def test_an_event_asks_for_itself(self):
        decision = ask("gg", event_id="order-7")
        assert decision.order is r.RetrainOrder.GRANT
        assert decision.episode is not None
        assert decision.episode.trigger == "event"
        assert decision.episode.key.startswith("event-")
        assert "order-7" not in decision.episode.key

    def test_a_doubled_event_has_the_same_key_also_after_a_promotion(self):
        first, second = ask("", event_id="x"), ask("", event_id="x", champion=B, now=day(3))
        assert first.episode is not None
        assert second.episode is not None
        assert first.episode.key == second.episode.key
        other = ask("", event_id="y").episode
        assert other is not None
        assert other.key != first.episode.key

    def test_an_event_that_had_its_retrain_has_no_second_one(self):
        episode = ask("", event_id="x").episode
        assert episode is not None
        closed = make_closed(episode.key, day(2), "promoted")
        decision = ask("bbbb", [closed], event_id="x", now=day(9))
        assert decision.order is r.RetrainOrder.WAIT
        assert "WS-MONITORING-055" in decision.reason

    @pytest.mark.parametrize("limit", [{"cooldown": "9d"}, {"per_day": 1, "cooldown": "1s"}, {"breaker": 1}])
    def test_an_event_is_bound_like_drift(self, limit):
        closed = make_closed("one", day(2), claimed=day(2))
        decision = ask("", [closed], event_id="x", now=day(2) + LATER, **limit)
        assert decision.order is r.RetrainOrder.HOLD

    def test_a_policy_that_lets_nothing_ask_lets_no_event_ask(self):
        assert ask("", event_id="x", triggers=()).order is r.RetrainOrder.WAIT


def world(windows: str, **ports: Any) -> Any:
    """Ports with a champion, its windows judged, at the end of the last one."""
    made = fake_ports(now=lambda: day(len(windows)), bundles=AnyBundle(), **ports)
    ledger = made.ledger
    assert isinstance(ledger, FakeLedger)
    promote(ledger, "1", A)
    for window in make_windows(windows):
        made.monitor.add_window(window)
    return made


def promote(ledger: FakeLedger, version: str, bundle: str) -> None:
    ledger.append(
        r.LedgerEntry(
            model="churn",
            action=r.LedgerAction.COMMIT,
            epoch=int(version),
            version=version,
            digest=bundle,
            actor="scheduler",
            body={"bundle_uri": "memory://"},
        ),
        after_seq=len(ledger.rows("churn")),
    )


class TestStep:
    def test_what_is_granted_is_kept_and_counted(self):
        ports = world("bb")
        step = r.DecideRetrainInput(spec=policy_spec())
        first, second = decide_retrain(step, ports, ""), decide_retrain(step, ports, "")
        assert first.episode is not None
        assert second.episode is not None
        assert (first.episode.announced, second.episode.announced) == (1, 2)
        assert first.episode.key == second.episode.key
        assert ports.monitor.episodes("churn") == (second.episode,)

    def test_what_waits_leaves_nothing_behind(self):
        ports = world("bg")
        decision = decide_retrain(r.DecideRetrainInput(spec=policy_spec()), ports, "")
        assert decision.order is r.RetrainOrder.WAIT
        assert ports.monitor.episodes("churn") == ()

    def test_an_episode_of_an_older_version_is_closed(self):
        ports = world("bb")
        step = r.DecideRetrainInput(spec=policy_spec())
        decide_retrain(step, ports, "")
        promote(ports.ledger, "2", B)
        decision = decide_retrain(step, ports, "")
        assert decision.order is r.RetrainOrder.WAIT
        assert [one.outcome for one in ports.monitor.episodes("churn")] == [r.RetrainOutcome.SUPERSEDED]

    def test_an_event_while_an_episode_is_open_is_answered_by_it(self):
        ports = world("bb")
        asked = decide_retrain(r.DecideRetrainInput(spec=policy_spec()), ports, "").episode
        answer = decide_retrain(r.DecideRetrainInput(spec=policy_spec(), event_id="x"), ports, "")
        assert asked is not None
        assert answer.episode is not None
        assert answer.episode.key == asked.key
        again = decide_retrain(r.DecideRetrainInput(spec=policy_spec(), event_id="x"), ports, "")
        assert again.order is r.RetrainOrder.WAIT
        assert len(ports.monitor.episodes("churn")) == 2

    def test_a_decision_that_comes_too_late_announces_nothing(self):
        ports = world("bb")
        stale = ports.monitor.episodes
        spec = policy_spec(cooldown="1s", per_day=9, breaker=9)
        episode = decide_retrain(r.DecideRetrainInput(spec=spec), ports, "").episode
        assert episode is not None
        ports.monitor.claim(spec, episode_key=episode.key, holder="dag/1", now=day(2))
        ports.monitor.close("churn", holder="dag/1", outcome=r.RetrainOutcome.KEPT, now=day(2))
        ports.monitor.episodes = lambda model: ()  # as another scheduler read them before
        late = decide_retrain(r.DecideRetrainInput(spec=spec), ports, "")
        assert (late.order, late.episode) == (r.RetrainOrder.WAIT, None)
        assert len(stale("churn")) == 1

    def test_an_unknown_champion_is_no_champion(self):
        ports = fake_ports(now=lambda: day(2))
        for window in make_windows("bb"):
            ports.monitor.add_window(window)
        assert (
            decide_retrain(r.DecideRetrainInput(spec=policy_spec()), ports, "").order is r.RetrainOrder.WAIT
        )


class TestRollouts:
    """The loop ends where rollouts, one after the other, do not help."""

    def ask(self, ports: Any) -> r.RetrainDecision:
        return decide_retrain(r.DecideRetrainInput(spec=policy_spec(breaker=1)), ports, "")

    def test_a_version_that_its_rollout_kept_out_counts_at_the_next_decision(self):
        ports = served.world_of(1)
        served.deploy(ports, 2)
        served.promote(ports, 2, spec=AB, dag_id="dag", run_id="1")
        episode = make_closed(
            "one", day(0), "queued", digest=ports.ledger.champion("churn").digest, claimed_by="dag/1"
        )
        ports.monitor.kept_episodes["churn"] = {"one": episode}
        assert not self.ask(ports).breaker
        start(ports, spec=AB)
        assert not self.ask(ports).breaker
        end(ports, running(ports).experiment, "kept")
        assert self.ask(ports).breaker
        assert [one.outcome for one in ports.monitor.episodes("churn")] == [r.RetrainOutcome.KEPT]
