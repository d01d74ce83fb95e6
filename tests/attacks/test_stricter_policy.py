"""A version is promoted by today's policy where that asks for more than the one that was judged by."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.builders import PACKS, make_difference, make_evaluation, make_pack, make_spec
from support.ledgers import sql_ledger
from support.rollout_steps import CANARY, DIRECT, decided, prove, running, start, waiting_world
from support.world import MODEL, back, deploy, promote, shares, version_of, world_of
from windsock.door import require_policy, unproved
from windsock.exceptions import ApprovalRefusedError, GateRefusedError
from windsock.ports import LoadedBundle
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.spec import ModelSpec
from windsock.spec.margins import NotWorse

pytest_plugins = ["support.databases"]

THEN: dict[str, Any] = {
    "minimum": {"roc_auc": 0.75},
    "against_champion": {"not_worse": 0.05},
    "latency_ms": 5.0,
}
"""The policy of then; the evidence proves roc_auc [0.80, 0.88], and 0.01 to 0.05 above the champion."""


def policy(**gate: Any) -> ModelSpec:
    return make_spec(gate={**THEN, **gate})


def pack_of(spec: ModelSpec, *, asks: tuple[str, ...] = (), **decision: Any) -> dict[str, Any]:
    evaluation = make_evaluation(
        against_champion=make_difference(0.01, 0.05, opponent="champion"),
    )
    names = ("data_validation", "performance_minimum:roc_auc", "champion_comparison", "latency", "model_card")
    body = {"tier": "low", "policy_digest": "4" * 64, "snapshot_digest": "1" * 64}
    pack = json.loads(make_pack(version_of(2), body))
    pack["spec"] = spec.model_dump(mode="json")
    pack["evaluation"] = evaluation.model_dump(mode="json", exclude={"chosen", "ranking", "card"})
    pack["decision"] |= {
        "first_model": False,
        "required": list(names),
        "checks": [{"name": name, "status": "pass"} for name in names],
        "asks": list(asks),
        **decision,
    }
    return pack


STRICTER: dict[str, tuple[dict[str, Any], str]] = {
    "minimum above the interval": ({"minimum": {"roc_auc": 0.9}}, "minimum of roc_auc 0.9"),
    "minimum within the interval": ({"minimum": {"roc_auc": 0.81}}, "minimum of roc_auc 0.81"),
    "minimum of another metric": ({"minimum": {"roc_auc": 0.75, "f1": 0.2}}, "minimum of f1 0.2"),
    "smaller is better": ({"minimum": {"roc_auc": 0.75, "log_loss": 0.4}}, "minimum of log_loss 0.4"),
    "a check of somebody's own": ({"checks": ("fairness",)}, "fairness"),
    "the champion by more": ({"against_champion": "better"}, ""),
    "latency": ({"latency_ms": 0.05}, "latency 0.05 ms"),
    "the baseline": ({"minimum": {}}, ""),
}


def with_gate(spec: ModelSpec, **gate: Any) -> ModelSpec:
    """Return a spec with the policy of then, but for what is named; checks are not looked up."""
    return spec.model_copy(update={"gate": policy().gate.model_copy(update=gate)})


def spec_of(name: str, spec: ModelSpec = DIRECT) -> ModelSpec:
    return with_gate(spec, **STRICTER[name][0])


class TestWhatIsProved:
    @pytest.mark.parametrize("name", STRICTER)
    def test_stricter_demands_are_named_unless_the_evidence_proves_them(self, name: str) -> None:
        said = "; ".join(unproved(spec_of(name), pack_of(policy())))
        wanted = STRICTER[name][1]
        assert said == "" if wanted == "" else wanted in said

    @pytest.mark.parametrize(
        "gate",
        [
            {},
            {"minimum": {"roc_auc": 0.7}},
            {"against_champion": NotWorse(not_worse=0.1)},
            {"latency_ms": 9.0},
            {"on_insufficient": "ask"},
            {"checks": ("answered_classes",)},
            {"checks": ("latency", "model_card")},
        ],
        ids=str,
    )
    def test_an_unchanged_or_looser_policy_asks_nothing(self, gate: dict[str, Any]) -> None:
        """Also where the evidence would not prove today what a person said yes to then."""
        bare = pack_of(policy(), asks=("performance_minimum:roc_auc",))
        bare.pop("evaluation")
        assert unproved(with_gate(make_spec(), **gate), bare) == []

    @pytest.mark.parametrize(
        ("low", "high", "proved"), [(0.01, 0.05, True), (0.0, 0.05, False), (-0.02, 0.05, False)]
    )
    def test_better_than_the_champion_is_read_from_the_interval(
        self, low: float, high: float, proved: bool
    ) -> None:
        pack = pack_of(policy())
        difference = make_difference(low, high, opponent="champion").model_dump(mode="json")
        pack["evaluation"]["against_champion"] = difference
        assert (unproved(policy(against_champion="better"), pack) == []) is proved

    def test_a_first_model_met_no_champion(self) -> None:
        pack = pack_of(policy(), first_model=True)
        pack["evaluation"]["against_champion"] = None
        assert unproved(policy(against_champion="better"), pack) == []

    @pytest.mark.parametrize("asked", ["performance_minimum:roc_auc", "champion_comparison", "fairness"])
    def test_people_are_asked_no_more(self, asked: str) -> None:
        pack = pack_of(policy(on_insufficient="ask"), asks=(asked,))
        assert asked in "; ".join(unproved(policy(), pack))
        assert unproved(policy(), pack_of(policy(on_insufficient="ask"), asks=("request_contract",))) == []

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "x",
            [],
            {"low": "x"},
            {"low": 0.9, "high": 0.8, "level": 0.95},
            {"low": 0.95, "high": 0.99, "level": 0.5},
        ],
        ids=str,
    )
    def test_what_is_no_interval_proves_nothing(self, value: Any) -> None:
        pack = pack_of(policy())
        pack["evaluation"]["metrics"][0]["interval"] = value
        assert unproved(policy(minimum={"roc_auc": 0.9}), pack)

    @pytest.mark.parametrize("spec", [None, {}, {"gate": {"unknown": 1}}], ids=str)
    def test_where_the_policy_of_then_cannot_be_read_all_is_to_be_proved(self, spec: Any) -> None:
        pack = {**pack_of(policy()), "spec": spec}
        assert unproved(policy(), pack) == []
        pack.pop("evaluation")
        assert len(unproved(policy(), pack)) == 3


def judged(ports: Any, number: int = 2) -> None:
    """Give a version the evidence that it was judged by."""
    version = version_of(number)
    pack = pack_of(policy())
    pack["inputs"]["bundle"] = pack["decision"]["bundle_digest"] = version.digest
    row = version.registration(ports.ledger.rows(MODEL))
    assert row is not None
    PACKS[(version.evidence_uri, version.evidence_digest)] = json.dumps(pack).encode()


@pytest.fixture
def world(database_url: str) -> Iterator[Any]:
    """Version 1 serves; version 2 was judged by the policy of then, and is deployed."""
    kept = copy.copy(PACKS)
    ports = world_of(1, ledger=sql_ledger(database_url))
    deploy(ports, 2)
    judged(ports)
    yield ports
    PACKS.clear()
    PACKS.update(kept)


nothing: Any = None
LEARNED = LoadedBundle(
    manifest=nothing,
    digest="",
    pipeline=None,
    golden=nothing,
    schema=InputSchema(
        model=MODEL,
        fields=(InputField(name="plan", kind=ColumnKind.CATEGORY),),
        answer=Answer.CLASS,
        classes=("no", "yes"),
        positive="yes",
    ),
)
WITHDRAWN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the answer to a leak": ({"known_leaks_checked": ["age"]}, {}, "age was taken out"),
    "an answer, for the column is excluded": (
        {"known_leaks_checked": ["age"]},
        {"exclude": ("age",)},
        "age was taken out",
    ),
    "the answer to copied rows": (
        {"copied_rows_checked": True},
        {},
        "data.copied_rows_checked was taken out",
    ),
    "a feature": ({}, {"exclude": ("plan",)}, "the version learned from it"),
    "a column that was none": ({}, {"exclude": ("elsewhere",)}, ""),
    "excluded then too": ({"exclude": ["plan"]}, {"exclude": ("plan",)}, ""),
    "one more answer": ({}, {"known_leaks_checked": ("age",)}, ""),
}


REFUSED = [name for name, (_, said) in STRICTER.items() if said]


class TestPromotion:
    @pytest.mark.parametrize("name", WITHDRAWN)
    def test_what_a_model_may_learn_from_no_more_is_named(self, world: Any, name: str) -> None:
        then, now, said = WITHDRAWN[name]
        row = version_of(2).registration(world.ledger.rows(MODEL))
        assert row is not None
        world.bundles.by_digest[row.digest] = LEARNED
        pack = pack_of(policy())
        pack["spec"]["data"] |= then
        spec = policy()
        spec = spec.model_copy(update={"data": spec.data.model_copy(update=now)})
        if not said:
            return require_policy(spec, pack, row, world)
        with pytest.raises(GateRefusedError, match=said) as refusal:
            require_policy(spec, pack, row, world)
        assert refusal.value.code == "WS-GATE-030"
        return None

    def test_it_is_refused_by_name_and_goes_on_by_the_policy_of_then(self, world: Any) -> None:
        for name in REFUSED:
            with pytest.raises(GateRefusedError, match="the policy is stricter") as refusal:
                promote(world, 2, spec=spec_of(name))
            assert (refusal.value.code, STRICTER[name][1] in refusal.value.message) == ("WS-GATE-030", True)
            assert "churn__daily_retrain" in refusal.value.next_action
            assert shares(world) == {"1": 10_000, "2": 0}
        assert promote(world, 2, spec=policy()).version == "2"

    def test_a_roll_back_and_what_serves_ask_nothing(self, world: Any) -> None:
        promote(world, 2, spec=policy())
        assert promote(world, 2, spec=spec_of("minimum above the interval")).unchanged
        assert back(world).version == "1"

    @pytest.mark.parametrize("tier", ["medium", "high"])
    def test_a_higher_tier_asks_for_its_approvals(self, world: Any, tier: str) -> None:
        with pytest.raises(ApprovalRefusedError):
            promote(world, 2, spec=make_spec(model={"tier": tier}, gate=THEN))


class TestRollouts:
    @pytest.fixture
    def waiting(self) -> Iterator[Any]:
        kept = copy.copy(PACKS)
        ports = waiting_world(1)
        judged(ports)
        yield ports
        PACKS.clear()
        PACKS.update(kept)

    @pytest.mark.parametrize("name", REFUSED)
    def test_none_starts(self, waiting: Any, name: str) -> None:
        state = start(waiting, spec=spec_of(name, CANARY))
        assert state.reason.startswith("WS-GATE-030: version 2 waits and cannot start")
        assert (state.rollout, STRICTER[name][1] in state.reason) == (None, True)
        assert start(waiting, spec=with_gate(CANARY)).started

    @pytest.mark.parametrize("tier", ["medium", "high"])
    def test_none_starts_without_the_approvals_of_a_higher_tier(self, waiting: Any, tier: str) -> None:
        state = start(waiting, spec=with_gate(CANARY.replace(model=CANARY.model.replace(tier=tier))))
        assert state.reason.startswith("WS-GATE-031: version 2 waits and cannot start")
        assert f"tier {tier} needs" in state.reason

    @pytest.mark.parametrize("name", REFUSED)
    def test_none_is_promoted_at_its_end(self, waiting: Any, name: str) -> None:
        start(waiting, spec=with_gate(CANARY))
        rollout = running(waiting)
        decided(waiting, "promote")
        with pytest.raises(GateRefusedError) as refusal:
            prove(waiting, 2, rollout.experiment, spec=spec_of(name, CANARY))
        assert refusal.value.code == "WS-GATE-030"
        assert waiting.ledger.champion(MODEL).version == "1"
        proved = prove(waiting, 2, rollout.experiment, spec=with_gate(CANARY))
        assert (proved.version, proved.unchanged) == ("2", False)
