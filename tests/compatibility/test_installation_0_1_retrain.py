"""A retrain on what 0.1 left: its snapshot and step records are found, its champion is the opponent."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import pytest

import windsock
from support.mlflow_process import mlflow_server
from support.pipeline import retrain
from support.released import V0_1
from support.shifted import House
from windsock import records as r
from windsock.steps import StepResult

pytestmark = pytest.mark.slow

FACTS = V0_1.facts
DELIVERY = FACTS["models"]["delivery"]
KEYED = ("validate_data", "train_model[0]", "evaluate_model", "gate_model", "register_model")
JUDGED = ("validate_data", "evaluate_model", "gate_model")
SAME_VERSIONS = (FACTS["release"], FACTS["scikit_learn"]) == (windsock.__version__, version("scikit-learn"))
"""The keys of steps hold both versions: with another one the steps are done anew."""
RUN = r.RunContext(dag_id="delivery__daily_retrain", run_id="later", requested_by="dan")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("retrain")
    V0_1.unpack(folder)
    with mlflow_server(folder) as address, V0_1.standing_at(folder, tracking_uri=address) as house:
        yield house


@pytest.fixture(scope="module")
def repeated(house: House) -> dict[str, StepResult]:
    """The chain once more on unchanged data; it stops where an approval is missing."""
    return retrain(house.ports(), house.spec("delivery"), run=RUN, people=())


@pytest.fixture(scope="module")
def forced(house: House, repeated: dict[str, StepResult]) -> dict[str, StepResult]:
    return retrain(house.ports(), house.spec("delivery"), run=RUN, people=(), nonce="again")


def test_the_old_snapshot_is_found(repeated):
    done = repeated["take_snapshot"]
    assert (done.record.digest, done.unchanged) == (DELIVERY["snapshot"], True)


def test_steps_of_the_same_versions_are_not_done_again(repeated):
    same = {name: repeated[name].unchanged for name in KEYED}
    # Verdicts are made anew, for the rules are others by now; nothing is trained again.
    assert same == {**dict.fromkeys(KEYED, SAME_VERSIONS), **dict.fromkeys(JUDGED, False)}
    assert repeated["gate_model"].record.outcome is r.Outcome.PROMOTE
    registered = repeated["register_model"].record
    if SAME_VERSIONS:
        assert [registered.version, registered.digest] == ["4", DELIVERY["bundles"]["4"][1]]
    assert repeated["approve_model"].record.status is r.Status.INSUFFICIENT
    assert "deploy_model" not in repeated


def test_a_forced_retrain_is_held_against_the_old_champion(forced):
    evaluation = forced["evaluate_model"].record
    assert not forced["evaluate_model"].unchanged
    assert evaluation.champion == r.Champion.model_validate(DELIVERY["champion"])
    assert abs(evaluation.against_champion.value) < 0.1
    assert evaluation.against_champion.opponent_value > 0.9
    decision = forced["gate_model"].record
    compared = next(check for check in decision.checks if check.name == "champion_comparison")
    assert (decision.first_model, compared.status) == (False, r.Status.PASS)


def test_its_version_and_its_rows_follow_the_old_ones(house, forced):
    registered = forced["register_model"].record
    assert int(registered.version) == (5 if SAME_VERSIONS else 6)
    rows = house.ports().ledger.rows("delivery")
    assert (rows[-1].action, rows[-1].version) == (r.LedgerAction.REGISTER, registered.version)
    assert rows[len(DELIVERY["ledger"])].previous == DELIVERY["head"]
    assert house.ports().ledger.verify("delivery").broken_at is None


def test_mlflow_has_the_new_run_beside_the_old_ones(house, forced):
    from mlflow import MlflowClient

    uri = house.settings.tracking_uri
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("delivery")
    runs = {run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    old = {run_id for run_id, _ in FACTS["mlflow"]["delivery"]["runs"]}
    assert old < runs
    assert forced["train_model[0]"].record.run_id in runs - old


def test_the_artifacts_of_an_old_run_are_there(house):
    from mlflow import MlflowClient

    uri = house.settings.tracking_uri
    client = MlflowClient(uri, uri)
    number, run_id = FACTS["mlflow"]["delivery"]["versions"][0]
    assert client.get_model_version("delivery", number).run_id == run_id
    assert {file.path for file in client.list_artifacts(run_id)} >= {"evidence.json", "gate.csv", "training"}
