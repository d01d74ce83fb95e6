"""Which rows of the ledger's table are believed: those that the installation signed, in one chain.

A signature proves its own row and, by the chain of hashes, every row before it. So one signature is verified
for a whole ledger, and one more wherever the chain does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from windsock.records import LedgerRow, LeftOut
from windsock.records.ledger_bodies import fault_in_body
from windsock.records.ledger_form import UNSIGNED_FORM, hash_of

Raw = Mapping[str, Any]

CHANGED = "it is not what was written"
UNSIGNED = "no key of this installation signed it"
ASTRAY = "it was signed, but does not stand in the chain"
UNREADABLE = "this version cannot read it"


class Proof(NamedTuple):
    """What was found in some rows.

    :param rows: the believed ones, in order.
    :param left_out: the others.
    :param gaps: numbers from which on rows are missing or were changed.
    :param is_linked: whether the first believed row stands upon what came before these rows.
    """

    rows: tuple[LedgerRow, ...]
    left_out: tuple[LeftOut, ...]
    gaps: tuple[int, ...]
    is_linked: bool


def prove(raws: Sequence[Raw], *, upon: str, is_signed: Callable[[Raw], bool]) -> Proof:
    """Return which rows are believed.

    The chain is followed from the last signed row backwards; what it does not lead through is left out. Where
    it breaks, it goes on from the last signed row before the break.

    :param raws: stored columns of one model's rows by rising ``seq``.
    :param upon: hash that the first row must stand upon.
    :param is_signed: whether a key of the installation signed a row.
    """
    hashes = [_hash_of(raw) for raw in raws]
    places = {found: place for place, found in enumerate(hashes) if found}
    believed: list[int] = []
    gaps: list[int] = []
    place = len(raws) - 1
    is_linked = True
    while place >= 0:
        if not (hashes[place] and is_signed(raws[place])):
            place -= 1
            continue
        place, is_linked = _follow(raws, places, place, believed, upon)
        if is_linked:
            break
        gaps.append(len(believed))
    places_of_gaps = [1 if at == len(believed) else raws[believed[at]]["seq"] + 1 for at in reversed(gaps)]
    return _told(raws, hashes, believed[::-1], tuple(places_of_gaps), is_linked, is_signed)


def _follow(
    raws: Sequence[Raw], places: Mapping[str, int], place: int, believed: list[int], upon: str
) -> tuple[int, bool]:
    """Follow the chain from a signed row; return where it broke, and whether it led to its beginning."""
    while True:
        believed.append(place)
        previous = raws[place]["previous"]
        if previous == upon:
            return place, True
        before = places.get(previous, place)
        if before >= place:
            return place - 1, False
        place = before


def _told(
    raws: Sequence[Raw],
    hashes: Sequence[str | None],
    believed: Sequence[int],
    gaps: tuple[int, ...],
    is_linked: bool,
    is_signed: Callable[[Raw], bool],
) -> Proof:
    rows: list[LedgerRow] = []
    left_out: list[LeftOut] = []
    chosen = set(believed)
    for place, raw in enumerate(raws):
        if place not in chosen:
            why = CHANGED if not hashes[place] else ASTRAY if is_signed(raw) else UNSIGNED
            left_out.append(LeftOut(seq=raw["seq"], why=why))
        elif (row := _row_of(raw)) is None:
            left_out.append(LeftOut(seq=raw["seq"], why=UNREADABLE))
        else:
            rows.append(row)
    return Proof(tuple(rows), tuple(left_out), gaps, is_linked)


def _hash_of(raw: Raw) -> str | None:
    """Return a row's hash if it is the one that its columns have."""
    try:
        found = hash_of(raw)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if found == raw["hash"] else None


def _row_of(raw: Raw) -> LedgerRow | None:
    try:
        row = LedgerRow.model_validate({**raw, "body": json.loads(raw["body"])})
    except (ValidationError, ValueError, TypeError):
        return None
    if row.form == UNSIGNED_FORM and fault_in_body(row.action, row.body):
        return None  # what was signed was held against its model before
    return row
