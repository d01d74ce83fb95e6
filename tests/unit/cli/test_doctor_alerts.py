from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from windsock.cli import doctor_alerts
from windsock.cli.airflow_answers import AirflowAccess
from windsock.cli.doctor_checks import State
from windsock.hooks.alert_channels import KINDS, default_channel
from windsock.locations import locate
from windsock.settings import Settings

SERVICE = {"config": {"path": "json://localhost"}}


@pytest.fixture
def state(tmp_path, monkeypatch) -> State:
    (tmp_path / "include" / "models").mkdir(parents=True)
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(tmp_path / "include" / "models"))
    return State(settings=Settings.from_environment(), location=locate())


@pytest.fixture
def airflow(monkeypatch):
    """Give Airflow these connections."""

    def put(*listed):
        api = SimpleNamespace(request=lambda *_, **__: {"connections": list(listed)})
        monkeypatch.setattr(AirflowAccess, "api", lambda self: nullcontext(api))
        monkeypatch.setattr(doctor_alerts, "airflow_access", lambda settings: AirflowAccess("http://x"))

    return put


SET_UP = [
    ({"conn_type": "generic"}, False),
    ({"conn_type": "generic", "host": "mail.company.com"}, False),
    ({"conn_type": "apprise", "password": "p"}, False),
    ({"conn_type": "apprise", "extra": {"config": {}}}, False),
    ({"conn_type": "apprise", "extra": {"config": []}}, False),
    ({"conn_type": "apprise", "extra": {"config": "no json"}}, False),
    ({"conn_type": "apprise", "extra": {"other": 1}}, False),
    ({"conn_type": "apprise", "extra": SERVICE}, True),
    ({"conn_type": "generic", "extra": {"config": [SERVICE["config"]]}}, True),
    ({"conn_type": "apprise", "extra": {"config": json.dumps(SERVICE["config"])}}, True),
]


@pytest.mark.parametrize(("content", "is_set_up"), SET_UP)
def test_it_says_of_the_default_connection_what_a_task_does(state, monkeypatch, content, is_set_up):
    monkeypatch.setenv("AIRFLOW_CONN_WINDSOCK_ALERTS", json.dumps(content))
    (found,) = doctor_alerts.check_alerts(state)
    assert (found.status == "ok") is is_set_up is (default_channel() is not None)
    assert bool(found.next_action) is not is_set_up
    assert is_set_up or "lacks `config` in its extra" in found.what


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ({"conn_type": "slackwebhook"}, "slack", "warn"),
        ({"conn_type": "slackwebhook", "password": "T/B/x"}, "slack", "ok"),
        ({"conn_type": "pagerduty_events", "host": "x"}, "pagerduty", "warn"),
        ({"conn_type": "smtp", "password": "p"}, "smtp", "warn"),
        ({"conn_type": "smtp", "host": "mail"}, "smtp", "ok"),
    ],
)
def test_each_type_needs_its_own(state, monkeypatch, content, kind, status):
    monkeypatch.setenv("AIRFLOW_CONN_WINDSOCK_ALERTS", json.dumps(content))
    (found,) = doctor_alerts.check_alerts(state)
    assert found.status == status
    assert f"channel default ({kind}, connection windsock_alerts)" in found.what


def test_the_types_are_those_of_the_sender():
    assert doctor_alerts.KINDS == KINDS


def test_a_uri_is_read_like_json_and_what_cannot_be_read_is_told_without_its_text(state, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WINDSOCK_ALERTS", "slackwebhook://:s3cr3t@")
    assert doctor_alerts.check_alerts(state)[0].status == "ok"
    monkeypatch.setenv("AIRFLOW_CONN_WINDSOCK_ALERTS", '{"s3cr3t": ')
    (found,) = doctor_alerts.check_alerts(state)
    assert (found.status, "WS-SETTINGS-004" in found.what) == ("warn", True)
    assert "s3cr3t" not in " ".join(found.lines())


@pytest.mark.parametrize(("content", "is_set_up"), SET_UP)
def test_a_connection_of_airflows_own_is_held_to_the_same(state, airflow, content, is_set_up):
    extra = json.dumps(content["extra"]) if "extra" in content else None
    airflow({"host": None, "password": None, **content, "connection_id": "windsock_alerts", "extra": extra})
    (found,) = doctor_alerts.check_alerts(state)
    assert found.status == ("ok" if is_set_up else "warn")


def test_one_that_is_not_there_and_one_that_nobody_can_see(state, airflow):
    (found,) = doctor_alerts.check_alerts(state)
    assert "it may be in Airflow" in found.what
    airflow()
    (found,) = doctor_alerts.check_alerts(state)
    assert found.what.endswith("is not there")


def test_a_channel_of_the_shared_file_needs_what_its_kind_reads(state, monkeypatch):
    state.settings.shared_file.write_text("alert_channels: {ops: {kind: slack}, pager: {kind: pagerduty}}\n")
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", json.dumps({"conn_type": "http", "host": "hooks"}))
    monkeypatch.setenv("AIRFLOW_CONN_PAGERDUTY_EVENTS_DEFAULT", json.dumps({"password": "key"}))
    found = doctor_alerts.check_alerts(state)
    assert [one.status for one in found] == ["warn", "ok"]
    assert "lacks a password" in found[0].what
