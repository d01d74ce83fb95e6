"""The monitor in memory keeps the rules of the control database."""

from __future__ import annotations

import pytest

from support.builders import digest
from support.fake_monitor import FakeMonitor
from support.retraining import DAY, LATER, MIDNIGHT, make_episode, make_window, policy_spec
from windsock.monitoring.backtest_memory import MemoryMonitor
from windsock.records import Alert, EpisodeState, RetrainOutcome, Severity

SPEC = policy_spec(cooldown="1d", breaker=2)
NOW = MIDNIGHT + 2 * DAY + LATER


def test_windows_stand_by_kind_and_come_in_their_order():
    monitor = MemoryMonitor()
    second, first = make_window(2), make_window(1)
    assert monitor.add_window(second) == second
    assert monitor.add_window(first) == first
    assert monitor.windows("churn") == (first, second)
    assert monitor.windows("churn", since=first.window.end) == (second,)
    assert monitor.windows("churn", "performance") == ()
    assert monitor.windows("other") == ()
    assert monitor.add_window(make_window(1, "pass")) == first
    error = make_window(3, "error")
    monitor.add_window(error)
    assert monitor.add_window(make_window(3, "pass")).status.value == "pass"
    early, late = (make_window(1, word, kind="performance") for word in ("insufficient", "pass"))
    monitor.add_window(early)
    stands = monitor.add_window(late)
    assert stands.replace(earlier=()) == late
    assert [one.status.value for one in stands.earlier] == ["insufficient"]
    ahead, true = (make_window(4, judged_at=NOW + days * DAY) for days in (9, 3))
    monitor.add_window(ahead)
    assert monitor.add_window(true) == true


def test_an_episode_lives_as_in_the_database():
    found = []
    for monitor in (MemoryMonitor(), FakeMonitor()):
        episode = monitor.announce(make_episode(digest=digest("a")))
        monitor.announce(make_episode(digest=digest("a")))
        claim = monitor.claim(SPEC, episode_key=episode.key, holder="backtest/1", now=NOW)
        refused = monitor.claim(SPEC, episode_key=episode.key, holder="backtest/2", now=NOW)
        assert monitor.renew("churn", holder="backtest/1", until=NOW + 3 * DAY, now=NOW)
        assert not monitor.renew("churn", holder="backtest/2", until=NOW + 3 * DAY, now=NOW)
        assert monitor.sweep("churn", digest=digest("a"), now=NOW + 2 * DAY) == ()
        monitor.close("churn", holder="backtest/1", outcome=RetrainOutcome.KEPT, now=NOW)
        again = monitor.claim(SPEC, episode_key=episode.key, holder="backtest/3", now=NOW + DAY)
        swept = monitor.sweep("churn", digest=digest("b"), now=NOW)
        closed = monitor.episodes("churn")
        found.append((episode, claim, refused, again, swept, closed, monitor.reset("churn", actor="ann")))
        assert monitor.episodes("churn")[0].forgiven_by == "ann"
    assert found[0] == found[1]
    _, claim, refused, again, _, closed, forgiven = found[0]
    assert (claim.granted, refused.granted, again.granted, forgiven) == (True, False, False, 1)
    assert closed[0].state is EpisodeState.CLOSED


@pytest.mark.parametrize("kind", [MemoryMonitor, FakeMonitor])
def test_alerts_keep_their_state_and_their_changes(kind):
    monitor = kind()
    alert = Alert(
        model="churn",
        key="drift",
        severity=Severity.HIGH,
        title="drift",
        text="age drifted",
        owner="ann",
        first_at=NOW,
        last_at=NOW,
    )
    over = alert.model_copy(update={"state": "resolved", "resolved_at": NOW + DAY, "last_at": NOW + DAY})
    for one in (alert, alert.model_copy(update={"last_at": NOW + LATER}), over):
        monitor.put_alert(one)
    assert monitor.alerts("churn") == (over,)
    assert monitor.alerts("churn", firing=True) == ()
    assert monitor.alert_history("churn") == (alert, over)
    assert monitor.alert_history("churn", limit=1) == (over,)
