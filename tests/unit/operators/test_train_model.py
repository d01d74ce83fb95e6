from __future__ import annotations

import pytest

from support.builders import make_spec
from support.context import make_context
from windsock.exceptions import SpecError
from windsock.operators.train_model import TrainModelOperator
from windsock.records import TrainModelInput

SECRET = "{{ task.hook.settings().read_admin_token() }}"
SPEC = make_spec(
    training={
        "candidates": [
            {"estimator": "logistic_regression", "params": {"solver": SECRET}},
            {"estimator": "random_forest"},
        ]
    }
)


def operator(candidate):
    return TrainModelOperator(
        task_id="train_model", spec=SPEC, snapshot={}, validation={}, candidate=candidate
    )


@pytest.mark.parametrize(("position", "estimator"), [(0, "logistic_regression"), (1, "random_forest")])
def test_a_position_is_that_candidate_of_the_file_as_it_is_written(position, estimator):
    task = operator(position)
    context = make_context(task)
    task.render_template_fields(context)
    candidate = task.step_input(context)["candidate"]
    assert candidate == SPEC.candidates[position].model_dump(mode="json")
    assert task.candidate_label == estimator


def test_a_text_of_the_file_is_never_rendered():
    task = operator(0)
    task.render_template_fields(make_context(task))
    assert task.step_input(make_context(task))["candidate"]["params"]["solver"] == SECRET


@pytest.mark.parametrize("position", [-1, 2, 10**9])
def test_a_position_that_the_file_does_not_list_is_refused(position):
    with pytest.raises(SpecError, match=f"candidate {position} of churn: its file lists 2, counted from 0"):
        operator(position).step_input({})


def test_what_a_dag_author_writes_is_a_template():
    task = operator({"estimator": "logistic_regression", "params": {"C": "{{ 1 + 1 }}"}})
    context = make_context(task)
    task.render_template_fields(context)
    assert task.step_input(context)["candidate"]["params"] == {"C": "2"}
    assert task.candidate_label == "logistic_regression"


@pytest.mark.parametrize("other", [True, "0", None, {}, [0], 0.0])
def test_what_is_no_position_is_left_to_the_step(other):
    task = operator(other)
    assert task.step_input({})["candidate"] is other
    assert isinstance(task.candidate_label, str)


def test_the_input_is_what_the_step_takes():
    assert set(operator(0).step_input({})) <= set(TrainModelInput.model_fields)
