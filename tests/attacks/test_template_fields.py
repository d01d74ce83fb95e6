"""Template fields are what a DAG's author writes: each operator names its own, and the documentation all."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from airflow.sdk import DAG, BaseNotifier

import windsock.operators
import windsock.sensors
from support.context import make_context
from support.payloads import PRODUCT, RENDERED
from windsock.hooks.notifier import WindsockNotifier
from windsock.operators.base import StepOperator
from windsock.operators.question import ApprovalQuestion
from windsock.operators.roll_back import RollBackOperator
from windsock.operators.train_model import TrainModelOperator

ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def operators() -> dict[str, type[Any]]:
    """Return every operator, sensor and notifier that a DAG may use, by name."""
    names = [
        info.name
        for package in (windsock.operators, windsock.sensors)
        for info in iter_modules(package.__path__, f"{package.__name__}.")
    ]
    found = {
        name: kind
        for module in map(import_module, names)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, StepOperator | BaseNotifier) and kind not in (StepOperator, ApprovalQuestion)
    }
    return {**found, WindsockNotifier.__name__: WindsockNotifier}


OPERATORS = operators()


@pytest.mark.parametrize("name", OPERATORS)
def test_the_docstring_names_the_template_fields(name):
    kind = OPERATORS[name]
    listed = ", ".join(f"``{field}``" for field in kind.template_fields) or "none"
    assert f"Template fields: {listed}." in inspect.getdoc(kind)
    parameters = inspect.signature(kind.__init__).parameters
    assert set(kind.template_fields) <= set(parameters), (
        "a field that Airflow's own class has would be hidden"
    )
    assert not {"spec", "shared", "subject", "body", "model"} & set(kind.template_fields)
    assert not getattr(kind, "template_ext", ())


def test_the_documentation_lists_every_operator(project):
    text = (project / "docs" / "templates.md").read_text(encoding="utf-8")
    listed = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in ROW.findall(text)}
    assert listed == {name: tuple(kind.template_fields) for name, kind in OPERATORS.items()}


def rendered(make: Any, **context: Any) -> Any:
    with DAG(dag_id="own", schedule=None):
        task = make()
    task.render_template_fields(make_context(task, **context))
    return task


def test_a_template_of_the_dag_s_author_goes_on_resolving():
    task = rendered(lambda: RollBackOperator(task_id="t", spec="m", reason="by {{ params.who }}"), who="ann")
    assert task.reason == "by ann"


def test_what_a_template_gives_is_not_rendered_again():
    task = rendered(lambda: RollBackOperator(task_id="t", spec="m", reason="{{ params.why }}"), why=PRODUCT)
    assert task.reason == PRODUCT


def test_a_candidate_of_the_author_is_rendered_and_one_of_the_file_is_not():
    spec = {
        "model": {"name": "m", "owner": PRODUCT},
        "training": {"candidates": [{"estimator": "logistic_regression", "params": {"solver": PRODUCT}}]},
    }

    def own(candidate: Any) -> Any:
        return rendered(
            lambda: TrainModelOperator(
                task_id="t", spec=spec, snapshot={}, validation={}, candidate=candidate
            )
        )

    assert (
        own({"estimator": "ridge", "params": {"solver": PRODUCT}}).candidate["params"]["solver"] == RENDERED
    )
    task = own(0)
    assert task.step_input({})["candidate"]["params"] == {"solver": PRODUCT}
    assert task.spec["model"]["owner"] == PRODUCT
