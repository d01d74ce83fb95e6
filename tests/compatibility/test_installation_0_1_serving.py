"""What 0.1 deployed goes on serving: by its own routing table, the same answers to the last digit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.released import V0_1
from support.shifted import House
from windsock import records as r
from windsock.exceptions import ApprovalRefusedError
from windsock.steps import run_step

pytestmark = pytest.mark.slow

FACTS = V0_1.facts
MODELS = FACTS["models"]


@pytest.fixture(scope="module")
def unasked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The installation whose server runs; nothing is changed in it."""
    with V0_1.opened(tmp_path_factory.mktemp("served")) as house, house.serving():
        yield house


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Another copy, in which orders are answered by other versions, one test after the other."""
    with V0_1.opened(tmp_path_factory.mktemp("changed")) as house, house.serving():
        yield house


def answers(house: House, model: str) -> list[dict[str, object]]:
    """Ask what was asked when the fixture was made."""
    noted = FACTS["noted"][model]
    found = house.ask(model, noted["rows"], noted["units"], name="again")
    return [{name: answer[name] for name in noted["answers"][0]} for answer in found]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_server_answers_as_it_did(unasked, model):
    noted = FACTS["noted"][model]["answers"]
    assert answers(unasked, model) == noted
    assert {"churn": {"2", "3"}, "delivery": {"2"}}[model] == {answer["version"] for answer in noted}


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_route_is_the_one_that_was_left(unasked, model):
    state = unasked.ports().router.state(model)
    assert state is not None
    shares = {slot.version: slot.share for slot in state.plan.slots if slot.share}
    assert shares == {"churn": {"2": 5_000, "3": 5_000}, "delivery": {"2": 10_000}}[model]
    assert state.plan.epoch == MODELS[model]["epoch"]


@pytest.mark.parametrize(("model", "engine"), [("churn", "linear"), ("delivery", "trees")])
def test_the_compiled_forms_answer(unasked, model, engine):
    with unasked.client() as client:
        assert client.get(f"/models/{model}").json()["engine"] == engine


def test_a_client_without_the_key_is_still_refused(unasked):
    with unasked.client() as client:
        client.headers["Authorization"] = "Bearer wsk_another"
        assert client.post("/models/churn/predict", json={"features": {}}).status_code == 401


def test_a_roll_back_finds_the_earlier_version(changed):
    asked = {"model": "delivery", "reason": "a test", "run": {"requested_by": "otto"}}
    done = run_step("roll_back", asked, changed.ports()).record
    assert (done.version, done.rolled_back_version) == ("1", "2")
    assert done.epoch == MODELS["delivery"]["epoch"] + 1
    assert done.digest == MODELS["delivery"]["bundles"]["1"][1]
    noted, now = FACTS["noted"]["delivery"]["answers"], answers(changed, "delivery")
    assert {answer["version"] for answer in now} == {"1"}
    assert [one["prediction"] for one in now] != [one["prediction"] for one in noted]
    assert changed.ports().registry.alias("delivery", "champion") == "1"


def test_a_version_that_served_before_serves_again_and_says_the_same(changed):
    ports, spec = changed.ports(), changed.spec("delivery")
    by_force = {"spec": spec, "version": version_of(changed, "2"), "force": True}
    run_step("deploy_model", by_force, ports)
    promoted = run_step("promote_model", by_force, ports).record
    assert (promoted.version, promoted.previous_version) == ("2", "1")
    assert answers(changed, "delivery") == FACTS["noted"]["delivery"]["answers"]


def test_the_open_approval_is_answered_by_another_person(changed):
    ports, spec, version = changed.ports(), changed.spec("delivery"), version_of(changed, "4")
    asked = {"spec": spec, "version": version}
    open_yet = run_step("approve_model", asked, ports).record
    assert (open_yet.status, open_yet.needed, open_yet.approvers) == (r.Status.INSUFFICIENT, 1, ())
    answer = {"answer": "approve", "answered_at": ports.now()}
    with pytest.raises(ApprovalRefusedError) as refused:  # who asked for it then cannot approve it now
        run_step("approve_model", {**asked, **answer, "approver": "dan", "approver_id": "dan"}, ports)
    assert refused.value.code == "WS-APPROVAL-004"
    said = run_step("approve_model", {**asked, **answer, "approver": "eve", "approver_id": "eve"}, ports)
    assert (said.record.status, said.record.approvers) == (r.Status.PASS, ("eve",))


def test_the_approved_version_is_deployed_and_promoted(changed):
    ports, spec, version = changed.ports(), changed.spec("delivery"), version_of(changed, "4")
    run_step("deploy_model", {"spec": spec, "version": version}, ports)
    promoted = run_step("promote_model", {"spec": spec, "version": version}, ports).record
    assert (promoted.version, promoted.previous_version) == ("4", "2")
    assert {answer["version"] for answer in answers(changed, "delivery")} == {"4"}
    assert ports.ledger.champion("delivery").version == "4"


def test_what_was_rejected_stays_rejected(changed):
    asked = {"spec": changed.spec("delivery"), "version": version_of(changed, "3")}
    said = run_step("approve_model", asked, changed.ports()).record
    assert (said.status, said.reason) == (r.Status.FAIL, "rejected by rita")


def test_the_chain_is_whole_after_all_of_it(changed):
    rows = changed.ports().ledger.rows("delivery")
    before = MODELS["delivery"]["ledger"]
    assert [[row.action.value, row.version, row.epoch, row.actor] for row in rows[: len(before)]] == before
    assert rows[len(before)].previous == MODELS["delivery"]["head"]
    assert len(rows) > len(before)
    assert changed.ports().ledger.verify("delivery").broken_at is None


def version_of(house: House, number: str) -> r.RegisteredVersion:
    """Return a version as its registration in the ledger has it."""
    rows = house.ports().ledger.rows("delivery")
    found = [row for row in rows if row.action is r.LedgerAction.REGISTER and row.version == number]
    return r.RegisteredVersion.of_row(found[0])
