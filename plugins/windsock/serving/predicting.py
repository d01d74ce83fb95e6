"""From a prediction request to its answers: assignment, validation, one call a version, log, metrics."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any

from windsock.exceptions import ServerUnavailableError
from windsock.serving.answers import RowAnswer
from windsock.serving.asking import CONSTANT, Asked, Given, ask, ask_slot, begin_to_ask, rows_of
from windsock.serving.contract import PredictRequest
from windsock.serving.field_values import Values, check_features
from windsock.serving.prediction_log import AnsweredRows, LoggedRow
from windsock.serving.served import ServedModel
from windsock.serving.service import Service
from windsock.serving.slots import Slot, SlotFailedError
from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError

Group = tuple[Slot, Sequence[int]]
"""A version and the places of the rows that it answers."""


class OtherVersionError(ServerUnavailableError):
    """The route gave the rows to another version than the client named."""


@dataclass(slots=True)
class Sender:
    """Who sent a request, and when it arrived.

    :param began: when the server had all of it, by the monotonic clock; ``None``: its time is not measured.
    """

    client: str | None
    receive_time: datetime
    began: float | None = None


async def predict(
    service: Service,
    served: ServedModel,
    request: PredictRequest,
    *,
    client: str | None,
    receive_time: datetime,
    began: float | None = None,
    only_version: str | None = None,
) -> list[RowAnswer]:
    """Answer a request's rows in their order, each by the version that its unit belongs to.

    :param client: name of the client, for the log.
    :param began: when the server had the request, by the monotonic clock.
    :param only_version: the version that must answer.
    :raises OtherVersionError: if another one does; nothing is logged then.
    :raises RequestRefusedError: if a value is not what the model's schema says: status 422.
    :raises ServerUnavailableError: if no version has been promoted, the version did not answer, or too many
        requests are in work.
    """
    answers = begin_to_predict(service, served, request, Sender(client, receive_time, began), only_version)
    return answers if isinstance(answers, list) else await answers


def begin_to_predict(
    service: Service,
    served: ServedModel,
    request: PredictRequest,
    sender: Sender,
    only_version: str | None = None,
) -> list[RowAnswer] | Coroutine[Any, Any, list[RowAnswer]]:
    """Do what :func:`predict` does as far as nothing must be waited for.

    :returns: the answers; else what must be awaited, once, for them.
    :raises WindsockError: as :func:`predict` does.
    """
    load = service.load
    load.enter()
    waits = False
    try:
        groups = _assigned(served, request)
        values = request.values if request.values is not None else _checked(served, request, groups)
        parts = [values] if len(groups) == 1 else [[values[at] for at in rows] for _, rows in groups]
        job = _Job(service, served, request, sender, groups, parts, only_version)
        first = begin_to_ask(served, groups[0][0], parts[0], _given(request, groups[0][1]))
        if len(parts) == 1 and isinstance(first, Asked):
            return job.answers([first])
        waits = True
        return job.wait_for(first)
    finally:
        if not waits:
            load.leave()


@dataclass(slots=True)
class _Job:
    """A request in work.

    :param parts: the rows of each group.
    """

    service: Service
    served: ServedModel
    request: PredictRequest
    sender: Sender
    groups: Sequence[Group]
    parts: Sequence[Sequence[Values]]
    only_version: str | None

    async def wait_for(self, first: Asked | Coroutine[Any, Any, Asked]) -> list[RowAnswer]:
        """Return the answers when all versions have answered; the request is in work until then.

        :param first: what came of asking the first group's version.
        """
        try:
            found = [first if isinstance(first, Asked) else await first]
            for (slot, numbers), rows in list(zip(self.groups, self.parts, strict=True))[1:]:
                found.append(await ask(self.served, slot, rows, _given(self.request, numbers)))
            return self.answers(found)
        finally:
            self.service.load.leave()

    def answers(self, found: Sequence[Asked]) -> list[RowAnswer]:
        """Log and count what the versions answered; return it in the order of the rows.

        Nothing is logged or counted before all rows have their answers: a client gets all of them, or none.

        :param found: what each group's version answered.
        """
        if self.only_version is not None and any(asked.version != self.only_version for asked in found):
            raise OtherVersionError("another version than the one that was asked for answers")
        if len(found) == 1:
            return self._part(self.groups[0], self.parts[0], found[0], self.request.body)
        answers: list[RowAnswer | None] = [None] * len(self.request.ids)
        for group, rows, asked in zip(self.groups, self.parts, found, strict=True):
            for number, answer in zip(group[1], self._part(group, rows, asked, None), strict=True):
                answers[number] = answer
        return answers  # type: ignore[return-value] # each place has been filled

    def _part(
        self, group: Group, rows: Sequence[Values], asked: Asked, body: bytes | None
    ) -> list[RowAnswer]:
        slot, numbers = group
        asked.slot.recent.add(asked.rows, body if asked.rows is rows else None)
        answered = _answer(self.service, self.served, asked, self.request, self.sender, numbers)
        for shadow in self.served.shadows:
            job = partial(
                _ask_shadow,
                self.service,
                self.served,
                shadow,
                slot,
                self.request,
                self.sender,
                numbers,
                rows,
            )
            self.service.shadows.submit(job, len(rows))
        return answered


def _assigned(served: ServedModel, request: PredictRequest) -> Sequence[Group]:
    if served.only is not None:
        return ((served.only, range(len(request.ids))),)
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


def _given(request: PredictRequest, numbers: Sequence[int]) -> Given:
    """Return some rows as the client sent them; ``None`` where they were read in one pass."""
    features = request.features
    if features is None or len(numbers) == len(features):
        return features
    return [features[number] for number in numbers]


def _checked(served: ServedModel, request: PredictRequest, groups: Sequence[Group]) -> list[Values]:
    features = request.features or ()
    checked: list[Values] = [()] * len(features)
    faults: list[Fault] = []
    for slot, numbers in groups:
        schema = served.schema_of(slot)
        for number in numbers:
            checked[number], found = check_features(features[number], schema, request.place(number))
            faults += found
            if len(faults) >= MAX_FAULTS:
                raise RequestRefusedError(422, "invalid", *faults)
    if faults:
        raise RequestRefusedError(422, "invalid", *faults)
    return checked


def _answer(
    service: Service,
    served: ServedModel,
    asked: Asked,
    request: PredictRequest,
    sender: Sender,
    numbers: Sequence[int],
) -> list[RowAnswer]:
    """Log and count rows that one version answered; return their answers.

    :param numbers: the rows' places in the request.
    """
    plan, slot, scores = served.plan, asked.slot, asked.scores
    model, read, at = plan.model, slot.score_reader.read, sender.receive_time
    version, variant, rows = asked.version, served.variant(slot), asked.rows
    if scores is None:
        variant = CONSTANT
    milliseconds = int(asked.milliseconds * 1000 + 0.5) / 1000  # round() takes longer than all the rest here
    began, seconds = sender.began, at.timestamp()
    units, ids, times = request.units, request.ids, request.times
    answers, logged = [], []
    for position, number in enumerate(numbers):
        # A constant is there where no scores are.
        prediction, probabilities, score = read(scores[position]) if scores else (asked.constant, None, None)
        answers.append(
            RowAnswer(
                prediction,  # type: ignore[arg-type]
                probabilities,
                score,
                model,
                version,
                variant,
                ids[number],
                milliseconds,
                at,
            )
        )
        logged.append(LoggedRow(ids[number], units[number], times[number], score, prediction, rows[position]))
    kept = service.prediction_log.add_rows(
        AnsweredRows(
            model,
            version,
            slot.plan.digest,
            variant,
            plan.experiment,
            plan.epoch,
            at,
            sender.client,
            asked.fallback_for,
            milliseconds,
            logged,
        ),
        slot.schema,
        began,
        seconds,
    )
    if not kept:
        service.metrics.log_dropped(len(logged))
    service.metrics.answered(
        (model, version, variant),
        len(logged),
        asked.milliseconds / 1e3,
        seconds,
        None if began is None else monotonic() - began,
    )
    if asked.fallback_for is not None:
        service.metrics.fell_back(model, plan.fallback.policy, len(logged))
    return answers


async def _ask_shadow(
    service: Service,
    served: ServedModel,
    shadow: Slot,
    slot: Slot,
    request: PredictRequest,
    sender: Sender,
    numbers: Sequence[int],
    rows: Sequence[Values],
) -> None:
    """Ask a shadow the rows that another version answered; its answers go to the log only.

    :raises SlotFailedError: if it needs features that they do not hold.
    """
    fitting = rows_of(served, shadow, slot, rows, _given(request, numbers))
    if fitting is None:
        raise SlotFailedError(f"version {shadow.plan.version} needs other features")
    untimed = Sender(sender.client, sender.receive_time)  # nobody waits for a shadow
    _answer(service, served, await ask_slot(shadow, fitting), request, untimed, numbers)
