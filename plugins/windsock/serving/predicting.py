"""From a prediction request to its answers: assignment, validation, one call a version, log, metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from windsock.exceptions import ServerUnavailableError
from windsock.records import PredictionEvent
from windsock.serving.contract import AskedRow, PredictionAnswer, PredictRequest, read_scores
from windsock.serving.field_values import check_features
from windsock.serving.metrics import Metrics
from windsock.serving.prediction_log import PredictionLog
from windsock.serving.slots import Scores, Slot, UnanswerableError
from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError
from windsock.serving.worker import ServedModel


@dataclass(frozen=True)
class _Answered:
    row: AskedRow
    features: Mapping[str, Any]
    scores: Sequence[float]
    slot: Slot
    milliseconds: float


async def predict(
    served: ServedModel,
    request: PredictRequest,
    *,
    prediction_log: PredictionLog,
    metrics: Metrics,
    receive_time: datetime,
) -> list[PredictionAnswer]:
    """Answer a request's rows in their order, each by the version that its unit belongs to.

    :raises RequestRefusedError: if a value is not what the model's schema says: status 422.
    :raises ServerUnavailableError: if no version has been promoted, or the version did not answer.
    """
    by_slot: dict[str, tuple[Slot, list[int]]] = {}
    for number, row in enumerate(request.rows):
        slot = served.choose(row.unit if row.unit is not None else row.prediction_id)
        if slot is None:
            raise ServerUnavailableError(
                f"no version of {served.plan.model} has been promoted yet",
                code="WS-SERVING-004",
                next_action="Let its retrain DAG run to the end, or ask who may approve the version.",
            )
        by_slot.setdefault(slot.plan.digest, (slot, []))[1].append(number)
    checked = _check(request.rows, by_slot)
    answered: dict[int, _Answered] = {}
    for slot, numbers in by_slot.values():
        rows = [checked[number] for number in numbers]
        began = time.perf_counter()
        scores = await _scores(slot, rows)
        seconds = time.perf_counter() - began
        metrics.answered(
            served.plan.model,
            slot.plan.version,
            served.plan.variant(slot.plan.digest),
            rows=len(rows),
            seconds=seconds,
            at=receive_time.timestamp(),
        )
        for number, features, row_scores in zip(numbers, rows, scores, strict=True):
            answered[number] = _Answered(request.rows[number], features, row_scores, slot, seconds * 1e3)
    answers = []
    for number in range(len(request.rows)):
        answer, event = _answer(served, answered[number], receive_time)
        if not prediction_log.add_prediction(event):
            metrics.log_dropped()
        answers.append(answer)
    return answers


def _check(
    rows: Sequence[AskedRow], by_slot: Mapping[str, tuple[Slot, list[int]]]
) -> dict[int, dict[str, Any]]:
    checked: dict[int, dict[str, Any]] = {}
    faults: list[Fault] = []
    for slot, numbers in by_slot.values():
        for number in numbers:
            checked[number], found = check_features(rows[number].features, slot.schema, rows[number].place)
            faults += found
            if len(faults) >= MAX_FAULTS:
                raise RequestRefusedError(422, "invalid", *faults)
    if faults:
        raise RequestRefusedError(422, "invalid", *faults)
    return checked


async def _scores(slot: Slot, rows: Sequence[Mapping[str, Any]]) -> Scores:
    try:
        return await slot.scores(rows)
    except UnanswerableError:
        fault = Fault(
            "features", "values that the model has no finite answer to", "values nearer to the usual"
        )
        raise RequestRefusedError(422, "unanswerable", fault, code=UnanswerableError.default_code) from None


def _answer(
    served: ServedModel, answered: _Answered, receive_time: datetime
) -> tuple[PredictionAnswer, PredictionEvent]:
    slot, row, plan = answered.slot, answered.row, served.plan
    prediction, probabilities, score = read_scores(answered.scores, slot.schema)
    variant = plan.variant(slot.plan.digest)
    answer = PredictionAnswer.model_construct(
        prediction=prediction,
        probabilities=probabilities,
        score=score,
        model=plan.model,
        version=slot.plan.version,
        variant=variant,
        prediction_id=row.prediction_id,
        inference_time_ms=round(answered.milliseconds, 3),
        timestamp=receive_time,
    )
    event = PredictionEvent.model_construct(
        prediction_id=row.prediction_id,
        model=plan.model,
        version=slot.plan.version,
        digest=slot.plan.digest,
        variant=variant,
        experiment=plan.experiment,
        unit=row.unit,
        epoch=plan.epoch,
        event_time=row.event_time,
        receive_time=receive_time,
        client=None,
        features=dict(answered.features),
        score=score,
        prediction=prediction,
    )
    return answer, event
