"""An open breaker names the retrains that did not help, and the command that works as it is written."""

from __future__ import annotations

import pytest

from support.builders import digest, make_difference
from support.fakes import fake_ports
from support.retraining import DAY, LATER, MIDNIGHT, AnyBundle, make_closed, make_windows, policy_spec
from windsock import records as r
from windsock.monitoring.alerts import SHOWN_CHARACTERS, conditions_of
from windsock.monitoring.breaker_text import tried_text
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.steps.monitoring_verdicts import describe_decision

A, B = digest("a"), digest("b")
NARROW = make_difference(-0.02, 0.01, opponent="champion", value=-0.005)


def closed(number, **fields):
    return make_closed(str(number), day(number), **{"rows": 310, "difference": NARROW, **fields})


def world(windows):
    """Ports with a champion and its judged windows, at the end of the last one."""
    ports = fake_ports(now=lambda: day(len(windows)), bundles=AnyBundle())
    body = {"bundle_uri": "memory://"}
    ports.ledger.append(
        r.LedgerEntry(
            model="churn",
            action=r.LedgerAction.COMMIT,
            epoch=1,
            version="1",
            digest=A,
            actor="scheduler",
            body=body,
        ),
        after_seq=0,
    )
    for window in make_windows(windows):
        ports.monitor.add_window(window)
    return ports


def day(number):
    return MIDNIGHT + number * DAY + LATER


def test_each_is_named_with_its_rows_and_its_interval():
    text = tried_text([closed(1), closed(2, outcome="refused")], A, ("drift", "event"))
    assert text.startswith(
        "retrains against drift that did not help: 2026-05-02 00:01 UTC kept (310 labelled"
    )
    assert "roc_auc against the champion -0.005 [-0.02, +0.01] on " in text
    assert "2026-05-03 00:01 UTC refused" in text


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": "too_few"},
        {"outcome": "failed"},
        {"digest": B},
        {"forgiven_by": "ada"},
        {"trigger": "performance"},
    ],
)
def test_what_the_breaker_does_not_count_is_not_named(other):
    assert tried_text([closed(1, **other)], A, ("drift", "event")) == ""


def test_both_breakers_name_their_own():
    text = tried_text([closed(1), closed(2, trigger="performance")], A, ("performance", "drift", "event"))
    assert text.index("a loss of performance") < text.index("2026-05-03") < text.index("against drift")


def test_of_many_the_latest_are_named():
    text = tried_text([closed(number) for number in range(1, 9)], A, ("drift",))
    assert text.count("kept") == 2
    assert text.endswith("and 6 before")


def test_an_alert_has_its_command_however_many_there_are():
    both = [closed(number, trigger=one) for number in range(1, 9) for one in ("drift", "performance")]
    stopped = ("performance", "drift", "event")
    decision = r.RetrainDecision(
        model="churn",
        order=r.RetrainOrder.HOLD,
        reason="x" * 900,
        breaker=True,
        stopped=stopped,
        tried=tried_text(both, A, stopped),
        decided_at=MIDNIGHT,
    )
    (alert,) = conditions_of(None, None, decision)
    assert "--reset --reason WHY" in alert.text[:SHOWN_CHARACTERS]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (make_difference(-1, 1, value=None, interval=None, error="broken"), "not known"),
        (make_difference(-1, 1, value=0.1, interval=None), "+0.1 without an interval"),
        (None, "kept"),
    ],
)
def test_what_is_not_known_is_not_made_up(made, says):
    assert says in tried_text([closed(1, rows=None, difference=made)], A, ("drift",))


def test_the_alert_says_what_failed_and_the_command_as_it_is_typed():
    ports = world("bb")
    spec = policy_spec(breaker=1, cooldown="1s", per_day=9)
    episode = decide_retrain(r.DecideRetrainInput(spec=spec), ports, "").episode
    run = r.RunContext(dag_id="churn__drift_retrain", run_id="1")
    asked = r.ClaimRetrainInput(spec=spec, episode_key=episode.key, run=run)
    claim = claim_retrain(asked, ports, "")
    step = r.CloseRetrainInput(spec=spec, claim=claim, outcome=r.RetrainOutcome.KEPT, against=NARROW, run=run)
    close_retrain(step, ports, "")
    assert ports.monitor.episodes("churn")[0].difference == NARROW

    decision = decide_retrain(r.DecideRetrainInput(spec=spec), ports, "")
    (alert,) = [one for one in conditions_of(None, None, decision) if one.key == "retrain:breaker"]
    assert alert.active
    assert alert.text.startswith("Retrains against drift that did not help: 2026-")
    assert "[-0.02, +0.01]" in alert.text
    command = "windsock monitor churn --reset --reason WHY"
    assert f"resets it: {command}." in alert.text
    assert command in describe_decision(decision).next_action
