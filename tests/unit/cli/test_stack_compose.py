"""The compose file of a team's installation: what can be held without a Docker engine."""

from __future__ import annotations

import pytest
import yaml

from windsock.cli.stack import PACE

SECRETS = {"WINDSOCK_FERNET_KEY", "WINDSOCK_API_SECRET", "WINDSOCK_JWT_SECRET", "WINDSOCK_POSTGRES_PASSWORD"}


@pytest.fixture(scope="module")
def text(project) -> str:
    return (project / "docker-compose.yaml").read_text()


@pytest.fixture(scope="module")
def services(text) -> dict:
    return yaml.safe_load(text)["services"]


def test_every_port_is_published_on_loopback_only(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_log_of_every_container_is_bounded(services):
    for name, service in services.items():
        assert {"max-size", "max-file"} == set(service["logging"]["options"]), name


def test_no_log_server_of_airflow_is_started(services):
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in services[name]["command"]


def test_secrets_come_from_outside_and_must_be_there(text, project):
    for secret in SECRETS:
        assert f"${{{secret}:?}}" in text
        assert f"${{{secret}:-" not in text
    manual = (project / "docs" / "operations.md").read_text()
    assert all(secret in manual for secret in SECRETS)


def test_airflow_knows_the_options(services):
    from airflow.configuration import conf

    for name in services["init"]["environment"]:
        if name.startswith("AIRFLOW__"):
            _, section, option = name.split("__")
            assert option.lower() in conf.configuration_description[section.lower()]["options"], name


def test_reading_the_dags_has_as_long_as_on_one_machine(services):
    environment = services["init"]["environment"]
    limits = [name for name in PACE if name.endswith("_TIMEOUT")]
    assert len(limits) == 2
    assert {name: environment[f"AIRFLOW__{name}"] for name in limits} == {n: str(PACE[n]) for n in limits}


def test_every_database_of_an_address_is_created(text):
    addressed = {part.split("@postgres/")[1].split()[0] for part in text.splitlines() if "@postgres/" in part}
    assert addressed == {"airflow", "windsock", "mlflow"}
    assert all(f"CREATE DATABASE {name};" in text for name in addressed - {"airflow"})
