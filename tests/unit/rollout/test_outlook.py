"""What a start says of its margin and its time, and when it does not start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import make_spec
from support.rollout_cases import events
from support.rollout_steps import DIRECT, running, start, waiting_world
from support.world import MODEL, left_of
from windsock.exceptions import StorageError
from windsock.ports import Traffic
from windsock.records import LedgerAction, RolloutPlan, RolloutState, Span
from windsock.records.ledger_bodies import fault_in_body, unknown_keys
from windsock.rollout.outlook import DAYS, MOST_ROWS, outlook
from windsock.steps.rollout_verdicts import describe_rollout

DAY = timedelta(days=1)


def canary(**block):
    return make_spec(rollout={"strategy": "canary", "steps": [50, 100], "metric": "conversion", **block})


def told(ports, *, rate=0.01, units=70_000, days=7, **fields):
    """Let the log tell of this traffic."""
    now = ports.now()
    made = {
        "span": Span(start=now - days * DAY, end=now),
        "units": units,
        "by_day": (units // days,) * days,
        "metrics": {"conversion": events(units, round(units * rate))},
        "exposures": 2 * units,
    }
    ports.events.told = Traffic(**{**made, **fields})
    return ports


def begin(spec, **traffic) -> RolloutState:
    ports = waiting_world(spec=spec)
    return start(told(ports, **traffic), spec=spec)


class TestTheMargin:
    @pytest.mark.parametrize("rate", [0.002, 0.01, 0.03])
    def test_above_half_of_what_the_champion_has_does_not_start(self, rate):
        spec = canary(promote={"not_worse": 0.02})
        ports = told(waiting_world(spec=spec), rate=rate)
        before = left_of(ports)
        for _ in range(2):
            state = start(ports, spec=spec)
            assert (state.rollout, state.waiting) == (None, "2")
            assert state.reason.startswith(
                "WS-ROLLOUT-018: version 2 waits and cannot start: the margin of 0.02"
            )
        assert left_of(ports) == before
        verdict = describe_rollout(state)
        assert verdict.word == "HOLD"
        assert "confirm it" in verdict.next_action

    @pytest.mark.parametrize(
        ("promote", "rate"),
        [
            ({"not_worse": 0.02, "confirmed": True}, 0.01),
            ({"not_worse": "20%"}, 0.01),
            (None, 0.01),
            (None, 0.0005),
            ("better", 0.01),
            ({"not_worse": 0.02}, 0.041),
        ],
    )
    def test_one_that_is_confirmed_or_in_proportion_starts(self, promote, rate):
        state = begin(canary(**({"promote": promote} if promote else {})), rate=rate)
        assert state.started

    def test_few_units_make_no_rate_certain(self):
        state = begin(canary(promote={"not_worse": 0.02}), rate=0.03, units=210)
        assert state.started
        assert any(
            "the margin of 0.02 is 7" in note or "of the champion's conversion" in note
            for note in state.outlook
        )

    def test_without_an_outcome_it_starts_and_says_what_was_not_known(self):
        state = begin(canary(promote={"not_worse": 0.02}), rate=0.0)
        assert state.started
        assert state.outlook[0].startswith(
            "WS-ROLLOUT-019: the 70,000 units of the last 7 days have no positive outcome of conversion: its "
            "margin was not held"
        )

    def test_a_metric_that_shall_be_low_starts_and_is_told(self):
        spec = canary(
            metric="m", metrics={"m": {"kind": "conversion", "better": "lower"}}, promote={"not_worse": 0.02}
        )
        state = begin(spec, metrics={"m": events(70_000, 700)})
        assert state.started
        assert "half as much again could be promoted" in state.outlook[0]


class TestTheTime:
    def test_a_rollout_that_cannot_end_says_what_it_needs(self):
        spec = canary()
        ports = told(waiting_world(spec=spec), rate=0.02, units=7_000)
        state = start(ports, spec=spec)
        assert state.started
        (note,) = state.outlook
        assert note.startswith(
            "WS-ROLLOUT-019: at the present 1,000 new units a day it hardly ends by its deadline"
        )
        assert "units at the last step" in note
        assert "days in all" in note
        row = ports.ledger.rows(MODEL)[-1]
        assert row.body["outlook"] == [note]
        assert (fault_in_body(row.action, row.body), unknown_keys(row.action, row.body)) == ("", [])
        assert start(ports, spec=spec).outlook == (note,)  # each look tells it again
        assert note in describe_rollout(state).why
        assert running(ports).plan == RolloutPlan.of_spec(spec)

    def test_several_challengers_need_more_of_each(self):
        spec = canary(challengers=3, steps=[75, 100])
        ports = told(waiting_world(spec=spec), rate=0.02, units=21_000)
        single, several = (
            outlook(MODEL, RolloutPlan.of_spec(spec), ports, challengers=tried).notes for tried in (1, 3)
        )
        assert single == ()
        (note,) = several
        assert "units of the champion and one of the 3 versions together at the last step" in note
        assert note.endswith("a larger share, fewer steps, or fewer versions")

    @pytest.mark.parametrize(
        ("block", "is_told"),
        [
            ({"steps": [25, 50, 100], "attribution": "60d"}, True),
            ({"steps": [25, 50, 100], "attribution": "28d"}, True),
            ({"steps": [25, 50, 100], "attribution": "27d"}, False),
            ({"steps": [25, 50, 100], "attribution": None}, False),
            ({"attribution": "60d"}, False),
            (
                {"steps": [25, 50, 100], "attribution": "60d", "labels": {"kind": "file", "path": "l.csv"}},
                False,
            ),
        ],
    )
    def test_an_attribution_that_outlasts_the_last_step_is_told(self, block, is_told):
        state = begin(canary(**block), rate=0.2, units=700_000)
        assert state.started
        found = [note for note in state.outlook if "(`attribution`)" in note]
        assert bool(found) == is_told
        if is_told:
            assert found[0].startswith("WS-ROLLOUT-019: an outcome may come of an exposure for")
            assert "27 days, 23:00:00 at most" in found[0]

    def test_one_that_can_says_nothing_and_its_row_is_as_before(self):
        spec = canary()
        ports = told(waiting_world(spec=spec), rate=0.2, units=700_000)
        state = start(ports, spec=spec)
        assert state.outlook == ()
        assert "outlook" not in state.model_dump(mode="json")
        shift = next(row for row in ports.ledger.rows(MODEL) if row.action is LedgerAction.SHIFT)
        assert "outlook" not in shift.body

    def test_requests_without_a_unit_are_told(self):
        state = begin(canary(), rate=0.2, units=700_000, unitless=700_000)
        assert state.outlook[0].startswith("50% of the requests had no `unit`")


class TestTheLog:
    def test_is_read_for_some_days_and_rows(self):
        ports = waiting_world(spec=canary())
        start(ports, spec=canary())
        ((span, rows),) = ports.events.asked
        assert (span.end - span.start, rows) == (DAYS * DAY, MOST_ROWS)

    def test_that_was_read_in_part_is_said(self):
        spec = canary()
        ports = told(waiting_world(spec=spec), rate=0.02, days=1, units=1_000)
        ports.events.told = replace(ports.events.told, metrics={})
        assert "units of the last 24 hours (some 2,000,000 rows" in start(ports, spec=spec).outlook[0]

    def test_that_is_away_keeps_nothing_from_starting(self):
        spec = canary(promote={"not_worse": 0.02})
        ports = waiting_world(spec=spec)
        ports.events.away = StorageError("the disk is gone")
        state = start(ports, spec=spec)
        assert state.started
        assert state.outlook[0].startswith("WS-ROLLOUT-019: the log cannot be read (WS-")

    def test_is_not_read_where_nothing_can_start(self):
        ports = waiting_world(spec=canary())
        state = start(ports, spec=DIRECT)
        assert state.reason.startswith("WS-ROLLOUT-006")
        assert ports.events.asked == []

    def test_a_look_alone_says_what_a_start_would(self):
        spec = canary(promote={"not_worse": 0.02})
        ports = told(waiting_world(spec=spec))
        looked = start(ports, spec=spec, only_look=True)
        assert looked.reason == start(ports, spec=spec).reason
        assert looked.reason.startswith("WS-ROLLOUT-018")
        ports = told(waiting_world(spec=spec), rate=0.2, units=7_000)
        looked = start(ports, spec=spec, only_look=True)
        assert looked.reason == "version 2 waits for its rollout"
        begun = start(ports, spec=spec)
        assert begun.started
        assert looked.outlook == begun.outlook
