from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import CARD, NOON, digest, make_validation
from support.fakes import fake_ports
from windsock.ports import Ports
from windsock.records import (
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    DataSnapshot,
    EvaluateModelInput,
    Evaluation,
    TrainedModel,
    TrainModelInput,
)
from windsock.spec import CandidateBlock, ModelSpec
from windsock.training import importances
from windsock.training.evaluate_model import evaluate_model
from windsock.training.train_model import train_model

KINDS = {
    "customer_id": ColumnKind.CATEGORY,
    "age": ColumnKind.NUMBER,
    "visits": ColumnKind.INTEGER,
    "member": ColumnKind.BOOLEAN,
    "city": ColumnKind.CATEGORY,
    "joined": ColumnKind.DATETIME,
    "gender": ColumnKind.CATEGORY,
    "churned": ColumnKind.BOOLEAN,
}
ROLES = {
    "customer_id": ColumnRole.ENTITY,
    "gender": ColumnRole.SENSITIVE,
    "churned": ColumnRole.TARGET,
}


def make_frame(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Return typed rows as a snapshot holds them: every kind, nulls, a target that follows from them."""
    generator = np.random.default_rng(seed)
    age = generator.normal(45, 12, rows).round(1)
    visits = generator.integers(0, 20, rows)
    member = generator.random(rows) < 0.5
    city = generator.choice(["Berlin", "Paris", "Rome", "Oslo"], rows, p=[0.5, 0.3, 0.15, 0.05])
    logit = (age - 45) / 12 - (visits - 10) / 5 + (city == "Paris") - 0.7 * member
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in range(rows)],
            "age": age,
            "visits": pd.array(visits, dtype="Int64"),
            "member": pd.array(member, dtype="boolean"),
            "city": pd.Series(city),
            "joined": pd.Timestamp("2023-01-01")
            + pd.to_timedelta(generator.integers(0, 900, rows), unit="D"),
            "gender": generator.choice(["f", "m"], rows),
            "churned": generator.random(rows) < 1 / (1 + np.exp(-logit)),
        }
    )
    for name in ("age", "visits", "member", "city", "joined"):
        frame.loc[generator.random(rows) < 0.05, name] = None
    return frame


@dataclass
class World:
    """Rows, their snapshot, a spec and in-memory ports."""

    frame: pd.DataFrame
    spec: ModelSpec
    snapshot: DataSnapshot
    ports: Ports

    def training(
        self, candidate: str | CandidateBlock = "logistic_regression", **fields: Any
    ) -> TrainModelInput:
        block = CandidateBlock(estimator=candidate) if isinstance(candidate, str) else candidate
        validation = make_validation(snapshot_digest=self.snapshot.digest)
        made = {"spec": self.spec, "snapshot": self.snapshot, "validation": validation, "candidate": block}
        return TrainModelInput(**{**made, **fields})

    def train(
        self,
        candidate: str | CandidateBlock = "logistic_regression",
        *,
        key: str = "",
        ports: Ports | None = None,
    ) -> TrainedModel:
        step = self.training(candidate)
        return train_model(step, ports or self.ports, key or step.candidate.content_digest())

    def evaluate(self, *candidates: TrainedModel, ports: Ports | None = None) -> Evaluation:
        step = EvaluateModelInput(spec=self.spec, snapshot=self.snapshot, candidates=candidates)
        return evaluate_model(step, ports or self.ports, digest("e"))


def make_world(
    frame: pd.DataFrame | None = None,
    *,
    kinds: dict[str, ColumnKind] | None = None,
    roles: dict[str, ColumnRole] | None = None,
    ports: Ports | None = None,
    **blocks: Any,
) -> World:
    """Return a world; kinds and roles are those of :func:`make_frame` unless given."""
    frame = make_frame() if frame is None else frame
    kinds, roles = {**KINDS, **(kinds or {})}, {**ROLES, **(roles or {})}
    made: dict[str, Any] = {
        "model": {"name": "churn"},
        "data": {"target": "churned", "entity": "customer_id", "sensitive": ["gender"]},
        "gate": {"card": CARD},
    }
    for name, block in blocks.items():
        made[name] = {**made.get(name, {}), **block}
    spec = ModelSpec.model_validate(made)
    columns = tuple(
        ColumnSchema(
            name=name,
            kind=kinds[name],
            role=roles.get(name, ColumnRole.FEATURE),
            nulls=int(frame[name].isna().sum()),
            distinct=int(frame[name].nunique()),
        )
        for name in frame.columns
    )
    snapshot = DataSnapshot(
        model=spec.name,
        digest=digest("1"),
        uri="",
        rows=len(frame),
        columns=columns,
        source="file: churn.csv",
        taken_at=NOON,
    )
    ports = ports or fake_ports()
    return World(frame=frame, spec=spec, snapshot=ports.snapshots.put(snapshot, frame), ports=ports)


@pytest.fixture(autouse=True, scope="module")
def _few_shuffles() -> Iterator[None]:
    """Shuffle each feature once: importances take most of a training's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importances, "MOST_SHUFFLES", 1)
        yield


@pytest.fixture(scope="session")
def world() -> Any:
    """Build a world: ``world()`` or ``world(frame, data={...})``."""
    return make_world


@pytest.fixture(scope="session")
def typed_rows() -> Any:
    """Build typed rows: ``typed_rows(rows=600, seed=0)``."""
    return make_frame
