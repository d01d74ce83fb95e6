"""A log of a rollout for tests of what counts it, and the plain count that it must come to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from support.builders import NOON, digest
from support.ledgers import new_control_database
from support.log_rows import kind_of, line_of
from windsock.adapters.log_format import hour_of, segment_folder
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.storage import Storage
from windsock.records import (
    Moments,
    OutcomeEvent,
    PredictionEvent,
    Rollout,
    RolloutPlan,
    StepTotals,
    UnansweredEvent,
)
from windsock.spec import LabelsBlock, RolloutMetricBlock

CHAMPION, CHALLENGER = digest("a"), digest("b")
EXPERIMENT = "v2-e7"
TOLERANCE = timedelta(minutes=5)
KINDS = ("conversion", "rate", "mean", "accuracy", "errors", "slow")


def plan(*kinds: str, **fields: Any) -> RolloutPlan:
    """Return a plan that counts a metric of each kind, by the kind's name."""
    made: dict[str, Any] = {
        "strategy": "ab",
        "shares": (5000,),
        "bake": "1h",
        "check": "1h",
        "metric": (kinds or KINDS)[0],
        "metrics": {kind: RolloutMetricBlock(kind=kind) for kind in kinds or KINDS},  # type: ignore[arg-type]
        "limits": {},
        "minimum_units": 2,
        "cycle": "1d",
        "looks": 20,
        "deadline": "28d",
        "alpha": 0.05,
        "labels": LabelsBlock(),
        "slow_ms": 10.0,
    }
    return RolloutPlan(**{**made, **fields})


def rollout(made: RolloutPlan | None = None, **fields: Any) -> Rollout:
    """Return a rollout that began at noon by epoch 7."""
    values: dict[str, Any] = {
        "model": "churn",
        "experiment": EXPERIMENT,
        "version": "2",
        "digest": CHALLENGER,
        "bundle_uri": "u",
        "evidence_digest": digest("e"),
        "champion_version": "1",
        "champion_digest": CHAMPION,
        "plan": made or plan(),
        "step": 0,
        "step_epoch": 7,
        "step_since": NOON,
        "started_at": NOON,
        "salt": "salt",
    }
    return Rollout(**{**values, **fields})


def shown(identifier: str, *, unit: str | None = None, minute: float = 1, **fields: Any) -> PredictionEvent:
    """Return an answer of the rollout, by the champion unless it says otherwise."""
    variant = fields.get("variant", "champion")
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "model": "churn",
        "version": "1",
        "digest": CHAMPION if variant == "champion" else CHALLENGER,
        "variant": "champion",
        "experiment": EXPERIMENT,
        "epoch": 7,
        "unit": unit,
        "receive_time": NOON + timedelta(minutes=minute),
        "features": {"age": 41.5},
        "score": 0.25,
        "prediction": False,
        "inference_ms": 1.5,
    }
    return PredictionEvent(**{**made, **fields})


def happened(outcome: Any = True, *, minute: float = 2, **fields: Any) -> OutcomeEvent:
    """Return an outcome that was posted."""
    made = {"model": "churn", "outcome": outcome, "receive_time": NOON + timedelta(minutes=minute)}
    return OutcomeEvent(**{**made, **fields})


def at(minute: float) -> datetime:
    """Return a time, in minutes from noon."""
    return NOON + timedelta(minutes=minute)


class RolloutLog:
    """A server's state folder, a storage root and a control database.

    :param storage: the storage root; default: a folder.
    :param url: the control database; default: a SQLite file.
    """

    def __init__(self, folder: Path, *, storage: str | None = None, url: str | None = None) -> None:
        self.folder = folder
        self.state = folder / "serving"
        self.storage = Storage(storage or str(folder / "storage"))
        self.url = url or new_control_database(folder)
        self._segments = 0

    def events(self) -> ArchiveRolloutEvents:
        """Return what counts."""
        return ArchiveRolloutEvents(
            self.state, self.storage, url=self.url, roots=(self.folder,), connections=lambda name: name
        )

    def totals(self, one: Rollout, minute: float) -> StepTotals:
        """Count, so many minutes after noon."""
        return self.events().totals(one, now=at(minute))

    def write(
        self, *events: PredictionEvent | OutcomeEvent | UnansweredEvent, tail: bytes = b"", name: str = ""
    ) -> list[Path]:
        """Write a segment for each kind and hour, a line for each event."""
        found: dict[tuple[str, str], list[Any]] = {}
        for event in events:
            found.setdefault((kind_of(event), hour_of(event.receive_time)), []).append(event)
        files = []
        for (kind, hour), lines in found.items():
            self._segments += 1
            folder = segment_folder(self.state, kind, "churn", hour)
            folder.mkdir(parents=True, exist_ok=True)
            files.append(folder / f"{name or self._segments}.ndjson")
            files[-1].write_bytes(b"".join(line_of(one) for one in lines) + tail)
        return files

    def archive(self, minute: float) -> int:
        """Archive what is over, so many minutes after noon."""
        return ParquetPredictionArchive(self.state, self.storage, now=lambda: at(minute)).close_segments()

    def kept(self, one: Rollout | None = None) -> list[str]:
        """Return the names of the kept files."""
        one = one or rollout()
        return list(self.storage.names(f"rollouts/{one.model}/{one.experiment}/{one.step}"))


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = {"true": 1.0, "false": 0.0}.get(value.lower()) or float(value)
        except ValueError:
            return None
    return float(value) if value is not None and math.isfinite(value) else None


def naive(
    one: Rollout, exposures: Iterable[PredictionEvent], outcomes: Iterable[OutcomeEvent]
) -> dict[str, Any]:
    """Return what a rollout's totals must be, counted the plain way: one loop over everything.

    For a plan whose metrics have no ``outcome`` of their own, outcomes that are numbers or true and false,
    and no two answers to a unit in the same microsecond.
    """
    count = _Naive(one)
    for event in sorted(exposures, key=lambda event: event.receive_time):
        count.expose(event)
    for event in count.first.values():
        count.units.setdefault(_unit(event), []).append(event)
    count.got = {unit: [] for unit in count.units}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.receive_time):
        count.happen(outcome)
    return count.told()


class _Naive:
    def __init__(self, one: Rollout) -> None:
        self.one = one
        names = ("outcomes", "repeated_exposures", "repeated_outcomes", "early", "unknown", "strange")
        self.counts = dict.fromkeys(names, 0)
        self.first: dict[str, PredictionEvent] = {}
        self.units: dict[str, list[PredictionEvent]] = {}
        self.got: dict[str, list[float]] = {}
        self.labels: dict[str, bool] = {}
        self.seen: set[Any] = set()

    def expose(self, event: PredictionEvent) -> None:
        assigned = event.fallback_for or event.variant
        of_step = event.experiment == self.one.experiment and event.epoch >= self.one.step_epoch
        if not of_step or assigned == "shadow":
            return
        expected = {"champion": self.one.champion_digest, "challenger": self.one.digest}.get(assigned)
        if expected is None or (event.fallback_for is None and event.digest != expected):
            self.counts["strange"] += 1
        elif event.prediction_id in self.first:
            self.counts["repeated_exposures"] += 1
        else:
            self.first[event.prediction_id] = event

    def happen(self, outcome: OutcomeEvent) -> None:
        identity: Any = outcome.prediction_id
        if outcome.event_id is not None:
            unit, prediction = outcome.unit, outcome.prediction_id
            identity = (unit, outcome.event_id) if unit else (prediction, outcome.event_id, 0)
        if identity in self.seen:
            self.counts["repeated_outcomes"] += 1
            return
        self.seen.add(identity)
        answer = self.first.get(outcome.prediction_id or "")
        whose = f"u{outcome.unit}" if outcome.prediction_id is None else _unit(answer) if answer else ""
        if whose not in self.units:
            self.counts["unknown"] += 1
            return
        begun = self.units[whose][0].receive_time
        happened_before = outcome.event_time is not None and outcome.event_time + TOLERANCE < begun
        if outcome.receive_time < begun or happened_before:
            self.counts["early"] += 1
            return
        self.counts["outcomes"] += 1
        value = _number(outcome.outcome)
        assert value is not None
        self.got[whose].append(value)
        answer = answer or self._answer(whose, outcome)
        self.labels.setdefault(answer.prediction_id, _number(answer.prediction) == value)

    def _answer(self, unit: str, outcome: OutcomeEvent) -> PredictionEvent:
        moment = outcome.receive_time
        if outcome.event_time is not None and outcome.event_time < moment - TOLERANCE:
            moment = max(outcome.event_time, self.units[unit][0].receive_time)
        return [event for event in self.units[unit] if event.receive_time <= moment][-1]

    def told(self) -> dict[str, Any]:
        arms = {unit: _arm(events[0]) for unit, events in self.units.items()}
        moved = sum(len({_arm(event) for event in events}) > 1 for events in self.units.values())
        return {
            **self.counts,
            "moved": moved,
            **{
                arm: self._arm([unit for unit in self.units if arms[unit] == arm])
                for arm in ("champion", "challenger")
            },
        }

    def _arm(self, own: list[str]) -> dict[str, Any]:
        metrics = {
            name: _moments(
                [
                    _pair(block.kind, self.units[unit], self.got[unit], self.labels, self.one.plan)
                    for unit in own
                ]
            )
            for name, block in self.one.plan.metrics.items()
        }
        return {
            "units": len(own),
            "exposures": sum(len(self.units[unit]) for unit in own),
            "metrics": metrics,
        }


def _arm(event: PredictionEvent) -> str:
    return event.fallback_for or event.variant


def _unit(event: PredictionEvent) -> str:
    return f"p{event.prediction_id}" if event.unit is None else f"u{event.unit}"


def _pair(
    kind: str, events: list[PredictionEvent], got: list[float], labels: dict[str, bool], plan: RolloutPlan
) -> tuple[float, float]:
    shown, positive = len(events), sum(value > 0 for value in got)
    answered = [labels[event.prediction_id] for event in events if event.prediction_id in labels]
    return {
        "conversion": (float(positive > 0), 1),
        "rate": (positive, shown),
        "mean": (sum(got), 1),
        "accuracy": (sum(answered), len(answered)),
        "errors": (sum(event.fallback_for is not None for event in events), shown),
        "slow": (sum((event.inference_ms or 0) > plan.slow_ms for event in events), shown),
    }[kind]


def _moments(pairs: list[tuple[float, float]]) -> dict[str, float]:
    pairs = [(num, den) for num, den in pairs if den > 0]
    return Moments(
        units=len(pairs),
        num=sum(num for num, _ in pairs),
        den=sum(den for _, den in pairs),
        num_num=sum(num * num for num, _ in pairs),
        den_den=sum(den * den for _, den in pairs),
        num_den=sum(num * den for num, den in pairs),
    ).model_dump()


def told_of(totals: StepTotals) -> dict[str, Any]:
    """Return totals as :func:`naive` gives them."""
    whole = totals.model_dump()
    return {
        name: value
        for name, value in whole.items()
        if name not in ("experiment", "step", "unusable", "damaged", "counted_until")
    }
