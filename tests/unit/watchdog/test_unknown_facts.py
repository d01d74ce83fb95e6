"""A finding of which the facts are not known neither begins nor ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import make_spec
from support.fake_airflow import FakeAirflow, FakeSurroundings
from support.retraining import make_episode
from support.rollout_steps import started_world
from support.world import MODEL, world_of
from windsock.exceptions import DatabaseUnavailableError, StorageError
from windsock.monitoring.alerts import Recipient, decide_alerts
from windsock.records import INSTALLATION, DagFacts, OpenQuestion
from windsock.watchdog.airflow_answers import NoAirflow
from windsock.watchdog.findings import find

SPEC = make_spec()


class Silent(FakeAirflow):
    """Does not say what questions are open, and nothing of some DAGs."""

    def __init__(self, *unknown, **known):
        super().__init__(**known)
        self.unknown = unknown

    def dag(self, dag_id):
        if dag_id in self.unknown:
            return DagFacts(dag_id=dag_id, unknown="WS-TRANSPORT-010: no answer")
        return super().dag(dag_id)

    def questions(self, model):
        return None

    def silent_parts(self):
        return None


@pytest.fixture
def ports(monkeypatch):
    made = world_of(1, surroundings=FakeSurroundings())
    now = made.now() + timedelta(days=5)
    monkeypatch.setattr(made.counter, "without_rows", lambda model, spans: frozenset(spans))
    return replace(made, now=lambda: now)


def said(ports, airflow=None, model=MODEL, **options):
    """Return by key whether a finding is wrong; what is not there was not judged."""
    found = find([SPEC], (), ports, airflow or FakeAirflow(), **options)
    return {one.key: one.active for one in found.conditions[model]}


def unknown_of(ports, airflow=None):
    return find([SPEC], (), ports, airflow or FakeAirflow()).unknown


def refuse(error):
    def call(*_, **__):
        raise error

    return call


def test_failed_runs_of_a_dag_that_cannot_be_asked_about(ports):
    failing = {"churn__monitor": ("failed",) * 3}
    assert said(ports, FakeAirflow(failing=failing))["watch:dags-failing"] is True
    assert "watch:dags-failing" not in said(ports, Silent("churn__monitor"))
    assert said(ports)["watch:dags-failing"] is False


def test_out_of_turn_failed_runs_of_dags_that_are_not_asked_about_do_not_end(ports):
    ports.monitor.announce(make_episode(opened_at=ports.now()))
    failing = FakeAirflow(failing={"churn__monitor": ("failed",) * 3})
    assert said(ports, failing)["watch:dags-failing"] is True
    assert "watch:dags-failing" not in said(ports, failing, in_turn=lambda _: False)


@pytest.mark.parametrize("error", [StorageError("it cannot be read"), DatabaseUnavailableError("away")])
def test_windows_whose_rows_cannot_be_counted(ports, monkeypatch, error):
    off = FakeAirflow(off=["churn__monitor"])
    monkeypatch.setattr(ports.counter, "without_rows", lambda model, spans: frozenset())
    assert said(ports)["watch:unjudged"] is True
    assert said(ports, off)["watch:blocked:monitor"] is True
    monkeypatch.setattr(ports.counter, "without_rows", refuse(error))
    assert "watch:unjudged" not in said(ports)
    assert not {"watch:blocked:monitor", "watch:dags-off", "watch:unjudged"} & set(said(ports, off))
    assert [one for one in unknown_of(ports) if one.startswith("the prediction log of churn: WS-")]


@pytest.mark.parametrize(("name", "key"), [("no_key", "watch:key"), ("tracking", "watch:mlflow")])
def test_systems_that_cannot_be_asked(ports, monkeypatch, name, key):
    assert said(ports, model=INSTALLATION)[key] is False
    monkeypatch.setattr(ports.surroundings, name, refuse(PermissionError("keys/")))
    found = said(ports, model=INSTALLATION)
    assert key not in found
    assert found["watch:unknown"]


def test_questions_of_which_airflow_does_not_tell(ports):
    asked = OpenQuestion(model=MODEL, about="version 2", task="a/b/c", until=ports.now())
    assert said(ports, FakeAirflow(asked=[asked]))["watch:question"] is True
    for silent in (Silent(), NoAirflow("WS-TRANSPORT-010: no answer")):
        assert "watch:question" not in said(ports, silent)
        assert unknown_of(ports, silent).count("open questions: Airflow does not say") == 1
    assert said(ports)["watch:question"] is False


def test_a_question_that_the_ledger_knows_is_told_without_airflow():
    made = started_world(surroundings=FakeSurroundings())
    assert "watch:question" not in said(made, Silent())


def test_programs_of_which_airflow_does_not_tell_are_said_to_be_unknown(ports):
    found = said(ports, Silent(), INSTALLATION)
    assert "watch:airflow-parts" not in found
    assert found["watch:unknown"]
    assert "the health of Airflow's programs: Airflow does not say" in unknown_of(ports, Silent())


def test_a_log_whose_newest_hour_cannot_be_read(ports, monkeypatch):
    monkeypatch.setattr(ports.surroundings, "newest_hour", refuse(StorageError("it cannot be read")))
    assert "watch:clock" not in said(ports)
    assert [one for one in unknown_of(ports) if "the prediction log of churn: WS-" in one]


@pytest.mark.parametrize("model", [MODEL, INSTALLATION])
def test_alerts_that_cannot_be_read_hide_nothing_else(ports, monkeypatch, model):
    off = FakeAirflow(off=["churn__monitor"])
    monkeypatch.setattr(ports.monitor, "alerts", refuse(DatabaseUnavailableError("away")))
    assert not {"watch:pending", "watch:clock"} & set(said(ports, off, model))
    assert said(ports, off)["watch:dags-off"] is True


@pytest.mark.parametrize("model", [MODEL, INSTALLATION])
def test_one_row_of_alerts_that_cannot_be_read_is_said(ports, monkeypatch, model):
    assert said(ports, model=model)["watch:pending"] is False
    monkeypatch.setattr(ports.monitor, "unreadable_alerts", lambda name: int(name == model))
    assert not {"watch:pending", "watch:clock"} & set(said(ports, model=model))
    assert f"{model}: WS-MONITORING-051: 1 rows of its alerts cannot be read" in unknown_of(ports)


@pytest.mark.parametrize("model", [MODEL, INSTALLATION])
def test_alerts_of_a_clock_that_was_ahead(ports, model):
    condition = find([SPEC], ("a.yaml: no YAML",), ports, FakeAirflow()).conditions[INSTALLATION]
    assert said(ports, model=model)["watch:clock"] is False
    to = Recipient(model, "ds@company.com")
    ahead = ports.now() + timedelta(days=365)
    (alert,) = decide_alerts(condition, (), ahead, to.repeat, spec=to).send
    ports.monitor.put_alert(alert.replace(pending=False))
    assert said(ports, model=model)["watch:clock"] is True
