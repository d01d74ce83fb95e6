"""What a ledger says where rows are missing, and what may be done then."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from windsock.exceptions import VerdictError
from windsock.records.ledger import (
    LedgerAction,
    LedgerEntry,
    LedgerMark,
    LedgerRow,
    LedgerView,
    LeftOut,
    open_switch,
)

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
    rows: Sequence[LedgerRow],
    left_out: Sequence[LeftOut],
    gaps: Sequence[int],
    mark: LedgerMark | None,
) -> LedgerView:
    """Return what a ledger says, after what its people have reconciled.

    :param rows: the believed rows.
    :param gaps: numbers from which on rows are missing.
    :param mark: how far the ledger had come.
    """
    reconciled = [row for row in rows if row.action is LedgerAction.RECONCILE]
    seen = {gap for row in reconciled for gap in row.body["gaps"]}
    reach = max([rows[-1].seq if rows else 0, *(row.body.get("lost_seq", 0) for row in reconciled)])
    lost = mark if mark is not None and (mark.seq > reach or _differs(rows, mark)) else None
    return LedgerView(tuple(rows), tuple(left_out), tuple(gap for gap in gaps if gap not in seen), lost)


def _differs(rows: Sequence[LedgerRow], mark: LedgerMark) -> bool:
    """Return whether another row stands where the marked one stood."""
    place = bisect_left(rows, mark.seq, key=lambda row: row.seq)
    return place < len(rows) and rows[place].seq == mark.seq and rows[place].hash != mark.hash


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
    missing = [f"at row {gap}" for gap in view.gaps[:3]]
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
