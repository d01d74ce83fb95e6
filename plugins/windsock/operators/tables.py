"""Plain lines for task logs: no colours, no boxes, and nothing cut."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from windsock.records import CheckResult, Status
from windsock.records.check_text import measured_text
from windsock.texts import first_of, log_text

log = logging.getLogger("windsock.task")
SHOWN = 4
"""Checks that passed and have a line of their own; the others are named on one."""
NAMED = 30
"""Of those so many at most."""
WIDEST = 36
"""Widest column of a table; a longer word is shown in full, and its row is wider."""


def log_checks(
    title: str, checks: Iterable[CheckResult], *, shown: int = SHOWN, undecided: int | None = None
) -> None:
    """Log a line for each check that did not pass, then for the first ones that did; the rest are named.

    The last block of the log says what they come to.

    :param title: what the checks are of; before the names of those that passed.
    :param shown: so many that passed have a line of their own.
    :param undecided: so many of those that could not say anything have one; ``None``: all.
    """
    known = list(checks)
    passed = [check for check in known if check.passed]
    silent = [check for check in known if check.status is Status.INSUFFICIENT]
    named = silent[undecided:] if undecided is not None else []
    listed = passed if len(passed) <= shown else passed[: shown - 1] if shown else []
    for check in [check for check in known if not check.passed and check not in named] + listed:
        log.info("%s %s %s: %s", check.status.value, check.code, check.name, measured_text(check))
    if named:
        names = first_of([log_text(check.name) for check in named], NAMED)
        log.info("%s: %d also insufficient: %s", title, len(named), names)
    if rest := [log_text(check.name) for check in passed[len(listed) :]]:
        also = " also" if listed else ""
        log.info("%s: %d%s passed: %s", title, len(rest), also, first_of(rest, NAMED))


def log_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Log rows of words as a table under its title; nothing of a word is cut.

    :param header: the columns' names; each column is as wide as its widest word, at most 36 signs.
    """
    cleaned = [[log_text(word) for word in row] for row in (header, *rows)]
    widths = [min(WIDEST, max(len(row[place]) for row in cleaned)) for place in range(len(header))]
    log.info("%s", title)
    line = "  ".join([f"%-{width}s" for width in widths[:-1]] + ["%s"])  # blanks within a word are not kept
    for row in cleaned:
        log.info(line, *row)
