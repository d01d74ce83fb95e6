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
    told = [
        ("cases that contradict the exact test", sum(not case.agrees for case in cases), 0.0),
        ("KS outside of its interval", sum(not case.inside for case in cases), 0.0),
        ("cases that counts leave open", sum(not case.is_decided for case in cases), len(cases) * 0.05),
    ]
    return [
        Bar(bar="cases against exact tests", value=len(cases), unit="cases", limit=100, at_most=False),
        *(Bar(bar=name, value=value, unit="cases", limit=limit) for name, value, limit in told),
    ]


def _said(counts: bool | None, exact: bool) -> str:
    return f"{ {True: 'yes', False: 'no', None: 'open'}[counts] }, {'yes' if exact else 'no'}"
