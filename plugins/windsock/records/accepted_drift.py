"""What a person has accepted: drift, by a document that windows are held against, and losses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import Field

from windsock.records.base import Digest, Record, Span
from windsock.records.ledger import LedgerAction, LedgerRow
from windsock.records.monitoring import WindowVerdict
from windsock.records.profile import DriftProfile

Trigger = Literal["drift", "performance", "event"]


class AcceptedDrift(Record):
    """The document of an acceptance: rows of drifted windows, in place of the training rows.

    :param version: the version whose drift it is; no other one is held against these rows.
    :param digest: its bundle.
    :param windows: from the first window's start to the last one's end.
    :param rows: answered rows that the profile is made of; of many a sample.
    :param profile: those rows: features and scores. The outcomes are those of the version's own profile.
    :param unread: columns that could not be read: they are held against the training rows as before.
    """

    model: str
    version: str
    digest: Digest
    windows: Span
    rows: int = Field(ge=1)
    profile: DriftProfile
    unread: tuple[str, ...] = ()


class Accepted(NamedTuple):
    """Up to when a person has accepted what windows show: up to then they ask for nothing any more.

    :param drift: of the version that serves.
    :param loss: of the model, whichever version served.
    """

    drift: datetime | None = None
    loss: datetime | None = None

    def covers(self, trigger: Trigger, end: datetime) -> bool:
        """Return whether what asks, by windows up to a time, is accepted; an event from outside never is."""
        until = {"drift": self.drift, "performance": self.loss, "event": None}[trigger]
        return until is not None and end <= until


def accepted_windows(row: LedgerRow) -> Span:
    """Return the windows whose drift a row of the ledger accepts."""
    return Span.model_validate(row.body["windows"])


def acceptance_of(
    rows: Sequence[LedgerRow], digest: Digest, *, before: datetime | None = None, now: datetime | None = None
) -> LedgerRow | None:
    """Return the row that accepted a version's drift last; ``None``: nobody did.

    :param rows: of the ledger, in order.
    :param digest: bundle of the version.
    :param before: only acceptances of windows that ended before this time count: what came after them is
        held against them, whenever it is judged.
    :param now: acceptances of windows that end after it, by a clock that was ahead, do not count.
    """
    for row in reversed(rows):
        if row.action is LedgerAction.ACCEPT_DRIFT and row.digest == digest:
            end = accepted_windows(row).end
            if (before is None or end < before) and (now is None or end <= now):
                return row
    return None


def accepted_until(rows: Sequence[LedgerRow], digest: Digest | None, now: datetime) -> Accepted:
    """Return up to when the drift of a version, and the loss of the model, are accepted.

    :param now: what was accepted by a clock that was ahead, of windows that end later, mutes nothing.
    """
    drift = acceptance_of(rows, digest, now=now) if digest is not None else None
    losses = (reach_of(row, rows) for row in reversed(rows) if row.action is LedgerAction.ACCEPT_LOSS)
    return Accepted(
        drift=reach_of(drift, rows) if drift is not None else None,
        loss=next((end for end in losses if end <= now), None),
    )


def reach_of(row: LedgerRow, rows: Sequence[LedgerRow]) -> datetime:
    """Return up to when a person has accepted what windows show: never beyond what that person can have seen.

    That is the end of the accepted windows, but no later than any row that the ledger has been given since:
    where one is dated sooner, the clock was ahead when it was accepted, and windows in between were not seen.

    :param row: the acceptance.
    :param rows: the model's ledger, in order.
    """
    if row.action is LedgerAction.ACCEPT_DRIFT:
        end = accepted_windows(row).end
    else:
        end = Span.model_validate(row.body["window"]).end
    return min([end, *(one.at for one in rows if one.seq > row.seq)])


def accepted_ahead(rows: Sequence[LedgerRow], now: datetime) -> LedgerRow | None:
    """Return the last acceptance that a clock which was ahead has written; ``None``: all are of the past."""
    accepted = (LedgerAction.ACCEPT_LOSS, LedgerAction.ACCEPT_DRIFT)
    last = next((row for row in reversed(rows) if row.action in accepted), None)
    return last if last is not None and reach_of(last, rows) > now else None


def is_accepted(window: WindowVerdict, accepted: Accepted) -> bool:
    """Return whether what a window shows is what a person has accepted."""
    return accepted.covers(window.kind, window.window.end)
