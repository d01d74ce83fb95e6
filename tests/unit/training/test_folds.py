from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from windsock.exceptions import TrainingRefusedError
from windsock.training.folds import make_folds

CLASSES = np.arange(100) % 4 == 0
REGRESSION = {"name": "churn", "task": "regression"}


def frame_of(rows: int = 100, *, entities: int | None = None) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [f"c{row % (entities or rows)}" for row in range(rows)]})


def test_classes_keep_their_shares():
    folds = make_folds(frame_of(), CLASSES, make_spec())
    assert folds.kind == "StratifiedKFold"
    assert [CLASSES[outside].mean() for _, outside in folds.pairs] == [0.25] * 5


def test_numbers_are_shuffled():
    folds = make_folds(frame_of(), np.arange(100.0), make_spec(model=REGRESSION))
    assert folds.kind == "KFold"
    assert folds.pairs[0][1].tolist() != list(range(20))


@pytest.mark.parametrize(
    ("model", "labels", "kind"),
    [({"name": "churn"}, CLASSES, "StratifiedGroupKFold"), (REGRESSION, np.arange(100.0), "GroupKFold")],
)
def test_rows_of_a_repeated_entity_stay_together(model, labels, kind):
    frame = frame_of(entities=33)
    folds = make_folds(frame, labels, make_spec(model=model))
    assert folds.kind == kind
    for inside, outside in folds.pairs:
        assert not set(frame["customer_id"][inside]) & set(frame["customer_id"][outside])


def test_rows_without_an_entity_are_each_one_of_their_own():
    frame = frame_of(entities=33)
    frame.loc[:59, "customer_id"] = None
    folds = make_folds(frame, CLASSES, make_spec())
    assert folds.kind == "StratifiedGroupKFold"
    assert sum(len(outside) for _, outside in folds.pairs) == 100
    assert max(len(outside) for _, outside in folds.pairs) < 35


def test_later_rows_are_never_fitted_on():
    spec = make_spec(data={"event_time": "at"})
    folds = make_folds(frame_of(entities=3), CLASSES, spec)
    assert folds.kind == "TimeSeriesSplit"
    assert all(inside.max() < outside.min() for inside, outside in folds.pairs)


def test_each_row_is_scored_once_and_the_folds_are_the_same_each_time():
    first, second = (make_folds(frame_of(), CLASSES, make_spec()) for _ in range(2))
    assert sorted(np.concatenate([outside for _, outside in first.pairs])) == list(range(100))
    for one, other in zip(first.pairs, second.pairs, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("frame", "labels", "spec", "says"),
    [
        (frame_of(9), np.arange(9) % 2, make_spec(), "9 training rows; at least 10"),
        (
            frame_of(),
            np.arange(100) < 4,
            make_spec(),
            "4 training rows of the rarest of 2 classes; at least 5",
        ),
        (frame_of(entities=4), CLASSES, make_spec(), "4 entities in 100 training rows; at least 5"),
        (
            frame_of(),
            np.arange(100) > 50,
            make_spec(data={"event_time": "at"}),
            "one class only on one side of fold 1",
        ),
    ],
)
def test_too_few_rows_are_refused_with_the_number_and_the_limit(frame, labels, spec, says):
    with pytest.raises(TrainingRefusedError, match=says) as caught:
        make_folds(frame, labels, spec)
    assert caught.value.code == "WS-TRAINING-003"
