"""From a prediction request to its answers: assignment, validation, one call a version, log, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from windsock.exceptions import ServerUnavailableError
from windsock.serving.answers import RowAnswer
from windsock.serving.asking import CONSTANT, Asked, ask, ask_slot
from windsock.serving.contract import PredictRequest
from windsock.serving.field_values import Values, check_features
from windsock.serving.prediction_log import AnsweredRows, LoggedRow
from windsock.serving.served import ServedModel
from windsock.serving.service import Service
from windsock.serving.slots import Slot
from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError

Group = tuple[Slot, list[int] | None]
"""A version and the rows that it answers; ``None``: all."""


async def predict(
    service: Service,
    served: ServedModel,
    request: PredictRequest,
    *,
    client: str | None,
    receive_time: datetime,
) -> list[RowAnswer]:
    """Answer a request's rows in their order, each by the version that its unit belongs to.

    :param client: name of the client, for the log.
    :raises RequestRefusedError: if a value is not what the model's schema says: status 422.
    :raises ServerUnavailableError: if no version has been promoted, the version did not answer, or too many
        requests are in work.
    """
    with service.load:
        return await _predict(service, served, request, client, receive_time)


async def _predict(
    service: Service,
    served: ServedModel,
    request: PredictRequest,
    client: str | None,
    receive_time: datetime,
) -> list[RowAnswer]:
    groups = _assigned(served, request)
    values = request.values if request.values is not None else _checked(request, groups)
    answers: list[RowAnswer | None] = [None] * len(values)
    for slot, numbers in groups:
        places = range(len(values)) if numbers is None else numbers
        rows = values if numbers is None else [values[number] for number in numbers]
        asked = await ask(served, slot, rows)
        asked.slot.recent.add(rows, request.size if numbers is None else None)
        answered = _Answered(service, served, asked, client, receive_time)
        for number, answer in zip(places, answered.answers(request, places, rows), strict=True):
            answers[number] = answer
    for shadow in served.shadows:
        job = partial(_ask_shadow, service, served, shadow, request, values, client, receive_time)
        service.shadows.submit(job)
    return answers  # type: ignore[return-value] # each place has been filled


def _assigned(served: ServedModel, request: PredictRequest) -> Sequence[Group]:
    if served.only is not None:
        return ((served.only, None),)
    groups: dict[str, tuple[Slot, list[int]]] = {}
    for number, (unit, identifier) in enumerate(zip(request.units, request.ids, strict=True)):
        slot = served.choose(unit if unit is not None else identifier)
        if slot is None:
            raise ServerUnavailableError(
                f"no version of {served.plan.model} has been promoted yet",
                code="WS-SERVING-004",
                next_action="Let its retrain DAG run to the end, or ask who may approve the version.",
            )
        groups.setdefault(slot.plan.digest, (slot, []))[1].append(number)
    return list(groups.values())


def _checked(request: PredictRequest, groups: Sequence[Group]) -> list[Values]:
    features = request.features or ()
    checked: list[Values] = [()] * len(features)
    faults: list[Fault] = []
    for slot, numbers in groups:
        for number in range(len(features)) if numbers is None else numbers:
            checked[number], found = check_features(features[number], slot.schema, request.place(number))
            faults += found
            if len(faults) >= MAX_FAULTS:
                raise RequestRefusedError(422, "invalid", *faults)
    if faults:
        raise RequestRefusedError(422, "invalid", *faults)
    return checked


class _Answered:
    """Rows that one version answered: their answers, their line in the log, their count."""

    def __init__(
        self, service: Service, served: ServedModel, asked: Asked, client: str | None, receive_time: datetime
    ) -> None:
        self.service, self.served, self.asked = service, served, asked
        self.client, self.receive_time = client, receive_time
        self.is_constant = asked.scores is None
        self.variant = CONSTANT if self.is_constant else served.variant(asked.slot)
        self.version = "" if self.is_constant else asked.slot.plan.version

    def answers(
        self, request: PredictRequest, places: Sequence[int], rows: Sequence[Values]
    ) -> list[RowAnswer]:
        """Log and count the rows; return their answers."""
        asked, read = self.asked, self.asked.slot.score_reader.read
        model, milliseconds = self.served.plan.model, round(asked.milliseconds, 3)
        units, ids, times = request.units, request.ids, request.times
        answers, logged = [], []
        for position, number in enumerate(places):
            if asked.scores is None:
                prediction, probabilities, score = asked.constant, None, None
            else:
                prediction, probabilities, score = read(asked.scores[position])
            answers.append(
                RowAnswer(
                    prediction,  # type: ignore[arg-type] # a constant is there where no scores are
                    probabilities,
                    score,
                    model,
                    self.version,
                    self.variant,
                    ids[number],
                    milliseconds,
                    self.receive_time,
                )
            )
            logged.append(
                LoggedRow(ids[number], units[number], times[number], score, prediction, rows[position])
            )
        self._keep(logged)
        return answers

    def _keep(self, logged: Sequence[LoggedRow]) -> None:
        service, plan, slot = self.service, self.served.plan, self.asked.slot
        kept = service.prediction_log.add_rows(
            AnsweredRows(
                model=plan.model,
                version=self.version,
                digest=slot.plan.digest,
                variant=self.variant,
                experiment=plan.experiment,
                epoch=plan.epoch,
                receive_time=self.receive_time,
                client=self.client,
                fallback_for=self.asked.fallback_for,
                inference_ms=round(self.asked.milliseconds, 3),
                schema=slot.schema,
                rows=logged,
            )
        )
        if not kept:
            service.metrics.log_dropped(len(logged))
        service.metrics.answered(
            plan.model,
            self.version,
            self.variant,
            rows=len(logged),
            seconds=self.asked.milliseconds / 1e3,
            at=self.receive_time.timestamp(),
        )
        if self.asked.fallback_for is not None:
            service.metrics.fell_back(plan.model, plan.fallback.policy, len(logged))


async def _ask_shadow(
    service: Service,
    served: ServedModel,
    shadow: Slot,
    request: PredictRequest,
    values: Sequence[Values],
    client: str | None,
    receive_time: datetime,
) -> None:
    """Ask a shadow the same rows; its answers go to the log only."""
    if shadow.schema.fields != served.most_slot.schema.fields:
        if request.features is None:
            return
        values = _checked(request, ((shadow, None),))
    asked = await ask_slot(shadow, values)
    _Answered(service, served, asked, client, receive_time).answers(request, range(len(values)), values)
