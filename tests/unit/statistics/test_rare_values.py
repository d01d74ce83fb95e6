from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from windsock.records import MOST_CATEGORIES, ColumnKind, ColumnProfile, InputField
from windsock.statistics.profiling import describe_column
from windsock.statistics.rare_values import (
    BUCKETS,
    bucket_of,
    cells_of,
    count_buckets,
    good_turing,
    shares_of,
    unseen_of,
)
from windsock.statistics.significance import bergsma_v, chi_square, largest_growth

FIELD = InputField(name="c", kind=ColumnKind.CATEGORY)


def described(values: list[str | None], **changed: Any) -> ColumnProfile:
    return describe_column(pd.Series(values, dtype=object), FIELD).model_copy(update=changed)


def zipf(rows: int, exponent: float, *, values: int = 5_000, seed: int = 1) -> list[str]:
    shares = 1 / np.arange(1, values + 1) ** exponent
    drawn = np.random.default_rng(seed).choice(values, rows, p=shares / shares.sum())
    return [f"m{number}" for number in drawn.tolist()]


class TestGoodTuring:
    def test_the_published_share_of_the_prosody_data(self) -> None:
        # Gale & Sampson (1995), "Good-Turing frequency estimation without tears": 30,902 chunks, of which 120
        # patterns came once and 40 twice.
        assert good_turing(120, 40, 30_902).share == pytest.approx(0.003883, abs=5e-7)

    def test_its_error_covers_what_is_unseen(self) -> None:
        values, rows = 3_000, 2_000
        shares = 1 / np.arange(1, values + 1) ** 1.2
        shares /= shares.sum()
        draw, within = np.random.default_rng(5), 0
        for _ in range(100):
            counts = draw.multinomial(rows, shares)
            found = good_turing(int((counts == 1).sum()), int((counts == 2).sum()), rows)
            within += abs(found.share - shares[counts == 0].sum()) <= 1.96 * found.error
        assert within >= 90

    def test_no_rows_know_nothing(self) -> None:
        assert good_turing(0, 0, 0) == (1.0, 0.0)


class TestBiasCorrectedV:
    def test_the_published_value_of_a_table(self) -> None:
        # ClickHouse's documentation of cramersVBiasCorrected: 150 numbers, modulo 10 and modulo 4.
        table = np.zeros((10, 4))
        for number in range(150):
            table[number % 10, number % 4] += 1
        expected = table.sum(1, keepdims=True) * table.sum(0) / 150
        phi_squared = float(((table - expected) ** 2 / expected).sum()) / 150
        assert (phi_squared / 3) ** 0.5 == pytest.approx(0.5798088336225178)
        assert bergsma_v(phi_squared, 10, 4, 150) == pytest.approx(0.5305112825189074)

    def test_many_cells_have_no_effect_without_drift(self) -> None:
        draw = np.random.default_rng(3)
        shares = np.full(200, 1 / 200)
        found = [
            chi_square(draw.multinomial(20_000, shares), draw.multinomial(6_000, shares)) for _ in range(40)
        ]
        assert np.mean([test.cramers_v for test in found if test]) < 0.03  # uncorrected: 0.1

    @pytest.mark.parametrize(("count", "rows"), [(0, 0), (1, 5)])
    def test_nothing_to_measure(self, count: float, rows: int) -> None:
        assert bergsma_v(0.5, rows, 2, count) == 0.0


class TestLargestGrowth:
    def test_it_is_found_however_rare_it_was(self) -> None:
        then, now = np.full(500, 4.0), np.full(500, 2.0)
        now[321] = 60
        found = largest_growth(then, now, np.ones(500, dtype=bool))
        assert found is not None
        assert found.place == 321
        assert found.p < 1e-15
        assert found.effect > 0.1

    def test_chance_alone_is_rejected_as_seldom_as_it_says(self) -> None:
        draw, shares = np.random.default_rng(8), np.full(300, 1 / 300)
        p_values = []
        for _ in range(200):
            pair = draw.multinomial(3_000, shares), draw.multinomial(1_000, shares)
            found = largest_growth(*pair, np.ones(300, dtype=bool))
            p_values.append(found.p if found else 1.0)
        assert np.mean(np.array(p_values) < 0.05) <= 0.08

    def test_nothing_is_looked_at(self) -> None:
        assert largest_growth([1, 2], [3, 4], np.zeros(2, dtype=bool)) is None
        assert largest_growth([0, 0], [3, 4], np.ones(2, dtype=bool)) is None


class TestProfile:
    def test_few_values_are_kept_as_they_always_were(self) -> None:
        column = described(["a"] * 50 + ["b"] * 30 + ["c"])
        assert column.many is None
        assert (column.categories, column.other) == ({"a": 50, "b": 30, "c": 1}, 0)
        assert (column.seen_once, column.seen_twice) == (1, 0)

    def test_many_values_have_a_measuring_half(self) -> None:
        values = zipf(4_000, 1.3)
        column = described([*values, None, None])
        many = column.many
        assert many is not None
        assert many.rows + many.nulls == pytest.approx(2_000, abs=150)
        assert sum(many.named.values()) + sum(many.rest) == many.rows
        assert column.rows == sum(column.categories.values()) + column.other == 4_000
        assert set(many.named) == set(column.categories)
        assert described([*values, None, None]) == column

    def test_its_size_does_not_grow_with_the_values(self) -> None:
        few, lots = (described(zipf(rows, 0.0, values=rows)) for rows in (3_000, 30_000))
        assert few.many is not None
        assert lots.many is not None
        assert len(lots.categories) == len(lots.many.named) == MOST_CATEGORIES
        assert len(lots.many.rest) == len(few.many.rest) == BUCKETS

    def test_rows_of_an_entity_are_in_one_half(self) -> None:
        values = [f"m{number}" for number in range(600) for _ in range(4)]
        groups = np.repeat(np.random.default_rng(2).integers(0, 64, 600), 4)
        column = describe_column(pd.Series(values, dtype=object), FIELD, groups=groups)
        assert column.many is not None
        assert set(column.many.named.values()) == {0}  # chosen in one half, so not in the other
        assert sum(column.many.rest) == column.many.rows

    def test_the_expected_share_without_a_name_is_that_of_new_rows(self) -> None:
        column = described(zipf(4_000, 1.3))
        new = zipf(20_000, 1.3, seed=2)
        unnamed = sum(value not in column.categories for value in new) / len(new)
        assert unseen_of(column) == pytest.approx(unnamed, abs=0.03)
        shares, other, _ = shares_of(column)
        assert list(shares)[:2] == ["m0", "m1"]
        assert other == sum(column.many.rest if column.many else ())


class TestCells:
    def old(self, values: list[str]) -> ColumnProfile:
        """Return a profile as versions of before made it: all counts by name, no measuring half."""
        counts = sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))
        named = dict(counts[:MOST_CATEGORIES])
        return ColumnProfile(
            name="c",
            kind=ColumnKind.CATEGORY,
            rows=len(values),
            nulls=0,
            categories=named,
            other=len(values) - sum(named.values()),
        )

    @pytest.mark.parametrize("exponent", [1.1, 1.6])
    def test_a_profile_of_before_expects_rows_of_unseen_values(self, exponent: float) -> None:
        column = self.old(zipf(4_000, exponent))
        now = Counter(zipf(4_000, exponent, seed=2))
        named = np.array([now[name] for name in column.categories])
        cells = cells_of(column, named, None, 4_000 - int(named.sum()), 0)
        assert cells.reference.sum() == pytest.approx(4_000)
        assert cells.window.sum() == 4_000
        test = chi_square(cells.reference, cells.window)
        assert test is not None
        assert test.p > 0.001
        assert test.cramers_v < 0.1

    def test_without_rare_values_nothing_is_estimated(self) -> None:
        cells = cells_of(self.old(["a"] * 60 + ["b"] * 40), np.array([5, 4]), None, 3, 2)
        assert cells.reference.tolist() == [60, 40, 0, 0]
        assert cells.window.tolist() == [5, 4, 3, 2]
        assert cells.single.tolist() == [True, True, True, False]


def test_buckets_are_the_same_everywhere() -> None:
    assert [bucket_of(text) for text in ("", "a", "Bäckerei", "\ud800")] == [0, 67, 63, 40]
    assert count_buckets([("a", 3), ("a", 2)])[67] == 5
