"""When a model is retrained: a word or a cron expression."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from windsock.spec.faults import NotAllowedError, closest

WORDS = {"hourly": "0 * * * *", "daily": "0 2 * * *", "weekly": "0 2 * * 0", "monthly": "0 2 1 * *"}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(MONTHS, start=1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(WEEKDAYS)}),
)
PART = re.compile(
    r"(?P<first>\*|[0-9]{1,2}|[a-z]{3})(-(?P<last>[0-9]{1,2}|[a-z]{3}))?(/(?P<step>[0-9]{1,2}))?"
)
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ALLOWED = "hourly, daily, weekly, monthly, or five cron fields such as '0 2 * * *'"


def _number(text: str, names: dict[str, int], low: int, high: int) -> int | None:
    value = names.get(text) if text.isalpha() else int(text)
    return value if value is not None and low <= value <= high else None


def _part(text: str, names: dict[str, int], low: int, high: int) -> set[int] | None:
    """Return the values that one part of a field stands for, or ``None`` if it stands for none."""
    found = PART.fullmatch(text)
    if found is None or (found["first"] == "*" and found["last"]):
        return None
    first = low if found["first"] == "*" else _number(found["first"], names, low, high)
    last = _number(found["last"], names, low, high) if found["last"] else first
    if found["first"] == "*" or (found["step"] and not found["last"]):
        last = high
    step = int(found["step"] or 1)
    if first is None or last is None or first > last or not 0 < step <= high:
        return None
    return set(range(first, last + 1, step))


def _field(text: str, index: int) -> set[int]:
    name, low, high, names = FIELDS[index]
    parts = [_part(part, names, low, high) for part in text.lower().split(",")]
    if any(part is None for part in parts):
        also = f" or {', '.join(names)}" if names else ""
        raise NotAllowedError(
            f"field {index + 1} ({name}) of the cron expression is wrong",
            allowed=f"{low}-{high}{also}, *, a-b, */n and lists of these",
        )
    return {value for part in parts for value in part or ()}


def _schedule(value: object) -> object:
    if not isinstance(value, str):
        raise NotAllowedError("no schedule", allowed=ALLOWED)
    text = " ".join(value.split())
    if text in WORDS:
        return text
    fields = text.split(" ")
    if len(fields) != len(FIELDS):
        raise NotAllowedError("no schedule", allowed=ALLOWED, cure=closest(text, WORDS))
    values = [_field(field, index) for index, field in enumerate(fields)]
    # A day that no month has would never come; where a weekday stands too, either of them counts.
    every_weekday = {day % 7 for day in values[4]} == set(range(7))
    if every_weekday and min(values[2]) > max(LONGEST[month - 1] for month in values[3]):
        raise NotAllowedError("no month of this schedule has such a day", allowed=ALLOWED)
    return text


Schedule = Annotated[
    str,
    BeforeValidator(_schedule),
    Field(json_schema_extra={"anyOf": [{"enum": list(WORDS)}, {"pattern": r"^\s*\S+(\s+\S+){4}\s*$"}]}),
]
"""A validated schedule, kept as the text that the user wrote."""


def cron_of(schedule: str) -> str:
    """Return the cron expression of a validated schedule."""
    return WORDS.get(schedule, schedule)


def schedule_word(schedule: str) -> str:
    """Return the word for a schedule: ``daily``, ``weekly`` ... or the cron expression itself."""
    return next((word for word, cron in WORDS.items() if schedule in (word, cron)), schedule)
