from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from windsock.spec import column_groups
from windsock.spec.column_groups import (
    is_code,
    is_prose,
    label_agreement,
    label_points,
    repeats_like_identity,
)


def people(rows=1200, groups=150, seed=5):
    draw = np.random.default_rng(seed)
    who = draw.integers(0, groups, rows)
    return draw, who, draw.permutation(10_000)[:groups][who]


def test_rows_of_one_person_agree_and_those_of_neighbours_do_not():
    draw, who, ids = people()
    fixed = pd.Series(draw.integers(0, 2, 150)[who])
    found = label_agreement(pd.Series(ids), fixed, numbers=False)
    assert found.within == pytest.approx(1.0)
    assert found.is_of_identity
    often = pd.Series(draw.random(1200) < draw.beta(0.5, 0.5, 150)[who])
    assert label_agreement(pd.Series(ids), often, numbers=False).is_of_identity
    assert label_agreement(pd.Series(ids).map(str), often, numbers=False).is_of_identity


def test_labels_by_chance_do_not():
    draw, _, ids = people()
    found = label_agreement(pd.Series(ids), pd.Series(draw.integers(0, 3, 1200)), numbers=False)
    assert abs(found.within) < 0.05
    assert not found.is_of_identity


@pytest.mark.parametrize("steep", [0.05, 0.2, 5])
def test_a_number_that_predicts_is_no_identity(steep):
    draw = np.random.default_rng(2)
    age = draw.integers(18, 98, 2000)
    label = draw.random(2000) < 1 / (1 + np.exp(-steep * (age - 55)))
    found = label_agreement(pd.Series(age), pd.Series(label), numbers=False)
    assert not found.is_of_identity
    assert found.beside > 0.8 * found.within


def test_a_number_to_predict_agrees_by_its_ranks():
    draw, who, ids = people()
    amount = pd.Series(np.exp(draw.normal(0, 3, 150)[who] + draw.normal(0, 0.5, 1200)))
    found = label_agreement(pd.Series(ids), amount, numbers=True)
    assert found.within > 0.8
    assert found.is_of_identity
    assert not label_agreement(pd.Series(np.round(np.log(amount) * 10)), amount, numbers=True).is_of_identity


def test_a_rare_label_in_a_few_pairs_is_not_certain():
    ids = pd.Series([*range(90), *range(10)])
    label = pd.Series([number in (0, 90, 91) for number in range(100)])
    assert not label_agreement(ids, label, numbers=False).certain


def test_groups_stay_together_where_rows_are_too_many(monkeypatch):
    monkeypatch.setattr(column_groups, "MOST_ROWS", 300)
    draw, who, ids = people()
    found = label_agreement(pd.Series(ids), pd.Series(draw.integers(0, 2, 150)[who]), numbers=False)
    assert found.within == pytest.approx(1.0)
    assert found.is_of_identity


def test_nothing_to_compare():
    ids, label = pd.Series(range(9)), pd.Series([0, 1, 0] * 3)
    assert label_agreement(ids, label, numbers=False) is None
    assert label_agreement(pd.Series([1, 1, 2]), pd.Series([1, 1, 1]), numbers=False) is None
    assert label_agreement(pd.Series([None] * 3), pd.Series([1, 0, 1]), numbers=False) is None
    assert label_points(pd.Series([2, 2]), numbers=True) is None


def test_many_values_that_come_again():
    assert repeats_like_identity(pd.Series(range(100)).repeat(4))
    assert not repeats_like_identity(pd.Series(range(50)).repeat(4))  # a category
    assert not repeats_like_identity(pd.Series(range(60)).repeat(100))  # up to 2 % of the rows
    assert not repeats_like_identity(pd.Series(range(400)))  # each once


def test_text_for_people_and_codes():
    assert is_prose(pd.Series(["the screen was broken", "never again, thank you"]))
    assert is_prose(
        pd.Series(["배송이너무늦고포장이찢어져서다시는안삽니다", "아주좋아요다음에도여기서주문할게요감사"])
    )
    assert not is_prose(pd.Series(["7590-VHVEG", "5575-GNVDE"]))
    assert not is_prose(pd.Series([], dtype=object))
    assert is_code(pd.Series(["P029", "P071"]))
    assert is_code(pd.Series(["고객12", "고객340"]))
    assert not is_code(pd.Series(["029", "071"]))
    assert not is_code(pd.Series(["red", "blue"]))
    assert not is_code(pd.Series(["12 Main", "14 Main"]))
    assert not is_code(pd.Series([], dtype=object))
