"""Records of alerts: what a person must know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windsock.records.base import Moment, Record
from windsock.records.monitoring import Severity


class Alert(Record):
    """Something that a person must know.

    :param key: what it is about, such as ``drift`` or ``performance:latency_p95``; one alert for each,
        however often it is seen.
    :param text: a few plain sentences; never a row's value, never a secret.
    :param channel: name of the channel of the shared file; ``None``: the default connection.
    :param runbook: where on-call reads on.
    :param episode: the retrain episode that it belongs to, once there is one.
    :param state: ``firing``, or ``resolved`` once it is over.
    :param first_at: when it began to fire.
    :param last_at: when it was seen last.
    :param sent_at: when a channel took it last; ``None``: none ever did.
    :param times: how often a channel took it.
    :param pending: whether what stands here has still to be sent; tried again by the next run.
    """

    model: str
    key: str
    severity: Severity
    title: str
    text: str
    owner: str
    channel: str | None = None
    runbook: str = ""
    episode: str | None = None
    state: Literal["firing", "resolved"] = "firing"
    first_at: Moment
    last_at: Moment
    sent_at: Moment | None = None
    times: int = Field(default=0, ge=0)
    pending: bool = False
    resolved_at: Moment | None = None

    def tells_more(self, before: Alert | None) -> bool:
        """Return whether this is more than the same alert, seen once again."""
        return before is None or self.model_dump(exclude={"last_at", "text"}) != before.model_dump(
            exclude={"last_at", "text"}
        )
