"""What a server logs of a rollout is counted: of each arm, what was offered adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.ledgers import new_control_database
from support.rollout_log import plan, rollout
from support.serving import ROW, make_plan, wait_until
from support.serving_app import App
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.storage import Storage
from windsock.ports import utc_now
from windsock.records import FallbackAnswer, StepTotals, StoredBundle
from windsock.rollout.assignment import Assignment
from windsock.serving.slots import SlotFailedError

UNITS = [f"u{number}" for number in range(60)]
SHARES = {"challenger": 5_000, "champion": 5_000}


def begin(app: App, stored: dict[str, StoredBundle], **fields: Any) -> None:
    champion = {"champion": stored["first"].digest, "experiment": "e"}
    made = make_plan(stored["first"], stored["second"], **{"shares": (5_000, 5_000), **champion, **fields})
    assert app.put(made).status_code == 200


def fail(app: App, digest: str, patch: pytest.MonkeyPatch) -> None:
    async def later(rows: Any) -> Any:
        raise SlotFailedError("gone")

    patch.setattr(app.service.served["churn"].slots[digest], "scores", later)


def counted(app: App, stored: dict[str, StoredBundle], folder: Path, **fields: Any) -> Iterator[StepTotals]:
    """Count what was logged: live, archived, and once it is kept."""
    app.service.prediction_log.stop()
    began = utc_now() - timedelta(minutes=1)
    one = rollout(
        plan("errors", "accuracy", **fields),
        experiment="e",
        champion_digest=stored["first"].digest,
        digest=stored["second"].digest,
        step_epoch=1,
        step_since=began,
        started_at=began,
    )
    storage, now = Storage(str(folder / "storage")), utc_now() + timedelta(seconds=1)
    events = ArchiveRolloutEvents(
        app.settings.serving_dir,
        storage,
        url=new_control_database(folder),
        keys_dir=app.settings.keys_dir,
        roots=(),
        connections=str,
    )
    yield events.totals(one, now=now)
    later = now + timedelta(hours=2)
    ParquetPredictionArchive(app.settings.serving_dir, storage, now=lambda: later).close_segments()
    yield events.totals(one, now=later)
    yield events.totals(one, now=later)


@pytest.mark.parametrize("policy", ["error", "constant"])
def test_what_is_offered_is_answered_refused_failed_or_fallen_back(
    app: App, stored: dict[str, StoredBundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, policy: str
) -> None:
    constant = False if policy == "constant" else None
    begin(app, stored, fallback=FallbackAnswer(policy=policy, constant=constant))  # type: ignore[arg-type]
    arms = Assignment(SHARES, salt="s", experiment="e")
    offered = Counter(arms.arm(unit) for unit in UNITS)
    refused: Counter[str] = Counter()
    for number, unit in enumerate(UNITS[:30]):
        is_bad = number % 3 == 0
        refused[arms.arm(unit)] += is_bad
        row = {**ROW, "age": "old"} if is_bad else ROW
        body = {"features": row, "unit": unit, "prediction_id": f"p{number}"}
        assert app.client.post("/predict", json=body).status_code == (422 if is_bad else 200)
    fail(app, stored["second"].digest, monkeypatch)
    for number, unit in enumerate(UNITS[30:], start=30):
        body = {"features": ROW, "unit": unit, "prediction_id": f"p{number}"}
        app.client.post("/predict", json=body)
    failed = sum(arms.arm(unit) == "challenger" for unit in UNITS[30:])
    for totals in counted(app, stored, tmp_path):
        for name, arm in (("champion", totals.champion), ("challenger", totals.challenger)):
            assert arm.units == arm.exposures == offered[name]
            assert arm.unanswered.get("invalid", 0) == refused[name]
            fell = failed if name == "challenger" else 0
            kept = (arm.fallbacks, arm.unanswered.get("failed", 0))
            assert kept == ((fell, 0) if policy == "constant" else (0, fell))
            assert arm.answered == offered[name] - refused[name] - fell
            assert arm.metrics["errors"].num == refused[name] + fell
        assert (totals.repeated_exposures, totals.strange, totals.damaged, totals.moved) == (0, 0, 0, 0)


def test_a_shadow_that_raises_has_tried(
    app: App, stored: dict[str, StoredBundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slots = make_plan(stored["first"], stored["second"], shares=(10_000, 0)).slots
    begin(app, stored, slots=(slots[0], slots[1].replace(shadow=True)))
    fail(app, stored["second"].digest, monkeypatch)
    for number, unit in enumerate(UNITS[:10]):
        body = {"features": ROW, "unit": unit, "prediction_id": f"p{number}"}
        assert app.client.post("/predict", json=body).status_code == 200
    wait_until(lambda: app.service.shadows.failed == 10)
    for totals in counted(app, stored, tmp_path, strategy="shadow", shares=(0,)):
        assert (totals.champion.units, totals.champion.answered) == (10, 10)
        assert (totals.challenger.units, totals.challenger.unanswered) == (10, {"failed": 10})
        assert totals.challenger.metrics["errors"].num == 10
