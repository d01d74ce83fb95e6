"""Which rows of the ledger's table are believed: those that the installation signed, in one chain.

A signature proves its own row and, by the chain of hashes, every row before it. So one signature is verified
for a whole ledger, and one more wherever the chain does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from windsock.records import GENESIS, Gap, LedgerRow, LeftOut
from windsock.records.ledger_bodies import fault_in_body
from windsock.records.ledger_form import FORM, hash_of
from windsock.spec import digest_of

Raw = Mapping[str, Any]

CHANGED = "it is not what was written"
UNSIGNED = "no key of this installation signed it"
ASTRAY = "it was signed, but does not stand in the chain"
UNREADABLE = "this version cannot read it"
LOOKED_AT = 200
"""Rows beside a chain that is whole whose signatures are verified: somebody may have put in any number."""


class Proof(NamedTuple):
    """What was found in some rows.

    :param rows: the believed ones, in order.
    :param left_out: the others.
    :param gaps: where rows are missing, were changed, cannot be read, or stand beside the chain.
    :param is_linked: whether the first believed row stands upon what came before these rows.
    """

    rows: tuple[LedgerRow, ...]
    left_out: tuple[LeftOut, ...]
    gaps: tuple[Gap, ...]
    is_linked: bool


def prove(raws: Sequence[Raw], *, upon: str, is_signed: Callable[[Raw], bool]) -> Proof:
    """Return which rows are believed.

    The chain is followed from the last signed row backwards; what it does not lead through is left out. Where
    it breaks, it goes on from the last signed row before the break. A row that the installation signed and
    that stands beside the chain is a break, too: two writers, or two keys, have written apart.

    :param raws: stored columns of one model's rows by rising ``seq``.
    :param upon: hash that the first row must stand upon.
    :param is_signed: whether a key of the installation signed a row.
    """
    hashes = [_hash_of(raw) for raw in raws]
    places = {found: place for place, found in enumerate(hashes) if found}
    believed: list[int] = []
    broken: list[int] = []
    place = len(raws) - 1
    is_linked = True
    while place >= 0:
        if not (hashes[place] and is_signed(raws[place])):
            place -= 1
            continue
        place, is_linked = _follow(raws, places, place, believed, upon)
        if is_linked:
            break
        broken.append(len(believed))
    gaps = [_gap(raws, hashes, believed, at, upon) for at in reversed(broken)]
    return _told(raws, hashes, believed[::-1], gaps, is_linked, is_signed)


def prove_upon(
    raws: Sequence[Raw], *, upon: str, head: str, is_signed: Callable[[Raw], bool]
) -> Proof | None:
    """Return which rows are believed, at a cost that rows of others hardly raise.

    The chain is followed backwards from a row that is known to be the installation's own, and forwards
    through rows that it signed. Rows beside it are looked at in part: the first and the last ones.

    :param raws: stored columns of one model's rows by rising ``seq``.
    :param upon: hash that the first row must stand upon.
    :param head: hash of a row that needs no proof: of the signed mark, or proved before; it may be ``upon``.
    :returns: ``None`` where the chain is not whole, or a row beside it is signed: :func:`prove` says more.
    """
    chain = _backwards(raws, upon, head)
    if chain is None:
        return None
    _forwards(raws, chain, head, is_signed)
    rows = [_row_of(raws[place]) for place in chain]
    found = tuple(row for row in rows if row is not None)
    chosen = set(chain)
    rest = [place for place in range(len(raws)) if place not in chosen]
    looked_at = ends_of(rest)
    whys = [_why_not(raws[place], _hash_of(raws[place]), is_signed) for place in looked_at]
    if len(found) < len(rows) or ASTRAY in whys:
        return None
    left_out = [_left(raws[place], why) for place, why in zip(looked_at, whys, strict=True)]
    if len(rest) > len(looked_at):
        more = f"{len(rest) - len(looked_at)} more rows stand beside the chain and are not looked at"
        left_out.append(LeftOut(seq=None, why=more))
    return Proof(found, tuple(left_out), (), is_linked=True)


def ends_of(places: list[int]) -> list[int]:
    """Return the first and the last of many places."""
    half = LOOKED_AT // 2
    return places if len(places) <= LOOKED_AT else [*places[:half], *places[-half:]]


def _backwards(raws: Sequence[Raw], upon: str, head: str) -> list[int] | None:
    """Return the places of the rows from ``upon`` to ``head``; ``None`` where the chain does not hold."""
    stored: dict[object, list[int]] = {}
    for place, raw in enumerate(raws):
        stored.setdefault(raw["hash"], []).append(place)
    chain: list[int] = []
    while head != upon:
        places = [one for one in stored.get(head, ()) if _hash_of(raws[one])]
        if not places or (chain and places[0] >= chain[-1]):
            return None
        chain.append(places[0])
        head = raws[places[0]]["previous"]
    return chain[::-1]


def _forwards(raws: Sequence[Raw], chain: list[int], head: str, is_signed: Callable[[Raw], bool]) -> None:
    """Add the rows that stand upon the head and were signed, each upon the one before."""
    after = range(chain[-1] + 1 if chain else 0, len(raws))
    standing: dict[object, list[int]] = {}
    for place in after:
        standing.setdefault(raws[place]["previous"], []).append(place)
    is_found = True
    while is_found:
        is_found = False
        for place in ends_of(standing.get(head, [])):
            if (not chain or place > chain[-1]) and _hash_of(raws[place]) and is_signed(raws[place]):
                chain.append(place)
                head, is_found = raws[place]["hash"], True
                break


def last_of_old(raws: Sequence[Raw]) -> Raw | None:
    """Return the last row from before signatures that stands upon an unbroken chain, or upon any.

    :param raws: all rows of a model, by rising ``seq``.
    :returns: ``None`` where no row is what was written.
    """
    hashes = [_hash_of(raw) for raw in raws]
    places = {found: place for place, found in enumerate(hashes) if found}
    sound = [place for place in reversed(range(len(raws))) if hashes[place]]
    for place in sound:
        if _follow(raws, places, place, [], GENESIS)[1]:
            return raws[place]
    return raws[sound[0]] if sound else None


def _gap(
    raws: Sequence[Raw], hashes: Sequence[str | None], believed: Sequence[int], at: int, upon: str
) -> Gap:
    """Return the gap after the ``at``-th believed row, counted from the end: between it and the next one."""
    missing = raws[believed[at - 1]]["previous"]
    if at == len(believed):
        return Gap(1, digest_of([upon, missing]))
    before = believed[at]
    return Gap(raws[before]["seq"] + 1, digest_of([hashes[before], missing]))


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
    gaps: list[Gap],
    is_linked: bool,
    is_signed: Callable[[Raw], bool],
) -> Proof:
    rows: list[LedgerRow] = []
    left_out: list[LeftOut] = []
    chosen = set(believed)
    for place, raw in enumerate(raws):
        row = _row_of(raw) if place in chosen else None
        if row is not None:
            rows.append(row)
            continue
        why = UNREADABLE if place in chosen else _why_not(raw, hashes[place], is_signed)
        left_out.append(_left(raw, why))
        if why in (UNREADABLE, ASTRAY):
            gaps.append(Gap(raw["seq"], digest_of([why, hashes[place]])))
    return Proof(tuple(rows), tuple(left_out), tuple(sorted(gaps)), is_linked)


def _left(raw: Raw, why: str) -> LeftOut:
    return LeftOut(seq=raw["seq"], why=why, mark=digest_of([repr(value) for value in raw.values()]))


def _why_not(raw: Raw, found: str | None, is_signed: Callable[[Raw], bool]) -> str:
    if not found:
        return CHANGED
    return ASTRAY if is_signed(raw) else UNSIGNED


def _hash_of(raw: Raw) -> str | None:
    """Return a row's hash if it is the one that its columns have."""
    try:
        found = hash_of(raw)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if found == raw["hash"] else None


def _row_of(raw: Raw) -> LedgerRow | None:
    signature = raw["signature"] if isinstance(raw["signature"], str) else ""
    try:
        body = json.loads(raw["body"])
        row = LedgerRow.model_validate({**raw, "body": body, "signature": signature})
    except (ValidationError, ValueError, TypeError, RecursionError):
        return None
    # What was signed was held against its action's model before; it is not held again.
    return row if raw["form"] == FORM or not fault_in_body(row.action, row.body) else None
