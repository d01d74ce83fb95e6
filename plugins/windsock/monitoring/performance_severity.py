"""How much failed checks of performance matter: of one, and the worst of many."""

from __future__ import annotations

from collections.abc import Iterable

from windsock.monitoring import performance_checks as checks
from windsock.records import CheckResult, Severity, Status

SEVERITIES = tuple(Severity)
SEVERITY_OF = {
    checks.DROP: Severity.HIGH,
    checks.MINIMUM: Severity.HIGH,
    checks.KNOWS_NOTHING: Severity.CRITICAL,
    checks.TREND: Severity.MEDIUM,
    checks.ESTIMATE: Severity.MEDIUM,
    checks.BUSINESS: Severity.HIGH,
    checks.POSITIVE_RATE: Severity.HIGH,
}
"""Of a failed check; any other is low."""
TWICE = 2
"""A loss of more than so many times its limit is a step worse."""


def kind_of(check: CheckResult) -> str:
    """Return the kind of a check: its name without what it looks at."""
    return check.name.partition(":")[0]


def severity_of(found: Iterable[CheckResult]) -> Severity:
    """Return how much the failed ones among some checks matter."""
    worst = Severity.NONE
    for check in found:
        if check.status is not Status.FAIL:
            continue
        severity = SEVERITY_OF.get(kind_of(check), Severity.LOW)
        lost = check.value is not None and check.limit is not None and check.value > TWICE * check.limit
        if kind_of(check) in (checks.DROP, checks.TREND) and lost:
            severity = SEVERITIES[SEVERITIES.index(severity) + 1]
        worst = max(worst, severity, key=SEVERITIES.index)
    return worst
