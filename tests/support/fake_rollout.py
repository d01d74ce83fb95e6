"""In-memory ports of the rollout room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from windsock.exceptions import VerdictError
from windsock.ports import Traffic
from windsock.records import (
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutEnd,
    RolloutPlan,
    Span,
    StepTotals,
)


class FakeRolloutEvents:
    """Tells what a test has put into ``seen``, by experiment and step."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, int], StepTotals] = {}
        self.told: Traffic | None = None
        self.away: Exception | None = None
        self.asked: list[tuple[Span, int | None]] = []
        self.stored: set[tuple[str, str]] = set()
        self.forgotten: list[tuple[str, str]] = []

    def totals(self, rollout: Rollout, *, now: datetime) -> StepTotals:
        known = self.seen.get((rollout.experiment, rollout.step))
        empty = StepTotals(experiment=rollout.experiment, step=rollout.step, counted_until=now)
        return known.model_copy(update={"counted_until": now}) if known else empty

    def traffic(self, model: str, plan: RolloutPlan, span: Span, *, most_rows: int | None = None) -> Traffic:
        self.asked.append((span, most_rows))
        if self.away is not None:
            raise self.away
        return self.told or Traffic(span=span, units=0, by_day=(), metrics={})

    def kept(self, model: str) -> tuple[str, ...]:
        return tuple(sorted(name for owner, name in self.stored if owner == model))

    def forget(self, model: str, experiment: str) -> None:
        self.stored.discard((model, experiment))
        self.forgotten.append((model, experiment))


class FakeRollouts:
    """The first decision of a number stands."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[int, RolloutDecision]] = {}
        self.lost: tuple[int, ...] = ()

    def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        return tuple(one for _, one in sorted(self.kept.get((model, experiment), {}).items()))

    def last(self, model: str, experiment: str) -> RolloutDecision | None:
        found = self.decisions(model, experiment)
        return found[-1] if found else None

    def planned(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        return tuple(one for one in self.decisions(model, experiment) if one.planned_look is not None)

    def series(self, model: str, experiment: str, *, newest: int, every: int) -> tuple[RolloutDecision, ...]:
        found = self.decisions(model, experiment)
        return tuple(
            one
            for place, one in enumerate(found)
            if place >= len(found) - newest
            or place % every == 0
            or one.action not in (RolloutAction.HOLD, RolloutAction.PROMOTE)
        )

    def missing(self, model: str, experiment: str) -> tuple[int, ...]:
        return self.lost

    def add_decision(self, decision: RolloutDecision) -> RolloutDecision:
        kept = self.kept.setdefault((decision.model, decision.experiment), {})
        if decision.number > len(kept) + 1:
            raise VerdictError(f"decision {decision.number} leaves others out", code="WS-ROLLOUT-061")
        return kept.setdefault(decision.number, decision)


class FakeRolloutReporter:
    """Writes how many decisions it was shown."""

    def html(
        self, rollout: Rollout, decisions: Sequence[RolloutDecision], end: RolloutEnd | None = None
    ) -> bytes:
        over = f", {end.outcome.value}" if end else ""
        return f"<html>{rollout.experiment}: {len(decisions)}{over}</html>".encode()
