from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import NOON, digest
from windsock.records import Episode, EpisodeState, RetrainOutcome, Span
from windsock.records.retraining import (
    TRIGGERS,
    Hold,
    Trigger,
    hold_of,
    open_breakers,
    sweep_in,
    useless_in_a_row,
)
from windsock.spec import RetrainBlock

LATER = NOON + timedelta(days=9)


def episodes(*outcomes: str) -> list[Episode]:
    return [
        Episode(
            model="churn",
            key=f"{number}",
            digest=digest("1"),
            trigger="drift",
            span=Span(start=NOON, end=NOON + timedelta(days=1)),
            state=EpisodeState.CLOSED,
            opened_at=NOON,
            claimed_by=f"dag/{number}",
            claimed_at=NOON,
            closed_at=NOON,
            outcome=RetrainOutcome(outcome),
        )
        for number, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("outcomes", "count"),
    [
        (["queued"], 0),
        (["queued", "queued", "queued"], 0),
        (["kept", "queued", "refused"], 2),
        (["kept", "queued"], 1),
        (["kept", "failed", "kept"], 2),
        (["kept", "promoted", "queued", "kept"], 1),
    ],
)
def test_a_version_that_waits_neither_counts_nor_breaks_the_row(outcomes: list[str], count: int) -> None:
    assert len(useless_in_a_row(episodes(*outcomes), digest("1"), "drift")) == count


class TestTwoBreakers:
    @staticmethod
    def known(*triggers: str) -> list[Episode]:
        made = episodes(*["kept" for _ in triggers])
        return [one.replace(trigger=trigger) for one, trigger in zip(made, triggers, strict=True)]

    def test_retrains_against_drift_leave_those_against_a_loss_free(self) -> None:
        known, policy = self.known("drift", "event"), RetrainBlock(breaker=2)
        assert open_breakers(known, policy, digest("1")) == ("drift", "event")
        held = hold_of(known, policy, digest=digest("1"), now=LATER, trigger="drift")
        assert held is not None
        assert held.breaker
        assert "did not help against drift" in held.reason
        assert hold_of(known, policy, digest=digest("1"), now=LATER, trigger="performance") is None

    def test_those_against_a_loss_leave_the_others_free(self) -> None:
        known, policy = self.known("performance", "performance"), RetrainBlock(breaker=2)
        assert open_breakers(known, policy, digest("1")) == ("performance",)
        held = hold_of(known, policy, digest=digest("1"), now=LATER, trigger="performance")
        assert held is not None
        assert "against a loss of performance" in held.reason

    @staticmethod
    def too_few(*triggers: Trigger) -> list[Episode]:
        made = TestTwoBreakers.known(*triggers)
        return [one.replace(outcome=RetrainOutcome.TOO_FEW) for one in made]

    @pytest.mark.parametrize(
        ("tries", "stopped"),
        [
            (("event", "event"), ("event",)),
            (("event", "drift"), ()),
            (("drift", "drift"), ()),
            (("performance", "performance"), ()),
            (("event", "performance", "event"), ("event",)),
        ],
    )
    def test_events_whose_rows_were_too_few_stop_further_events_alone(
        self, tries: tuple[Trigger, ...], stopped: tuple[Trigger, ...]
    ) -> None:
        """Drift and loss wait for twice the rows by themselves; an event waits for nothing."""
        known, policy = self.too_few(*tries), RetrainBlock(breaker=2)
        assert open_breakers(known, policy, digest("1")) == stopped
        for trigger in TRIGGERS:
            held = hold_of(known, policy, digest=digest("1"), now=LATER, trigger=trigger)
            assert (held is not None and held.breaker) == (trigger in stopped)
            if held is not None:
                assert "2 that an event from outside asked for had too few held-out rows" in held.reason

    def test_a_promotion_or_a_person_lets_events_in_again(self) -> None:
        known, policy = self.too_few("event", "event"), RetrainBlock(breaker=2)
        promoted = known[1].replace(outcome=RetrainOutcome.PROMOTED)
        for last in (promoted, known[1].replace(forgiven_by="alice")):
            assert open_breakers([known[0], last], policy, digest("1")) == ()

    def test_one_of_each_opens_none(self) -> None:
        known = self.known("drift", "performance")
        assert open_breakers(known, RetrainBlock(breaker=2), digest("1")) == ()

    def test_a_promotion_ends_both_rows(self) -> None:
        known = self.known("drift", "performance", "drift", "performance")
        known[2] = known[2].replace(outcome=RetrainOutcome.PROMOTED)
        for trigger, count in (("drift", 0), ("performance", 1)):
            assert len(useless_in_a_row(known, digest("1"), trigger)) == count


class TestRowsThatDouble:
    @staticmethod
    def known(*rows: int | None, trigger: str = "performance") -> list[Episode]:
        made = episodes(*["kept" for _ in rows])
        return [one.replace(trigger=trigger, rows=count) for one, count in zip(made, rows, strict=True)]

    @staticmethod
    def hold(known: list[Episode], rows: int | None, trigger: Trigger = "performance") -> Hold | None:
        policy = RetrainBlock(breaker=2)
        return hold_of(known, policy, digest=digest("1"), now=LATER, trigger=trigger, rows=rows)

    @pytest.mark.parametrize(
        ("tried", "rows", "free"),
        [
            ((1000, 1200), 1999, False),
            ((1000, 1200), 2000, True),
            ((1000, 1200), None, False),
            ((1000, 1200, 2000), 2399, False),
            ((1000, 1200, 2000), 2400, True),
            ((None, None), 10**6, False),
            ((0, 0), 10**6, False),
        ],
    )
    def test_one_more_is_tried(self, tried: tuple[int | None, ...], rows: int | None, free: bool) -> None:
        assert (self.hold(self.known(*tried), rows) is None) == free

    def test_the_breaker_stays_in_sight(self) -> None:
        known = self.known(1000, 1200)
        assert self.hold(known, 2000) is None
        assert open_breakers(known, RetrainBlock(breaker=2), digest("1")) == ("performance",)

    def test_the_reason_says_at_how_many_rows(self) -> None:
        for tried in ((1000, 1200), (1200, 1000), (300, 1000, 1200)):
            hold = self.hold(self.known(*tried), 1300)
            assert hold is not None
            assert "or at 2,000 labelled answers since the onset" in hold.reason
        hold = self.hold(self.known(None, None), 1300)
        assert hold is not None
        assert hold.reason.endswith("once the loss has doubled")

    def test_drift_has_none(self) -> None:
        hold = self.hold(self.known(1000, 1200, trigger="drift"), 10**6, trigger="drift")
        assert hold is not None
        assert hold.reason.endswith("a person must look")

    def test_a_hopeless_world_is_tried_ever_more_rarely(self) -> None:
        known: list[Episode] = []
        for rows in range(250, 64_000, 50):
            if self.hold(known, rows) is None:
                known = self.known(*[one.rows for one in known], rows)
        assert len(known) <= 2 * 8


@pytest.mark.parametrize(
    ("before", "loss", "count"),
    [
        (0.1, 0.2, 0),
        (0.06, 0.12, 0),
        (0.001, 0.06, 0),
        (0.1, 0.19, 1),
        (0.001, 0.002, 1),
        (0.01, 0.05, 1),
        (0.04, 0.08, 1),
        (-0.1, 0.2, 1),
        (0.1, None, 1),
    ],
)
def test_a_loss_that_has_plainly_doubled_is_another_one(
    before: float, loss: float | None, count: int
) -> None:
    known = [episodes("kept")[0].replace(trigger="performance", loss=before)]
    assert len(useless_in_a_row(known, digest("1"), "performance", loss=loss)) == count


KEPT, PROMOTED, QUEUED = RetrainOutcome.KEPT, RetrainOutcome.PROMOTED, RetrainOutcome.QUEUED


def swept(known: list[Episode], ended: dict[str, RetrainOutcome]) -> list[Episode]:
    change = sweep_in(known, None, digest=digest("1"), now=LATER, ended=ended)
    written = {one.key: one for one in change.episodes}
    return [written.get(one.key, one) for one in known]


def test_rollouts_that_came_to_nothing_open_the_breaker() -> None:
    known, policy = episodes("queued", "queued"), RetrainBlock(breaker=2)
    assert hold_of(known, policy, digest=digest("1"), now=LATER, trigger="drift") is None
    known = swept(known, {"dag/0": KEPT})
    assert hold_of(known, policy, digest=digest("1"), now=LATER, trigger="drift") is None
    known = swept(known, {"dag/0": KEPT, "dag/1": KEPT})
    hold = hold_of(known, policy, digest=digest("1"), now=LATER, trigger="drift")
    assert hold is not None
    assert hold.breaker
    assert [one.closed_at for one in known] == [NOON, NOON], "windows since then asked for nothing yet"


def test_what_a_person_has_forgiven_stays_so() -> None:
    forgiven = episodes("queued")[0].model_copy(update={"forgiven_by": "ann"})
    assert useless_in_a_row(swept([forgiven], {"dag/0": KEPT}), digest("1"), "drift") == []


OUTCOMES = st.sampled_from([one.value for one in RetrainOutcome])


@given(
    st.lists(OUTCOMES, max_size=8),
    st.dictionaries(
        st.sampled_from([f"dag/{number}" for number in range(9)]), st.sampled_from([KEPT, PROMOTED])
    ),
)
def test_only_what_waited_learns_what_became_of_it(
    outcomes: list[str], ended: dict[str, RetrainOutcome]
) -> None:
    known = episodes(*outcomes)
    after = swept(known, ended)
    for before, one in zip(known, after, strict=True):
        waited = before.outcome is QUEUED and before.claimed_by in ended
        assert one.outcome is (ended[str(before.claimed_by)] if waited else before.outcome)
        assert one.model_copy(update={"outcome": before.outcome}) == before
    assert swept(after, ended) == after
