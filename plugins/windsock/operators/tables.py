"""Plain tables for task logs: no colours, no boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from windsock.records import CheckResult
from windsock.steps import limit_text

log = logging.getLogger("windsock.task")
WIDEST_NAME = 72


def log_checks(title: str, checks: Iterable[CheckResult]) -> None:
    """Log checks as a table inside a group: status, code, name, number against limit.

    Those that did not pass come first.
    """
    log.info("::group::%s", title)
    for check in sorted(checks, key=lambda check: check.passed):
        log.info(
            "%-12s %-16s %-36s %s", check.status.value, check.code, check.name[:36], limit_text(check)[:120]
        )
    log.info("::endgroup::")
