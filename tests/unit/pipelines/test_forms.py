from __future__ import annotations

import pytest

from windsock.pipelines.factory import build_dags

FILE = """\
model: {name: churn, owner: ann}
data: {source: data.csv, target: y}
rollout: {strategy: canary, metric: conversion}
"""


@pytest.fixture
def dags(tmp_path):
    """All DAGs of a model with a rollout, and that of the installation."""
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    (folder / "churn.yaml").write_text(FILE, encoding="utf-8")
    return build_dags(folder)


def is_open(param):
    """Return whether Airflow's form asks for text in a field that is empty as it opens."""
    value, types = param["value"], param["schema"].get("type")
    nothing = value is None or value == "" or value == [] or value == {}
    return nothing and "null" not in ([types] if isinstance(types, str) else list(types))


def test_each_form_can_be_sent_as_it_opens(dags):
    forms = {
        name: {one: dag.params.get_param(one).serialize() for one in dag.params} for name, dag in dags.items()
    }
    assert {"churn__ab_rollout", "churn__rollback", "churn__daily_retrain"} <= set(forms)
    held = [f"{name}.{one}" for name, form in forms.items() for one, param in form.items() if is_open(param)]
    assert held == []


@pytest.mark.parametrize(
    ("dag_id", "opens_with"), [("churn__ab_rollout", None), ("churn__rollback", "rolled back by hand")]
)
def test_a_reason_says_what_it_is_for(dags, dag_id, opens_with):
    reason = dags[dag_id].params.get_param("reason")
    assert reason.value == opens_with
    assert "ledger" in reason.description
    assert "may be left empty" in reason.description.lower()
