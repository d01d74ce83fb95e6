"""Where an unforeseen error came from, without its message."""

from __future__ import annotations

import traceback
from collections.abc import Sequence


def place_of(error: BaseException) -> str:
    """Return an error's kind and where it came from; its message may quote what a client sent."""
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"
