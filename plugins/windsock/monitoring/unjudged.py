"""A model that is not judged: since when, why, and which setting would do. Pure, over kept verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from windsock.records import Status, WindowKind, WindowVerdict
from windsock.spec import LabelsBlock, ModelSpec, MonitoringBlock, PerformanceBlock, parse_duration
from windsock.texts import shortened

CODES: dict[WindowKind, str] = {"performance": "WS-MONITORING-095", "drift": "WS-MONITORING-096"}
LEAST_TIME = timedelta(days=1)
"""A row of short windows must last as long: a quiet night is no news."""
MOST_TIME = timedelta(days=14)
"""A row that lasts as long is told, however few windows it has: seven windows of a week are seven weeks."""
FURTHER, FURTHEST = 10, timedelta(days=7)
"""Windows are looked at over so many times the asked row, and at least so long: empty ones lie between."""
WINDOW_SPANS = (
    *("1m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d", "2d", "3d", "7d", "14d", "28d"),
)
"""Round lengths of a window that are proposed."""
LOOKBACK_SPANS = (
    *("1h", "2h", "3h", "6h", "12h", "1d", "2d", "3d", "5d", "7d", "10d", "14d", "21d", "28d"),
    *("35d", "42d", "56d", "70d", "90d", "120d", "180d"),
)
"""Round look-backs that are proposed."""
SPARE_SD = 3
"""Rows that a proposed window holds beyond the least number, in standard deviations of a random number."""
DELAY = "labels"
"""Before what was measured of labels, in a verdict's numbers."""
BY_RATE = "judged_by_rate"
"""Number of a verdict: the rate of positive outcomes was judged in place of labels that never come."""
WIDE = "wide_lookback_hours"
"""Number of a verdict: the loss spans its limit, and the look-back that would do has so many; -1: none."""
MINIMUM_ROWS, FEW_REFERENCE, UNDEFINED = "minimum_rows", "few_reference", "undefined"
SHOWN_REASON = 300


def looked_since(block: MonitoringBlock, end: datetime) -> datetime:
    """Return since when verdicts are needed to tell how long a row without a verdict is."""
    row = (block.alert_insufficient or 1) * block.window_length
    return end - max(FURTHER * row, FURTHEST)


def is_judged(verdict: WindowVerdict) -> bool:
    """Return whether somebody knows by now how the window was."""
    return verdict.status in (Status.PASS, Status.FAIL) or bool(verdict.numbers.get(BY_RATE))


def row_of(verdicts: Iterable[WindowVerdict]) -> tuple[WindowVerdict, ...]:
    """Return the windows in a row, up to the latest one, that are ``insufficient``, in their order.

    Empty windows and those in error neither count nor break the row; another version begins anew.

    :param verdicts: of one kind, in the order of their end.
    """
    row: list[WindowVerdict] = []
    for one in reversed([one for one in verdicts if one.status not in (Status.EMPTY, Status.ERROR)]):
        if is_judged(one) or (row and one.digest != row[-1].digest):
            break
        row.append(one)
    return tuple(reversed(row))


def is_due(block: MonitoringBlock, row: Sequence[WindowVerdict]) -> bool:
    """Return whether a row without a verdict is so long that the owner must know."""
    asked = block.alert_insufficient
    if asked is None or not row or not row[-1].digest:
        return False
    lasts = row[-1].window.end - row[0].window.start
    return lasts >= (LEAST_TIME if len(row) >= asked else MOST_TIME)


def unjudged_text(
    spec: ModelSpec, verdicts: Iterable[WindowVerdict], *, performance: Sequence[WindowVerdict] = ()
) -> str | None:
    """Return why a model has not been judged for long, and the settings that would do; else ``None``.

    Verdicts of earlier releases lack numbers: of those less is said.

    :param verdicts: of one kind, in the order of their end; the latest may not be kept yet.
    :param performance: verdicts on performance of the same time, for what goes with another window of drift.
    """
    row = row_of(verdicts)
    if not is_due(spec.monitoring, row):
        return None
    kind = row[-1].kind
    why = _drift(spec.monitoring, row, performance) if kind == "drift" else _performance(spec, row[-1])
    return (
        f"{CODES[kind]} no verdict on {kind} in the last {len(row):,} windows with answers, from "
        f"{row[0].window.start:%Y-%m-%d %H:%M} UTC on: {why}"
    )


def _drift(block: MonitoringBlock, row: Sequence[WindowVerdict], performance: Sequence[WindowVerdict]) -> str:
    latest = row[-1]
    least = latest.numbers.get(MINIMUM_ROWS)
    if least is None or latest.numbers.get("rows", least) >= least:
        if blind := latest.numbers.get(FEW_REFERENCE):
            return (
                f"the version has too few training rows to show a large shift in {blind:,.0f} columns; no "
                "window mends that, only a retrain on more rows does"
            )
        return _reason(latest)
    hours = (latest.window.end - row[0].window.start) / timedelta(hours=1)
    a_day = 24 * sum(one.numbers.get("rows", 0.0) for one in row) / hours
    told = f"a window of {block.window} needs {least:,.0f} rows, and {a_day:,.3g} a day come"
    length = window_for(a_day, least)
    if length is None:
        return (
            f"{told}: no window up to {WINDOW_SPANS[-1]} holds as many, so drift of this model cannot be "
            "judged; `monitoring.data_drift: false` says so"
        )
    if parse_duration(length) <= block.window_length:
        return f"{told}; of late fewer than before"
    return (
        f"{told}; `monitoring.window: {length}` would hold them{_goes_with(block, row, length, performance)}"
    )


def _goes_with(
    block: MonitoringBlock, row: Sequence[WindowVerdict], length: str, performance: Sequence[WindowVerdict]
) -> str:
    """Return which settings go with a longer window: a look-back of performance, and when the owner is told.

    A look-back is no shorter than a window, and holds the labels that a verdict needs, where that is known.
    """
    span, parts = parse_duration(length), []
    known = [one for one in performance if one.digest == row[-1].digest and one.status is Status.INSUFFICIENT]
    hours = known[-1].numbers.get(WIDE, 0.0) if known else 0.0
    if timedelta(hours=hours) > max(span, parse_duration(block.performance.window)):
        asked = f"holds the labels that tell a loss of {block.performance.drop:g}"
        parts.append(f"`monitoring.performance.window: {span_of(hours)}`, which {asked},")
    elif parse_duration(block.performance.window) < span:
        parts.append(f"`monitoring.performance.window: {length}`, so that no answer is left out,")
    windows = max(1, MOST_TIME // span)
    if block.alert_insufficient is not None and block.alert_insufficient > windows:
        parts.append(
            f"`monitoring.alert_insufficient: {windows}`, so that {span_words(windows * span)} without a "
            "verdict are told"
        )
    return f", with {' and '.join(parts).rstrip(',')}" if parts else ""


def window_for(a_day: float, least: float) -> str | None:
    """Return the shortest round window that holds enough rows nearly always; ``None``: none does."""
    needed = least + SPARE_SD * math.sqrt(least)
    days = ((one, parse_duration(one) / timedelta(days=1)) for one in WINDOW_SPANS)
    return next((one for one, length in days if a_day * length >= needed), None)


def _performance(spec: ModelSpec, latest: WindowVerdict) -> str:
    numbers, block = latest.numbers, spec.monitoring.performance
    seen, known = numbers.get(f"{DELAY}:answers"), numbers.get(f"{DELAY}:known")
    if numbers.get(UNDEFINED):
        return (
            f"the {numbers.get('labelled', 0):,.0f} labelled answers of {block.window} do not define "
            f"{spec.metric}, such as where all labels are of one class; see that labels of every class "
            f"arrive, or set a longer `monitoring.performance.window`; {_reason(latest)}"
        )
    if WIDE in numbers:
        return _wide(block, latest)
    if seen is None or known is None or numbers.get("coverage", 1.0) >= block.coverage:
        return _reason(latest)
    if not numbers.get(f"{DELAY}:final"):
        return _no_label(spec.monitoring.labels, numbers)
    told = (
        f"labels come late or not at all: half of those that come are there {_time(numbers, 'median')} after "
        f"the answer, 90 % after {_time(numbers, 'most')}, for {numbers.get(f'{DELAY}:final', 0):.0%} of the "
        f"answers in the end. Of those of {block.window} {numbers.get('coverage', 0):.0%} have a label, and "
        f"{block.coverage:.0%} are asked"
    )
    if f"{DELAY}:longest_hours" in numbers:
        return (
            f"{told}; all that come are there after {_time(numbers, 'longest')}, and windows that wait are "
            f"judged then{_left_out(numbers)}"
        )
    if share := numbers.get(f"{DELAY}:coverage"):
        return (
            f"{told}; no look-back ever has as many: send more labels, or set "
            f"`monitoring.performance.coverage: {share:g}`, and the verdict is of labelled answers alone"
            f"{_left_out(numbers)}"
        )
    return f"{told}; no setting reaches that: send more labels{_left_out(numbers)}"


def _wide(block: PerformanceBlock, latest: WindowVerdict) -> str:
    hours = latest.numbers[WIDE]
    told = f"the labels are too few to tell a loss of at most {block.drop:g}; {_reason(latest)}"
    if hours < 0:
        return (
            f"{told}. No look-back up to {LOOKBACK_SPANS[-1]} mends that: send more labels, train with more "
            "held-out rows, or set a larger `monitoring.performance.drop`"
        )
    if hours <= parse_duration(block.window) / timedelta(hours=1):
        return f"{told}. The look-back is not full yet and holds more by and by"
    return f"{told}; `monitoring.performance.window: {span_of(hours)}` would hold enough"


def _no_label(labels: LabelsBlock, numbers: dict[str, float]) -> str:
    hours = numbers.get(f"{DELAY}:hours", 0.0)
    place = {
        "outcomes": "what is posted to the server (POST /outcomes)",
        "table": f"the table {labels.table}, connection {labels.conn_id}",
        "file": f"the file {labels.path}",
    }[labels.kind]
    known = numbers[f"{DELAY}:known"]
    told = (
        f"{f'only {known:,.0f}' if known else 'no'} label of {numbers[f'{DELAY}:answers']:,.0f} answers, the "
        f"oldest {_words(hours)} old, is there. "
        f"Labels are looked for in {place} (`monitoring.labels.kind: {labels.kind}`)"
    )
    unknown = numbers.get(f"{DELAY}:unknown", 0.0)
    strangers = f"; {unknown:,.0f} labels are of no answer in the log: send its prediction id"
    if left := (strangers if unknown else "") + _left_out(numbers):
        return f"{told}{left}"
    return f"{told}. Send them; if they take longer, the windows that wait are judged once they come"


def _left_out(numbers: dict[str, float]) -> str:
    """Return how many labels do not count, by the code that says why."""
    prefix = f"{DELAY}:WS-MONITORING-"
    found = sorted((name, count) for name, count in numbers.items() if name.startswith(prefix) and count)
    told = ", ".join(f"{count:,.0f} by {name.partition(':')[2]}" for name, count in found)
    return f"; left out: {told}" if told else ""


def _reason(latest: WindowVerdict) -> str:
    reason = " ".join(latest.reason.split()).rstrip(". ")
    return f"of the latest: {shortened(reason, SHOWN_REASON)}"


def _time(numbers: dict[str, float], name: str) -> str:
    return _words(numbers.get(f"{DELAY}:{name}_hours", 0.0))


def span_words(span: timedelta) -> str:
    """Return how long something takes, in words."""
    return _words(span / timedelta(hours=1))


def _words(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.3g} hours" if hours < 48 else f"{hours / 24:.3g} days"


def span_of(hours: float) -> str:
    """Return hours as a round span of the model's file."""
    asked = timedelta(hours=hours)
    return next(one for one in reversed(LOOKBACK_SPANS) if parse_duration(one) <= asked)
