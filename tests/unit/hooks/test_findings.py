from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import make_spec
from support.fake_airflow import FakeAirflow, FakeSurroundings
from support.world import MODEL, world_of
from windsock.exceptions import DatabaseUnavailableError, MonitoringError, ServerUnavailableError
from windsock.hooks import alerts
from windsock.hooks.findings import find_and_tell, looked, tell_gauges
from windsock.records import INSTALLATION, ServerFacts
from windsock.serving.known_gauges import OF_INSTALLATION
from windsock.spec import SharedSpec
from windsock.watchdog.system_findings import LOOKED, clock_condition, looked_condition

SPEC = make_spec()
SHARED = SharedSpec.model_validate({"installation": {"owner": "platform@company.com"}})


@pytest.fixture
def ports():
    made = world_of(1, surroundings=FakeSurroundings())
    now = made.now() + timedelta(minutes=30)
    return replace(made, now=lambda: now)


def look(ports, airflow=None, broken=()):
    return find_and_tell([SPEC], broken, SHARED, ports, airflow or FakeAirflow())


def test_a_finding_is_told_once_and_its_end_once(ports, caplog):
    off = FakeAirflow(off=["churn__monitor"])
    with caplog.at_level(logging.INFO, logger=alerts.__name__):
        assert look(ports, off)[:3] == (1, 1, 0)
        assert look(ports, off)[:3] == (1, 0, 0)
        assert look(ports)[:3] == (0, 0, 1)
        assert look(ports)[:3] == (0, 0, 0)
    told = [one.getMessage() for one in caplog.records]
    assert [one[:32] for one in told] == [
        "WS-WATCH-011 [MEDIUM] churn: DAG",
        "WS-WATCH-011 [RESOLVED] churn: D",
    ]
    assert "NEXT: `windsock models on churn`" in told[0]
    (kept,) = ports.monitor.alerts(MODEL)
    assert (kept.owner, kept.state, kept.times, kept.pending) == ("ds@company.com", "resolved", 2, False)


def test_what_is_about_no_model_belongs_to_the_installation(ports):
    look(ports, broken=["fraud.yaml:2: no YAML"])
    (kept,) = ports.monitor.alerts(INSTALLATION, firing=True)
    assert (kept.code, kept.owner) == ("WS-WATCH-026", "platform@company.com")


def test_the_row_of_the_last_look_is_no_alert_and_says_when_it_was(ports):
    look(ports)
    (row,) = [one for one in ports.monitor.alerts(INSTALLATION) if one.key == LOOKED]
    assert row.state == "resolved"
    assert not looked_condition(row, ports.now() + timedelta(minutes=6)).active
    late = looked_condition(row, ports.now() + timedelta(minutes=7))
    assert (late.active, late.code) == (True, "WS-WATCH-032")
    assert "7 min ago, limit: 6 min" in late.text
    assert looked_condition(None, ports.now()).active


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(hours=5), timedelta(days=365)])
def test_a_last_look_in_the_future_is_not_believed(ports, ahead):
    look(ports)
    (row,) = [one for one in ports.monitor.alerts(INSTALLATION) if one.key == LOOKED]
    found = looked_condition(row, row.last_at - ahead)
    assert found.active
    assert "after now, limit: 2 min; a clock is wrong" in found.text
    assert " ago" not in found.text
    assert found.next_action.startswith("compare `date -u`")
    little = looked_condition(row, row.last_at - timedelta(minutes=1))
    assert (little.active, "0 min ago" in little.text) == (False, True)


@pytest.mark.parametrize("field", ["first_at", "sent_at", "last_at", "due_at"])
def test_an_alert_dated_in_the_future_is_a_clock_that_is_ahead(ports, field):
    now = ports.now()
    alert = looked(SHARED, now).replace(key="drift", state="firing")
    ahead = alert.replace(**{field: now + timedelta(days=365)})
    assert not clock_condition(MODEL, now, alerts=[alert]).active
    found = clock_condition(MODEL, now, alerts=[alert, ahead])
    assert (found.active, "alerts up to 20" in found.text) == (True, True)
    assert not clock_condition(MODEL, now, alerts=[ahead.replace(state="resolved")]).active


def test_a_database_that_goes_away_is_a_fault_and_raises_nothing(ports, monkeypatch):
    def away(alert):
        raise DatabaseUnavailableError("gone")

    monkeypatch.setattr(ports.monitor, "put_alert", away)
    told = look(ports, FakeAirflow(off=["churn__monitor"]))
    assert [one.split(": ")[1] for one in told.faults] == ["WS-DATABASE-001"] * 2


def test_a_channel_that_hangs_is_tried_once_in_a_look(ports, monkeypatch):
    tried = []

    def hang(channel, alert):
        tried.append(alert.key)
        return "slack, connection slack_default: the service did not answer in time"

    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(alerts, "refusal_of", hang)
    monkeypatch.setattr(alerts.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(alerts, "channel_of", lambda shared, name: alerts.AlertChannel(kind="slack"))
    look(ports, FakeAirflow(off=["churn__monitor", "windsock__watchdog"]), broken=["x"])
    assert len(tried) == 1
    kept = [one for name in (MODEL, INSTALLATION) for one in ports.monitor.alerts(name, firing=True)]
    assert {one.refusal for one in kept} == {hang(None, kept[0])}


def test_prometheus_sees_when_the_watchdog_looked_and_what_fires(ports):
    look(ports, FakeAirflow(off=["churn__monitor"]), broken=["fraud.yaml:2: no YAML"])
    told = ports.gauges.samples[INSTALLATION]
    assert told["windsock_watchdog_last_look_timestamp_seconds"] == [({}, ports.now().timestamp())]
    counts = {labels["severity"]: value for labels, value in told["windsock_alerts_firing"]}
    assert counts == {"low": 0.0, "medium": 1.0, "high": 1.0, "critical": 0.0}
    assert set(told) <= set(OF_INSTALLATION)


def test_findings_whose_alerts_cannot_be_read_are_told_in_the_log(ports, monkeypatch, caplog):
    read = ports.monitor.alerts

    def alerts_of(model, **options):
        if model == MODEL:
            raise MonitoringError("a row cannot be read as Alert", code="WS-MONITORING-051")
        return read(model, **options)

    monkeypatch.setattr(ports.monitor, "alerts", alerts_of)
    with caplog.at_level(logging.INFO, logger=alerts.__name__):
        told = look(ports, FakeAirflow(off=["churn__monitor"]), broken=["fraud.yaml:2: no YAML"])
    logged = [one.getMessage() for one in caplog.records]
    assert [one[:12] for one in logged if "WS-WATCH-011" in one] == ["WS-WATCH-011"]
    assert told.firing == 3, "the DAG, the file, and that alerts could not be read"
    assert [one.split(":")[0] for one in told.faults] == [
        "findings of churn",
        "the alerts of churn are not counted",
    ]
    counts = ports.gauges.samples[INSTALLATION]["windsock_alerts_firing"]
    assert {labels["severity"]: value for labels, value in counts}["high"] == 1.0


def test_prometheus_sees_alerts_of_a_model_without_a_file_that_nobody_looked_at(ports):
    look(ports, FakeAirflow(off=["churn__monitor"]))
    (kept,) = ports.monitor.alerts(MODEL, firing=True)
    ports.monitor.put_alert(kept.replace(model="gone"))
    assert tell_gauges(ports, [], ports.now()) == ()
    counts = ports.gauges.samples[INSTALLATION]["windsock_alerts_firing"]
    assert {labels["severity"]: value for labels, value in counts}["medium"] == 2.0


def test_gauges_that_a_server_refuses_are_a_fault_of_the_look_and_hide_nothing(ports):
    class Refusing:
        def set(self, model, samples):
            raise ServerUnavailableError("the server does not take the gauges", code="WS-SERVING-024")

    told = look(replace(ports, gauges=Refusing()), FakeAirflow(off=["churn__monitor"]))
    assert (told.firing, told.opened) == (1, 1)
    assert told.faults == (
        "the server's gauges were not set: WS-SERVING-024: the server does not take the gauges",
    )


def test_a_server_that_is_away_is_a_finding_and_not_asked_again(ports):
    away = replace(
        ports,
        surroundings=FakeSurroundings(
            server_facts=ServerFacts(address="http://127.0.0.1:1", why="it refuses")
        ),
    )
    told = look(away)
    assert told.faults == ()
    assert INSTALLATION not in ports.gauges.samples


@pytest.mark.parametrize(("broken", "ends"), [((), True), (("fraud.yaml:2: no YAML",), False)])
def test_what_fires_about_a_model_that_has_no_file_ends_unless_a_file_cannot_be_read(ports, broken, ends):
    look(ports, FakeAirflow(off=["churn__monitor"]))
    assert [one.code for one in ports.monitor.alerts(MODEL, firing=True)] == ["WS-WATCH-011"]
    find_and_tell([], broken, SHARED, ports, FakeAirflow())
    assert [one.code for one in ports.monitor.alerts(MODEL, firing=True)] == (
        [] if ends else ["WS-WATCH-011"]
    )
