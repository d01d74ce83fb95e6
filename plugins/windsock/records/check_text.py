"""One notation for a number and its limit, wherever people read one.

``roc_auc 0.812 [0.79, 0.83], limit: at least 0.8, n=200 rows: insufficient``: what was measured, its value
with the interval, the condition of passing in words, how many carry it, and what came of it. The words of the
limit never depend on the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from windsock.records.base import ROWS, CheckResult, Interval, Status
from windsock.texts import first_of

CONDITIONS = {">=": "at least", "<=": "at most", ">": "above", "<": "below", "==": "exactly"}
LIMIT = ", limit: "
"""What a sentence with a limit in it is known by."""
SHARE = "%"
"""Unit of a share: 0.5 is shown as 50 %."""
FEWEST_DIGITS = 4
MOST_DIGITS = (6, 9, 17)
"""Significant digits of a limit, and the most of a number beside it; more only where fewer would mislead."""
MOST_WHOLE = 1e15
SMALL = 1e-4
SHOWN = 3
"""Checks that a sentence lists; how many more there are is said."""


def number_text(value: float, digits: int = FEWEST_DIGITS) -> str:
    """Return a number as people read it: four significant digits, whole numbers in full.

    >>> number_text(0.0713079), number_text(60500.0), number_text(12.5)
    ('0.07131', '60,500', '12.5')

    :param digits: significant digits.
    """
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < MOST_WHOLE:
        return f"{value:,.0f}"
    if not SMALL <= abs(value) < MOST_WHOLE:
        return f"{value:.{digits}g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def interval_text(interval: Interval) -> str:
    """Return an interval, such as ``[0.79, 0.83]``."""
    return f"[{number_text(interval.low)}, {number_text(interval.high)}]"


def limit_words(relation: str, limit: float, unit: str = "") -> str:
    """Return the condition of passing, such as ``at least 0.8``.

    :param unit: of the limit: ``%`` for a share, else a word with a blank before it.
    """
    return f"{CONDITIONS[relation]} {_with_unit(number_text(_scaled(limit, unit), MOST_DIGITS[0]), unit)}"


def against_limit(
    what: str,
    value: float,
    relation: str,
    limit: float,
    *,
    status: Status | None = None,
    interval: Interval | None = None,
    aside: str = "",
    condition: str = "",
    about: str = "",
    n: int | str | None = None,
    unit: str = "",
    signed: bool = False,
) -> str:
    """Return a number against its limit: ``WHAT VALUE [LOW, HIGH], limit: at least LIMIT, n=N: STATUS``.

    The numbers have as many digits as it takes to see on which side of the limit they are.

    :param what: what was measured; empty where the words before say it.
    :param relation: how value and limit must stand to each other to pass.
    :param aside: words after the value, such as why it has no interval.
    :param condition: the limit in words, in place of relation and limit: where there are two.
    :param about: where the limit comes from, in brackets after it.
    :param n: how many carry the value, also in words: ``18 positives of 200 rows``.
    :param unit: of value and limit, as of :func:`limit_words`.
    :param signed: whether the sign of a positive number is shown: of differences.
    """
    ends = (interval.low, interval.high) if interval else ()
    shown, bound = _beside([_scaled(one, unit) for one in (value, *ends)], _scaled(limit, unit))
    if signed:
        shown = [one if one.startswith("-") else f"+{one}" for one in shown]
    parts = [f"{what} {_with_unit(shown[0], unit)}".strip()]
    if interval:
        parts.append(f" [{shown[1]}, {shown[2]}]")
    if aside:
        parts.append(f" {aside}")
    parts.append(f"{LIMIT}{condition or f'{CONDITIONS[relation]} {_with_unit(bound, unit)}'}")
    if about:
        parts.append(f" ({about})")
    if n is not None:
        parts.append(f", n={n if isinstance(n, str) else f'{n:,}'}")
    if status is not None:
        parts.append(f": {status.value}")
    return "".join(parts)


def measured_text(check: CheckResult) -> str:
    """Return a check's number against its limit, without name and status: a table's cell.

    What the check itself says in this notation goes before: it knows the unit.
    """
    if LIMIT in check.message:
        said, _, more = check.message.partition(f": {check.status.value}")
        return f"{said}{more}"
    if check.value is None:
        return check.message or check.status.value
    n = None if check.n is None else f"{check.n:,}" if check.unit == ROWS else f"{check.n:,} {check.unit}"
    if check.relation is None or check.limit is None:
        interval = f" {interval_text(check.interval)}" if check.interval else ""
        return f"{number_text(check.value)}{interval}" + (f", n={n}" if n else "")
    return against_limit("", check.value, check.relation, check.limit, interval=check.interval, n=n)


def check_text(check: CheckResult) -> str:
    """Return what a check found, once: its sentence with the status, else its number against the limit."""
    if LIMIT in check.message and f": {check.status.value}" in check.message:
        return check.message
    if check.message:
        return f"{check.status.value}, {check.message}"
    if check.value is None:
        return check.status.value
    return f"{measured_text(check)}: {check.status.value}"


def named_check(check: CheckResult) -> str:
    """Return what a check found, under its code and name."""
    return f"{check.code} {check.name}: {check_text(check)}"


def first_checks(checks: Sequence[CheckResult], most: int = SHOWN) -> str:
    """Return what the first checks found, and how many more there are; what several say alike, once.

    :param most: so many are told.
    """
    return first_of([named_check(check) for check in checks], most, separator="; ")


def _beside(numbers: Sequence[float], limit: float) -> tuple[list[str], str]:
    """Return numbers and limit with the fewest digits by which each is seen on its own side of the limit."""
    bound, shown = "", []
    for most in MOST_DIGITS:
        bound = number_text(limit, most)
        found = [_on_its_side(one, limit, bound, most) for one in numbers]
        shown = [text for text, _ in found]
        if all(is_told for _, is_told in found):
            break
    return shown, bound


def _on_its_side(value: float, limit: float, bound: str, most: int) -> tuple[str, bool]:
    text = ""
    for digits in range(FEWEST_DIGITS, most + 1):
        text = number_text(value, digits)
        if _side(_read(text), _read(bound)) == _side(value, limit):
            return text, True
    return text, False


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def _read(text: str) -> float:
    return float(text.replace(",", ""))


def _scaled(value: float, unit: str) -> float:
    return value * 100 if unit == SHARE else value


def _with_unit(text: str, unit: str) -> str:
    return f"{text} %" if unit == SHARE else f"{text}{unit}"


__all__ = [
    "CONDITIONS",
    "LIMIT",
    "SHARE",
    "against_limit",
    "check_text",
    "first_checks",
    "interval_text",
    "limit_words",
    "measured_text",
    "named_check",
    "number_text",
]
