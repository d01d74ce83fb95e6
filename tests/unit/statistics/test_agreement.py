"""Verdicts from counts against those from rows: exact Kolmogorov-Smirnov and two-sample chi-square."""

from __future__ import annotations

import pytest

from support.drift_cases import Agreement, categorical_cases, numeric_cases


@pytest.fixture(scope="module")
def cases() -> list[Agreement]:
    return [*numeric_cases(), *categorical_cases()]


def test_the_interval_holds_the_exact_distance_in_every_case(cases: list[Agreement]) -> None:
    assert len(cases) >= 100
    assert [case.name for case in cases if not case.inside] == []


def test_counts_never_contradict_the_exact_test(cases: list[Agreement]) -> None:
    assert [case for case in cases if not case.agrees] == []


def test_few_cases_are_left_to_be_decided_on_rows(cases: list[Agreement]) -> None:
    left = [case.name for case in cases if not case.is_decided]
    assert len(left) <= len(cases) * 0.05, left


def test_the_cases_lie_on_both_sides_of_both_thresholds(cases: list[Agreement]) -> None:
    for name in ("significant", "large"):
        yes = sum(getattr(case, name)[1] for case in cases)
        assert len(cases) * 0.2 <= yes <= len(cases) * 0.8
