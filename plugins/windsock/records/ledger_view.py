"""What a ledger says where rows are missing, and what may be done then."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from windsock.exceptions import VerdictError
from windsock.records.ledger import (
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerMark,
    LedgerRow,
    LedgerView,
    LeftOut,
    open_switch,
)
from windsock.spec.base import digest_of
from windsock.texts import first_of

TAKES_AWAY = frozenset(
    {
        LedgerAction.ROLL_BACK,
        LedgerAction.ABANDON,
        LedgerAction.REJECT,
        LedgerAction.PAUSE,
        LedgerAction.DECIDE,
        LedgerAction.RECONCILE,
    }
)
"""What is written even where rows are missing: it gives nothing traffic that did not serve before."""


def view_of(
    rows: Sequence[LedgerRow], left_out: Sequence[LeftOut], gaps: Sequence[Gap], mark: LedgerMark | None
) -> LedgerView:
    """Return what a ledger says, after what its people have reconciled.

    Rows that were lost at the end stay lost, whatever is written after them, until a person has reconciled
    them: the row that is written next says how far the ledger had come.

    :param rows: the believed rows.
    :param gaps: where the chain does not hold.
    :param mark: how far the ledger had come.
    """
    marked = [row for row in rows if row.action is LedgerAction.RECONCILE or "lost_seq" in row.body]
    reconciled = [row for row in marked if row.action is LedgerAction.RECONCILE]
    seen = {link for row in reconciled for link in row.body["gaps"]}
    seen_to = max((row.body.get("lost_seq", 0) for row in reconciled), default=0)
    losses = [_loss_before(row) for row in marked if row.body.get("lost_seq", 0) > seen_to]
    if mark is not None and mark.seq > seen_to and not _stands(rows, mark):
        losses.append(mark)
    lost = max(losses, key=lambda loss: loss.seq, default=None)
    known = {row.body.get("left_out") for row in reconciled}
    is_seen = not left_out or mark_of(left_out) in known
    left = tuple(gap for gap in gaps if gap.link not in seen)
    return LedgerView(tuple(rows), tuple(left_out), left, lost, is_seen)


def mark_of(left_out: Sequence[LeftOut]) -> str:
    """Return what tells rows that are left out from any others: one more, or one changed, is another mark."""
    return digest_of(sorted([one.mark, one.why] for one in left_out))


def _loss_before(row: LedgerRow) -> LedgerMark:
    return LedgerMark(
        model=row.model, seq=row.body["lost_seq"], hash=row.previous, epoch=row.body.get("lost_epoch", 0)
    )


def _stands(rows: Sequence[LedgerRow], mark: LedgerMark) -> bool:
    """Return whether the marked row is among the believed ones."""
    place = bisect_left(rows, mark.seq, key=lambda row: row.seq)
    return place < len(rows) and (rows[place].seq, rows[place].hash) == (mark.seq, mark.hash)


def require_whole(entry: LedgerEntry, view: LedgerView) -> None:
    """See that a row may be written where rows are missing.

    :raises VerdictError: if rows are missing and the row would give traffic, or prove something.
    """
    if view.is_whole or entry.action in TAKES_AWAY:
        return
    switch = open_switch(view.rows) if entry.action is LedgerAction.COMMIT else None
    if switch is not None and switch.action is LedgerAction.ROLL_BACK and switch.epoch == entry.epoch:
        return
    raise broken(entry.model, view)


def broken(model: str, view: LedgerView) -> VerdictError:
    """Return the refusal of a ledger in which rows are missing."""
    missing = [first_of([f"at row {gap.at}" for gap in view.gaps], 3)] if view.gaps else []
    if view.lost is not None:
        missing.append(f"at its end, up to row {view.lost.seq}")
    return VerdictError(
        f"the ledger of {model} is broken: rows are missing or were changed {', '.join(missing)}; "
        "what it proves cannot be told",
        code="WS-LEDGER-002",
        next_action="Find out who changed the control database, or restored it. `windsock ledger "
        f"{model}` shows what is there, `windsock ledger reconcile {model}` goes on without the rest; "
        "a roll back works meanwhile.",
    )
