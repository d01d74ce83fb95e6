from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest
from support.fakes import FakeLedger, FakeRegistry, FakeRouter, fake_ports
from support.rollouts import under_way
from support.slots import FakeSlots, at_address
from support.world import MODEL, deploy, promote, version_of, world_of
from windsock.door import (
    abandon,
    append_unless_routed,
    current_route,
    finish_abandoned,
    lay_route,
    mirror_champion,
    plan_serving,
    require_deployed,
    require_golden,
    require_registered,
    route_salt,
    switch_route,
    with_proved_addresses,
)
from windsock.exceptions import (
    DeploymentRefusedError,
    GateRefusedError,
    RolloutRefusedError,
    SlotAddressError,
    StaleEpochError,
    TrackingUnavailableError,
)
from windsock.records import (
    Champion,
    FallbackAnswer,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    ProbeResult,
    RoutePlan,
    RouteState,
    SlotPlan,
    last_routing_row,
)


def make_entry(action: LedgerAction = LedgerAction.DEPLOY, epoch: int = 1, **fields: Any) -> LedgerEntry:
    made = {"model": MODEL, "version": "1", "digest": digest("1"), "actor": "scheduler"}
    return LedgerEntry(action=action, epoch=epoch, **{**made, **fields})


def test_a_row_is_appended_after_what_was_seen() -> None:
    ledger = FakeLedger()
    first = append_unless_routed(ledger, make_entry(), seen=None)
    second = append_unless_routed(ledger, make_entry(epoch=2), seen=first)
    assert [row.seq for row in ledger.rows(MODEL)] == [first.seq, second.seq] == [1, 2]


def test_a_routing_row_in_between_is_a_stale_epoch() -> None:
    ledger = FakeLedger()
    append_unless_routed(ledger, make_entry(), seen=None)
    with pytest.raises(StaleEpochError, match="deploy of version 1 holds epoch 1"):
        append_unless_routed(ledger, make_entry(), seen=None)
    assert len(ledger.rows(MODEL)) == 1


def test_an_approval_in_between_is_none() -> None:
    class Busy(FakeLedger):
        answers = 3

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if entry.action is LedgerAction.DEPLOY and self.answers:
                self.answers -= 1
                super().append(make_entry(LedgerAction.APPROVE, 0), after_seq=after_seq)
            return super().append(entry, after_seq=after_seq)

    ledger = Busy()
    assert append_unless_routed(ledger, make_entry(), seen=None).seq == 4


def test_writers_without_end_are_told() -> None:
    class Storm(FakeLedger):
        tries = 0

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            self.tries += 1
            raise StaleEpochError("another row came first")

    ledger = Storm()
    with pytest.raises(StaleEpochError, match="20 tries"):
        append_unless_routed(ledger, make_entry(), seen=None)
    assert ledger.tries == 20


def test_a_commit_that_stands_is_not_written_twice() -> None:
    ledger = FakeLedger()
    intent = append_unless_routed(ledger, make_entry(LedgerAction.INTEND), seen=None)
    commit = make_entry(LedgerAction.COMMIT)
    first = append_unless_routed(ledger, commit, seen=intent)
    assert append_unless_routed(ledger, commit, seen=intent) == first
    assert len(ledger.rows(MODEL)) == 2


def test_an_intent_whose_plan_has_no_slot_for_it_is_refused() -> None:
    ports = world_of(1)
    intent = last_routing_row(ports.ledger.rows(MODEL))
    assert intent is not None
    with pytest.raises(DeploymentRefusedError):
        switch_route(ports, intent.model_copy(update={"digest": digest("9")}), champion=None, actor="x")


def test_a_plan_that_the_server_has_outgrown_is_a_stale_epoch() -> None:
    ports = world_of(1)
    intent = last_routing_row(ports.ledger.rows(MODEL))
    assert intent is not None
    deploy(ports, 2)
    promote(ports, 2)
    with pytest.raises(StaleEpochError):
        switch_route(ports, intent, champion=None, actor="x")


def test_an_alias_that_is_right_is_not_set_again() -> None:
    class Once(FakeRegistry):
        def set_alias(self, model: str, alias: str, version: str) -> None:
            raise AssertionError("set without need")

    registry = Once()
    registry.aliases[(MODEL, "champion")] = "1"
    assert mirror_champion(fake_ports(registry=registry), MODEL, "1")


def test_an_intent_made_before_a_rival_s_commit_comes_too_late() -> None:
    ledger = FakeLedger()
    rival = append_unless_routed(ledger, make_entry(LedgerAction.INTEND), seen=None)
    append_unless_routed(
        ledger, make_entry(LedgerAction.COMMIT, body={"bundle_uri": "memory://1"}), seen=rival
    )
    late = make_entry(LedgerAction.INTEND, 2, version="2", digest=digest("2"), body={"replaced": None})
    with pytest.raises(StaleEpochError, match="another version became champion"):
        append_unless_routed(ledger, late, seen=rival)
    assert len(ledger.rows(MODEL)) == 2


# --- registrations --------------------------------------------------------------------------------------


def test_a_version_is_known_by_its_own_bundle_and_evidence_only() -> None:
    rows = world_of().ledger.rows(MODEL)
    version = version_of(3)
    assert require_registered(rows, version).version == "3"
    for other in ({"digest": digest("9")}, {"evidence_digest": digest("9")}, {"version": "4"}):
        with pytest.raises(GateRefusedError, match="the ledger has no registration") as refusal:
            require_registered(rows, version.model_copy(update=other))
        assert refusal.value.code == "WS-GATE-010"
        assert "register_model" in refusal.value.next_action


# --- writing --------------------------------------------------------------------------------------------


def test_a_ledger_without_the_row_that_was_seen_is_told() -> None:
    ledger = FakeLedger()
    elsewhere = FakeLedger().append(make_entry(), after_seq=0)
    with pytest.raises(StaleEpochError, match="version 1 came too late; nothing of version - holds epoch 0"):
        append_unless_routed(ledger, make_entry(epoch=7), seen=elsewhere)
    assert ledger.rows(MODEL) == ()


def test_only_a_commit_is_taken_for_the_commit_that_stands() -> None:
    ledger = FakeLedger()
    intent = append_unless_routed(ledger, make_entry(LedgerAction.INTEND), seen=None)
    append_unless_routed(ledger, make_entry(LedgerAction.COMMIT), seen=intent)
    assert append_unless_routed(ledger, make_entry(), seen=intent).action is LedgerAction.DEPLOY


def test_an_intent_that_replaces_the_present_champion_is_written() -> None:
    ports = world_of(1)
    seen = last_routing_row(ports.ledger.rows(MODEL))
    entry = make_entry(LedgerAction.INTEND, 9, version="2", body={"replaced": digest("1")})
    assert append_unless_routed(ports.ledger, entry, seen=seen).epoch == 9


def test_the_salt_of_a_running_rollout_stays() -> None:
    ports = under_way(world_of(1))
    seen = last_routing_row(ports.ledger.rows(MODEL))
    assert seen is not None

    def shift(**plan: Any) -> LedgerEntry:
        return make_entry(LedgerAction.SHIFT, 5, body={**seen.body, "plan": {**seen.body["plan"], **plan}})

    with pytest.raises(RolloutRefusedError, match="another salt than rollout v2-e4") as refusal:
        append_unless_routed(ports.ledger, shift(salt="other"), seen=seen)
    assert refusal.value.code == "WS-ROLLOUT-010"
    assert "windsock rollout stop" in refusal.value.next_action
    assert append_unless_routed(ports.ledger, shift(), seen=seen).epoch == 5


@pytest.mark.parametrize("experiment", [None, "v3-e5"])
def test_a_salt_is_free_outside_of_the_rollout(experiment: str | None) -> None:
    ports = under_way(world_of(1))
    seen = last_routing_row(ports.ledger.rows(MODEL))
    assert seen is not None
    plan = {**seen.body["plan"], "salt": "other", "experiment": experiment}
    entry = make_entry(LedgerAction.SHIFT, 5, body={**seen.body, "plan": plan})
    assert append_unless_routed(ports.ledger, entry, seen=seen).epoch == 5


def test_a_row_without_a_plan_is_written_while_a_rollout_runs() -> None:
    ports = under_way(world_of(1))
    seen = last_routing_row(ports.ledger.rows(MODEL))
    assert append_unless_routed(ports.ledger, make_entry(LedgerAction.COMMIT, 5), seen=seen).epoch == 5


# --- plans ----------------------------------------------------------------------------------------------


CONSTANT = FallbackAnswer(policy="constant", constant="no")


def row_of(plan: RoutePlan, **fields: Any) -> LedgerEntry:
    return make_entry(epoch=plan.epoch, body={"plan": plan.row_body()}, **fields)


def plan_of(*numbers: int, serves: int | None = None, epoch: int = 1, **fields: Any) -> RoutePlan:
    made: dict[str, Any] = {"salt": "pepper", "fallback": CONSTANT, **fields}
    return RoutePlan.serving(
        None if serves is None else digest(f"{serves}"),
        model=MODEL,
        epoch=epoch,
        slots=[SlotPlan.idle(version_of(number)) for number in numbers],
        **made,
    )


def champion(number: int) -> Champion:
    known = version_of(number)
    return Champion(
        model=MODEL, version=known.version, digest=known.digest, bundle_uri=known.bundle_uri, epoch=1
    )


def test_a_plan_for_the_champion_keeps_slots_salt_and_fallback_of_the_server() -> None:
    state = RouteState(plan=plan_of(1, 2, serves=1), workers=1)
    plan = plan_serving(champion(2), state, ())
    assert plan == plan_of(1, 2, serves=2, epoch=2), "one above what the server has"
    assert plan_serving(champion(3), state, ()) == plan_of(1, 2, 3, serves=3, epoch=2)


def test_a_server_without_a_state_gets_what_the_ledger_says() -> None:
    ledger = FakeLedger()
    ledger.append(row_of(plan_of(1, epoch=4, salt="old", fallback=FallbackAnswer())), after_seq=0)
    ledger.append(row_of(plan_of(1, epoch=5)), after_seq=1)
    ledger.append(make_entry(LedgerAction.COMMIT, 5), after_seq=2)
    assert plan_serving(champion(1), None, ledger.rows(MODEL)) == plan_of(1, serves=1, epoch=6)


def test_the_ledger_s_salt_counts_before_the_server_s() -> None:
    ledger = FakeLedger()
    ledger.append(row_of(plan_of(1, salt="salt")), after_seq=0)
    state = RouteState(plan=plan_of(1), workers=1)
    assert plan_serving(champion(1), state, ledger.rows(MODEL)).salt == "salt"
    assert route_salt(ledger.rows(MODEL)) == "salt"


def test_without_any_plan_the_salt_is_the_model_s_name() -> None:
    assert route_salt([]) == ""
    plan = plan_serving(champion(1), None, ())
    assert plan == plan_of(1, serves=1, salt=MODEL, fallback=FallbackAnswer())


# --- the server's state ---------------------------------------------------------------------------------


def test_a_server_behind_the_ledger_is_given_the_last_plan() -> None:
    ports = fake_ports()
    assert current_route(ports, ()) is None
    ports.ledger.append(row_of(plan_of(1, 2)), after_seq=0)
    rows = ports.ledger.rows(MODEL)
    state = current_route(ports, rows)
    assert state is not None
    assert state.plan == ports.router.plans[MODEL] == plan_of(1, 2)
    assert current_route(ports, rows) == state
    assert len(ports.router.applied) == 1


def test_a_server_at_the_ledger_s_epoch_is_left_alone() -> None:
    ports = fake_ports()
    ports.ledger.append(row_of(plan_of(1, 2)), after_seq=0)
    ports.router.apply(plan_of(3))
    state = current_route(ports, ports.ledger.rows(MODEL))
    assert state is not None
    assert state.plan == plan_of(3)


@pytest.mark.parametrize("action", [LedgerAction.INTEND, LedgerAction.ROLL_BACK])
def test_an_open_switch_is_left_to_its_task_and_a_closed_one_laid(action: LedgerAction) -> None:
    ports = fake_ports()
    ports.ledger.append(row_of(plan_of(1, 2, serves=2), action=action), after_seq=0)
    assert current_route(ports, ports.ledger.rows(MODEL)) is None
    ports.ledger.append(make_entry(LedgerAction.COMMIT), after_seq=1)
    assert current_route(ports, ports.ledger.rows(MODEL)) is not None
    assert ports.router.plans[MODEL] == plan_of(1, 2, serves=2)


# --- golden predictions ---------------------------------------------------------------------------------


DIFFERS = (
    "churn version 1: 20 golden predictions differ by up to 0.25 from what the model answered after training."
)


class Told(FakeRouter):
    """Answers each probe with what it was told to."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.answer = ProbeResult(
            **{"version": "1", "rows": 20, "largest_difference": 0.25, "matched": True, **fields}
        )
        self.asked: list[tuple[str, str]] = []

    def probe(self, model: str, digest: str) -> ProbeResult:
        self.asked.append((model, digest))
        return self.answer


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            {"matched": False, "message": "Row 3 is the worst."},
            "WS-DEPLOYMENT-002",
            f"{DIFFERS} Row 3 is the worst.",
        ),
        ({"matched": False}, "WS-DEPLOYMENT-002", DIFFERS),
        ({"version": "7"}, "WS-DEPLOYMENT-003", "churn: version 7 answers where version 1 should"),
    ],
)
def test_a_slot_that_does_not_answer_as_it_must_is_refused(
    answer: dict[str, Any], code: str, message: str
) -> None:
    router = Told(**answer)
    with pytest.raises(DeploymentRefusedError) as refusal:
        require_golden(fake_ports(router=router), MODEL, SlotPlan.idle(version_of(1)))
    assert (refusal.value.code, refusal.value.message) == (code, message)
    assert router.asked == [(MODEL, digest("1"))]


# --- switches -------------------------------------------------------------------------------------------


def switched(ports: Any, plan: RoutePlan, action: LedgerAction, **body: Any) -> LedgerRow:
    """Write an intent or a roll back to version 2, and carry it out."""
    known = version_of(2)
    entry = make_entry(
        action, plan.epoch, version="2", digest=known.digest, body={"plan": plan.row_body(), **body}
    )
    row = ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))
    return switch_route(ports, row, champion=champion(1), actor="bob")


@pytest.mark.parametrize(
    ("action", "body", "probes"),
    [
        (LedgerAction.INTEND, {}, 3),
        (LedgerAction.ROLL_BACK, {}, 1),
        (LedgerAction.ROLL_BACK, {"experiment": "v2-e4"}, 0),
        (LedgerAction.INTEND, {"experiment": "v2-e4"}, 3),
    ],
)
def test_a_new_version_is_asked_a_few_times_and_a_roll_back_once(
    action: LedgerAction, body: dict[str, Any], probes: int
) -> None:
    router, pauses = Told(version="2"), []
    ports = fake_ports(router=router, pause=pauses.append)
    switched(ports, plan_of(1, 2, serves=2), action, **body)
    assert router.asked == [(MODEL, digest("2"))] * probes
    assert pauses == [0.5] * (probes - 1)


def test_a_commit_says_what_the_intent_said_but_the_plan() -> None:
    ports = fake_ports()
    commit = switched(
        ports, plan_of(1, 2, serves=2, epoch=4), LedgerAction.INTEND, replaced=None, bundle_uri="memory://2"
    )
    assert (commit.model, commit.action, commit.epoch) == (MODEL, LedgerAction.COMMIT, 4)
    assert (commit.version, commit.digest, commit.actor) == ("2", digest("2"), "bob")
    assert commit.body == {"replaced": None, "bundle_uri": "memory://2"}
    assert ports.router.plans[MODEL] == plan_of(1, 2, serves=2, epoch=4)


def test_a_version_that_does_not_answer_is_abandoned_and_the_champion_serves() -> None:
    ports = fake_ports()
    ports.router.sick.add(digest("2"))
    with pytest.raises(DeploymentRefusedError) as refusal:
        switched(ports, plan_of(1, 2, serves=2, epoch=4), LedgerAction.INTEND)
    back = plan_of(1, 2, serves=1, epoch=5)
    assert ports.router.plans[MODEL] == back
    row = ports.ledger.rows(MODEL)[-1]
    assert (row.model, row.action, row.epoch) == (MODEL, LedgerAction.ABANDON, 5)
    assert (row.version, row.digest, row.actor) == ("2", digest("2"), "bob")
    assert row.body == {"reason": refusal.value.message, "plan": back.row_body()}


def test_an_intent_without_a_slot_names_itself() -> None:
    ports = fake_ports()
    with pytest.raises(DeploymentRefusedError, match="churn: epoch 4 has no slot for 2"):
        switched(ports, plan_of(1, 3, epoch=4), LedgerAction.INTEND)
    assert ports.router.applied == []


@pytest.mark.parametrize(
    ("slots", "serving", "without", "left"),
    [
        ((1, 2), 1, False, plan_of(1, 2, serves=1, epoch=5)),
        ((1, 2), 1, True, plan_of(1, serves=1, epoch=5)),
        ((2, 3), 1, False, plan_of(2, 3, 1, serves=1, epoch=5)),
        ((2, 3), 1, True, plan_of(3, 1, serves=1, epoch=5)),
        ((2, 3), None, True, plan_of(3, epoch=5)),
        ((2, 3), None, False, plan_of(2, 3, epoch=5)),
    ],
)
def test_an_abandoned_version_leaves_all_traffic_to_the_champion(
    slots: tuple[int, ...], serving: int | None, without: bool, left: RoutePlan
) -> None:
    ports = fake_ports()
    row = ports.ledger.append(row_of(plan_of(*slots, epoch=4)), after_seq=0)
    abandoned = abandon(
        ports,
        row,
        SlotPlan.idle(version_of(2)),
        None if serving is None else champion(serving),
        actor="bob",
        reason="it is mute",
        without=without,
    )
    assert RoutePlan.of_row(abandoned) == left
    assert abandoned.body["reason"] == "it is mute"


def test_nothing_may_have_come_after_the_row_that_is_abandoned() -> None:
    ports = fake_ports()
    row = ports.ledger.append(row_of(plan_of(1, 2, epoch=4)), after_seq=0)
    ports.ledger.append(row_of(plan_of(1, epoch=5)), after_seq=1)
    with pytest.raises(StaleEpochError):
        abandon(ports, row, SlotPlan.idle(version_of(2)), champion(1), actor="bob", reason="it is mute")


# --- what a killed task left ----------------------------------------------------------------------------


def abandoned(ports: Any, **fields: Any) -> LedgerRow:
    plan = plan_of(1, 2, serves=1, epoch=5)
    entry = make_entry(
        **{
            "action": LedgerAction.ABANDON,
            "epoch": 5,
            "digest": digest("2"),
            "body": {"reason": "it is mute", "plan": plan.row_body()},
            **fields,
        }
    )
    return ports.ledger.append(entry, after_seq=0)


def test_an_abandoned_switch_is_finished_once_and_told() -> None:
    ports = fake_ports()
    last = abandoned(ports)
    with pytest.raises(DeploymentRefusedError, match="it is mute"):
        finish_abandoned(ports, last, digest("2"))
    assert ports.router.plans[MODEL] == plan_of(1, 2, serves=1, epoch=5)
    finish_abandoned(ports, last, digest("2"))
    ports.router.plans[MODEL] = plan_of(1, 2, serves=2, epoch=4)
    with pytest.raises(DeploymentRefusedError, match="it is mute"):
        finish_abandoned(ports, last, digest("2"))


def test_another_row_or_another_bundle_is_nothing_to_finish() -> None:
    ports = fake_ports()
    last = abandoned(ports)
    finish_abandoned(ports, None, digest("2"))
    finish_abandoned(ports, last, digest("3"))
    finish_abandoned(ports, last.model_copy(update={"action": LedgerAction.DEPLOY}), digest("2"))
    assert ports.router.applied == []


# --- the registry's mirror ------------------------------------------------------------------------------


def test_the_alias_follows_the_champion() -> None:
    registry = FakeRegistry()
    ports = fake_ports(registry=registry)
    assert mirror_champion(ports, MODEL, "1")
    assert mirror_champion(ports, MODEL, "2")
    assert registry.aliases == {(MODEL, "champion"): "2"}


def test_an_alias_that_cannot_be_set_is_told_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    class Away(FakeRegistry):
        def set_alias(self, model: str, alias: str, version: str) -> None:
            raise TrackingUnavailableError("no answer")

    assert not mirror_champion(fake_ports(registry=Away()), MODEL, "1")
    assert "WS-TRACKING-002: churn: the alias champion could not be set to version 1" in caplog.text


FOREIGN = "http://127.0.0.1:9"


def test_no_plan_with_an_address_that_no_deployment_made_reaches_the_server() -> None:
    ports = world_of(1, 2)
    row = last_routing_row(ports.ledger.rows(MODEL))
    before = list(ports.router.applied)
    plan = at_address(ports.router.plans[MODEL], FOREIGN)
    forged = row.model_copy(update={"epoch": row.epoch + 1, "body": {**row.body, "plan": plan.row_body()}})
    for act in (
        lambda: lay_route(ports, forged),
        lambda: switch_route(ports, forged, champion=None, actor="eve"),
    ):
        with pytest.raises(SlotAddressError) as refused:
            act()
        assert refused.value.code == "WS-SLOT-001"
    assert ports.router.applied == before


def test_what_a_target_made_is_laid() -> None:
    slots = FakeSlots()
    ports = world_of(1, slots=slots)
    plan = at_address(ports.router.plans[MODEL], slots.address(version_of(1)))
    require_deployed(ports, plan)
    assert with_proved_addresses(ports, plan) == plan


def test_what_is_made_of_the_servers_state_names_no_address_that_nobody_made() -> None:
    ports = world_of(1, 2)
    served = ports.router.plans[MODEL]
    ports.router.plans[MODEL] = at_address(served, FOREIGN)
    state = current_route(ports, ports.ledger.rows(MODEL))
    assert state is not None
    assert state.plan == served
    row = last_routing_row(ports.ledger.rows(MODEL))
    plan = at_address(served, FOREIGN)
    forged = row.model_copy(update={"body": {**row.body, "plan": plan.row_body()}})
    back = abandon(ports, forged, plan.slots[-1], None, actor="a", reason="r")
    assert {slot["url"] for slot in back.body["plan"]["slots"]} == {None}
