"""The monitor in memory keeps the rules of the control database."""

from __future__ import annotations

import pytest

from support.builders import digest
from support.fake_monitor import FakeMonitor
from support.retraining import DAY, LATER, MIDNIGHT, make_episode, make_window, policy_spec
from support.world import world_of
from windsock.monitoring.backtest_memory import Clock, MemoryMonitor, ReplayedLedger
from windsock.records import Alert, Champion, EpisodeState, RetrainOutcome, Severity, champion_line
from windsock.records.ledger_bodies import fault_in_body

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


def champion(version: str, **fields) -> Champion:
    made = {"model": "churn", "digest": digest(version), "bundle_uri": f"memory://{version}", "epoch": 1}
    return Champion(version=version, **{**made, **fields})


def test_a_promotion_of_a_replay_is_a_row_of_its_ledger_from_its_time_on():
    real, clock = world_of(1), Clock(MIDNIGHT)
    before = real.ledger.rows("churn")
    ledger = ReplayedLedger(real.ledger, clock, alone=True)
    assert (ledger.rows("churn"), ledger.champion("churn")) == ((), None)
    ledger.serve(champion("1"), body={"baseline": [{"name": "roc_auc", "value": 0.8, "n": 9}]})
    clock.time = MIDNIGHT + DAY
    body = {"better_than_broken": MIDNIGHT.isoformat()}
    ledger.serve(champion("2", replaced=digest("1")), body=body)
    first, second = ledger.rows("churn")
    assert [fault_in_body(row.action, row.body) for row in (first, second)] == ["", ""]
    assert (first.seq, second.seq, second.epoch, second.previous) == (1, 2, 2, first.hash)
    assert second.hash == second.expected_hash()
    assert (first.at, second.at) == (MIDNIGHT, MIDNIGHT + DAY)
    assert second.body["better_than_broken"] == MIDNIGHT.isoformat()
    assert ledger.champion("churn").replaced == digest("1")
    assert champion_line(ledger.rows("churn")) == (first, second)
    clock.time = MIDNIGHT
    assert ledger.champion("churn").version == "1"
    assert real.ledger.rows("churn") == before
    assert ledger.rows("other") == ()


def test_a_promotion_of_a_replay_stands_behind_the_real_rows_of_its_time():
    real = world_of(1)
    clock = Clock(real.ledger.rows("churn")[-1].at)
    ledger = ReplayedLedger(real.ledger, clock)
    ledger.serve(champion("retrained 1"))
    *rows, last = ledger.rows("churn")
    assert tuple(rows) == real.ledger.rows("churn")
    assert (last.seq, last.previous) == (rows[-1].seq + 1, rows[-1].hash)
    assert ledger.champion("churn").version == "retrained 1"
