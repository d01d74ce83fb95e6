"""Whatever happens to rollouts, in any order, wherever a task is killed: what always holds of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    CANARY,
    DIRECT,
    SHADOW,
    decided,
    end,
    prove,
    shift,
    start,
    steer,
    waiting_row,
)
from support.world import MODEL, back, deploy, promote, register, world_of
from windsock.exceptions import StaleEpochError, VerdictError
from windsock.records import (
    ROUTING,
    LedgerAction,
    LedgerRow,
    RolloutDecision,
    RoutePlan,
    ended_rollouts,
    last_routing_row,
    open_switch,
    running_rollout,
    was_rolled_back,
)

SPECS = st.sampled_from([CANARY, AB, SHADOW])
KILLS = st.sampled_from([None, None, None, 1, 2, 3])
"""The side effect after which the task dies; mostly it does not."""


class Rollouts(RuleBasedStateMachine):
    """Retrains, rollouts, people and faults, one after the other; any of them may be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: Any = None
        self.newest = 1
        self.looks: list[RolloutDecision] = []
        self.told: dict[str, str] = {}

    @initialize()
    def a_first_champion(self) -> None:
        self.ports = world_of(1)
        self.newest = 7

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        return tuple(self.ports.ledger.rows(MODEL))

    def does(self, act: Callable[[Any], Any], kill: int | None = None) -> Any:
        """Do it; a no is an answer, and so is that something else came first."""
        ports = killed_after(self.ports, kill)[0] if kill else self.ports
        try:
            return act(ports)
        except (VerdictError, StaleEpochError, Killed) as answer:
            return answer

    @rule(spec=SPECS, kill=KILLS)
    def a_retrain_brings_a_version_that_waits(self, spec: Any, kill: int | None) -> None:
        self._retrain(spec, kill)

    @rule(kill=KILLS)
    def a_retrain_promotes_at_once(self, kill: int | None) -> None:
        self._retrain(DIRECT, kill)

    @rule(spec=SPECS, kill=KILLS)
    def a_retrain_brings_a_version_that_starts(self, spec: Any, kill: int | None) -> None:
        self._retrain(spec, None)
        self.the_hourly_run_starts_or_goes_on(spec, kill)

    def _retrain(self, spec: Any, kill: int | None) -> None:
        self.newest += 1
        champion = self.ports.ledger.champion(MODEL)
        register(self.ports, self.newest, opponent=champion.digest)
        self.does(lambda ports: deploy(ports, self.newest, spec=spec))
        self.does(lambda ports: promote(ports, self.newest, spec=spec), kill)

    @rule(spec=SPECS, kill=KILLS)
    def an_hour_has_passed(self, spec: Any, kill: int | None) -> None:
        self.the_hourly_run_starts_or_goes_on(spec, kill)

    def the_hourly_run_starts_or_goes_on(self, spec: Any, kill: int | None) -> None:
        held = {row.digest for row in self.rows if was_rolled_back(self.rows, row.digest)}
        answer = self.does(lambda ports: start(ports, spec=spec), kill)
        begun = running_rollout(self.rows)
        if begun is not None and getattr(answer, "started", False):
            assert begun.digest not in held
        if begun is not None and not isinstance(answer, BaseException):
            served = self.ports.router.plans[MODEL]
            assert served == RoutePlan.of_row(last_routing_row(self.rows))
            assert served.experiment == begun.experiment

    @precondition(lambda self: running_rollout(self.rows) is not None)
    @rule(action=st.sampled_from(["hold", "advance", "promote", "keep", "roll_back"]), kill=KILLS)
    def a_look_is_carried_out(self, action: str, kill: int | None) -> None:
        self.looks.append(decided(self.ports, action))
        self._move(self.looks[-1], kill)

    @precondition(lambda self: self.looks)
    @rule(data=st.data(), kill=KILLS)
    def an_old_decision_is_carried_out_again(self, data: st.DataObject, kill: int | None) -> None:
        look = data.draw(st.sampled_from(self.looks))
        before = running_rollout(self.rows)
        self._move(look, kill)
        if before is not None and before.experiment != look.experiment:
            after = running_rollout(self.rows)
            assert after is not None
            assert (after.experiment, after.step) == (before.experiment, before.step)

    def _move(self, look: RolloutDecision, kill: int | None) -> None:
        number = int(look.version)
        if look.action in ("advance", "hold"):
            self.does(lambda ports: shift(ports, look), kill)
        elif look.action == "promote":
            self.does(lambda ports: prove(ports, number, look.experiment), kill)
        else:
            outcome = {"keep": "kept"}.get(look.action.value, "rolled_back")
            self.does(lambda ports: end(ports, look.experiment, outcome), kill)

    @rule(action=st.sampled_from(["pause", "resume"]))
    def a_person_steers(self, action: str) -> None:
        self.does(lambda ports: steer(ports, action))

    @rule(kill=KILLS)
    def a_person_rolls_back(self, kill: int | None) -> None:
        before, serving = running_rollout(self.rows), self.ports.ledger.champion(MODEL)
        self.does(back, kill)
        if before is not None and kill is None:
            assert running_rollout(self.rows) is None
            assert was_rolled_back(self.rows, before.digest)
            assert self.ports.ledger.champion(MODEL).digest == serving.digest

    @rule(number=st.integers(1, 9), kill=KILLS)
    def a_person_goes_back_to_a_version(self, number: int, kill: int | None) -> None:
        self.does(lambda ports: back(ports, to=number), kill)

    @rule(number=st.integers(1, 12), force=st.booleans(), kill=KILLS)
    def something_is_deployed(self, number: int, force: bool, kill: int | None) -> None:
        before = running_rollout(self.rows)
        ending = open_switch(self.rows)
        self.does(lambda ports: deploy(ports, number, force=force), kill)
        if before is not None and (ending is None or ending.action is LedgerAction.INTEND):
            after = running_rollout(self.rows)
            assert after is not None
            assert (after.experiment, after.step) == (before.experiment, before.step)

    @rule()
    def the_server_loses_its_state(self) -> None:
        self.ports.router.plans.clear()

    @invariant()
    def epochs_grow_by_one(self) -> None:
        if self.ports is None:
            return
        epochs = [row.epoch for row in self.rows if row.action in ROUTING]
        assert epochs == list(range(1, len(epochs) + 1))
        assert self.ports.ledger.verify(MODEL).broken_at is None

    @invariant()
    def the_champion_always_serves_unless_another_is_just_promoted(self) -> None:
        if self.ports is None:
            return
        champion = self.ports.ledger.champion(MODEL)
        last = last_routing_row(self.rows)
        slot = RoutePlan.of_row(last).slot(champion.digest)
        assert (slot is not None and slot.share > 0) or open_switch(self.rows) is not None

    @invariant()
    def the_ledger_s_route_and_its_rollout_agree(self) -> None:
        if self.ports is None:
            return
        rollout, last = running_rollout(self.rows), last_routing_row(self.rows)
        plan, switch = RoutePlan.of_row(last), open_switch(self.rows)
        if rollout is None or switch is not None:
            assert plan.experiment is None
            assert not plan.shadows
        else:
            assert (plan.experiment, plan.champion) == (rollout.experiment, rollout.champion_digest)
            assert rollout.champion_digest == self.ports.ledger.champion(MODEL).digest
            challenger = plan.slot(rollout.digest)
            assert challenger is not None
            assert (challenger.share, challenger.shadow) == (
                rollout.share,
                rollout.plan.strategy == "shadow",
            )

    @invariant()
    def the_server_never_is_ahead_of_the_ledger(self) -> None:
        if self.ports is None or MODEL not in self.ports.router.plans:
            return
        served = self.ports.router.plans[MODEL]
        row = next(row for row in self.rows if row.action in ROUTING and row.epoch == served.epoch)
        assert RoutePlan.of_row(row) == served

    @invariant()
    def steps_of_a_rollout_come_in_order_with_one_salt(self) -> None:
        if self.ports is None:
            return
        names = {row.body["experiment"] for row in self.rows if row.action is LedgerAction.SHIFT}
        for name in names:
            steps = [row for row in self.rows if row.action is LedgerAction.SHIFT]
            steps = [row for row in steps if row.body["experiment"] == name]
            assert [row.body["step"] for row in steps] == list(range(len(steps)))
            plans = [RoutePlan.of_row(row) for row in self.rows if row.action in ROUTING]
            assert len({plan.salt for plan in plans}) == 1
            shares = [RoutePlan.of_row(row).slot(row.digest).share for row in steps]
            assert shares == sorted(shares)

    @invariant()
    def each_rollout_is_under_way_or_has_one_end_that_stays(self) -> None:
        if self.ports is None:
            return
        ends, rollout = ended_rollouts(self.rows), running_rollout(self.rows)
        names = [end.experiment for end in ends] + ([rollout.experiment] if rollout else [])
        begun = [row.body["experiment"] for row in self.rows if row.action is LedgerAction.SHIFT]
        assert sorted(names) == sorted(set(begun))
        if open_switch(self.rows) is not None:
            return
        for end_ in ends:
            assert self.told.setdefault(end_.experiment, end_.outcome.value) == end_.outcome.value

    @invariant()
    def what_waits_has_not_begun(self) -> None:
        queued = waiting_row(self.rows) if self.ports is not None else None
        rollout = running_rollout(self.rows) if queued else None
        assert rollout is None or queued is None or rollout.digest != queued.digest


Rollouts.TestCase.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
TestRollouts = Rollouts.TestCase
