from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from windsock.exceptions import ServerUnavailableError
from windsock.serving.breaker import CircuitBreaker, SlotOpenError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(3, 5.0, clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allows()
        breaker.failed()


def test_it_opens_after_failures_in_a_row_and_not_before(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    assert (breaker.state, breaker.allows()) == ("closed", True)
    breaker.failed()
    assert (breaker.state, breaker.allows()) == ("open", False)


def test_a_success_between_begins_the_count_anew(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.state == "closed"


def test_after_the_pause_one_trial_goes_through(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 4.99
    assert (breaker.state, breaker.allows()) == ("open", False)
    clock.now += 0.01
    assert breaker.state == "half-open"
    assert [breaker.allows() for _ in range(5)] == [True, False, False, False, False]
    assert breaker.state == "half-open"


def test_a_good_trial_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state == "closed"
    fail(breaker, 2)
    assert breaker.state == "closed"


def test_a_bad_trial_opens_it_for_the_whole_pause_from_its_end(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    assert breaker.allows()
    clock.now += 2
    breaker.failed()
    clock.now += 4
    assert (breaker.state, breaker.allows()) == ("open", False)
    clock.now += 1
    assert breaker.allows()


def test_a_trial_that_reports_nothing_does_not_hold_it_shut(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    assert breaker.allows()
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_answers_to_calls_from_before_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 4
    breaker.failed()
    breaker.succeeded()
    assert breaker.state == "open"
    clock.now += 1
    assert breaker.allows()


@pytest.mark.parametrize(("failures", "seconds"), [(0, 5.0), (3, 0.0), (3, float("nan"))])
def test_limits_that_make_no_sense_are_refused(failures: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="open_seconds"):
        CircuitBreaker(failures, seconds)


def test_the_error_says_what_to_do() -> None:
    error = SlotOpenError("version 3 failed 5 times in a row")
    assert (error.code, isinstance(error, ServerUnavailableError)) == ("WS-SERVING-038", True)
    assert "roll back" in error.next_action


class AgainstAModel(RuleBasedStateMachine):
    """The model keeps the whole story and reads the state off it, instead of counting."""

    FAILURES, SECONDS = 3, 10

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker(self.FAILURES, self.SECONDS, self.clock)
        self.reports: list[bool] = []
        self.opened_at: float | None = None
        self.trial_at: float | None = None

    @rule(seconds=st.integers(0, 12))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def ask(self) -> None:
        waiting_since = self.opened_at if self.trial_at is None else self.trial_at
        may = waiting_since is None or self.clock.now - waiting_since >= self.SECONDS
        assert self.breaker.allows() is may
        if may and self.opened_at is not None:
            self.trial_at = self.clock.now

    @rule(good=st.booleans())
    def report(self, good: bool) -> None:
        (self.breaker.succeeded if good else self.breaker.failed)()
        if self.opened_at is None:
            self.reports.append(good)
            if self.reports[-self.FAILURES :] == [False] * self.FAILURES:
                self.opened_at = self.clock.now
        elif self.trial_at is not None:
            self.opened_at = None if good else self.clock.now
            self.trial_at, self.reports = None, []

    @invariant()
    def the_state_is_the_model_s(self) -> None:
        if self.opened_at is None:
            assert self.breaker.state == "closed"
        else:
            due = self.trial_at is not None or self.clock.now - self.opened_at >= self.SECONDS
            assert self.breaker.state == ("half-open" if due else "open")


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
