"""When a model is retrained: a word or a cron expression."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

WORDS = {"hourly": "0 * * * *", "daily": "0 2 * * *", "weekly": "0 2 * * 0", "monthly": "0 2 1 * *"}
FIELD = re.compile(r"(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?(,(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?)*")
NAMED = re.compile(r"(?i)sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec")
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
HINT = "write hourly, daily, weekly, monthly or five cron fields such as '0 2 * * *'"


def _field_ok(text: str, low: int, high: int, *, names: bool) -> bool:
    plain = NAMED.sub(str(low), text) if names else text
    if not FIELD.fullmatch(plain):
        return False
    bases = [part.split("/")[0] for part in plain.split(",")]
    numbers = [int(number) for base in bases for number in base.split("-") if number != "*"]
    steps = [int(part.split("/")[1]) for part in plain.split(",") if "/" in part]
    return all(low <= number <= high for number in numbers) and all(step > 0 for step in steps)


def _schedule(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(HINT)
    text = " ".join(value.split())
    if text in WORDS:
        return text
    fields = text.split(" ")
    if len(fields) != len(BOUNDS):
        raise ValueError(HINT)
    for index, (field, (low, high)) in enumerate(zip(fields, BOUNDS, strict=True)):
        if not _field_ok(field, low, high, names=index in (3, 4)):
            raise ValueError(f"{HINT}; field {index + 1} must lie in {low}-{high}")
    return text


Schedule = Annotated[str, BeforeValidator(_schedule)]


def cron_of(schedule: str) -> str:
    """Return the cron expression of a validated schedule."""
    return WORDS.get(schedule, schedule)


def schedule_word(schedule: str) -> str:
    """Return the word for a schedule: ``daily``, ``weekly`` ... or the cron expression itself."""
    return next((word for word, cron in WORDS.items() if schedule in (word, cron)), schedule)
