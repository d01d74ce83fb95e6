"""What can be said of a rollout before it begins: whether its margin is too large, its time too short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from windsock.exceptions import WindsockError
from windsock.ports import Ports, Traffic
from windsock.records import LedgerAction, LedgerRow, RolloutPlan, Span
from windsock.rollout.planning import POWER, Goal, Need, needed, own_design, own_power, span_text, usual_goal
from windsock.rollout.traffic_ahead import World, without_unit, world_of
from windsock.spec import LABELLED_KINDS, OUTCOME_KINDS, parse_duration
from windsock.spec.margins import MOST_RELATIVE

DAYS = 7
"""How far back the log is read before a start."""
MOST_ROWS = 2_000_000
"""Answers and outcomes of it after which no further hour is read; the newest hours come first."""
CERTAIN = 2.0
"""Standard errors that a base rate is taken to be higher than it was seen, before a margin is refused."""
CODE = "WS-ROLLOUT-019"


@dataclass(frozen=True)
class Outlook:
    """What the log tells before a start.

    :param too_large: why the plan's margin is refused; empty if it is not.
    :param notes: what its owner should know, one sentence each.
    """

    too_large: str = ""
    notes: tuple[str, ...] = ()


def outlook(model: str, plan: RolloutPlan, ports: Ports, *, challengers: int = 1) -> Outlook:
    """Hold a plan against the traffic of the last days; a log that cannot be read stops nothing.

    :param challengers: versions that are tried at once.
    """
    seen = _outlook(model, plan, ports, challengers)
    return replace(seen, notes=(*seen.notes, *_attribution(plan)))


def _attribution(plan: RolloutPlan) -> tuple[str, ...]:
    """Return that the last step is too short for outcomes of people who come back; nothing if it is not."""
    lasts = plan.length("deadline") - (len(plan.shares) - 1) * plan.length("bake")
    blocks = [one for one in plan.metrics.values() if one.kind in OUTCOME_KINDS | LABELLED_KINDS]
    lengths = [length for one in blocks if (length := one.attribution or plan.attribution)]
    longest = max(map(parse_duration, lengths), default=timedelta(0))
    if len(plan.shares) == 1 or plan.labels.kind != "outcomes" or longest < lasts:
        return ()
    told = (
        f"{CODE}: an outcome may come of an exposure for {longest} (`attribution`), and the last step lasts "
        f"{lasts} at most: outcomes by unit of people who came at an earlier step, too, never count there. "
        "Write a shorter `attribution`, or send `prediction_id` with outcomes"
    )
    return (told,)


def _outlook(model: str, plan: RolloutPlan, ports: Ports, challengers: int) -> Outlook:
    now = ports.now()
    span = Span(start=now - timedelta(days=DAYS), end=now)
    asks = "how long it takes is not known"
    if plan.margin is not None or plan.relative_margin is not None:
        asks = f"its margin was not held against what the champion has, and {asks}"
    try:
        seen = ports.events.traffic(model, plan, span, most_rows=MOST_ROWS)
    except WindsockError as error:
        return Outlook(notes=(f"{CODE}: the log cannot be read ({error.code}): {asks}",))
    source = _source(seen, span)
    world = world_of(model, plan, seen, source=source, challengers=challengers)
    if isinstance(world, str):
        return Outlook(notes=(f"{CODE}: the {source} tell too little: {world}; {asks}", *without_unit(seen)))
    if world.bounded and not world.hits:
        missing = f"{CODE}: the {source} have no positive outcome of {plan.metric}: {asks}"
        return Outlook(notes=(missing, *without_unit(seen)))
    notes = (*_length(world), *without_unit(seen))
    large = large_margin(world)
    if not large:
        return Outlook(notes=notes)
    with_value = max(1, seen.metrics[plan.metric].units)
    most = world.baseline.value + CERTAIN * math.sqrt(world.baseline.variance / with_value)
    is_sure = (plan.margin or 0.0) > MOST_RELATIVE * most
    if is_sure and not plan.metrics[plan.metric].lower_is_better:
        return Outlook(too_large=f"{large}; from the {source}", notes=notes)
    return Outlook(notes=(f"{CODE}: {large}; from the {source}", *notes))


def large_margin(world: World) -> str:
    """Return what is wrong with a margin above half of what the champion has; empty for a smaller one."""
    goal, value = usual_goal(world), abs(world.baseline.value)
    if goal is None or goal.is_gain or goal.distance <= MOST_RELATIVE * value:
        return ""
    lower = world.plan.metrics[world.plan.metric].lower_is_better
    part = f"{goal.distance / value:,.0%} of" if value else "more than"
    lost = "all of it lost" if goal.distance >= value else "half of it lost"
    could = "half as much again" if lower else lost
    return (
        f"the margin of {goal.distance:g} is {part} the champion's {world.plan.metric} of {value:.4g}: a "
        f"version with {could} could be promoted. Write a smaller `promote: {{not_worse: ...}}`, such as "
        "20%, or add `confirmed: true` beside it if it is meant"
    )


def outlook_of(rows: Sequence[LedgerRow], experiment: str) -> tuple[str, ...]:
    """Return what was told when a rollout began."""
    for row in rows:
        if row.action is LedgerAction.SHIFT and row.body.get("experiment") == experiment:
            return tuple(str(note) for note in row.body.get("outlook") or ())
    return ()


def _source(seen: Traffic, asked: Span) -> str:
    units = f"{seen.units:,} units of the last"
    if seen.span.start > asked.start:
        hours = (seen.span.end - seen.span.start) / timedelta(hours=1)
        return f"{units} {math.ceil(hours):,} hours (some {MOST_ROWS:,} rows of the log are read at most)"
    return f"{units} {DAYS} days"


def _length(world: World) -> tuple[str, ...]:
    """Return that a rollout cannot end in its time, with what it needs; nothing if it can."""
    goal, plan = usual_goal(world), world.plan
    if goal is None:
        return ()
    need = needed(world, own_design(plan), goal, POWER)
    days = need.days + world.lead_days
    if days <= world.limit_days:
        return ()
    word = "horizon" if plan.horizon else "deadline"
    if math.isinf(days):
        return (f"{CODE}: {need.why}: no number of units is enough for it, so nothing is ever promoted",)
    told = (
        f"{CODE}: at the present {world.by_day[-1]:,.0f} new units a day it hardly ends by its {word} of "
        f"{world.limit}: {_proof(goal)} needs {need.units:,.0f} units{_of_two(world)} at the last step "
        f"and {span_text(days)} in all{_cause(need)}, and has a probability of "
        f"{own_power(world, goal):.2f} by then; give it more time, a larger share, {_fewer(world)}"
    )
    return (told,)


def _of_two(world: World) -> str:
    """Return whose units are told where several challengers are tried."""
    several = f" of the champion and one of the {world.challengers} versions together"
    return several if world.challengers > 1 else ""


def _proof(goal: Goal) -> str:
    what = "a gain of" if goal.is_gain else "that it loses less than"
    return f"to see {what} {goal.distance:.3g} with a probability of {POWER:g}"


def _fewer(world: World) -> str:
    return "fewer steps, or fewer versions" if world.challengers > 1 else "or fewer steps"


def _cause(need: Need) -> str:
    return f" (because of {need.why})" if need.why else ""


__all__ = ["Outlook", "large_margin", "outlook", "outlook_of"]
