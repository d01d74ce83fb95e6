"""What ``windsock monitor NAME --plan`` prints: the slides that the trend can see at the present labels."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from windsock.monitoring.performance_checks import RELATIVE
from windsock.monitoring.performance_trend import LOOK, POINTS, SPREAD, SPREAD_ROWS, VARIANCE, WINDOWS
from windsock.records import Champion, WindowVerdict
from windsock.spec import ModelSpec, parse_duration
from windsock.statistics.trend_planning import POWER, Slide, seen_loss, slide_of

LONGER = (1, 3, 10)
"""So many times as many labels are planned for, too."""


def trend_plan(spec: ModelSpec, judged: Sequence[WindowVerdict], champion: Champion | None) -> list[str]:
    """Return the plan's lines.

    :param judged: the model's performance windows in their order.
    :param champion: the version that serves; windows of others do not count.
    """
    own = [one for one in judged if champion is not None and one.digest == champion.digest]
    planned = [one for one in own if any(name.startswith(f"{SPREAD}:") for name in one.numbers)][-WINDOWS:]
    if not planned:
        return [f"{spec.name}: nothing to plan with: no judged window of the version that serves has labels"]
    latest = planned[-1].numbers
    name = next(one for one in latest if one.startswith(f"{SPREAD}:")).partition(":")[2]
    rows = median(one.numbers.get(f"own_rows:{name}", 0.0) for one in planned)
    if not rows:
        return [
            f"{spec.name}: nothing to plan with: windows have no labels of their own when they are judged"
        ]
    limit, block = spec.monitoring.performance.trend, spec.monitoring
    look = max((int(one.numbers.get(LOOK, 0)) for one in own), default=0)
    head = f"{spec.name}: {rows:,.0f} labels in a window of {block.window} (median of {len(planned)})"
    lines = [f"{head}, {look} looks so far, trend {limit:g}"]
    recent = round(parse_duration(block.performance.window) / block.window_length)
    for times in LONGER:
        loss = seen_loss(
            times * rows,
            _slide(latest, name, rows),
            windows=WINDOWS,
            look=max(look + 1, WINDOWS - POINTS + 1),
            limit=limit * _unit(latest, name),
            recent=max(1, recent),
        )
        what = f"at {times * rows:,.0f} labels a window"
        which = f"no loss of {name}" if loss is None else f"a loss of {name} of {loss:.3g}"
        lines.append(f"{what} {which} over {WINDOWS} windows is found at the last of them in {POWER:.0%}")
    return lines


def _slide(numbers: dict[str, float], name: str, rows: float) -> Slide:
    """Return how the metric varies while it falls; verdicts of before know its interval alone."""
    spread = numbers[f"{SPREAD}:{name}"]
    return slide_of(
        name,
        numbers.get(f"realised:{name}", 0.0),
        spread=spread,
        variance=numbers.get(f"{VARIANCE}:{name}", spread),
        rows=numbers.get(f"{SPREAD_ROWS}:{name}", rows),
    )


def _unit(numbers: dict[str, float], name: str) -> float:
    """Return what a loss of 1 is: the metric itself for errors in the target's unit."""
    return abs(numbers.get(f"realised:{name}", 1.0)) if name in RELATIVE else 1.0
