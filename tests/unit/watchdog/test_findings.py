from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import make_spec
from support.fake_airflow import FakeAirflow, FakeSurroundings
from support.retraining import make_episode
from support.rollout_steps import started_world
from support.world import MODEL, world_of
from windsock.exceptions import DatabaseUnavailableError
from windsock.records import INSTALLATION, PartFacts, ServerFacts, Severity
from windsock.watchdog import findings
from windsock.watchdog.airflow_answers import NoAirflow
from windsock.watchdog.bounded import NoAnswer, ask
from windsock.watchdog.findings import find
from windsock.watchdog.turns import turns

SPEC = make_spec()


def world(*champions, later=timedelta(0), **around):
    ports = world_of(*(champions or (1,)), surroundings=FakeSurroundings(**around))
    now = ports.now() + later
    return replace(ports, now=lambda: now)


def firing(ports, airflow=None, specs=(SPEC,), **options):
    found = find(list(specs), (), ports, airflow or FakeAirflow(), **options)
    return {
        (model, one.key): one for model, listed in found.conditions.items() for one in listed if one.active
    }


def test_nothing_is_wrong_where_all_is_well():
    assert firing(world(later=timedelta(minutes=30))) == {}


@pytest.mark.parametrize(
    ("around", "key", "severity"),
    [
        (
            {
                "server_facts": ServerFacts(
                    address="a", why="WS-SERVING-001: no answer", next_action="Start it."
                )
            },
            "watch:server",
            Severity.CRITICAL,
        ),
        (
            {
                "server_facts": ServerFacts(
                    address="a", status="degraded", faults=("the prediction log: full",)
                )
            },
            "watch:server-faults",
            Severity.HIGH,
        ),
        ({"mlflow_why": "no answer within 3 s"}, "watch:mlflow", Severity.MEDIUM),
        ({"free": 2**29}, "watch:disk", Severity.HIGH),
        ({"free": 2**20}, "watch:disk", Severity.CRITICAL),
        ({"key_why": "WS-SETTINGS-032: no key"}, "watch:key", Severity.HIGH),
        ({"lacking_rights": ("nothing can be written",)}, "watch:unwritable", Severity.HIGH),
    ],
)
def test_what_is_about_the_installation(around, key, severity):
    found = firing(world(**around))
    assert list(found) == [(INSTALLATION, key)]
    one = found[INSTALLATION, key]
    assert one.severity is severity
    assert one.code
    assert one.next_action


def test_an_alias_that_names_another_version():
    later = timedelta(minutes=30)
    assert firing(world(later=later, version="1")) == {}
    assert list(firing(world(later=later, version="7"))) == [(MODEL, "watch:alias")]
    assert firing(world(later=later, version="7", mlflow_why="away")).keys() == {
        (INSTALLATION, "watch:mlflow")
    }


def test_a_champion_whose_bundle_is_damaged():
    found = firing(world(damage="WS-BUNDLE-004: model.skops is not what was signed."))
    assert list(found) == [(MODEL, "watch:bundle")]
    one = found[MODEL, "watch:bundle"]
    assert (one.code, one.severity) == ("WS-WATCH-040", Severity.HIGH)
    assert "model.skops is not what was signed" in one.text
    assert firing(world(damage="")) == {}


def test_a_bundle_that_was_not_looked_at_says_nothing():
    found = find([SPEC], (), world(damage=None), FakeAirflow())
    assert not [one for one in found.conditions[MODEL] if one.key == "watch:bundle"]


@pytest.mark.parametrize(
    ("part", "name", "seconds", "said"),
    [
        ("scheduler", "airflow-scheduler", 73.4, "scheduler (silent for 73 s), limit: 60 s. No task starts."),
        (
            "dag_processor",
            "airflow-dag-processor",
            4000.0,
            "dag_processor (silent for 4,000 s), limit: 60 s.",
        ),
        ("triggerer", "airflow-triggerer", None, "triggerer (never seen), limit: 60 s."),
    ],
)
def test_a_program_of_airflow_that_gives_no_sign_of_life(part, name, seconds, said):
    found = firing(world(), FakeAirflow(silent=[PartFacts(part=part, silent=seconds)]))
    (one,) = found.values()
    assert (one.code, one.severity) == ("WS-WATCH-041", Severity.HIGH)
    assert one.text.startswith(said)
    assert one.next_action.startswith(f"`windsock stack restart {name}`")


def test_where_airflow_does_not_tell_of_its_programs_nothing_is_said():
    found = find([SPEC], (), world(), NoAirflow("away"))
    assert not [one for one in found.conditions[INSTALLATION] if one.key == "watch:airflow-parts"]


def test_files_that_are_broken():
    found = find([SPEC], ("fraud.yaml:2: no YAML.",), world(), FakeAirflow())
    (one,) = [one for one in found.conditions[INSTALLATION] if one.active]
    assert (one.code, one.text) == (
        "WS-WATCH-026",
        "fraud.yaml:2: no YAML. Their DAGs are gone until then.",
    )


def test_an_episode_and_its_dag_that_is_off_are_one_finding():
    ports = world(later=timedelta(minutes=30))
    ports.monitor.announce(make_episode(opened_at=ports.now() - timedelta(minutes=20)))
    found = firing(ports, FakeAirflow(off=["churn__drift_retrain"]))
    assert list(found) == [(MODEL, "watch:blocked:drift_retrain")]
    assert list(firing(ports)) == [(MODEL, "watch:event")]


def test_a_rollout_that_is_under_way_needs_its_dag():
    spec = make_spec(rollout={"strategy": "canary", "steps": [5, 25, 100]})
    ports = started_world(surroundings=FakeSurroundings())
    found = firing(ports, FakeAirflow(off=["churn__ab_rollout"]), [spec])
    assert [key for _, key in found] == ["watch:blocked:ab_rollout"]


def test_windows_with_rows_that_nobody_judges(monkeypatch):
    ports = world(later=timedelta(days=5))
    monkeypatch.setattr(ports.counter, "without_rows", lambda model, spans: frozenset(spans[:-1]))
    found = firing(ports)
    assert list(found) == [(MODEL, "watch:unjudged")]
    assert found[MODEL, "watch:unjudged"].text.startswith("1 windows of 1d with rows have no verdict")
    blocked = firing(ports, FakeAirflow(off=["churn__monitor"]))
    assert list(blocked) == [(MODEL, "watch:blocked:monitor")], "one cause, one finding"


def test_rows_of_a_clock_that_was_ahead():
    ports = world()
    ports = replace(ports, surroundings=FakeSurroundings(hour=ports.now() + timedelta(hours=3)))
    found = firing(ports)
    assert list(found) == [(MODEL, "watch:clock")]
    assert "the prediction log up to" in found[MODEL, "watch:clock"].text


def test_one_fact_that_cannot_be_read_hides_no_other(monkeypatch):
    ports = world(later=timedelta(minutes=30), mlflow_why="no answer within 3 s")

    def rows(model):
        raise DatabaseUnavailableError("the ledger of fraud cannot be read")

    read = ports.ledger.read
    monkeypatch.setattr(ports.ledger, "read", lambda model: rows(model) if model == "fraud" else read(model))
    fraud = make_spec(model={"name": "fraud"})
    found = firing(ports, FakeAirflow(off=["churn__daily_retrain"]), [fraud, SPEC])
    assert set(found) == {
        (INSTALLATION, "watch:mlflow"),
        (INSTALLATION, "watch:unknown"),
        (MODEL, "watch:dags-off"),
    }
    assert "fraud: WS-DATABASE-001: the ledger of fraud" in found[INSTALLATION, "watch:unknown"].text


def test_a_database_that_does_not_answer_is_all_that_can_be_said(monkeypatch):
    ports = world()

    def away():
        raise DatabaseUnavailableError("the control database does not answer")

    monkeypatch.setattr(ports.ledger, "models", away)
    found = firing(ports)
    assert list(found) == [(INSTALLATION, "watch:database")]


def test_an_airflow_that_cannot_be_asked_is_said_once():
    found = find([SPEC], (), world(), NoAirflow("WS-TRANSPORT-010: no answer"))
    assert len([one for one in found.unknown if "WS-TRANSPORT-010" in one]) == 1
    keys = {one.key for one in found.conditions[MODEL]}
    assert not keys & {"watch:dags-off", "watch:dags-missing", "watch:dags-failing"}


def test_what_hangs_holds_nothing_up(monkeypatch):
    ports = world()
    monkeypatch.setattr(findings, "SECONDS", 0.05)
    monkeypatch.setattr(ports.surroundings, "server", lambda: time.sleep(1))
    found = firing(ports)
    assert list(found) == [(INSTALLATION, "watch:unknown")]
    assert "the server: no answer within 0.05 s" in found[INSTALLATION, "watch:unknown"].text


def test_only_what_cannot_wait_is_asked_out_of_turn():
    ports, airflow = world(), FakeAirflow()
    firing(ports, airflow, in_turn=lambda _: False)
    assert [one for one in airflow.dags_asked if one.startswith("churn")] == []
    ports.monitor.announce(make_episode(opened_at=ports.now()))
    firing(ports, airflow, in_turn=lambda _: False)
    assert [one for one in airflow.dags_asked if one.startswith("churn")] == ["churn__drift_retrain"]


def test_an_answer_or_why_there_is_none():
    def refuse():
        raise DatabaseUnavailableError("away")

    assert ask(lambda: 7, 1) == 7
    assert ask(lambda: None, 1) is None
    assert ask(lambda: sum(number * number for number in range(3_000_000)), 0.01), (
        "it works, so it is no hang"
    )
    refused = ask(refuse, 1)
    assert isinstance(refused, NoAnswer)
    assert refused.why == "WS-DATABASE-001: away"
    assert ask(lambda: {}["secret"], 1) == NoAnswer("unexpected KeyError")


def test_the_large_bundle_of_one_of_many_models_is_read_once_an_hour(monkeypatch):
    ports, read = world(), []

    def look(uri, digest, *, large):
        read.append(large)
        return "" if large else None

    monkeypatch.setattr(ports.surroundings, "broken_bundle", look)
    for number in range(30):
        now = ports.now() + number * timedelta(minutes=2)
        at_that_time = replace(ports, now=lambda now=now: now)
        find([SPEC], (), at_that_time, FakeAirflow(), in_turn=turns(100, now))
    assert (len(read), read.count(True)) == (6, 1)
