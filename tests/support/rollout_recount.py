"""The plain count that a rollout's totals must come to: one loop over everything, without a database."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from support.rollout_log import TOLERANCE
from windsock.records import (
    ArmTotals,
    Moments,
    OutcomeEvent,
    PredictionEvent,
    Rollout,
    RolloutPlan,
    StepTotals,
    UnansweredEvent,
)
from windsock.spec import RolloutMetricBlock, parse_duration

Asked = PredictionEvent | UnansweredEvent
LABELS, RATIOS = ("accuracy",), ("rate", "accuracy", "errors", "slow")
OUTCOMES = ("conversion", "rate", "mean", "accuracy")
NO_FAILURE = ("cancelled", "other_version")
COUNTS = ("outcomes", "early", "earlier", "carried", "late", "unknown", "unusable", "strange", "reused")
COUNTS += ("repeated_exposures", "repeated_outcomes")
UNTOLD = ("experiment", "step", "damaged", "counted_until")


def naive(one: Rollout, asked: Iterable[Asked], outcomes: Iterable[OutcomeEvent]) -> dict[str, Any]:
    """Return what a rollout's totals must be.

    For posted outcomes that are numbers, true and false, or words, for answers that are small numbers, true
    and false, or text that reads as a number, no shadow, and no two rows in the same microsecond.

    :param asked: rows that were answered and rows that were not, those of before the step, too.
    """
    count = _Recount(one)
    for event in sorted(asked, key=lambda event: event.receive_time):
        count.expose(event)
    for row in count.first.values():
        count.units[row.unit].append(row)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.receive_time):
        count.happen(outcome)
    return count.told()


def told_of(totals: StepTotals) -> dict[str, Any]:
    """Return totals as :func:`naive` gives them."""
    whole = totals.model_dump()
    return {name: _rounded(value) for name, value in whole.items() if name not in UNTOLD}


@dataclass
class _Row:
    """What became of a prediction id: when it came first, and its answer if it ever got one."""

    unit: str
    arm: int
    seen: datetime
    event: Asked
    answer: PredictionEvent | None

    @property
    def has_failed(self) -> bool:
        return isinstance(self.event, UnansweredEvent) and self.event.cause not in NO_FAILURE

    @property
    def fell_back(self) -> bool:
        return self.answer is not None and self.answer.fallback_for is not None


class _Recount:
    def __init__(self, one: Rollout) -> None:
        self.one = one
        self.digests = [one.champion_digest, *(each.digest for each in one.challengers)]
        self.counts: Counter[str] = Counter()
        self.first: dict[str, _Row] = {}
        self.units: dict[str, list[_Row]] = defaultdict(list)
        self.past_units: dict[str, datetime] = {}
        self.past_ids: set[str] = set()
        self.got: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.labels: dict[tuple[str, str], bool] = {}
        self.seen: set[Any] = set()
        self.blocks = {name: block for name, block in one.plan.metrics.items() if block.kind in OUTCOMES}
        windows = [window for block in self.blocks.values() if (window := _window(one.plan, block))]
        self.reach = max(windows, default=timedelta(0))
        self.named = {block.outcome for block in self.blocks.values() if block.outcome is not None}
        self.has_labels = any(block.kind in LABELS for block in self.blocks.values())

    def expose(self, event: Asked) -> None:
        of_step = event.experiment == self.one.experiment and event.epoch >= self.one.step_epoch
        if (getattr(event, "fallback_for", None) or event.variant) == "shadow":
            return
        if not of_step:
            if self.one.step_since - self.reach <= event.receive_time < self.one.step_since:
                self.past_units[_unit(event)] = event.receive_time
                self.past_ids.add(event.prediction_id)
            return
        arm = self._arm_of(event)
        if arm is None:
            self.counts["strange"] += 1
        elif (row := self.first.get(event.prediction_id)) is None:
            answer = event if isinstance(event, PredictionEvent) else None
            self.first[event.prediction_id] = _Row(_unit(event), arm, event.receive_time, event, answer)
        else:
            self._come_again(row, event)

    def _arm_of(self, event: Asked) -> int | None:
        """Return the lane of a row's arm, 0 for the champion's; ``None``: it is of none."""
        whose = getattr(event, "fallback_for", None)
        if whose is None:
            variants = ["champion"] + ["challenger"] * len(self.one.challengers)
            known = list(zip(variants, self.digests, strict=True))
            asked = (event.variant, event.digest)
            return known.index(asked) if asked in known else None
        word, _, lane = whose.partition("-")
        arm = {"champion": 0, "challenger": int(lane or 1), "withdrawn": int(lane or 0)}[word]
        return arm if arm < len(self.digests) else None

    def _come_again(self, row: _Row, event: Asked) -> None:
        is_other = _unit(event) != row.unit
        self.counts["reused"] += is_other
        self.counts["repeated_exposures"] += is_other or row.answer is not None
        if not is_other and row.answer is None and isinstance(event, PredictionEvent):
            row.event = row.answer = event

    def happen(self, outcome: OutcomeEvent) -> None:
        is_word = _number(outcome.outcome) is None
        if is_word and outcome.outcome not in self.named and not self.has_labels:
            self.counts["unusable"] += 1
            return
        identity: Any = outcome.prediction_id
        if outcome.event_id is not None:
            unit, prediction = outcome.unit, outcome.prediction_id
            identity = (unit, outcome.event_id) if unit else (prediction, outcome.event_id, 0)
        if identity in self.seen:
            self.counts["repeated_outcomes"] += 1
            return
        self.seen.add(identity)
        row = self.first.get(outcome.prediction_id or "")
        whose = f"u{outcome.unit}" if outcome.prediction_id is None else row.unit if row else ""
        if whose not in self.units:
            known = outcome.prediction_id in self.past_ids
            if outcome.prediction_id is None:
                known = whose in self.past_units
            self.counts["earlier" if known else "unknown"] += 1
            return
        self._count(outcome, whose, row)

    def _count(self, outcome: OutcomeEvent, whose: str, row: _Row | None) -> None:
        """Say what an outcome is, and let it count for the metrics that it may have come of."""
        rows, received = self.units[whose], outcome.receive_time
        when = min(outcome.event_time or received, received)
        before = None if row else self.past_units.get(whose)
        if before is not None and before < self.one.started_at:  # the champion's, for both arms alike
            before = None
        told = received
        if outcome.event_time is not None and outcome.event_time < received - TOLERANCE:
            told = outcome.event_time
        shown = row or [one for one in rows if one.seen <= max(told, rows[0].seen)][-1]
        fitting = [
            name
            for name, block in self.blocks.items()
            if (window := _window(self.one.plan, block)) is None
            or (when - shown.seen <= window and (before is None or when - before >= window))
        ]
        early = min(received, outcome.event_time or received) + TOLERANCE < rows[0].seen
        if fitting and not early:
            answers = [one for one in rows if one.answer and one.seen <= max(told, rows[0].seen)]
            shown = row or (answers[-1] if answers else None)
            is_word = _number(outcome.outcome) is None and outcome.outcome not in self.named
            is_foreign = is_word and shown is not None and shown.answer is not None
            if is_foreign and shown is not None and shown.answer is not None:
                is_foreign = not isinstance(shown.answer.prediction, str)
            self.counts["unusable" if is_foreign else "outcomes"] += 1
            self._credit(outcome, whose, fitting, shown)
        elif before is not None and when - before < self.reach:
            self.counts["carried"] += 1
        elif early and row is None and whose in self.past_units:
            self.counts["earlier"] += 1
        else:
            self.counts["early" if early else "late"] += 1

    def _credit(self, outcome: OutcomeEvent, whose: str, names: list[str], row: _Row | None) -> None:
        value = _number(outcome.outcome)
        for name in names:
            self.got[name, whose].append(outcome.outcome)
            if row is None or row.answer is None:
                continue
            answer, is_right = row.answer.prediction, None if value is None else False
            if isinstance(answer, str):
                is_right = answer.strip() == _text(outcome.outcome)
            elif value is not None:
                is_right = _number(answer) == value
            if is_right is not None:
                self.labels.setdefault((name, row.event.prediction_id), is_right)

    def told(self) -> dict[str, Any]:
        arms = {unit: rows[0].arm for unit, rows in self.units.items()}
        champion, challenger, *others = (
            self._arm([unit for unit, arm in arms.items() if arm == lane])
            for lane in range(len(self.digests))
        )
        totals = StepTotals(
            experiment=self.one.experiment,
            step=0,
            **{name: self.counts[name] for name in COUNTS},
            moved=sum(len({row.arm for row in rows}) > 1 for rows in self.units.values()),
            unitless=sum(unit.startswith("p") for unit in self.units),
            counted_until=self.one.started_at,
            champion=champion,
            challenger=challenger,
            others=tuple(others),
        )
        return told_of(totals)

    def _arm(self, own: list[str]) -> ArmTotals:
        rows = [row for unit in own for row in self.units[unit]]
        causes = Counter(row.event.cause for row in rows if isinstance(row.event, UnansweredEvent))
        return ArmTotals(
            units=len(own),
            exposures=len(rows),
            fallbacks=sum(row.fell_back for row in rows),
            unanswered=dict(sorted(causes.items())),
            metrics={
                name: _moments([self._numbers(name, block, unit) for unit in own], block, self.one.plan)
                for name, block in self.one.plan.metrics.items()
            },
        )

    def _numbers(self, name: str, block: RolloutMetricBlock, unit: str) -> tuple[float, float, float]:
        """Return a unit's numerator, denominator, and what it asked for in vain."""
        rows, got = self.units[unit], self.got[name, unit]
        positive = sum(_is_positive(value, block) for value in got)
        failed = sum(row.has_failed for row in rows)
        answers = [row.answer for row in rows if row.answer]
        right = [self.labels.get((name, row.event.prediction_id)) for row in rows]
        labelled = [one for one in right if one is not None]
        slow = sum((one.inference_ms or 0) > self.one.plan.slow_ms for one in answers)
        pair = {
            "conversion": (float(positive > 0), 1),
            "rate": (positive, len(rows)),
            "mean": (sum(_number(value) or 0 for value in got), 1),
            "accuracy": (sum(labelled), len(labelled)),
            "errors": (sum(row.fell_back for row in rows) + failed, len(rows)),
            "slow": (slow, len(answers)),
        }[block.kind]
        return (*pair, failed if block.kind == "accuracy" else 0)


def _moments(
    units: list[tuple[float, float, float]], block: RolloutMetricBlock, plan: RolloutPlan
) -> Moments:
    largest = max((den for _, den, _ in units), default=0)
    capped = 0
    if plan.unit_cap is not None and block.kind in RATIOS:
        capped = sum(den > 0 and den + asked > plan.unit_cap for _, den, asked in units)
        units = [
            (num * weight, den * weight, asked * weight)
            for num, den, asked in units
            for weight in [min(1.0, plan.unit_cap / max(den + asked, 1))]
        ]
    whole = [(num, den) for num, den, _ in units if den > 0]
    asking = [(num, den, asked) for num, den, asked in units if den > 0 or asked > 0]
    return Moments(
        units=len(whole),
        num=sum(num for num, _ in whole),
        den=sum(den for _, den in whole),
        num_num=sum(num * num for num, _ in whole),
        den_den=sum(den * den for _, den in whole),
        num_den=sum(num * den for num, den in whole),
        largest=largest,
        capped=capped,
        asked_units=len(asking) if block.kind == "accuracy" else 0,
        asked=sum(asked for _, _, asked in asking),
        asked_asked=sum(asked * asked for _, _, asked in asking),
        num_asked=sum(num * asked for num, _, asked in asking),
        den_asked=sum(den * asked for _, den, asked in asking),
    )


def _window(plan: RolloutPlan, block: RolloutMetricBlock) -> timedelta | None:
    length = block.attribution or plan.attribution
    return parse_duration(length) if length else None


def _unit(event: Asked) -> str:
    return f"p{event.prediction_id}" if event.unit is None else f"u{event.unit}"


def _is_positive(value: Any, block: RolloutMetricBlock) -> bool:
    if block.outcome is None:
        return (_number(value) or 0) > 0
    return value == block.outcome


def _text(value: Any) -> str:
    if isinstance(value, bool | str):
        return value.strip() if isinstance(value, str) else str(value).lower()
    return str(int(value)) if value == int(value) else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = {"true": 1.0, "false": 0.0}.get(value.lower()) or float(value.replace("_", "no number"))
        except ValueError:
            return None
    return float(value) if value is not None and math.isfinite(value) else None


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value
