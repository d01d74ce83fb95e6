"""``judge_rollout``: kept once, told where people look, evidence for what ends a rollout."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from support.builders import digest, make_registration, make_spec, make_version
from support.fake_rollout import FakeRolloutEvents, FakeRolloutReporter, FakeRollouts
from support.fakes import FakeBundles, FakeClock, FakeTracker, fake_ports
from support.rollout_cases import NAME, after, make_conversions, make_plan, make_rollout, make_totals
from windsock.exceptions import (
    DatabaseUnavailableError,
    RolloutRefusedError,
    SettingsError,
    StorageError,
    TrackingUnavailableError,
    VerdictError,
)
from windsock.ports import Ports
from windsock.records import (
    JudgeRolloutInput,
    LedgerAction,
    LedgerEntry,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutEnd,
    RolloutPlan,
    RoutePlan,
    SlotPlan,
    StepTotals,
    running_rollout,
)
from windsock.rollout.decision import decide
from windsock.rollout.judge_rollout import judge_rollout

BETTER = make_conversions(2_000, 2_400)
EQUAL = make_conversions(2_000, 2_000)
WORSE = make_conversions(2_000, 1_600)
SMALL_STEP = make_conversions(950, 50, units=9_500, challenger_units=500)
LATE = after(days=8)


def begin(ports: Any, plan: RolloutPlan, *, run_id: str | None = "run2") -> None:
    """Write the rows of a rollout that has begun."""
    version = make_version(version="2", digest=digest("b"))
    told = {"run_id": run_id} if run_id else {}
    append(ports, make_registration(version, **told))
    slots = (
        SlotPlan(version="1", digest=digest("a"), bundle_uri="memory://1", share=10_000 - plan.shares[0]),
        SlotPlan(version="2", digest=digest("b"), bundle_uri="memory://2", share=plan.shares[0]),
    )
    route = RoutePlan(
        model="churn", epoch=5, slots=slots, salt="churn", champion=digest("a"), experiment=NAME
    )
    body = {
        "bundle_uri": "memory://2",
        "evidence_digest": digest("e"),
        "champion_version": "1",
        "champion_digest": digest("a"),
        "experiment": NAME,
        "step": 0,
        "begins": plan.model_dump(mode="json"),
        "plan": route.row_body(),
    }
    append(ports, entry(LedgerAction.SHIFT, 5, body))


def entry(action: LedgerAction, epoch: int, body: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        model="churn", action=action, epoch=epoch, version="2", digest=digest("b"), actor="alice", body=body
    )


def append(ports: Any, row: LedgerEntry) -> None:
    ports.ledger.append(row, after_seq=len(ports.ledger.rows("churn")))


def world(
    totals: StepTotals | None = None,
    plan: RolloutPlan | None = None,
    *,
    run_id: str | None = "run2",
    **ports: Any,
) -> Any:
    """Return ports with a rollout that began at noon, eight days ago."""
    made: Any = fake_ports(**ports)
    made.ledger.now = FakeClock(after(seconds=-2))
    begin(made, plan or make_plan(), run_id=run_id)
    made.now.time = LATE
    if totals is not None:
        made.events.seen[(NAME, totals.step)] = totals
    return made


def judge(ports: Ports, **fields: Any) -> RolloutDecision:
    return judge_rollout(JudgeRolloutInput(spec=make_spec(), **fields), ports, "")


def kept(ports: Any) -> tuple[RolloutDecision, ...]:
    return tuple(ports.rollouts.decisions("churn", NAME))


def test_looks_are_numbered_and_kept():
    ports = world(EQUAL)
    first, second = judge(ports), judge(ports)
    assert [first.number, second.number] == [1, 2]
    assert [one.number for one in kept(ports)] == [1, 2]
    assert first.action is RolloutAction.HOLD
    assert not first.unchanged


@pytest.mark.parametrize(("totals", "says"), [(WORSE, "roll_back"), (BETTER, None), (EQUAL, None)])
def test_where_looks_are_missing_only_traffic_is_taken_away(totals, says):
    ports = world(totals)
    ports.rollouts.lost = (2,)
    if says is None:
        with pytest.raises(RolloutRefusedError, match="WS-ROLLOUT-082"):
            judge(ports)
    else:
        assert judge(ports).action.value == says


def test_nothing_seen_is_a_hold():
    assert judge(world()).action is RolloutAction.HOLD


def test_no_rollout_is_said_with_what_to_do():
    ports = fake_ports()
    with pytest.raises(VerdictError) as caught:
        judge(ports)
    assert caught.value.code == "WS-ROLLOUT-030"
    assert "churn__ab_rollout" in caught.value.next_action


def test_a_dry_run_keeps_and_tells_nothing():
    ports = world(BETTER)
    decision = judge(ports, dry_run=True)
    assert (decision.action, decision.dry_run) == (RolloutAction.PROMOTE, True)
    assert kept(ports) == ()
    assert ports.tracker.added == {}
    assert ports.bundles.documents == {}


def test_the_report_is_in_the_versions_run():
    ports = world(EQUAL)
    decision = judge(ports)
    run = ports.tracker.added["run2"]
    assert run["files"][f"rollout/{NAME}.html"] == f"<html>{NAME}: 1</html>".encode()
    told = RolloutDecision.model_validate_json(run["files"][f"rollout/{NAME}.json"])
    assert (told.number, told.action) == (1, RolloutAction.HOLD)
    assert run["metrics"]["rollout_units_challenger"] == 20_000
    assert run["metrics"]["rollout_unanswered_challenger"] == 0
    assert run["metrics"]["rollout_difference"] == 0
    assert run["tags"] == {"windsock.rollout": NAME, "windsock.rollout_decision": "hold"}
    assert decision.report_uri == ports.tracker.artifact_link("churn", "run2", f"rollout/{NAME}.html")
    assert ports.tracker.runs == {}


def test_a_version_whose_row_names_no_run_has_one_run_for_its_rollout():
    ports = world(EQUAL, run_id=None)
    judge(ports)
    judge(ports)
    (run_id,) = ports.tracker.runs
    assert ports.tracker.runs[run_id].run_name.startswith(f"churn rollout {NAME} 20")
    assert ports.tracker.added[run_id]["files"][f"rollout/{NAME}.html"] == f"<html>{NAME}: 2</html>".encode()


class AwayTracker(FakeTracker):
    def add_to_run(self, run_id: str, **added: Any) -> None:
        raise TrackingUnavailableError("MLflow does not answer")


class BrokenReporter(FakeRolloutReporter):
    def html(
        self, rollout: Rollout, decisions: Sequence[RolloutDecision], end: RolloutEnd | None = None
    ) -> bytes:
        raise KeyError("a fault")


@pytest.mark.parametrize(
    ("port", "told"),
    [({"tracker": AwayTracker()}, "WS-TRACKING-001"), ({"rollout_reporter": BrokenReporter()}, "KeyError")],
    ids=["tracker", "page"],
)
@pytest.mark.parametrize("totals", [EQUAL, BETTER, WORSE], ids=["hold", "promote", "roll back"])
def test_a_decision_stands_without_its_report(port, told, totals, caplog):
    ports = world(totals, **port)
    decision = judge(ports)
    assert kept(ports)[0].action is decision.action
    assert decision.report_uri is None
    (warning,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warning.startswith("WS-ROLLOUT-080: churn v2-e5: ")
    assert told in warning


@pytest.mark.parametrize(
    ("totals", "action"), [(BETTER, RolloutAction.PROMOTE), (WORSE, RolloutAction.ROLL_BACK)]
)
def test_what_ends_a_rollout_leaves_an_evidence_pack(totals, action):
    ports = world(totals)
    decision = judge(ports)
    assert decision.action is action
    content = ports.bundles.documents[decision.evidence_uri]
    assert decision.evidence_digest == hashlib.sha256(content).hexdigest()
    assert kept(ports)[0].evidence_digest == decision.evidence_digest
    pack = json.loads(content)
    assert pack["decision"]["action"] == action.value
    assert pack["decision"]["totals"] == totals.model_copy(
        update={"counted_until": decision.totals.counted_until}
    ).model_dump(mode="json")
    assert [one["number"] for one in pack["decisions"]] == [1]
    assert Rollout.model_validate(pack["rollout"]) == running_rollout(ports.ledger.rows("churn"))
    assert [row["action"] for row in pack["ledger"]] == ["register", "shift"]
    assert [row["hash"] for row in pack["ledger"]] == [row.hash for row in ports.ledger.rows("churn")]
    page = ports.tracker.added["run2"]["files"][f"rollout/{NAME}.html"]
    assert pack["report"] == hashlib.sha256(page).hexdigest()
    assert ports.tracker.added["run2"]["tags"]["windsock.rollout_evidence"] == decision.evidence_digest


def test_a_hold_leaves_none():
    ports = world(EQUAL)
    assert judge(ports).evidence_digest is None
    assert ports.bundles.documents == {}


class FullBundles(FakeBundles):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def put_document(self, uri: str, content: bytes) -> str:
        raise self.error


@pytest.mark.parametrize("error", [StorageError("the disk is full"), SettingsError("no key")])
def test_a_full_disk_holds_up_a_promotion_and_never_a_roll_back(error, caplog):
    ports = world(BETTER, bundles=FullBundles(error))
    with pytest.raises(type(error)):
        judge(ports)
    assert kept(ports) == ()
    ports = world(WORSE, bundles=FullBundles(error))
    decision = judge(ports)
    assert (decision.action, decision.evidence_digest) == (RolloutAction.ROLL_BACK, None)
    assert kept(ports)[0].action is RolloutAction.ROLL_BACK
    assert "WS-ROLLOUT-081" in caplog.text


def test_a_promotion_is_judged_again_at_each_look():
    ports = world(BETTER)
    assert [judge(ports).number, judge(ports).number] == [1, 2]
    ports.events.seen[(NAME, 0)] = WORSE
    last = judge(ports)
    assert (last.number, last.action) == (3, RolloutAction.ROLL_BACK)


def test_a_promotion_that_is_repeated_has_a_short_pack_that_names_the_one_before():
    ports = world(BETTER, make_plan(approve=True))
    first, second = judge(ports), judge(ports)
    assert [first.action, second.action] == [RolloutAction.PROMOTE] * 2
    assert first.evidence_digest is not None
    assert list(ports.bundles.documents) == [first.evidence_uri, second.evidence_uri]
    pack = json.loads(ports.bundles.documents[second.evidence_uri])
    assert pack["before"] == {"digest": first.evidence_digest, "uri": first.evidence_uri}
    assert RolloutDecision.model_validate(pack["decision"]).number == 2
    assert not {"decisions", "ledger"} & set(pack)
    content = ports.bundles.documents[second.evidence_uri]
    assert kept(ports)[1].evidence_digest == hashlib.sha256(content).hexdigest()


def test_after_another_look_a_promotion_has_a_pack_of_its_own():
    ports = world(BETTER, make_plan(approve=True))
    first = judge(ports)
    ports.events.seen[(NAME, 0)] = EQUAL
    assert judge(ports).evidence_digest is None
    ports.events.seen[(NAME, 0)] = BETTER
    third = judge(ports)
    assert (third.number, third.action) == (3, RolloutAction.PROMOTE)
    assert set(ports.bundles.documents) == {first.evidence_uri, third.evidence_uri}
    pack = json.loads(ports.bundles.documents[third.evidence_uri])
    assert [one["number"] for one in pack["decisions"]] == [1, 2, 3]
    assert "before" not in pack


def test_a_roll_back_after_a_promotion_has_its_own_pack():
    ports = world(BETTER)
    judge(ports)
    ports.events.seen[(NAME, 0)] = WORSE
    last = judge(ports)
    pack = json.loads(ports.bundles.documents[last.evidence_uri])
    assert pack["decision"]["action"] == "roll_back"


class CountedRollouts(FakeRollouts):
    """Counts what is read; nobody reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.planned_reads = 0

    def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        found = super().decisions(model, experiment)
        assert sys._getframe(1).f_code.co_filename.endswith("fake_rollout.py"), "all were read"
        return found

    def planned(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        self.planned_reads += 1
        return super().planned(model, experiment)

    def series(self, model: str, experiment: str, *, newest: int, every: int) -> tuple[RolloutDecision, ...]:
        found = super().series(model, experiment, newest=newest, every=every)
        self.read += len(found)
        return found


def test_a_look_after_thousands_reads_hundreds():
    rollouts = CountedRollouts()
    ports = world(EQUAL, rollouts=rollouts)
    first = judge(ports)
    looks = rollouts.kept[("churn", NAME)]
    for number in range(2, 5_001):
        looks[number] = first.model_copy(update={"number": number})
    looks[77] = looks[77].model_copy(update={"action": RolloutAction.ADVANCE})
    rollouts.read = 0
    decision = judge(ports)
    assert decision.number == 5_001
    assert 400 < rollouts.read <= 501
    assert rollouts.planned_reads == 0
    page = ports.tracker.added["run2"]["files"][f"rollout/{NAME}.html"]
    assert page == f"<html>{NAME}: {rollouts.read + 1}</html>".encode()
    ports.events.seen[(NAME, 0)] = WORSE
    pack = json.loads(ports.bundles.documents[judge(ports).evidence_uri])
    numbers = [one["number"] for one in pack["decisions"]]
    assert numbers == sorted(set(numbers))
    assert {1, 77, *range(4_903, 5_003)} <= set(numbers)
    assert len(numbers) <= 502


def test_planned_looks_are_never_left_out():
    ports = world(EQUAL, make_plan(horizon="20d", cycle="1d"))
    first = judge(ports)
    assert first.planned_look == 8
    looks = ports.rollouts.kept[("churn", NAME)]
    for number in range(2, 1_001):
        looks[number] = first.model_copy(update={"number": number, "planned_look": None})
    looks[500] = looks[500].model_copy(update={"planned_look": 9})
    ports.now.time = after(days=10)
    made = judge(ports)
    assert (made.number, made.planned_look) == (1_001, 10)
    alone = decide(
        make_rollout(make_plan(horizon="20d", cycle="1d")),
        ports.events.seen[(NAME, 0)],
        kept(ports)[:-1],
        number=1_001,
        now=after(days=10),
    )
    assert made.estimate.bound == alone.estimate.bound
    page = ports.tracker.added["run2"]["files"][f"rollout/{NAME}.html"]
    shown = int(page.split(b": ")[1].split(b"<")[0])
    assert shown == len({*range(1, 1_001, 3), *range(901, 1_001), 500}) + 1


@pytest.mark.parametrize(
    ("totals", "block", "action"),
    [
        (WORSE, {}, RolloutAction.ROLL_BACK),
        (EQUAL, {"horizon": "7d"}, RolloutAction.KEEP),
        (SMALL_STEP, {"strategy": "canary"}, RolloutAction.ADVANCE),
    ],
)
def test_what_was_decided_is_said_again_until_it_is_done(totals, block, action):
    ports = world(totals, make_plan(**block))
    first = judge(ports)
    assert (first.action, first.unchanged) == (action, False)
    ports.events.seen[(NAME, 0)] = make_totals()
    ports.tracker.added.clear()
    again = judge(ports)
    assert again == first.model_copy(update={"unchanged": True})
    assert len(kept(ports)) == 1
    assert f"rollout/{NAME}.html" in ports.tracker.added["run2"]["files"]
    shown = judge(ports, dry_run=True)
    assert (shown.dry_run, shown.unchanged, shown.action) == (True, True, action)


def test_a_pause_takes_an_advance_back():
    ports = world(SMALL_STEP, make_plan("canary"))
    assert judge(ports).action is RolloutAction.ADVANCE
    append(ports, entry(LedgerAction.PAUSE, 0, {"experiment": NAME, "reason": "look"}))
    paused = judge(ports)
    assert (paused.number, paused.action) == (2, RolloutAction.HOLD)
    append(ports, entry(LedgerAction.RESUME, 0, {"experiment": NAME, "reason": "fine"}))
    assert judge(ports).action is RolloutAction.ADVANCE


def test_an_advance_that_was_made_is_over():
    ports = world(SMALL_STEP, make_plan("canary"))
    judge(ports)
    begun = ports.ledger.rows("churn")[-1].body
    body = {key: value for key, value in begun.items() if key != "begins"}
    append(ports, entry(LedgerAction.SHIFT, 6, {**body, "step": 1}))
    decision = judge(ports)
    assert (decision.number, decision.step, decision.action) == (2, 1, RolloutAction.HOLD)


class OthersFirst(FakeRollouts):
    """Another judge keeps its decision a moment sooner."""

    other: RolloutDecision | None = None

    def add_decision(self, decision: RolloutDecision) -> RolloutDecision:
        if self.other is None:
            self.other = decide(make_rollout(), make_totals(), (), number=decision.number, now=after(days=7))
            super().add_decision(self.other)
        return super().add_decision(decision)


def test_of_two_judges_the_first_decision_stands():
    ports = world(BETTER, rollouts=OthersFirst())
    decision = judge(ports)
    assert (decision.action, decision.unchanged) == (RolloutAction.HOLD, True)
    assert [one.action for one in kept(ports)] == [RolloutAction.HOLD]
    told = ports.tracker.added["run2"]
    assert told["tags"]["windsock.rollout_decision"] == "hold"


class AwayEvents(FakeRolloutEvents):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def totals(self, rollout: Rollout, *, now: Any) -> StepTotals:
        raise self.error


class AwayRollouts(FakeRollouts):
    def last(self, model: str, experiment: str) -> RolloutDecision | None:
        raise DatabaseUnavailableError("the control database does not answer")


@pytest.mark.parametrize(
    ("port", "error"),
    [
        ({"events": AwayEvents(StorageError("the log is away"))}, StorageError),
        ({"rollouts": AwayRollouts()}, DatabaseUnavailableError),
    ],
)
def test_what_cannot_be_read_is_no_decision(port, error):
    ports = world(BETTER, **port)
    with pytest.raises(error):
        judge(ports)
    assert ports.bundles.documents == {}
    assert ports.tracker.added == {}
