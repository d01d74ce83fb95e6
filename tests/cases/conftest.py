"""Small inputs on which an answer was wrong once: each row of the table says what is right and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ROWS = pytest.StashKey[list[tuple[str, str, str, bool]]]()
WIDTH = 60


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return ``case(name, right=..., got=...)``: it keeps a row of the table, and fails where they differ."""

    def keep(name: str, *, right: Any, got: Any) -> None:
        request.node.stash.setdefault(ROWS, []).append((name, _short(right), _short(got), right == got))
        assert got == right, f"{name}: right is {right!r}, got {got!r}"

    return keep


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Hand the rows of a case over with its report, also where a worker process ran it."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and "cases" in item.keywords:
        rows = item.stash.get(ROWS, [])
        report.cases = rows or [(item.name, "an answer", report.outcome, bool(report.passed))]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table: case, right, got."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    rows = sorted(tuple(row) for report in reports for row in getattr(report, "cases", ()))
    if not rows or terminalreporter.config.getoption("markexpr") != "cases":
        return
    terminalreporter.section("cases")
    for name, right, got, same in rows:
        terminalreporter.write_line(
            f"{'ok   ' if same else 'WRONG'} {name:<{WIDTH}} right {right} | got {got}"
        )
    terminalreporter.write_line(f"{len(rows)} cases, {sum(not same for *_, same in rows)} wrong")


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
