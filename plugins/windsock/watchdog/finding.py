"""One thing that the watchdog looks at: what is said where it is wrong, and where it is well."""

from __future__ import annotations

from windsock.records import Condition, Severity


def finding(
    key: str,
    code: str,
    severity: Severity,
    title: str,
    *,
    active: bool,
    wrong: str,
    well: str,
    next_action: str,
) -> Condition:
    """Return a condition; what is to be done is said only where something is wrong.

    :param key: what it is about, below ``watch:``.
    :param active: whether it is wrong now.
    :param wrong: what is said then.
    :param well: what is said else.
    """
    return Condition(
        key=f"watch:{key}",
        active=active,
        severity=severity,
        title=title,
        text=wrong if active else well,
        code=code,
        next_action=next_action if active else "",
    )
