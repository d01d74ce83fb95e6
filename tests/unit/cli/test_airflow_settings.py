from __future__ import annotations

import json

import pytest

from windsock.cli.airflow_settings import fingerprint, read_airflow_settings
from windsock.exceptions import SettingsError


def write(tmp_path, text: str):
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(text)
    return file


def test_the_projects_own_file(project):
    entities = read_airflow_settings(project / "airflow_settings.yaml").entities({})
    connections = {entry["connection_id"]: entry for entry in entities["connections"]}
    assert set(connections) == {"windsock_default", "mlflow_default", "windsock_alerts"}
    assert connections["mlflow_default"] == {
        "connection_id": "mlflow_default",
        "conn_type": "mlflow",
        "host": "http://127.0.0.1:5000",
    }
    assert connections["windsock_default"]["host"] == "http://127.0.0.1:8181"
    assert [pool["name"] for pool in entities["pools"]] == ["training"]


def test_moved_addresses_move_and_others_stay(tmp_path):
    file = write(
        tmp_path,
        "airflow: {connections: [{conn_id: a, conn_type: mlflow, conn_host: 'http://127.0.0.1:5000'},"
        " {conn_id: b, conn_type: mlflow, conn_host: 'https://mlflow.company.com'}]}",
    )
    entities = read_airflow_settings(file).entities({"http://127.0.0.1:5000": "http://127.0.0.1:7"})
    assert [entry["host"] for entry in entities["connections"]] == [
        "http://127.0.0.1:7",
        "https://mlflow.company.com",
    ]


def test_the_astro_clis_template_with_its_empty_fields(tmp_path):
    file = write(
        tmp_path,
        """
airflow:
  connections:
    - conn_id: warehouse
      conn_type: postgres
      conn_host: db
      conn_schema:
      conn_login: reader
      conn_password: ""
      conn_port: 5432
      conn_extra: {sslmode: require}
  pools:
  variables:
    - variable_name: region
      variable_value: eu
""",
    )
    entities = read_airflow_settings(file).entities({})
    (connection,) = entities["connections"]
    assert json.loads(connection.pop("extra")) == {"sslmode": "require"}
    assert connection == {
        "connection_id": "warehouse",
        "conn_type": "postgres",
        "host": "db",
        "login": "reader",
        "port": 5432,
    }
    assert entities["pools"] == []
    assert entities["variables"] == [{"key": "region", "value": "eu"}]


@pytest.mark.parametrize("text", ["", "airflow:", "{}", "airflow: {connections: , pools: }"])
def test_an_empty_file_is_nothing_to_load(tmp_path, text):
    assert read_airflow_settings(write(tmp_path, text)).entities({})["connections"] == []


def test_no_file_is_nothing_to_load(tmp_path):
    assert read_airflow_settings(tmp_path / "none.yaml").connections == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("airflow: {connections: [{conn_id: a}]}", "airflow.connections.0.conn_type"),
        ("airflow: {connections: [{conn_id: a, conn_type: b, conn_port: x}]}", "conn_port"),
        ("airflow: {pools: [{pool_name: a, pool_slot: many}]}", "airflow.pools.0.pool_slot"),
        ("airflow: {conections: [{conn_id: a}]}", "airflow.conections"),
        ("- a", "AttributeError"),
        ("airflow: [", "ParserError"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, text, place):
    with pytest.raises(SettingsError, match=place) as caught:
        read_airflow_settings(write(tmp_path, text))
    assert caught.value.code == "WS-SETTINGS-022"


def test_no_secret_in_the_message(tmp_path):
    file = write(
        tmp_path, "airflow: {connections: [{conn_id: a, conn_password: hunter2, conn_port: hunter2}]}"
    )
    with pytest.raises(SettingsError) as caught:
        read_airflow_settings(file)
    assert "hunter2" not in str(caught.value)


def test_a_change_changes_the_fingerprint():
    assert fingerprint({"a": [1]}) == fingerprint({"a": [1]})
    assert fingerprint({"a": [1]}) != fingerprint({"a": [2]})
