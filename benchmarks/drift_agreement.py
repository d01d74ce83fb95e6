"""Verdicts from counts beside those of exact tests on the rows."""

from __future__ import annotations

import sys

from harness import PROJECT, Bar

sys.path.insert(0, str(PROJECT / "tests"))

from support.drift_cases import categorical_cases, numeric_cases


def agreement() -> list[Bar]:
    """Print what both say of each case, and return the bars."""
    cases = [*numeric_cases(), *categorical_cases()]
    print(f"\n{'case':45s} {'p < 0.01: counts, exact':28s} effect >= 0.05: counts, exact")
    for case in cases:
        print(f"{case.name:45s} {_said(*case.significant):28s} {_said(*case.large)}")
    return [
        Bar(
            bar="cases against exact KS and chi-square",
            value=len(cases),
            unit="cases",
            limit=100,
            at_most=False,
        ),
        Bar(bar="cases that contradict", value=sum(not case.agrees for case in cases), unit="cases", limit=0),
        Bar(
            bar="KS outside of its interval",
            value=sum(not case.inside for case in cases),
            unit="cases",
            limit=0,
        ),
        Bar(
            bar="cases that counts leave open",
            value=sum(not case.is_decided for case in cases),
            unit="cases",
            limit=len(cases) * 0.05,
        ),
    ]


def _said(counts: bool | None, exact: bool) -> str:
    return f"{ {True: 'yes', False: 'no', None: 'open'}[counts] }, {'yes' if exact else 'no'}"
