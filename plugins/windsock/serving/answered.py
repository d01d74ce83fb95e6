"""Rows that one version answered: their answers, their line of the log, their counts."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from windsock.records import WITHDRAWN
from windsock.serving.answers import RowAnswer
from windsock.serving.asking import CONSTANT, Asked
from windsock.serving.contract import PredictRequest, Sender
from windsock.serving.prediction_log import AnsweredRows, LoggedRow
from windsock.serving.served import ServedModel
from windsock.serving.service import Service


def log_answered(
    service: Service,
    served: ServedModel,
    asked: Asked,
    request: PredictRequest,
    sender: Sender,
    numbers: Sequence[int],
    only_version: str | None = None,
) -> list[RowAnswer]:
    """Log and count rows that one version answered; return their answers.

    :param numbers: the rows' places in the request.
    :param only_version: the version that had to answer: such a request is no part of a rollout.
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
            plan.experiment if only_version is None else None,
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
        (model, version, variant if scores is None else served.role(slot)),
        len(logged),
        asked.milliseconds / 1e3,
        seconds,
        None if began is None else monotonic() - began,
    )
    if asked.fallback_for is not None and (scores is None or not asked.fallback_for.startswith(WITHDRAWN)):
        service.metrics.fell_back(model, plan.fallback.policy, len(logged))
    return answers
