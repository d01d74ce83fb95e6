"""How much the challenger may lose: in the metric's unit, and as a part of what the champion has."""

from __future__ import annotations

from typing import NamedTuple

from windsock.rollout.look import Look
from windsock.spec import PERCENT
from windsock.statistics.experiments import Comparison


class Edge(NamedTuple):
    """What the difference must lie beyond, and the comparison whose error is held against it.

    :param limit: in the metric's unit, with its sign; of a relative margin, of the champion's value as seen.
    :param about: in words where it is a part of the champion's value, else empty.
    """

    limit: float
    seen: Comparison
    about: str = ""


def edges(look: Look) -> tuple[Edge, ...]:
    """Return what the promotion is held against: with two margins both of them, so the smaller one holds.

    A part of the champion's value is known no better than that value: what is compared is the challenger with
    0.8 of the champion for a loss of 20 %, with the error of just that.
    """
    plan = look.plan
    side = 1 if look.block(plan.metric).lower_is_better else -1
    plain = look.compare(plan.metric)
    found = []
    if plan.margin is not None or plan.relative_margin is None:
        found.append(Edge((plan.margin or 0.0) * side + 0.0, plain))
    if plan.relative_margin is not None:
        value = plain.champion or 0.0
        part = plan.relative_margin * (side if value >= 0 else -side)
        about = f"{plan.relative_margin * PERCENT:g} % of the champion's {value:.4g}"
        found.append(Edge(part * value + 0.0, look.compare(plan.metric, weight=1 + part), about))
    return tuple(found)


__all__ = ["Edge", "edges"]
