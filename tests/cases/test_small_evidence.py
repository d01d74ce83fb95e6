"""Few rows, all right; few positives; equal models of entities: what passed once and proves nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from support.builders import make_evaluation, make_spec, make_validation
from support.fakes import fake_ports
from windsock.governance.checks import Case, run_check
from windsock.records import GateModelInput
from windsock.statistics.metrics import Scored
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import compare_models, measure

pytestmark = pytest.mark.cases


def answered(truth, right):
    truth = np.asarray(truth)
    codes = np.where(right, truth, 1 - truth)
    return Scored(truth=truth, answers=np.eye(2)[codes], classes=2, positive=1)


def judged(metric, limit, scored, units=None):
    seen = measure(metric, scored, units or Units(rows=scored.truth.size))
    step = GateModelInput(
        spec=make_spec(gate={"minimum": {metric: limit}}),
        validation=make_validation(),
        evaluation=make_evaluation(metrics=(seen,)),
    )
    return run_check(f"performance_minimum:{metric}", Case(step, fake_ports(), None))


@pytest.mark.parametrize(("limit", "needed"), [(0.97, 122), (0.99, 368)])
def test_all_right_of_eighteen(case, limit, needed):
    check = judged("accuracy", limit, answered(np.arange(18) % 2, True))
    case(
        f"18 of 18 right against {limit}",
        right=f"insufficient: with this value {needed} rows would do",
        got=f"{check.status.value}: {check.message.rpartition('; ')[2]}",
    )


def test_a_recall_on_three_positives(case):
    check = judged("recall", 0.9, answered(np.arange(200) < 3, True))
    case(
        "3 of 3 positives found in 200 rows",
        right="insufficient on 3 positives",
        got=f"{check.status.value} on {check.n} {check.unit}",
    )


def test_nineteen_positives_have_no_curve(case):
    truth = (np.arange(200) < 19).astype(int)
    scored = Scored(truth=truth, answers=np.eye(2)[truth], classes=2, positive=1)
    check = judged("roc_auc", 0.5, scored)
    case(
        "roc_auc 1.0 on 19 positives",
        right="insufficient: 19 positives, at least 20 needed",
        got=f"{check.status.value}: {check.message.rpartition('; ')[2]}",
    )


def test_an_entity_of_ten_rows_counts_once(case):
    codes = np.repeat(np.arange(40), 10)
    check = judged("accuracy", 0.97, answered(codes % 2, True), Units(rows=400, codes=codes))
    case(
        "400 of 400 rows of 40 entities right against 0.97",
        right="insufficient on 40 entities",
        got=f"{check.status.value} on {check.n} {check.unit}",
    )


@pytest.mark.parametrize("metric", ["accuracy", "recall", "f1", "roc_auc", "average_precision", "brier"])
def test_the_same_answers_twice_prove_nothing_better(case, metric):
    scored = answered(np.arange(200) % 2, np.arange(200) % 10 > 0)
    found = compare_models(metric, "champion", ours=scored, theirs=scored, units=Units(rows=200))
    case(f"{metric} of two equal models", right=True, got=found.interval.low < 0 < found.interval.high)


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_a_loss_on_rows_of_one_class(case, metric):
    scored = dataclasses.replace(answered(np.zeros(200, dtype=int), np.arange(200) % 20 > 0), trained=2)
    seen = measure(metric, scored, Units(rows=200))
    case(
        f"{metric} on 200 rows without a positive",
        right="no interval: 1 of 2 classes have no row here",
        got=f"{'an' if seen.interval else 'no'} interval: {seen.reason}",
    )
