"""Pairs of samples on both sides of every threshold, and what exact tests say of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, ks_2samp

from windsock.records import ColumnKind, ColumnProfile, InputField
from windsock.statistics.counting import count_categories, count_numbers
from windsock.statistics.distances import ks_interval
from windsock.statistics.profiling import build_profile
from windsock.statistics.significance import chi_square, ks_p

ALPHA, EFFECT = 0.01, 0.05
SIZES = ((2_000, 500), (10_000, 2_000), (50_000, 20_000), (3_000, 30_000))
SHIFTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Agreement:
    """What counts and exact test say of a case; a threshold that counts leave open is ``None``.

    :param inside: whether the interval holds the exact distance; always for categories.
    :param significant: whether p lies below 0.01: by counts, and exactly.
    :param large: whether the effect is at least 0.05: by counts, and exactly.
    """

    name: str
    inside: bool
    significant: tuple[bool | None, bool]
    large: tuple[bool | None, bool]

    @property
    def agrees(self) -> bool:
        """Whether counts never say the other than the exact test."""
        return all(said is None or said == exact for said, exact in (self.significant, self.large))

    @property
    def is_decided(self) -> bool:
        """Whether counts leave nothing open."""
        return self.significant[0] is not None and self.large[0] is not None


def numeric_cases() -> Iterator[Agreement]:
    """Yield cases of five shapes, six shifts and four sizes."""
    for place, (rows, now) in enumerate(SIZES):
        for number, shift in enumerate(SHIFTS):
            draw = np.random.default_rng([7, place, number])
            pairs = {
                "normal": (draw.normal(size=rows), draw.normal(shift, size=now)),
                "lognormal": (draw.lognormal(size=rows), draw.lognormal(shift, size=now)),
                "poisson": (draw.poisson(3, rows) * 1.0, draw.poisson(3 + 2 * shift, now) * 1.0),
                "uniform": (draw.random(rows), draw.random(now) * (1 + shift)),
                "zeros": (_mostly_zero(draw, rows, 0.7), _mostly_zero(draw, now, 0.7 - shift / 2)),
            }
            for name, (reference, window) in pairs.items():
                yield _numeric(f"{name} {shift:+} {rows:,}/{now:,}", reference, window)


def categorical_cases() -> Iterator[Agreement]:
    """Yield cases of three widths, six shifts and four sizes."""
    for place, (rows, now) in enumerate(SIZES):
        for number, shift in enumerate(SHIFTS):
            for width in (2, 10, 30):
                draw = np.random.default_rng([8, place, number, width])
                shares = np.arange(width, 0, -1) / np.arange(width, 0, -1).sum()
                moved = np.append(shares[:-1] * (1 - shift / 2), 0)
                moved[-1] = 1 - moved.sum()
                reference, window = draw.multinomial(rows, shares), draw.multinomial(now, moved)
                yield _categorical(f"{width} categories {shift:+} {rows:,}/{now:,}", reference, window)


def _mostly_zero(draw: np.random.Generator, rows: int, share: float) -> NDArray[Any]:
    return np.where(draw.random(rows) < share, 0.0, draw.exponential(size=rows))


def _numeric(name: str, reference: NDArray[Any], window: NDArray[Any]) -> Agreement:
    (column,) = build_profile(
        pd.DataFrame({"x": reference}), [InputField(name="x", kind=ColumnKind.NUMBER)]
    ).columns
    low, high = ks_interval(column, count_numbers(column, window))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact = ks_2samp(reference, window, method="asymp")
    p_low, p_high = (ks_p(bound, reference.size, window.size) for bound in (high, low))
    return Agreement(
        name=name,
        inside=low - 1e-12 <= exact.statistic <= high + 1e-12,
        significant=(_side(p_low < ALPHA, p_high < ALPHA), bool(exact.pvalue < ALPHA)),
        large=(_side(high >= EFFECT, low >= EFFECT), bool(exact.statistic >= EFFECT)),
    )


def _side(one: bool, other: bool) -> bool | None:
    return bool(one) if one == other else None


def _categorical(name: str, reference: NDArray[Any], window: NDArray[Any]) -> Agreement:
    names = [f"c{number}" for number in range(reference.size)]
    column = ColumnProfile(
        name="x",
        kind=ColumnKind.CATEGORY,
        rows=int(reference.sum()),
        nulls=0,
        categories=dict(zip(names, reference.tolist(), strict=True)),
    )
    counts = count_categories(column, dict(zip(names, window.tolist(), strict=True)), 0)
    assert counts.named is not None
    found = chi_square(list(column.categories.values()), counts.named.tolist())
    assert found is not None
    exact = chi2_contingency(np.array([reference, window]), correction=False)
    both, sides = reference + window, (reference.sum(), window.sum())
    common = both >= 5 * sum(sides) / min(sides)  # the rarer ones expect too few rows: counted together
    rare = [[side[~common].sum()] if (~common).any() else [] for side in (reference, window)]
    reference, window = np.append(reference[common], rare[0]), np.append(window[common], rare[1])
    shares = np.array([reference / reference.sum(), window / window.sum()])
    even = chi2_contingency(shares, correction=False)
    rows = 4 / (1 / reference.sum() + 1 / window.sum())  # of two equal samples that vary as much
    by_chance = (np.count_nonzero(reference + window) - 1) / (rows - 1)  # Bergsma (2013), two columns
    effect = float(np.sqrt(max(0.0, even.statistic / 2 - by_chance) / (1 - 1 / (rows - 1))))
    return Agreement(
        name=name,
        inside=True,
        significant=(found.p < ALPHA, bool(exact.pvalue < ALPHA)),
        large=(found.cramers_v >= EFFECT, effect >= EFFECT),
    )
