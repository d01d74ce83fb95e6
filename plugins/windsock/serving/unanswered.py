"""Rows that a rollout gave to a version, and that got no answer: a line of the log, and a counter."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.records import UnansweredCause
from windsock.serving.asking import StandInOverloadedError
from windsock.serving.contract import PredictRequest, Sender
from windsock.serving.log_lines import UnansweredRows
from windsock.serving.microbatch import OverloadedError
from windsock.serving.served import ServedModel
from windsock.serving.service import Service
from windsock.serving.slots import Slot, SlotFailedError, UnanswerableError
from windsock.serving.strict_json import RequestRefusedError


class OtherFeaturesError(SlotFailedError):
    """A shadow needs features that the rows of the answering version do not hold."""


def cause_of(error: BaseException) -> UnansweredCause:
    """Return why rows got no answer, by what their request ended with."""
    if not isinstance(error, Exception):
        return "cancelled"
    if isinstance(error, OverloadedError) and not isinstance(error, StandInOverloadedError):
        return "overloaded"
    if isinstance(error, RequestRefusedError):
        return "invalid" if error.reason == "invalid" else "unanswerable"
    return "failed"


def cause_of_shadow(error: Exception | None) -> UnansweredCause:
    """Return why a shadow gave no answer.

    :param error: what its call ended with; ``None``: it was dropped.
    """
    if error is None:
        return "dropped"
    if isinstance(error, UnanswerableError):
        return "unanswerable"
    return "invalid" if isinstance(error, OtherFeaturesError) else cause_of(error)


def log_unanswered(
    service: Service,
    served: ServedModel,
    slot: Slot,
    request: PredictRequest,
    sender: Sender,
    numbers: Sequence[int],
    cause: UnansweredCause,
) -> None:
    """Log and count rows of a request that one version was given in vain, while a rollout runs.

    :param slot: the version.
    :param numbers: the rows' places in the request.
    """
    plan = served.plan
    if plan.experiment is None:
        return
    units, ids, times = request.units, request.ids, request.times
    version, variant = slot.plan.version, served.variant(slot)
    kept = service.prediction_log.add_unanswered(
        UnansweredRows(
            plan.model,
            version,
            slot.plan.digest,
            variant,
            plan.experiment,
            plan.epoch,
            sender.receive_time,
            sender.client,
            cause,
            [(ids[number], units[number], times[number]) for number in numbers],
        )
    )
    if not kept:
        service.metrics.log_dropped(len(numbers))
    service.metrics.unanswered((plan.model, version, variant), cause, len(numbers))
