"""A process that holds a context manager open for as long as a run of the tests lives.

``python -m support.keeper OWNER MODULE:FUNCTION ANSWER``: it ends when the process OWNER does, even by
SIGKILL, or by SIGTERM, and leaves the context on its way out. What it gives is written to the file ANSWER.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from importlib import import_module
from pathlib import Path


def main(owner: int, context: str, answer: Path) -> None:
    """Enter the context, say what it gave, and wait for the end of the run."""
    module, _, function = context.partition(":")
    alarm, bell = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(bell, b"!"))
    try:
        life = os.pidfd_open(owner)
    except ProcessLookupError:
        return
    with getattr(import_module(module), function)() as value:
        part = answer.with_suffix(".part")
        part.write_text(json.dumps(value), encoding="utf-8")
        part.replace(answer)
        select.select([life, alarm], [], [])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
