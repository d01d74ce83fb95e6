"""MLflow forgets, or serves two masters: a number never comes twice, and nobody moves another's alias."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from support.builders import digest, make_evaluation, make_spec, make_trained, make_validation, yes
from support.fakes import fake_ports
from support.ledgers import sql_ledger
from support.mlflow_contract import made_installation, with_model
from windsock.adapters.mlflow_owner import OWNER_TAG
from windsock.adapters.mlflow_registry import MlflowRegistry
from windsock.adapters.mlflow_tracking import MlflowTracker
from windsock.deployment.keep_house import keep_house
from windsock.deployment.roll_back import roll_back
from windsock.exceptions import ForeignModelError, StaleEpochError, VerdictError
from windsock.governance.decisions import keep_decision
from windsock.governance.register_model import register_model
from windsock.ports import Ports
from windsock.records import (
    GateModelInput,
    HousekeepingInput,
    HousekeepingReport,
    LedgerAction,
    LedgerEntry,
    RegisteredVersion,
    RegisterModelInput,
    RollBackInput,
    numbers_used,
)
from windsock.steps.housekeeping_verdicts import describe_housekeeping

if TYPE_CHECKING:
    from support.mlflow_server import Server

pytestmark = pytest.mark.slow
pytest_plugins = ["support.mlflow_server"]


@pytest.fixture
def address(server: Server) -> str:
    return server.url


@pytest.fixture
def client(address: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(address, address)


class House:
    """An installation with its own keys and control database, at the common MLflow."""

    def __init__(self, folder: Path, address: str, model: str) -> None:
        folder.mkdir()
        self.model = model
        self.installation = made_installation(folder / "keys")
        self.ports: Ports = replace(
            fake_ports(),
            registry=MlflowRegistry(address, folder, self.installation),
            tracker=MlflowTracker(address, folder),
            ledger=sql_ledger(f"sqlite:///{folder}/control.db"),
        )

    def register(self, letter: str) -> RegisteredVersion:
        """Train and register a bundle; the letter tells bundles apart."""
        run_id = self.ports.tracker.record_run(with_model(self.model, key=digest(letter)))
        chosen = make_trained(model=self.model, bundle_digest=digest(letter), run_id=run_id)
        spec = make_spec(model={"name": self.model, "owner": "ds@company.com"})
        decision = yes(spec, model=self.model, bundle_digest=digest(letter), run_id=run_id)
        evaluation = make_evaluation(model=self.model, chosen=chosen)
        gate = GateModelInput(spec=spec, validation=make_validation(), evaluation=evaluation)
        decision = keep_decision(gate, decision, self.ports, f"gate-{letter}")
        step = RegisterModelInput(spec=spec, decision=decision, evaluation=evaluation)
        return register_model(step, self.ports, f"key-{letter}")

    def promote(self, version: RegisteredVersion) -> None:
        rows = self.ports.ledger.rows(self.model)
        entry = LedgerEntry(
            model=self.model,
            action=LedgerAction.COMMIT,
            epoch=len(rows),
            version=version.version,
            digest=version.digest,
            actor="scheduler",
            body={"bundle_uri": version.bundle_uri},
        )
        self.ports.ledger.append(entry, after_seq=rows[-1].seq)

    def keep(self) -> HousekeepingReport:
        return keep_house(HousekeepingInput(models=(self.model,)), self.ports, "")


@pytest.fixture
def model() -> str:
    return f"churn_{uuid4().hex[:12]}"


@pytest.fixture
def house(tmp_path: Path, address: str, model: str) -> House:
    return House(tmp_path / "one", address, model)


@pytest.fixture
def other(tmp_path: Path, address: str, model: str) -> House:
    return House(tmp_path / "two", address, model)


def test_a_model_deleted_in_mlflow_and_trained_again_gets_a_number_of_its_own(
    house: House, client: Any
) -> None:
    for letter in "ab":
        house.promote(house.register(letter))
    client.delete_registered_model(house.model)
    again = house.register("c")
    house.promote(again)
    assert again.version == "3"
    assert house.register("c").version == "3"
    used = numbers_used(house.ports.ledger.rows(house.model))
    assert used == {"1": {digest("a")}, "2": {digest("b")}, "3": {digest("c")}}
    assert house.keep().aliases_repaired == (house.model,)
    assert str(client.get_model_version_by_alias(house.model, "champion").version) == "3"


def test_a_version_deleted_in_mlflow_and_registered_again_is_another_number(
    house: House, client: Any
) -> None:
    house.register("a")
    client.delete_model_version(house.model, "1")
    assert int(house.register("b").version) > 1  # a number may be left out


def test_a_model_deleted_while_a_version_is_registered_names_no_number_twice(
    house: House, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = House(
        Path(str(house.installation.keys_dir.parent) + "-twin"),
        house.ports.registry.service.tracking_uri,
        house.model,
    )  # type: ignore[attr-defined]
    twin.ports = replace(house.ports, tracker=twin.ports.tracker)
    honest = type(house.ports.tracker).add_to_run

    def overtaken(self: Any, *args: Any, **kwargs: Any) -> None:
        honest(self, *args, **kwargs)
        numbered = "windsock.model_version" in kwargs["tags"]
        if (
            self is house.ports.tracker
            and numbered
            and not numbers_used(house.ports.ledger.rows(house.model))
        ):
            client.delete_registered_model(house.model)
            twin.register("b")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.ports.tracker), "add_to_run", overtaken)
        with pytest.raises(StaleEpochError, match="version 1"):
            house.register("a")
    assert house.register("a").version == "2"
    used = numbers_used(house.ports.ledger.rows(house.model))
    assert used == {"1": {digest("b")}, "2": {digest("a")}}


def test_a_version_whose_key_was_edited_in_mlflow_is_not_taken_for_another(house: House, client: Any) -> None:
    house.register("a")
    client.set_model_version_tag(house.model, "1", "windsock.key", "key-b")
    assert house.register("b").version == "2"
    assert {str(one.version) for one in client.search_model_versions(f"name = '{house.model}'")} == {"1", "2"}


def test_a_second_installation_is_refused_and_told_and_moves_nothing(
    house: House, other: House, client: Any
) -> None:
    for letter in "ab":
        house.promote(house.register(letter))
    house.keep()
    with pytest.raises(ForeignModelError, match=house.installation.identity[:12]) as caught:
        other.register("c")
    assert caught.value.code == "WS-TRACKING-008"
    assert not numbers_used(other.ports.ledger.rows(other.model)), "it decided, and registered nothing"
    rows = house.ports.ledger.rows(house.model)
    row = next(row for row in rows if row.action is LedgerAction.COMMIT)
    entry = {name: getattr(row, name) for name in LedgerEntry.model_fields}
    decided = other.ports.ledger.rows(other.model)[-1]
    other.ports.ledger.append(LedgerEntry(**{**entry, "epoch": 1}), after_seq=decided.seq)
    for _ in range(2):
        report = other.keep()
        assert report.aliases_repaired == ()
        (fault,) = report.faults
        assert "WS-TRACKING-008" in fault
        assert house.installation.identity[:12] in fault
        assert describe_housekeeping(report).word == "FAIL"
        assert str(client.get_model_version_by_alias(house.model, "champion").version) == "2"
        assert house.keep().faults == ()
        assert house.keep().aliases_repaired == ()


def test_the_alias_of_another_is_not_passed_as_right_because_the_number_is_the_same(
    house: House, other: House
) -> None:
    house.promote(house.register("a"))
    house.keep()
    row = house.ports.ledger.rows(house.model)[-1]
    entry = {name: getattr(row, name) for name in LedgerEntry.model_fields}
    other.ports.ledger.append(LedgerEntry(**{**entry, "digest": digest("f")}), after_seq=0)
    assert len(other.keep().faults) == 1


def test_two_that_fought_before_the_first_to_come_owns_it(house: House, other: House, client: Any) -> None:
    house.promote(house.register("a"))
    client.delete_registered_model_tag(house.model, OWNER_TAG)
    row = house.ports.ledger.rows(house.model)[-1]
    entry = {name: getattr(row, name) for name in LedgerEntry.model_fields}
    other.ports.ledger.append(LedgerEntry(**{**entry, "digest": digest("f")}), after_seq=0)
    assert "names no installation" in other.keep().faults[0]
    assert house.keep().faults == ()
    assert client.get_registered_model(house.model).tags[OWNER_TAG] == house.installation.identity
    assert house.installation.identity[:12] in other.keep().faults[0]


def test_a_number_of_two_bundles_from_before_is_named_by_no_roll_back(house: House) -> None:
    version = house.register("a")
    house.promote(version)
    house.promote(version.model_copy(update={"digest": digest("b")}))
    house.promote(version.model_copy(update={"digest": digest("c"), "version": "2"}))
    step = RollBackInput(model=house.model, to_version="1", reason="it answers nonsense")
    with pytest.raises(VerdictError, match="2 bundles") as caught:
        roll_back(step, house.ports, "")
    assert caught.value.code == "WS-ROLLBACK-004"
