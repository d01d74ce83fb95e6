"""Asking a version, and what happens when it fails: circuit breaker, then the plan's fallback answer."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from windsock.exceptions import WindsockError
from windsock.serving.answers import Label
from windsock.serving.breaker import SlotOpenError
from windsock.serving.microbatch import OverloadedError
from windsock.serving.places import place_of
from windsock.serving.served import ServedModel
from windsock.serving.slots import Rows, Scores, Slot, SlotFailedError, UnanswerableError
from windsock.serving.strict_json import Fault, RequestRefusedError

log = logging.getLogger(__name__)

CONSTANT = "constant"


@dataclass(slots=True)
class Asked:
    """What came of asking for rows.

    :param slot: the version that answered; with a constant, the one that should have.
    :param scores: its scores; ``None``: the fallback constant is the answer.
    :param constant: the fallback constant.
    :param milliseconds: time the model took.
    :param fallback_for: the variant that failed, where another one or the constant answered.
    """

    slot: Slot
    scores: Scores | None
    milliseconds: float
    constant: Label | None = None
    fallback_for: str | None = None


async def ask(served: ServedModel, slot: Slot, rows: Rows) -> Asked:
    """Ask the version that rows belong to; if it fails, answer as the plan's fallback says.

    :raises RequestRefusedError: if the model has no finite answer to the rows: status 422.
    :raises OverloadedError: if too many rows wait for it.
    :raises SlotFailedError: if it failed and the plan knows no other answer.
    """
    try:
        return await ask_slot(slot, rows)
    except OverloadedError:
        raise
    except WindsockError as failure:
        return await _fall_back(served, slot, rows, failure)


async def ask_slot(slot: Slot, rows: Rows) -> Asked:
    """Ask one version, through its breaker.

    :raises UnanswerableError: if it has no finite answer to the rows.
    :raises OverloadedError: if too many rows wait for it.
    :raises SlotOpenError: if it has failed too often just now.
    :raises SlotFailedError: if it fails.
    """
    breaker = slot.breaker
    if not breaker.allows():
        raise SlotOpenError(f"version {slot.plan.version} is left alone after {breaker.failures} failures")
    began = time.perf_counter()
    try:
        scores = slot.scores_now(rows)
        if scores is None:
            scores = await slot.scores(rows)
    except OverloadedError:  # the version was not asked
        raise
    except UnanswerableError:  # it was, and the rows are to blame
        breaker.succeeded()
        raise
    except Exception as error:
        breaker.failed()
        if isinstance(error, WindsockError):
            raise
        log.error("WS-SERVING-018: version %s: %s", slot.plan.version, place_of(error))
        raise SlotFailedError(f"version {slot.plan.version} failed ({type(error).__name__})") from None
    breaker.succeeded()
    return Asked(slot, scores, (time.perf_counter() - began) * 1e3)


async def _fall_back(served: ServedModel, slot: Slot, rows: Rows, failure: WindsockError) -> Asked:
    variant, stand_in = served.variant(slot), served.stand_in(slot)
    if stand_in is not None:
        try:
            asked = await ask_slot(stand_in, rows)
        except UnanswerableError as error:
            raise _unanswerable() from error
        return Asked(stand_in, asked.scores, asked.milliseconds, fallback_for=variant)
    if isinstance(failure, UnanswerableError):
        raise _unanswerable() from failure
    if (constant := served.plan.fallback.constant_for(slot.schema)) is not None:
        return Asked(slot, None, 0.0, constant=constant, fallback_for=variant)
    raise failure


def _unanswerable() -> RequestRefusedError:
    fault = Fault("features", "values that the model has no finite answer to", "values nearer to the usual")
    return RequestRefusedError(422, "unanswerable", fault, code=UnanswerableError.default_code)
