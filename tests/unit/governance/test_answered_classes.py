from __future__ import annotations

import pytest

from support.builders import make_spec
from windsock.governance.answered_classes import answered_classes
from windsock.governance.checks import required_checks
from windsock.records import Status, UnansweredClass


def never(label="fraud", rows=40):
    return UnansweredClass(label=label, rows=rows)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss"])
def test_a_model_that_ranks_passes_and_the_class_is_named(metric):
    result = answered_classes(make_spec(training={"metric": metric}), [never(rows=1_240)])
    assert result.status is Status.PASS
    assert "'fraud' (1,240 held-out rows)" in result.message
    assert (result.value, result.n) == (1, 1_240)


@pytest.mark.parametrize(
    "written",
    [
        {"training": {"metric": "f1"}},
        {"training": {"metric": "f1_weighted"}},
        {"gate": {"minimum": {"accuracy": 0.9}}},
        {"rollout": {"strategy": "canary"}},
        {"rollout": {"strategy": "ab", "metric": "accuracy"}},
    ],
)
def test_a_spec_that_decides_by_classes_refuses_it(written):
    result = answered_classes(make_spec(**written), [never(), never("error", 3)])
    assert result.status is Status.FAIL
    assert "'fraud' (40 held-out rows), 'error' (3 held-out rows)" in result.message


def test_a_few_rows_of_a_class_are_too_few_to_say():
    spec = make_spec(training={"metric": "recall"})
    assert answered_classes(spec, [never(rows=19)]).status is Status.INSUFFICIENT
    assert answered_classes(spec, [never(rows=20)]).status is Status.FAIL


def test_a_rollout_by_another_metric_does_not_decide_by_classes():
    spec = make_spec(rollout={"strategy": "canary", "metric": "conversion"})
    assert answered_classes(spec, [never()]).status is Status.PASS


def test_many_classes_are_counted():
    result = answered_classes(make_spec(training={"metric": "f1_macro"}), [never(str(n)) for n in range(8)])
    assert "and 3 more" in result.message


def test_it_is_asked_for_where_there_is_such_a_class_or_the_spec_names_it():
    assert "answered_classes" not in required_checks(make_spec(), first_model=True)
    assert "answered_classes" in required_checks(make_spec(), first_model=True, unanswered=True)
    named = make_spec(gate={"checks": ["answered_classes"]})
    assert "answered_classes" in required_checks(named, first_model=True)
    assert answered_classes(named, []).status is Status.PASS
