from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import digest
from support.fakes import fake_ports
from support.flipped import history
from support.retraining import DAY, MIDNIGHT, AnyBundle, make_closed, make_episode, make_window
from support.world import world_of
from windsock.cli.app import run
from windsock.exceptions import StorageError
from windsock.monitoring.breaker_text import reset_command
from windsock.ports import LabelledRows
from windsock.records import (
    Alert,
    Baseline,
    DriftReport,
    Interval,
    MetricValue,
    PerformanceReport,
    Severity,
    Span,
)

NOW = MIDNIGHT + 4 * DAY
MODEL_FILE = "model: {name: churn, owner: ann}\nmonitoring: {retrain: {cooldown: 2d}}\n"


@pytest.fixture
def use(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(MODEL_FILE)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))

    def set_ports(ports):
        monkeypatch.setattr("windsock.cli.monitor.open_standing_ports", lambda settings: ports)
        return ports

    return set_ports


@pytest.fixture
def live(use):
    """Ports of a world in which version 1 serves, and it is noon of the fourth day."""
    return use(world_of(1, now=lambda: NOW))


def keep(ports, *episodes):
    ports.monitor.kept_episodes["churn"] = {one.key: one for one in episodes}


def test_nothing_is_known_yet(live, capsys):
    assert run(["monitor", "churn"]) == 0
    out = capsys.readouterr().out
    assert "version 1 serves; windows of 1d, " in out
    assert "no window was judged yet" in out
    assert "open episode: none" in out
    assert "breaker: closed; next retrain: possible now" in out
    assert "alerts: none" in out


def test_a_model_that_is_not_judged_says_so(live, capsys):
    few = {"status": "insufficient", "digest": digest("1"), "numbers": {"rows": 20.0, "minimum_rows": 60.0}}
    for number in range(-3, 4):
        live.monitor.add_window(make_window(number, **few))
    assert run(["monitor", "churn"]) == 0
    assert "WS-MONITORING-096 no verdict on drift in the last 7 windows" in (out := capsys.readouterr().out)
    assert "`monitoring.window: 7d` would hold them" in out
    live.monitor.add_window(make_window(4, "pass", digest=digest("1")))
    assert run(["monitor", "churn"]) == 0
    assert "WS-MONITORING-096" not in capsys.readouterr().out


def test_a_verdict_that_superseded_another_says_so(live, capsys):
    late = {"kind": "performance", "digest": digest("1")}
    live.monitor.add_window(make_window(1, "insufficient", **late))
    live.monitor.add_window(make_window(1, "pass", **late))
    assert run(["monitor", "churn"]) == 0
    assert "pass (was insufficient)" in capsys.readouterr().out


def test_the_plan_says_what_the_trend_can_see(live, capsys):
    assert run(["monitor", "churn", "--plan"]) == 0
    assert "nothing to plan with" in capsys.readouterr().out
    numbers = {
        "own_rows:accuracy": 1000.0,
        "spread:accuracy": 0.1289,
        "variance:accuracy": 0.1275,
        "spread_rows:accuracy": 7000.0,
        "realised:accuracy": 0.85,
    }
    for day in (1, 2, 3):
        live.monitor.add_window(
            make_window(day, "pass", kind="performance", digest=digest("1"), numbers=numbers)
        )
    assert run(["monitor", "churn", "--plan"]) == 0
    out = capsys.readouterr().out
    assert "churn: 1,000 labels in a window of 1d (median of 3), 0 looks so far, trend 0.02" in out
    found = "over 30 windows is found at the last of them in 80%"
    assert f"at 1,000 labels a window a loss of accuracy of 0.0308 {found}" in out
    assert "at 10,000 labels" in out


def test_verdicts_of_before_are_planned_with_and_of_two_positives_nothing_is_promised(live, capsys):
    numbers = {"own_rows:recall": 10.0, "spread:recall": 5.0, "realised:recall": 0.4}
    live.monitor.add_window(make_window(1, "pass", kind="performance", digest=digest("1"), numbers=numbers))
    assert run(["monitor", "churn", "--plan"]) == 0
    found = "over 30 windows is found at the last of them in 80%"
    assert f"at 10 labels a window no loss of recall {found}" in capsys.readouterr().out


def test_no_version_serves(use, capsys):
    use(fake_ports(now=lambda: NOW))
    assert run(["monitor", "churn", "--status"]) == 0
    out = capsys.readouterr().out
    assert "no version serves" in out
    assert "next retrain: not before a version serves" in out


def test_the_status_shows_verdicts_the_open_episode_and_alerts(live, capsys):
    live.monitor.add_window(make_window(1, "pass", reason="0 of 2 columns drifted", numbers={"rows": 1234.0}))
    live.monitor.add_window(make_window(2, "fail", reason="x" * 300, severity="high"))
    live.monitor.add_window(make_window(2, "insufficient", kind="performance", version=""))
    keep(live, make_episode("first", digest=digest("1")))
    live.monitor.put_alert(
        Alert(
            model="churn",
            key="drift",
            severity=Severity.HIGH,
            title="churn: drift",
            text="age drifted",
            owner="ann",
            first_at=NOW - DAY,
            last_at=NOW,
            times=2,
        )
    )
    assert run(["monitor", "churn"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    day = MIDNIGHT + DAY
    assert f"{day:%Y-%m-%d} 00:00:00  drift        1        pass          none      1,234" in lines[3]
    assert all(len(line) < 240 for line in lines)
    assert [line.split()[2] for line in lines[3:6]] == ["drift", "drift", "performance"]
    assert "open episode: first, drift, " in out
    assert "alert drift: high, since" in out
    assert "sent 2 times" in out


def test_the_cooldown_says_until_when(live, capsys):
    keep(live, make_closed("one", NOW - DAY, digest=digest("1")))
    assert run(["monitor", "churn"]) == 0
    out = capsys.readouterr().out
    assert f"breaker: closed; next retrain: from {NOW + DAY:%Y-%m-%d %H:%M:%S} UTC (WS-MONITORING-053" in out
    assert "last closed episode: one, drift, " in out
    assert "came to kept" in out


@pytest.fixture
def stopped(live):
    keep(live, *(make_closed(str(day), MIDNIGHT - day * 3 * DAY, digest=digest("1")) for day in (2, 1)))
    return live


def test_the_breaker_says_what_ends_it_and_a_reset_does(stopped, capsys):
    assert run(["monitor", "churn"]) == 0
    out = capsys.readouterr().out
    assert "breaker: OPEN (WS-MONITORING-052" in out
    command = reset_command("churn")
    assert command in out
    assert run(["monitor", "churn", "--reset", "--reason", " the join  was\nmended "]) == 0
    out = capsys.readouterr().out
    assert "2 closed episodes forgiven: the join was mended" in out
    assert "breaker: closed; next retrain: possible now" in out
    forgiven = {one.forgiven_by for one in stopped.monitor.episodes("churn")}
    assert len(forgiven) == 1
    assert forgiven.pop().endswith(": the join was mended")
    assert run(shlex.split(command)[1:]) == 0, "the command works as it is written"


def test_a_reset_asks_why_and_says_no_more_than_it_does(stopped, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("windsock.cli.monitor.typer.prompt", lambda text: asked.append(text) or "mended")
    keep(stopped, make_closed("one", NOW - DAY, digest=digest("1")))
    assert run(["monitor", "churn", "--reset"]) == 0
    assert asked == ["Why is the breaker to forget what was"]
    assert f"next retrain: from {NOW + DAY:%Y-%m-%d %H:%M:%S} UTC" in capsys.readouterr().out, "the cooldown"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_a_reset_needs_a_reason(stopped, reason):
    assert run(["monitor", "churn", "--reset", "--reason", reason]) == 2
    assert all(one.forgiven_by is None for one in stopped.monitor.episodes("churn"))


@pytest.mark.parametrize("what", ["drift", "loss"])
def test_what_a_person_accepts_needs_a_reason_and_something_to_accept(live, what, monkeypatch, capsys):
    assert run(["monitor", "churn", f"--accept-{what}", "--reason", "  "]) == 2
    assert run(["monitor", "churn", "--accept-drift", "--accept-loss", "--reason", "why"]) == 2
    asked = []
    monkeypatch.setattr("windsock.cli.monitor_accept.typer.prompt", lambda text: asked.append(text) or "so")
    capsys.readouterr()
    assert run(["monitor", "churn", f"--accept-{what}"]) == 1
    assert asked == [f"Why is the {what} to be accepted"]
    shown = capsys.readouterr().err
    assert {"drift": "WS-MONITORING-115", "loss": "WS-MONITORING-099"}[what] in shown
    assert "next: " in shown
    assert all(row.action.value not in ("accept_drift", "accept_loss") for row in live.ledger.rows("churn"))


def test_what_was_accepted_is_said(live, monkeypatch, capsys):
    metric = MetricValue(
        name="roc_auc", value=0.71, n=900, interval=Interval(low=0.69, high=0.73, level=0.95)
    )
    given = []

    def accept_loss(spec, ports, *, actor, reason, show):
        show(Span(start=NOW - timedelta(days=7), end=NOW), [metric])
        given.append((spec.name, actor.partition(":")[0], reason))
        return Baseline(version="1", digest=digest("1"), metrics=(metric,), at=NOW, by=actor)

    monkeypatch.setattr("windsock.cli.monitor_accept.accept_loss", accept_loss)
    assert run(["monitor", "churn", "--accept-loss", "--reason", " the market\n changed "]) == 0
    assert given == [("churn", "cli", "the market changed")]
    out = capsys.readouterr().out
    assert "computed anew; to be accepted: roc_auc 0.7100 [0.6900, 0.7300]" in out
    assert "churn: the loss of version 1 is accepted: the market changed" in out
    assert "later performance is held against roc_auc 0.7100 [0.6900, 0.7300]; drift is judged as" in out
    assert "is still" not in out
    assert "episode" not in out


@pytest.mark.parametrize(
    ("claimed", "follows"),
    [(None, "the next decision closes it without one"), ("run-7", "its retrain is under way and goes on")],
)
def test_what_goes_on_failing_after_a_loss_was_accepted_is_said(live, monkeypatch, capsys, claimed, follows):
    metric = MetricValue(name="roc_auc", value=0.41, n=900)
    baseline = Baseline(version="1", digest=digest("1"), metrics=(metric,), at=NOW, by="cli:ann")
    monkeypatch.setattr("windsock.cli.monitor_accept.accept_loss", lambda *given, **asked: baseline)
    worse = {"kind": "performance", "digest": digest("1"), "reason": "below a model that knows nothing"}
    live.monitor.add_window(make_window(3, "fail", **worse))
    keep(live, make_episode(trigger="performance", claimed_by=claimed))
    assert run(["monitor", "churn", "--accept-loss", "--reason", "the market changed"]) == 0
    out = capsys.readouterr().out
    assert "judged again, is still fail: below a model that knows nothing" in out
    assert follows in out


def test_wrong_usage(live):
    assert run(["monitor", "churn", "--reset", "--check"]) == 2
    assert run(["monitor", "churn", "--window-end", "2026-05-02"]) == 2


def test_an_unknown_model(live, capsys):
    assert run(["monitor", "chrun"]) == 1
    assert "WS-MONITORING-072" in capsys.readouterr().err


@pytest.fixture
def steps(monkeypatch):
    """What the check runs: step and the window's end; a step may be told to raise."""
    from windsock.cli import monitor

    asked, faults = [], {}
    real = monitor.run_step

    def run_step(name, step, ports):
        asked.append((name, step.window.end if hasattr(step, "window") else None))
        assert step.run.requested_by.startswith("cli:")
        if name in faults:
            raise faults[name]
        return real(name, step, ports)

    monkeypatch.setattr(monitor, "run_step", run_step)
    return asked, faults


@pytest.fixture
def unprofiled(live):
    """Version 1 has no profile, so every window is insufficient."""

    class Bundles:
        def describe(self, uri, digest):
            from support.log_rows import SCHEMA

            return type("Bundle", (), {"profile": None, "schema": SCHEMA})

    return live, Bundles()


def test_a_check_judges_every_window_that_waits_once(unprofiled, use, steps, capsys):
    from dataclasses import replace

    live, bundles = unprofiled
    ports = use(replace(live, bundles=bundles))
    assert run(["monitor", "churn", "--check"]) == 0
    asked, _ = steps
    went_live = next(row.at for row in ports.ledger.rows("churn") if row.action.value == "commit")
    days = [end for name, end in asked if name == "check_drift"]
    assert days[-1] == MIDNIGHT + 3 * DAY
    assert days[0] - DAY < went_live < days[0]
    assert [name for name, _ in asked] == ["check_drift", "check_performance"] * len(days) + [
        "decide_retrain"
    ]
    assert "VERDICT: HOLD" in capsys.readouterr().out
    asked.clear()
    assert run(["monitor", "churn", "--check"]) == 0
    assert [name for name, _ in asked] == ["decide_retrain"]
    assert "no closed window of 1d waits for a verdict" in capsys.readouterr().out


def test_a_check_says_what_was_found_and_what_is_skipped(live, monkeypatch, capsys):
    from windsock.cli import monitor
    from windsock.monitoring.backlog import Backlog
    from windsock.steps.run import StepResult

    window = Span(start=MIDNIGHT, end=MIDNIGHT + DAY)
    skipped = "WS-MONITORING-118 3 windows of 1d skipped: their log is gone"
    backlog = Backlog((window,), empty=1200, skipped=(skipped,))
    monkeypatch.setattr(monitor, "take_backlog", lambda spec, ports, most: backlog)
    found = make_window(1, "pass", digest=digest("1"))

    def run_step(name, step, ports):
        if name == "decide_retrain":
            assert step.waiting == 0
            return real(name, step, ports)
        kind = DriftReport if name == "check_drift" else PerformanceReport
        fields = {
            name: getattr(found, name) for name in ("model", "version", "digest", "status", "judged_at")
        }
        fields |= {"method": "counts"} if kind is DriftReport else {"labelled": 0}
        record = kind(**fields, window=window, rows=9, reason="fine", findings=(f"of {name}", "twice"))
        return StepResult(step=name, record=record, key="", unchanged=False)

    real = monitor.run_step
    monkeypatch.setattr(monitor, "run_step", run_step)
    assert run(["monitor", "churn", "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"churn: {skipped}", "churn: 1,200 closed windows were empty"]
    told = [line for line in lines if "finding: " in line]
    assert told == [
        "  finding: of check_drift",
        "  finding: twice",
        "  finding: of check_performance",
        "  finding: twice",
    ]


def test_one_window_alone(unprofiled, use, steps):
    from dataclasses import replace

    live, bundles = unprofiled
    use(replace(live, bundles=bundles))
    end = MIDNIGHT + 2 * DAY
    assert run(["monitor", "churn", "--check", "--window-end", f"{end:%Y-%m-%d}"]) == 0
    assert steps[0][0] == ("check_drift", end)
    assert len(steps[0]) == 3


@pytest.mark.parametrize("end", [NOW, MIDNIGHT + timedelta(hours=7), MIDNIGHT + 40 * DAY])
def test_a_window_that_is_not_closed_or_none(live, steps, capsys, end):
    wanted = f"{end:%Y-%m-%dT%H:%M:%S}"
    assert run(["monitor", "churn", "--check", "--window-end", wanted]) == 1
    assert "WS-MONITORING-071" in capsys.readouterr().err
    assert steps[0] == []


def test_a_system_that_is_away_ends_with_3_and_the_rest_is_done(live, steps, capsys):
    asked, faults = steps
    faults["check_drift"] = StorageError("the storage root is away")
    faults["check_performance"] = StorageError("the storage root is away")
    assert run(["monitor", "churn", "--check", "--window-end", f"{MIDNIGHT + DAY:%Y-%m-%d}"]) == 3
    shown = capsys.readouterr()
    assert "WS-STORAGE-001" in shown.err
    assert [name for name, _ in asked] == ["check_drift", "check_performance", "decide_retrain"]


def test_the_status_says_which_rows_a_retrain_waits_for(use, capsys):
    live = use(replace(world_of(1, now=lambda: NOW), bundles=AnyBundle()))
    champion = live.ledger.champion("churn").digest
    for day in (1, 2):
        live.monitor.add_window(make_window(day, kind="performance", digest=champion))
    live.rows.joined = LabelledRows(frame=history(2, a_day=50, flip=None).assign(digest=champion))
    assert run(["monitor", "churn"]) == 0
    assert "WS-MONITORING-100: a retrain waits for labelled answers" in capsys.readouterr().out
    assert live.monitor.episodes("churn") == ()


def test_the_status_says_that_the_next_decision_announces_a_retrain(use, capsys):
    live = use(replace(world_of(1, now=lambda: NOW), bundles=AnyBundle()))
    champion = live.ledger.champion("churn").digest
    for day in (1, 2):
        live.monitor.add_window(make_window(day, kind="performance", digest=champion))
    live.rows.joined = LabelledRows(frame=history(2, a_day=600, flip=None).assign(digest=champion))
    assert run(["monitor", "churn"]) == 0
    assert "next decision: a retrain is announced" in capsys.readouterr().out
    assert live.monitor.episodes("churn") == ()


def test_the_status_is_told_though_the_log_cannot_be_read(use, capsys, monkeypatch):
    live = use(replace(world_of(1, now=lambda: NOW), bundles=AnyBundle()))
    champion = live.ledger.champion("churn").digest
    for day in (1, 2):
        live.monitor.add_window(make_window(day, digest=champion))

    def labelled(*given, **asked):
        raise StorageError("the storage root does not answer")

    monkeypatch.setattr(live.rows, "labelled", labelled)
    assert run(["monitor", "churn"]) == 0
    assert "whether a retrain has its rows is not known: WS-STORAGE-001" in capsys.readouterr().out
