"""Records of serving: what is kept of each prediction and each outcome."""

from __future__ import annotations

from typing import Any, Literal

from windsock.records.base import Digest, Moment, Record


class PredictionEvent(Record):
    """One answered row; a field that is unused is null, and no field is ever dropped.

    :param unit: the person or thing the prediction is for; sticky assignment goes by it.
    :param variant: ``champion``, ``challenger``, ``shadow`` (answered beside, never to the client) or
        ``constant`` (the fallback answer of no version).
    :param experiment: the rollout it belongs to; ``None`` outside of one.
    :param epoch: epoch of the routing table that answered.
    :param event_time: when it happened, by the client.
    :param receive_time: when it arrived, by the server.
    :param client: name of the authenticated client.
    :param score: probability of the positive class, or the number; ``None`` with more than two classes.
    :param fallback_for: the arm that the unit belongs to, where another version, or the constant, answered:
        ``champion``, ``challenger``, of further challengers ``challenger-2`` .. (the number is that of the
        lane), which failed; ``withdrawn-1`` .. of one that its rollout dropped, whose units the champion
        answers. ``variant`` is that of the version that answered.
    :param inference_ms: time the model took for the whole request, in milliseconds.
    :param request_ms: time of the whole request in the server, from its last byte to this line: queue,
        parsing, model, log. ``None`` for shadows, and in logs of before.
    """

    prediction_id: str
    model: str
    version: str
    digest: Digest
    variant: str
    experiment: str | None = None
    unit: str | None = None
    epoch: int
    event_time: Moment | None = None
    receive_time: Moment
    client: str | None = None
    features: dict[str, Any]
    score: float | None = None
    prediction: str | int | float | bool
    fallback_for: str | None = None
    inference_ms: float | None = None
    request_ms: float | None = None


UnansweredCause = Literal[
    "invalid", "unanswerable", "overloaded", "failed", "cancelled", "other_version", "dropped"
]
"""Why a row got no answer."""
BLAMELESS: tuple[UnansweredCause, ...] = ("cancelled", "other_version")
"""Causes that say nothing of the version that the row was given to."""


class UnansweredEvent(Record):
    """One row that a rollout gave to a version, and that got no answer of any: an exposure, too.

    :param variant: what the row was given to: ``champion``, ``challenger`` or ``shadow``. A row of a
        challenger that was dropped is its own, too, though the champion gave no answer.
    :param cause: ``invalid``: values that the version's schema does not take; ``unanswerable``: the version
        has no finite answer to them; ``overloaded``: too many rows waited for it, or too many requests were
        in work; ``failed``: it raised, took too long or is left alone after failures, and the fallback gave
        no answer; ``cancelled``: the client went away, or the server stopped, first; ``other_version``:
        another row of the same request got none, so none did; ``dropped``: a shadow had no place for it.
    """

    prediction_id: str
    model: str
    version: str
    digest: Digest
    variant: str
    experiment: str
    unit: str | None = None
    epoch: int
    event_time: Moment | None = None
    receive_time: Moment
    client: str | None = None
    cause: UnansweredCause


class OutcomeEvent(Record):
    """The truth about a past prediction: by prediction id, or by unit with an event id."""

    model: str
    prediction_id: str | None = None
    unit: str | None = None
    event_id: str | None = None
    outcome: str | int | float | bool
    event_time: Moment | None = None
    receive_time: Moment
    client: str | None = None
