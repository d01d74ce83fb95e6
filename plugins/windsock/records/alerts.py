"""Records of alerts and findings: what a person must know."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from pydantic import Field

from windsock.records.base import Moment, Record
from windsock.records.monitoring import Severity
from windsock.spec.base import is_none

INSTALLATION = "(installation)"
"""Stands where a model's name does in a finding that is about no single model; no model has this name."""
CLOCK_AHEAD = timedelta(minutes=2)
"""What is dated so much later than now was dated by a clock that was ahead."""


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Return whether a time that was kept is in the future, so that nothing may be reckoned from it."""
    return moment - now > CLOCK_AHEAD


class Alert(Record):
    """Something that a person must know: a finding, and what became of telling people.

    :param model: name of the model; :data:`INSTALLATION` for what is about no single one.
    :param key: what it is about, such as ``drift`` or ``performance:latency_p95``; one alert for each,
        however often it is seen.
    :param text: a few plain sentences; never a row's value, never a secret.
    :param code: code of the runbook, such as ``WS-LEDGER-002``, where it has one.
    :param next_action: what to do, as a sentence that works as written; empty: the text says it.
    :param channel: name of the channel of the shared file; ``None``: the default connection.
    :param runbook: where on-call reads on.
    :param episode: the retrain episode that it belongs to, once there is one.
    :param state: ``firing``, or ``resolved`` once it is over.
    :param first_at: when it began to fire.
    :param last_at: when it was seen last.
    :param sent_at: when a channel took it last; ``None``: none ever did.
    :param times: how often a channel took it.
    :param pending: whether what stands here has still to be sent; tried again by the next run.
    :param due_at: since when it is pending; ``None``: it is not, or has been since before this was kept.
    :param told: the channels that took it and not its end; whatever became of it, they are told that.
    :param refusal: why the channel did not take it at the last try, in words without a secret.
    """

    model: str
    key: str
    severity: Severity
    title: str
    text: str
    owner: str
    code: str | None = Field(default=None, exclude_if=is_none)
    next_action: str = Field(default="", exclude_if=lambda text: not text)
    channel: str | None = None
    runbook: str = ""
    episode: str | None = None
    state: Literal["firing", "resolved"] = "firing"
    first_at: Moment
    last_at: Moment
    sent_at: Moment | None = None
    times: int = Field(default=0, ge=0)
    pending: bool = False
    due_at: Moment | None = Field(default=None, exclude_if=is_none)
    told: tuple[str, ...] = Field(default=(), exclude_if=lambda told: not told)
    refusal: str = Field(default="", exclude_if=lambda text: not text)
    resolved_at: Moment | None = None

    def tells_more(self, before: Alert | None) -> bool:
        """Return whether this is more than the same alert, seen once again."""
        seen_again = {"last_at", "text", "refusal"}
        return before is None or self.model_dump(exclude=seen_again) != before.model_dump(exclude=seen_again)


class Condition(NamedTuple):
    """One thing that may be wrong.

    A condition that could not be judged is not among them: an alert neither begins nor ends by it.

    :param key: what it is about; one alert for each.
    :param active: whether it is wrong now.
    :param text: a few plain sentences; never a row's value.
    :param episode: the retrain episode that it belongs to, where there is one.
    :param code: code of the runbook, where it has one.
    :param next_action: what to do, as a sentence that works as written; empty: the text says it.
    """

    key: str
    active: bool
    severity: Severity
    title: str
    text: str
    episode: str | None = None
    code: str | None = None
    next_action: str = ""
