"""What a reader of a decision should know and no check holds it for."""

from __future__ import annotations

from collections.abc import Iterator

from windsock.rollout.look import Look
from windsock.rollout.outcomes import lost_of, needs_outcomes
from windsock.spec import RATIO_KINDS

UNITLESS_SHARE = 0.01
"""Of the exposures without a unit from which on it is worth a word."""


def notes(look: Look) -> tuple[str, ...]:
    """Return plain sentences; none about another rollout's counts."""
    return () if look.is_foreign else tuple(_notes(look))


def _notes(look: Look) -> Iterator[str]:
    totals = look.totals
    for name, arm in zip(_names(look), totals.arms, strict=False):
        if arm.refused:
            yield f"{arm.refused:,} of {name}'s {arm.exposures:,} exposures got no answer: {arm.causes}"
    exposures = totals.champion.exposures if look.plan.strategy == "shadow" else totals.exposures
    if totals.unitless > UNITLESS_SHARE * exposures:
        yield (
            f"{totals.unitless:,} of {exposures:,} exposures name no unit: each is a unit of its own, so one "
            f"person may meet {'several' if look.is_one_of_several else 'both'} versions; send `unit`"
        )
    if look.plan.unit_cap is not None:
        yield from _capped(look, look.plan.unit_cap)
    if needs_outcomes(look.plan):
        yield from _outcomes(look)


def _names(look: Look) -> list[str]:
    """Return the arms in words, the champion's first."""
    if not look.is_one_of_several:
        return ["the champion", look.name]
    return ["the champion", *(f"version {one.version}" for one in look.rollout.challengers)]


def _capped(look: Look, cap: int) -> Iterator[str]:
    ratios = [name for name, block in look.plan.metrics.items() if block.kind in RATIO_KINDS]
    found = {
        name: [sums for arm in look.totals.arms if (sums := arm.metrics.get(name)) is not None]
        for name in ratios
    }
    largest, metric = max(
        ((sums.largest, name) for name, each in found.items() for sums in each), default=(0.0, "")
    )
    if largest > cap:
        capped = sum(sums.capped for sums in found[metric])
        yield (
            f"{capped:,} units weigh as much as one with {cap:,} exposures each (`unit_cap`), and have more: "
            f"the largest has {largest:,.0f} ({metric})"
        )


def _outcomes(look: Look) -> Iterator[str]:
    totals = look.totals
    if not look.rollout.is_last_step and (fault := lost_of(look)) is not None:
        yield f"{fault.code}: {fault.message}"
    if totals.carried:
        yield (
            f"{totals.carried:,} outcomes do not count: they may come of an exposure in an earlier step, "
            "within the plan's attribution"
        )
    if totals.late:
        yield f"{totals.late:,} outcomes do not count: they came later than the plan's attribution"
    if totals.earlier:
        yield f"{totals.earlier:,} outcomes are of exposures before the step"
    if look.plan.attribution is None and totals.unknown + totals.early > totals.outcomes:
        yield (
            f"{totals.unknown + totals.early:,} outcomes are of no exposure in the step, against "
            f"{totals.outcomes:,} that are; without `attribution` those of earlier answers are among them"
        )


__all__ = ["notes"]
