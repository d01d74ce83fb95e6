"""What is kept of a stack's logs when a test on it fails: a copy of all, and their errors in the report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ERROR = re.compile(r"error|critical|traceback|exception|locked", re.IGNORECASE)
MOST_ERRORS, LAST_LINES, LINE_LENGTH = 30, 8, 400


def keep_logs(logs: Path, test: str, kept: Path) -> str:
    """Copy a stack's logs and return what of them belongs into the report of a test that failed.

    :param logs: the folder of the stack's logs, ``NAME.log`` each.
    :param test: node id of the test.
    :param kept: the folder that keeps the copies, one folder for each test.
    """
    folder = kept / re.sub(r"[^\w.-]+", "_", test)[-120:]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(logs, folder)
    lines = [f"copied to {folder}"]
    for log in sorted(logs.glob("*.log")):
        lines += [f"--- {log.name}", *telling_lines(log.read_text(encoding="utf-8", errors="replace"))]
    return "\n".join(lines)


def telling_lines(text: str) -> list[str]:
    """Return the last errors of a log, and its last lines."""
    lines = [line[:LINE_LENGTH] for line in text.splitlines()]
    errors = [line for line in lines if ERROR.search(line)][-MOST_ERRORS:]
    end = lines[-LAST_LINES:]
    return [*(line for line in errors if line not in end), *end]
