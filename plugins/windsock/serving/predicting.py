"""From a prediction request to its answers: assignment, validation, one call a version, log, metrics."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from windsock.exceptions import ServerUnavailableError
from windsock.records import Digest
from windsock.serving.answered import log_answered
from windsock.serving.answers import RowAnswer
from windsock.serving.asking import Asked, Given, ask, ask_slot, begin_to_ask, rows_of
from windsock.serving.contract import PredictRequest, Sender
from windsock.serving.field_values import Values, check_features
from windsock.serving.microbatch import OverloadedError
from windsock.serving.served import ServedModel
from windsock.serving.service import Service
from windsock.serving.slots import Slot
from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError
from windsock.serving.unanswered import (
    OtherFeaturesError,
    cause_of,
    cause_of_shadow,
    log_unanswered,
)

Group = tuple[Slot, Sequence[int]]
"""A version and the places of the rows that belong to it."""


class OtherVersionError(ServerUnavailableError):
    """The route gave the rows to another version than the client named."""


class InvalidRowsError(RequestRefusedError):
    """Rows whose values the versions that they belong to do not take.

    :param digests: of those versions.
    """

    def __init__(self, digests: Collection[Digest], *faults: Fault) -> None:
        super().__init__(422, "invalid", *faults)
        self.digests = digests


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
    :param only_version: the version that must answer: such a request is no part of a rollout.
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
    groups: Sequence[Group] = ()
    in_work = False
    try:
        load.enter()
        in_work = True
        groups = _assigned(served, request)
        values = request.values if request.values is not None else _checked(served, request, groups)
        parts = [values] if len(groups) == 1 else [[values[at] for at in rows] for _, rows in groups]
        job = _Job(service, served, request, sender, groups, parts, only_version)
        first = begin_to_ask(served, groups[0][0], parts[0], _given(request, groups[0][1]))
        if len(parts) == 1 and isinstance(first, Asked):
            return job.answers([first])
        in_work = False  # of this function: the job ends it
        return job.wait_for(first)
    except Exception as error:
        if only_version is None:
            _give_up(service, served, request, sender, groups, error)
        raise
    finally:
        if in_work:
            load.leave()


def _give_up(
    service: Service,
    served: ServedModel,
    request: PredictRequest,
    sender: Sender,
    groups: Sequence[Group],
    error: BaseException,
    asked: Slot | None = None,
) -> None:
    """Log the rows of a request that gets no answer, while a rollout runs.

    :param groups: none where the server had too much work to assign the rows: then it is done here.
    :param asked: the version that was asked last; default: the first one.
    """
    if served.plan.experiment is None:
        return
    cause = cause_of(error)
    blamed: Collection[Digest] | None = None  # all
    if not groups and isinstance(error, OverloadedError):
        groups = _assigned(served, request)
    elif isinstance(error, InvalidRowsError):
        blamed = error.digests
    elif cause != "cancelled" and groups:
        blamed = ((asked or groups[0][0]).plan.digest,)
    for slot, numbers in groups:
        own = cause if blamed is None or slot.plan.digest in blamed else "other_version"
        log_unanswered(service, served, slot, request, sender, numbers, own)


@dataclass(slots=True)
class _Job:
    """A request in work.

    :param parts: the rows of each group.
    :param only_version: the version that must answer: such a request is no part of a rollout.
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
        slot = self.groups[0][0]
        try:
            found = [first if isinstance(first, Asked) else await first]
            for (slot, numbers), rows in list(zip(self.groups, self.parts, strict=True))[1:]:
                found.append(await ask(self.served, slot, rows, _given(self.request, numbers)))
            return self.answers(found)
        except BaseException as error:
            if self.only_version is None:
                _give_up(self.service, self.served, self.request, self.sender, self.groups, error, slot)
            raise
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
        answered = log_answered(
            self.service, self.served, asked, self.request, self.sender, numbers, self.only_version
        )
        for shadow in self.served.shadows:
            call = _ShadowCall(self, shadow, self.served.answering(slot), numbers, rows)
            self.service.shadows.submit(call.ask, len(rows), call.lost)
        return answered


@dataclass(slots=True)
class _ShadowCall:
    """Rows that another version answered, for a shadow; its answers go to the log only.

    :param slot: the version whose schema they were read by.
    """

    job: _Job
    shadow: Slot
    slot: Slot
    numbers: Sequence[int]
    rows: Sequence[Values]

    async def ask(self) -> None:
        """Ask the shadow.

        :raises OtherFeaturesError: if it needs features that they do not hold.
        """
        job = self.job
        given = _given(job.request, self.numbers)
        fitting = rows_of(job.served, self.shadow, self.slot, self.rows, given)
        if fitting is None:
            raise OtherFeaturesError(f"version {self.shadow.plan.version} needs other features")
        untimed = Sender(job.sender.client, job.sender.receive_time)  # nobody waits for a shadow
        asked = await ask_slot(self.shadow, fitting)
        log_answered(job.service, job.served, asked, job.request, untimed, self.numbers, job.only_version)

    def lost(self, error: Exception | None) -> None:
        """Log that there is no answer of it, while a rollout runs.

        :param error: why; ``None``: it was dropped.
        """
        job = self.job
        if job.only_version is None:
            cause = cause_of_shadow(error)
            log_unanswered(job.service, job.served, self.shadow, job.request, job.sender, self.numbers, cause)


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
    refusing: set[Digest] = set()
    for slot, numbers in groups:
        schema = served.schema_of(slot)
        for number in numbers:
            checked[number], found = check_features(features[number], schema, request.place(number))
            if found:
                faults += found
                refusing.add(slot.plan.digest)
            if len(faults) >= MAX_FAULTS:
                raise InvalidRowsError(refusing, *faults)
    if faults:
        raise InvalidRowsError(refusing, *faults)
    return checked
