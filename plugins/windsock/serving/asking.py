"""Asking a version, and what happens when it fails: circuit breaker, then the plan's fallback answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windsock.exceptions import WindsockError
from windsock.records import InputSchema
from windsock.serving.answers import Label
from windsock.serving.breaker import SlotOpenError
from windsock.serving.field_values import check_features
from windsock.serving.microbatch import OverloadedError
from windsock.serving.places import place_of
from windsock.serving.served import ServedModel
from windsock.serving.slots import Rows, Scores, Slot, SlotFailedError, UnanswerableError
from windsock.serving.strict_json import Fault, RequestRefusedError

log = logging.getLogger(__name__)

CONSTANT = "constant"
Given = Sequence[Mapping[str, Any]] | None
"""Rows as the client sent them; ``None`` where they were read in one pass: all versions use the same then."""


class StandInOverloadedError(OverloadedError):
    """A version failed, and too many rows wait for the one that answers in its place."""


@dataclass(slots=True)
class Asked:
    """What came of asking for rows.

    :param slot: the version that answered; with a constant, the one that should have.
    :param rows: the rows as that version takes them.
    :param scores: its scores; ``None``: the fallback constant is the answer.
    :param constant: the fallback constant.
    :param milliseconds: time the model took.
    :param fallback_for: the arm that the rows belong to, where another version or the constant answered.
    """

    slot: Slot
    rows: Rows
    scores: Scores | None
    milliseconds: float
    constant: Label | None = None
    fallback_for: str | None = None

    @property
    def version(self) -> str:
        """The version that answered; empty for a constant."""
        return self.slot.plan.version if self.scores is not None else ""


async def ask(served: ServedModel, slot: Slot, rows: Rows, given: Given = None) -> Asked:
    """Ask the version that rows belong to; if it fails, answer as the plan's fallback says.

    :param given: the rows as the client sent them, with what only other versions use.
    :raises RequestRefusedError: if the model has no finite answer to the rows: status 422.
    :raises OverloadedError: if too many rows wait for it.
    :raises SlotFailedError: if it failed and the plan knows no other answer.
    """
    asked = begin_to_ask(served, slot, rows, given)
    return asked if isinstance(asked, Asked) else await asked


def begin_to_ask(
    served: ServedModel, slot: Slot, rows: Rows, given: Given = None
) -> Asked | Coroutine[Any, Any, Asked]:
    """Do what :func:`ask` does as far as nothing must be waited for.

    Rows of a challenger that was dropped are the champion's to answer, whatever the fallback is.

    :returns: the answer; else what must be awaited, once, for it.
    :raises WindsockError: as :func:`ask` does.
    """
    if served.withdrawn and slot.plan.digest in served.withdrawn:
        asked_instead = begin_to_ask(served, served.answering(slot), rows, given)
        return _in_place_of(served.arm(slot), asked_instead)
    try:
        asked = _ask_now(slot, rows)
    except UnanswerableError as error:
        raise _refused(error) from None
    except OverloadedError:
        raise
    except WindsockError as failure:
        return _fall_back(served, slot, rows, given, failure)
    return asked if asked is not None else _wait_or_fall_back(served, slot, rows, given)


def _in_place_of(arm: str, asked: Asked | Coroutine[Any, Any, Asked]) -> Asked | Coroutine[Any, Any, Asked]:
    """Return what the champion answers, or will, as an answer to rows of a challenger that was dropped."""
    if not isinstance(asked, Asked):
        return _later_in_place_of(arm, asked)
    asked.fallback_for = arm
    return asked


async def _later_in_place_of(arm: str, awaited: Coroutine[Any, Any, Asked]) -> Asked:
    asked = await awaited
    asked.fallback_for = arm
    return asked


async def ask_slot(slot: Slot, rows: Rows) -> Asked:
    """Ask one version, through its breaker.

    :raises UnanswerableError: if it has no finite answer to the rows.
    :raises OverloadedError: if too many rows wait for it.
    :raises SlotOpenError: if it has failed too often just now.
    :raises SlotFailedError: if it fails.
    """
    asked = _ask_now(slot, rows)
    return asked if asked is not None else await _wait_for(slot, rows)


def _ask_now(slot: Slot, rows: Rows) -> Asked | None:
    """Ask one version, through its breaker, if it answers at once.

    :returns: ``None`` if it must be waited for; its breaker has let the call through then.
    """
    breaker = slot.breaker
    if not breaker.allows():
        raise SlotOpenError(f"version {slot.plan.version} is left alone after {breaker.failures} failures")
    began = time.perf_counter()
    try:
        scores = slot.scores_now(rows)
    except Exception as error:
        raise _reported(slot, error) from None
    if scores is None:
        return None
    breaker.succeeded()
    return Asked(slot, rows, scores, (time.perf_counter() - began) * 1e3)


async def _wait_for(slot: Slot, rows: Rows) -> Asked:
    """Ask one version whose breaker has let the call through."""
    began = time.perf_counter()
    try:
        scores = await slot.scores(rows)
    except Exception as error:
        raise _reported(slot, error) from None
    slot.breaker.succeeded()
    return Asked(slot, rows, scores, (time.perf_counter() - began) * 1e3)


def _reported(slot: Slot, error: Exception) -> WindsockError:
    """Return what a failed call comes to, after its breaker was told."""
    if isinstance(error, OverloadedError):  # the version was not asked
        return error
    if isinstance(error, UnanswerableError):  # it was, and the rows are to blame
        slot.breaker.succeeded()
        return error
    slot.breaker.failed()
    if isinstance(error, WindsockError):
        return error
    log.error("WS-SERVING-018: version %s: %s", slot.plan.version, place_of(error))
    return SlotFailedError(f"version {slot.plan.version} failed ({type(error).__name__})")


async def _wait_or_fall_back(served: ServedModel, slot: Slot, rows: Rows, given: Given) -> Asked:
    try:
        return await _wait_for(slot, rows)
    except UnanswerableError as error:
        raise _refused(error) from None
    except OverloadedError:
        raise
    except WindsockError as failure:
        return await _fall_back(served, slot, rows, given, failure)


def _refused(error: UnanswerableError) -> RequestRefusedError:
    fault = Fault("features", "values that the model has no finite answer to", "values nearer to the usual")
    return RequestRefusedError(422, "unanswerable", fault, code=error.code)


async def _fall_back(
    served: ServedModel, slot: Slot, rows: Rows, given: Given, failure: WindsockError
) -> Asked:
    arm, stand_in = served.arm(slot), served.stand_in(slot)
    fitting = rows_of(served, stand_in, slot, rows, given) if stand_in is not None else None
    if stand_in is not None and fitting is not None:
        try:
            asked = await ask_slot(stand_in, fitting)
        except OverloadedError as error:
            raise StandInOverloadedError(error.message) from failure
        asked.fallback_for = arm
        return asked
    if (constant := served.plan.fallback.constant_for(slot.schema)) is not None:
        return Asked(slot, rows, None, 0.0, constant=constant, fallback_for=arm)
    raise failure


def rows_of(served: ServedModel, wanted: Slot, slot: Slot, rows: Rows, given: Given) -> Rows | None:
    """Return rows of one version as another one takes them, from what the client sent if that is there.

    :param slot: the version whose rows they are.
    :returns: ``None`` if the other one needs something that they do not hold.
    """
    if given is None or slot.schema.fields == wanted.schema.fields:
        return rows_for(rows, slot.schema, wanted.schema)
    read = [check_features(row, served.schema_of(wanted), "features") for row in given]
    return None if any(faults for _, faults in read) else [values for values, _ in read]


def rows_for(rows: Rows, given: InputSchema, wanted: InputSchema) -> Rows | None:
    """Return rows of one schema as rows of another one.

    :returns: ``None`` if the other one needs something that they do not hold.
    """
    if given.fields == wanted.fields:
        return rows
    names = [field.name for field in given.fields]
    shared = {field.name for field in wanted.fields}
    fitting = []
    for row in rows:
        features = {name: value for name, value in zip(names, row, strict=True) if name in shared}
        values, faults = check_features(features, wanted, "features")
        if faults:
            return None
        fitting.append(values)
    return fitting
