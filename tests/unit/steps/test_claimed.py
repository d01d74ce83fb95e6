"""Recent rows and onset as they were handed over, against the run's claim in the control database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import make_spec
from support.fakes import fake_ports
from support.labelled import FIRST, WINDOW
from support.retraining import make_episode
from windsock.exceptions import GateRefusedError
from windsock.ports import Ports
from windsock.records import RetrainClaim, RunContext, Span, TakeSnapshotInput
from windsock.steps import run_step
from windsock.steps.claimed import require_claimed

DAY = timedelta(days=1)
NOW = FIRST + 30 * DAY
ONSET = NOW - 3 * DAY
RUN = RunContext(dag_id="churn__drift_retrain", run_id="run1")
SPEC = make_spec()


def claimed(key: str | None = "one", **episode: Any) -> tuple[Ports, RetrainClaim]:
    ports = fake_ports(now=lambda: NOW)
    span = Span(start=NOW - 2 * DAY, end=NOW - DAY)
    ports.monitor.announce(make_episode("one", span=span, opened_at=NOW, **{"onset": ONSET, **episode}))
    return ports, ports.monitor.claim(SPEC, episode_key=key, holder=RUN.label, now=NOW)


def take(ports: Ports, recent: Span | None, onset: Any = None, run: RunContext = RUN) -> None:
    require_claimed(TakeSnapshotInput(spec=SPEC, run=run, recent=recent, onset=onset), ports)


def refused(ports: Ports, recent: Span | None, onset: Any = None, run: RunContext = RUN) -> None:
    with pytest.raises(GateRefusedError) as refusal:
        take(ports, recent, onset, run)
    assert refusal.value.code == "WS-MONITORING-130"


def test_those_of_the_claim_are_taken() -> None:
    ports, claim = claimed()
    assert (claim.granted, claim.onset) == (True, ONSET)
    take(ports, claim.recent, claim.onset)
    ports.monitor.renew("churn", holder=RUN.label, until=NOW + DAY, now=NOW + timedelta(hours=1))
    take(ports, claim.recent, claim.onset)


def test_edited_ones_are_not() -> None:
    ports, claim = claimed()
    refused(ports, claim.recent, ONSET + DAY)
    refused(ports, claim.recent)
    refused(ports, Span(start=ONSET, end=NOW), ONSET)
    refused(ports, None)


def test_a_retrain_without_an_episode_has_none() -> None:
    ports, claim = claimed(None)
    assert claim.granted
    take(ports, None)
    refused(ports, WINDOW)
    refused(ports, WINDOW, ONSET)


def test_a_run_without_a_claim_has_no_onset() -> None:
    ports, claim = claimed()
    others = RunContext(dag_id="churn__drift_retrain", run_id="run2")
    refused(ports, claim.recent, claim.onset, others)
    refused(ports, claim.recent, None, others)
    take(ports, None, None, others)
    for by_hand in (RunContext(), RunContext(run_id="by-hand")):
        take(ports, WINDOW, None, by_hand)
        refused(ports, WINDOW, FIRST, by_hand)


@pytest.mark.parametrize(
    "onset",
    [NOW + DAY, NOW - timedelta(hours=1), NOW.replace(year=1), NOW.replace(year=2099), NOW - 60 * DAY],
)
def test_an_onset_that_cannot_be_is_the_start_of_the_windows(onset: Any) -> None:
    ports, claim = claimed(onset=onset)
    assert claim.onset == NOW - 2 * DAY
    assert claim.recent == Span(start=NOW - 30 * DAY, end=NOW)
    take(ports, claim.recent, claim.onset)


def test_a_later_try_keeps_the_onset_of_its_stretch() -> None:
    ports, _ = claimed()
    ports.monitor.close("churn", holder=RUN.label, outcome="too_few", now=NOW)
    late = NOW + 60 * DAY
    again = make_episode("two", span=Span(start=late - DAY, end=late), opened_at=late, onset=ONSET)
    ports.monitor.announce(again)
    claim = ports.monitor.claim(SPEC, episode_key="two", holder="d/2", now=late)
    assert claim.onset == ONSET
    assert claim.recent == Span(start=ONSET, end=late)


def test_the_door_of_every_step_asks() -> None:
    ports, claim = claimed()
    asked = {"spec": SPEC, "run": RUN, "recent": claim.recent, "onset": ONSET - DAY}
    with pytest.raises(GateRefusedError, match="WS-MONITORING-130"):
        run_step("take_snapshot", asked, ports)
