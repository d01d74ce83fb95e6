from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import digest, make_spec
from support.fakes import fake_ports
from support.performance import SCHEMA
from support.world import world_of
from windsock.exceptions import MonitoringError, StorageError
from windsock.monitoring import backtest_runs
from windsock.monitoring.backtest import UNTRIED, mean_gain, replay, replay_ports, windows_between
from windsock.monitoring.backtest_memory import (
    Clock,
    MemoryMonitor,
    ReplayedBundles,
    ReplayedLedger,
    SilentGauges,
)
from windsock.records import (
    DriftReport,
    MetricValue,
    PerformanceReport,
    RetrainOutcome,
    Severity,
    Span,
    Status,
    WindowVerdict,
)
from windsock.records.backtest import Comparison, RetrainTrial
from windsock.spec import MonitoringBlock
from windsock.spec.monitoring import EPOCH

START = datetime.fromisoformat("2026-06-01T00:00:00+00:00")
DAY = timedelta(days=1)
POLICY = {"windows": 2, "of": 2, "cooldown": "3d", "per_day": 1, "breaker": 2}
LETTERS = {"b": Status.FAIL, "g": Status.PASS, "i": Status.INSUFFICIENT}


class Scripted:
    """Retrains come to what a test says; the retrained model is better by 0.2."""

    def __init__(self, *outcomes: RetrainOutcome) -> None:
        self.outcomes = list(outcomes)
        self.claims = []

    def retrain(self, claim, version):
        self.claims.append(claim)
        outcome = self.outcomes.pop(0)
        return RetrainTrial(
            episode_key=claim.episode.key,
            at=claim.claimed_at,
            version=version,
            outcome=outcome,
            reason="script",
        )

    def compare(self, window, version, metric):
        kept, new = (MetricValue(name=metric, value=value, n=100) for value in (0.6, 0.8))
        return Comparison(version=version, kept=kept, retrained=new)


@pytest.fixture
def play(monkeypatch):
    """``play("ggbb", retrainer)``: replay days whose drift verdicts are these letters."""

    def judge(step, ports, key):
        letter = judge.letters[(step.window.start - START).days]
        now = ports.now()
        assert judge.runs or now == step.window.end + timedelta(minutes=1)
        assert not step.spec.monitoring.drift.report
        shared = {
            "model": "churn",
            "version": "1",
            "digest": digest("1"),
            "window": step.window,
            "status": LETTERS[letter],
            "severity": Severity.NONE,
            "reason": "as the test says",
            "judged_at": now,
        }
        ports.monitor.add_window(WindowVerdict(kind="drift", **shared))
        return DriftReport(rows=100, method="counts", **shared)

    class NoProfile:
        def describe(self, uri, digest):
            return type("Bundle", (), {"profile": None, "schema": SCHEMA})

    def perform(step, ports, key):
        shared = {
            "model": "churn",
            "version": "1",
            "digest": digest("1"),
            "window": step.window,
            "status": Status.INSUFFICIENT,
            "reason": "as the test says",
            "judged_at": ports.now(),
        }
        number = (step.window.start - START).days
        if number in perform.broken:
            perform.broken.remove(number)
            shared["status"] = Status.ERROR
        ports.monitor.add_window(WindowVerdict(kind="performance", **shared))
        findings = perform.findings[number]
        return PerformanceReport(rows=100, labelled=0, findings=findings, **shared)

    def run(letters, retrainer=None, findings=None, *, runs=None, broken=()):
        judge.letters, judge.runs = letters, runs
        perform.findings, perform.broken = findings, list(broken)
        monkeypatch.setattr(backtest_runs, "check_performance", perform)
        monkeypatch.setattr(backtest_runs, "check_drift", judge)
        clock = Clock(START)
        real = world_of(1)
        ports = replay_ports(
            real,
            now=clock,
            ledger=ReplayedLedger(real.ledger, clock),
            bundles=NoProfile(),
            monitor=MemoryMonitor(),
            gauges=SilentGauges(),
        )
        spec = make_spec(monitoring={"performance_tracking": findings is not None, "retrain": POLICY})
        windows = windows_between(spec.monitoring, START, START + len(letters) * DAY)
        made = replay(spec, windows, ports, clock, history="made up", retrainer=retrainer, runs=runs)
        assert real.monitor.kept_windows == {}
        assert real.monitor.kept_episodes == {}
        return made

    return run


def orders(made):
    return "".join(one.decision.order.value[0] for one in made.windows)


def test_nothing_is_detected_where_nothing_drifts(play):
    made = play("gggggg")
    assert orders(made) == "wwwwww"
    assert (made.first_drift, made.first_episode, made.trials, made.episodes) == (None, None, (), ())
    assert made.held == {"breaker": 0, "cooldown": 0, "budget": 0}
    assert mean_gain(made.windows) is None


def test_two_bad_windows_are_one_retrain_and_the_cooldown_holds_the_next(play):
    retrainer = Scripted(RetrainOutcome.PROMOTED, RetrainOutcome.PROMOTED)
    made = play("ggbbbbbb", retrainer)
    # Granted after day 4; days 5 and 6 are evidence anew, and the cooldown of 3 days ends after day 7.
    assert orders(made) == "wwwgwhgw"
    assert made.first_drift.window.end == START + 3 * DAY
    assert made.first_episode.window.end == START + 4 * DAY
    assert [trial.version for trial in made.trials] == ["retrained 1", "retrained 2"]
    assert made.held["cooldown"] == 1
    assert [one.outcome for one in made.episodes] == [RetrainOutcome.PROMOTED] * 2
    assert retrainer.claims[0].recent.end == START + 4 * DAY + timedelta(minutes=1)


def test_what_a_retrain_changed_is_compared_from_the_window_after_it(play):
    made = play("ggbbggg", Scripted(RetrainOutcome.PROMOTED))
    assert [one.compared is not None for one in made.windows] == [False] * 4 + [True] * 3
    assert mean_gain(made.windows) == (pytest.approx(0.6), pytest.approx(0.8), 3)


def test_two_retrains_that_did_not_help_open_the_breaker(play):
    made = play("bbbbbbbbbb", Scripted(RetrainOutcome.KEPT, RetrainOutcome.KEPT))
    assert orders(made) == "wgwhgwhhhh"
    assert made.held == {"breaker": 4, "cooldown": 1, "budget": 0}
    assert all(one.decision.breaker for one in made.windows[6:])
    assert all(one.compared is None for one in made.windows)


def test_without_a_retrainer_grants_come_to_nothing_and_never_open_the_breaker(play):
    made = play("b" * 12)
    assert {trial.outcome for trial in made.trials} == {RetrainOutcome.FAILED}
    assert {trial.reason for trial in made.trials} == {UNTRIED}
    assert len(made.trials) == 4
    assert made.held["breaker"] == 0
    assert not made.retrained


def test_windows_without_a_verdict_are_passed_over(play):
    made = play("bibg", Scripted(RetrainOutcome.KEPT))
    assert orders(made) == "wwgw"


def test_labels_that_do_not_count_are_told_once_of_all_windows(play):
    told = [("WS-MONITORING-091 answers: 1; cure", "other"), (), ("WS-MONITORING-091 answers: 3; cure",)]
    assert play("ggg", findings=told).findings == (
        "WS-MONITORING-091 answers: 3; cure (the last of 2 windows)",
    )


def test_a_run_after_a_pause_judges_all_that_waits_and_decides_once(play):
    runs = [START + days * DAY + timedelta(minutes=1) for days in (1, 5, 6)]
    made = play("gbbbbbg", Scripted(*[RetrainOutcome.KEPT] * 3), runs=runs)
    assert [(one.judged_at - START).days for one in made.windows] == [1, 5, 5, 5, 5, 6]
    assert orders(made) == "wwwwgw"
    assert made.episodes[0].span == Span(start=START + 3 * DAY, end=START + 5 * DAY)
    assert made.findings == ("windows that no run has judged: 1, the first from 2026-06-07 00:00:00",)


def test_while_windows_wait_for_later_runs_nothing_is_asked_for(play, monkeypatch):
    monkeypatch.setattr(backtest_runs, "MOST", 2)
    runs = [START + days * DAY + timedelta(minutes=1) for days in (4, 5, 6)]
    made = play("bbbbbb", Scripted(RetrainOutcome.KEPT), runs=runs)
    assert [(one.judged_at - START).days for one in made.windows] == [4, 4, 5, 5, 6, 6]
    assert orders(made) == "wwwwwg"


def test_what_can_be_judged_again_is_by_the_next_run(play):
    made = play("gggg", findings=[()] * 4, broken=[1, 1, 2])
    assert [[one.window.start for one in each.again] for each in made.windows] == [
        [],
        [],
        [START + DAY],
        [START + DAY, START + 2 * DAY],
    ]
    assert made.windows[1].performance.status is Status.ERROR
    assert [one.status for one in made.windows[3].again] == [Status.INSUFFICIENT] * 2


def test_a_run_tells_what_begins_and_what_is_over(play):
    made = play("gbbbg", Scripted(RetrainOutcome.KEPT))
    told = [[(alert.key, alert.state) for alert in one.alerts] for one in made.windows]
    assert told[0] == []
    assert told[1] == [("drift", "firing")]
    assert made.windows[2].alerts[0].episode == made.episodes[0].key
    assert told[4] == [("drift", "resolved")]


def test_a_replay_gives_the_same_twice(play):
    assert play("gbbbb", Scripted(*[RetrainOutcome.KEPT] * 2)) == play(
        "gbbbb", Scripted(*[RetrainOutcome.KEPT] * 2)
    )


@given(
    hours=st.integers(-5000, 5000),
    length=st.integers(1, 3000),
    window=st.sampled_from(["1h", "6h", "1d", "7d"]),
)
def test_windows_lie_within_and_follow_each_other(hours, length, window):
    block = MonitoringBlock(window=window)
    start = START + timedelta(hours=hours)
    end = start + timedelta(hours=length)
    if end - start < 2 * block.window_length:
        end += 2 * block.window_length
    found = windows_between(block, start, end)
    assert start <= found[0].start < start + block.window_length
    assert end - block.window_length < found[-1].end <= end
    assert all(a.end == b.start for a, b in zip(found, found[1:], strict=False))
    assert all((one.start - EPOCH) % block.window_length == timedelta(0) for one in found)
    assert all(one.end - one.start == block.window_length for one in found)


def test_a_span_of_no_length_is_refused():
    with pytest.raises(MonitoringError) as caught:
        windows_between(MonitoringBlock(), START, START)
    assert caught.value.code == "WS-MONITORING-070"


def test_the_ledger_is_as_it_was_at_the_clocks_time():
    real = world_of(1, 2)
    commits = [row.at for row in real.ledger.rows("churn") if row.action.value == "commit"]
    clock = Clock(commits[0] - timedelta(microseconds=1))
    ledger = ReplayedLedger(real.ledger, clock)
    assert ledger.champion("churn") is None
    clock.time = commits[0]
    assert ledger.champion("churn").version == "1"
    clock.time = commits[1] + DAY
    assert ledger.champion("churn").version == "2"
    assert ledger.rows("churn") == real.ledger.rows("churn")
    assert ledger.verify("churn") == real.ledger.verify("churn")
    assert ledger.models() == ("churn",)


def test_a_replay_writes_neither_ledger_nor_bundle():
    real = world_of(1)
    bundles, ledger = ReplayedBundles(real.bundles), ReplayedLedger(real.ledger, Clock(START))
    for write in (
        lambda: ledger.append(real.ledger.rows("churn")[0], after_seq=0),
        lambda: bundles.put(None),
        lambda: bundles.put_document("a", b""),
    ):
        with pytest.raises(MonitoringError) as caught:
            write()
        assert caught.value.code == "WS-MONITORING-079"


def test_a_bundle_is_read_once():
    class Counting:
        def __init__(self):
            self.reads = 0

        def load(self, uri, digest):
            self.reads += 1
            if digest == "gone":
                raise StorageError("no such bundle")
            return digest

        describe = load

    store = Counting()
    bundles = ReplayedBundles(store)
    assert [bundles.load("u", "d"), bundles.load("u", "d"), bundles.describe("u", "d")] == ["d"] * 3
    assert store.reads == 2
    with pytest.raises(StorageError):
        bundles.load("u", "gone")


def test_gauges_stay_as_they_are():
    ports = fake_ports()
    SilentGauges().set("churn", {"ml_drift_ratio": [({}, 1.0)]})
    assert ports.gauges.samples == {}


def test_spans_are_whole():
    assert windows_between(MonitoringBlock(), START, START + DAY) == (Span(start=START, end=START + DAY),)
