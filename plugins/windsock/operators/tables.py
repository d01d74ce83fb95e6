"""Plain tables for task logs: no colours, no boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from windsock.records import CheckResult
from windsock.steps import limit_text
from windsock.texts import log_text

log = logging.getLogger("windsock.task")
MOST_SIGNS = 36


def log_checks(title: str, checks: Iterable[CheckResult]) -> None:
    """Log checks as a table inside a group: status, code, name, number against limit.

    Those that did not pass come first.
    """
    log.info("::group::%s", title)
    for check in sorted(checks, key=lambda check: check.passed):
        log.info(
            "%-12s %-16s %-36s %s",
            check.status.value,
            check.code,
            log_text(check.name)[:36],
            log_text(limit_text(check))[:120],
        )
    log.info("::endgroup::")


def log_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Log rows of words as a table inside a group.

    :param header: the columns' names; each column is as wide as its widest word, at most 36 signs.
    """
    cut = [[log_text(word)[:MOST_SIGNS] for word in row] for row in (header, *rows)]
    widths = [max(len(row[place]) for row in cut) for place in range(len(header))]
    log.info("::group::%s", title)
    for row in cut:
        log.info("%s", "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    log.info("::endgroup::")
