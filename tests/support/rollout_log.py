"""A log of a rollout for tests of what counts it, and the plain count that it must come to."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from support.builders import NOON, digest
from support.ledgers import home_of, new_control_database
from support.log_rows import kind_of, line_of
from windsock.adapters.log_format import hour_of, segment_folder
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.rollout_events.rows import CountRows
from windsock.adapters.storage import Storage
from windsock.records import (
    Challenger,
    OutcomeEvent,
    PredictionEvent,
    Rollout,
    RolloutPlan,
    StepTotals,
    UnansweredEvent,
)
from windsock.spec import LabelsBlock, RolloutMetricBlock

CHAMPION, CHALLENGER = digest("a"), digest("b")
LANES = (CHALLENGER, digest("c"), digest("d"), digest("f"))
"""Bundles of the challengers of :func:`several`."""
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


def several(
    number: int, made: RolloutPlan | None = None, *, dropped: tuple[int, ...] = (), **fields: Any
) -> Rollout:
    """Return a rollout of so many challengers.

    :param dropped: lanes of those that were dropped.
    """
    others = tuple(
        Challenger(version=f"{lane + 1}", digest=LANES[lane - 1], bundle_uri="u", evidence_digest=digest("e"))
        for lane in range(2, number + 1)
    )
    tried = (made or plan()).replace(challengers=number)
    return rollout(tried, others=others, withdrawn=tuple(LANES[lane - 1] for lane in dropped), **fields)


def lane(number: int) -> dict[str, Any]:
    """Return what rows of a challenger have in the log, by its lane; of 0 those of the champion."""
    if number == 0:
        return {"variant": "champion"}
    return {"variant": "challenger", "version": f"{number + 1}", "digest": LANES[number - 1]}


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


def refused(identifier: str, *, unit: str | None = None, minute: float = 1, **fields: Any) -> UnansweredEvent:
    """Return a row of the rollout that got no answer, of the champion unless it says otherwise."""
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "model": "churn",
        "version": "1",
        "digest": CHALLENGER if fields.get("variant", "champion") != "champion" else CHAMPION,
        "variant": "champion",
        "experiment": EXPERIMENT,
        "epoch": 7,
        "unit": unit,
        "receive_time": NOON + timedelta(minutes=minute),
        "cause": "failed",
    }
    return UnansweredEvent(**{**made, **fields})


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
        self.keys_dir = home_of(self.url) / "keys"
        self._segments = 0

    def events(self) -> ArchiveRolloutEvents:
        """Return what counts."""
        return ArchiveRolloutEvents(
            self.state,
            self.storage,
            url=self.url,
            keys_dir=self.keys_dir,
            roots=(self.folder,),
            connections=lambda name: name,
        )

    def row(self, step: int = 0) -> CountRows:
        """Return the row of a step in the control database."""
        return CountRows(self.url, self.keys_dir, "churn", EXPERIMENT, step)

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
