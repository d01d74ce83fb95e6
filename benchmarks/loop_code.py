"""Whose code the loop's benchmark runs: this project's, or that of another commit beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CODE = Path(os.environ.get("LOOP_CODE", Path(__file__).resolve().parent.parent))
sys.path[:0] = [str(CODE / "plugins"), str(CODE / "tests")]
os.environ.setdefault("OMP_NUM_THREADS", "1")


def require_own() -> None:
    """See that no other installation is run in its place."""
    import windsock

    found = Path(windsock.__file__)
    if not found.is_relative_to(CODE):
        raise RuntimeError(f"asked for the code below {CODE}, but windsock is {found}")
