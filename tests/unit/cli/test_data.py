from __future__ import annotations

import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import fake_ports
from windsock.adapters.contract_store import FileContractStore
from windsock.adapters.storage import Storage
from windsock.cli.app import run
from windsock.data.contract import contract_in_force
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import ContractOrigin, TakeSnapshotInput, ValidateDataInput


@pytest.fixture
def ports(tmp_path, monkeypatch):
    (tmp_path / "include" / "models").mkdir(parents=True)
    (tmp_path / "include" / "contracts").mkdir()
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(tmp_path / "include" / "models"))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    text = "model: {name: churn}\ndata: {source: a.csv, target: churned, entity: customer_id}\n"
    (tmp_path / "include" / "models" / "churn.yaml").write_text(text, encoding="utf-8")
    made = fake_ports(contracts=FileContractStore(tmp_path / "include" / "contracts", Storage(str(tmp_path))))
    monkeypatch.setattr("windsock.cli.data.open_ports", lambda settings: made)
    return made


def accept(ports) -> None:
    frame = pd.DataFrame(
        {"customer_id": [f"c{n}" for n in range(200)], "age": [str(n % 60) for n in range(200)]}
    )
    frame["churned"] = ["yes", "no"] * 100
    ports.sources.frame = frame.astype(object)
    spec = make_spec()
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    assert validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "").status == "pass"


def test_what_is_printed_is_a_file_that_holds(ports, tmp_path, capsys):
    accept(ports)
    before = contract_in_force(make_spec(), ports).contract
    assert run(["data", "contract", "churn"]) == 0
    printed = capsys.readouterr().out
    assert "age: {kind: integer, role: feature}  # decided by the data of the first" in printed
    (tmp_path / "include" / "contracts" / "churn.yaml").write_text(printed, encoding="utf-8")
    after = contract_in_force(make_spec(), ports).contract
    by_people = [column.replace(origin=ContractOrigin.PERSON) for column in before.columns]
    assert list(after.columns) == by_people
    assert run(["data", "contract", "churn"]) == 0
    assert "age: {kind: integer, role: feature}  # decided by a person" in capsys.readouterr().out


def test_a_model_without_one_and_a_file_of_nonsense(ports, tmp_path, capsys):
    assert run(["data", "contract", "churn"]) == 1
    assert "WS-DATA-072" in capsys.readouterr().err
    (tmp_path / "include" / "contracts" / "churn.yaml").write_text("model: churn\ncolumns: 3\n")
    assert run(["data", "contract", "churn"]) == 1
    error = capsys.readouterr().err
    assert "WS-DATA-070" in error
    assert "churn.yaml:2: columns" in error


def test_what_is_missing_stands_above_what_is_in_force(ports, tmp_path, capsys):
    accept(ports)
    for file in (tmp_path / "contracts" / "churn" / "statistics").iterdir():
        file.write_bytes(b"")
    assert run(["data", "contract", "churn"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Missing: statistics of 1 of 1 accepted snapshots are lost")
    assert "age: {kind: integer" in printed
    for file in (tmp_path / "contracts" / "churn" / "contract").iterdir():
        file.unlink()
    assert run(["data", "contract", "churn"]) == 1
    assert "data contract 1 is lost" in capsys.readouterr().err
