"""``SqlLedger``: the ledger in the control database, its rows signed and chained."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from windsock.adapters.database import at_upgrade, reading, take_turn, writing
from windsock.adapters.ledger_chain import last_of_old
from windsock.adapters.ledger_marks import LedgerMarks
from windsock.adapters.ledger_proofs import COLUMNS, Known, LedgerProofs, raw_rows
from windsock.adapters.signing import Signer
from windsock.adapters.storage import Storage
from windsock.exceptions import StaleEpochError
from windsock.ports import utc_now
from windsock.records import (
    ROUTING,
    ChainCheck,
    Champion,
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerMark,
    LedgerRow,
    LedgerView,
    champion_of,
    require_whole,
    view_of,
)
from windsock.records.ledger_bodies import fault_in_body, unknown_keys
from windsock.records.ledger_form import signed_bytes
from windsock.settings import Settings
from windsock.spec import MODEL_NAME, canonical_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

INSERT = f"INSERT INTO ledger ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"  # noqa: S608


class SqlLedger:
    """Keeps each model's rows as a signed hash chain; optimistic, safe under many writers.

    Rows that the installation did not sign are left out, each with a warning, and stop nothing. Where rows
    are missing, only what takes traffic away goes on until a person has reconciled the ledger.

    :param url: the control database.
    :param keys_dir: the installation's keys; a reader needs the public ones alone.
    :param storage: the storage root, for the marks of how far each ledger had come.
    :param now: the clock that dates rows.
    """

    def __init__(
        self, url: str, keys_dir: Path, storage: Storage, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._url = url
        self._now = now
        self._signer = Signer(keys_dir)
        self._proofs = LedgerProofs(keys_dir)
        self._marks = LedgerMarks(storage, keys_dir)
        self._told: set[tuple[str, object]] = set()
        at_upgrade(url, self._anchor)

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], datetime] = utc_now) -> Self:
        """Return the ledger of an installation."""
        return cls(settings.database_url, settings.keys_dir, Storage(settings.storage_url), now)

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        """Return a model's rows in order: those that the installation signed.

        :raises DatabaseUnavailableError: if the database does not answer.
        """
        return self.read(model).rows

    def read(self, model: str) -> LedgerView:
        """Return a model's rows, which rows of the table are left out, and what is missing."""
        mark = self._marks.find(model)  # before the rows: so it never seems to be ahead of them
        with reading(self._url) as connection:
            known = self._proofs.of(connection, model, mark)
        return self._view(model, known, mark)

    def champion(self, model: str) -> Champion | None:
        """Return the version of the last commit, or ``None`` if there never was one."""
        return champion_of(self.rows(model))

    def append(self, entry: LedgerEntry, *, after_seq: int) -> LedgerRow:
        """Sign a row and append it if the model's last row is still ``after_seq``.

        :raises StaleEpochError: if another row came first, or the epoch is taken.
        :raises VerdictError: if rows are missing and this one gives traffic or proves something.
        :raises ValueError: if the body is not that of the action, or holds NaN or infinity.
        """
        from sqlalchemy.exc import IntegrityError

        body = json.loads(canonical_json(entry.body))
        if fault := fault_in_body(entry.action, body) or ", ".join(unknown_keys(entry.action, body)):
            raise ValueError(f"the body of {entry.action.value} does not fit its model: {fault}")
        mark = self._marks.find(entry.model)
        try:
            with writing(self._url) as connection:
                take_turn(connection, f"windsock.ledger {entry.model}")
                known = self._proofs.of(connection, entry.model, mark)
                view = self._view(entry.model, known, mark)
                _require_place(entry, view.rows, after_seq)
                require_whole(entry, view)
                seq = _free_number(connection, entry.model, max(known.seq, mark.seq if mark else 0))
                row = self._write(connection, _with_loss(entry, view), seq=seq, previous=known.hash)
        except IntegrityError as error:
            raise StaleEpochError(
                f"{entry.model}: the row after {after_seq} was taken by another writer; epoch {entry.epoch} "
                "came too late"
            ) from error
        epoch = max(found.epoch for found in (*view.rows, row))
        self._marks.put(LedgerMark(model=row.model, seq=row.seq, hash=row.hash, epoch=epoch))
        return row

    def verify(self, model: str) -> ChainCheck:
        """Prove a model's whole ledger anew, every row of the table."""
        self._proofs.forget(model)
        mark = self._marks.find(model)
        with reading(self._url) as connection:
            known = self._proofs.of(connection, model, None)
        view = self._view(model, known, mark)
        lost = [(view.rows[-1].seq if view.rows else 0) + 1] if view.lost else []
        return ChainCheck(
            model=model,
            rows=len(view.rows),
            broken_at=min([*(gap.at for gap in view.gaps), *lost], default=None),
            left_out=view.left_out,
        )

    def models(self) -> tuple[str, ...]:
        """Return the names of all models that have rows, or had."""
        from sqlalchemy import text

        with reading(self._url) as connection:
            found = connection.execute(text("SELECT DISTINCT model FROM ledger")).scalars()
            names = [name for name in found if isinstance(name, str) and MODEL_NAME.fullmatch(name)]
        return tuple(sorted({*names, *self._marks.models()}))

    def _view(self, model: str, known: Known, mark: LedgerMark | None) -> LedgerView:
        gaps = known.gaps
        if mark is None and not known.rows and known.left_out and self._marks.exists(model):
            gaps = (*gaps, Gap(1, f"none of {len(known.left_out)}"))  # its key is gone, and the mark's too
        view = view_of(known.rows, known.left_out, gaps, mark)
        for left in view.unseen:
            self._warn(model, left.seq, f"row {left.seq} is left out: {left.why}")
        for gap in view.gaps:
            self._warn(model, gap, f"rows from row {gap.at} on are missing or were changed")
        if view.lost is not None:
            self._warn(model, f"lost {view.lost.seq}", f"rows up to {view.lost.seq} are missing at its end")
        return view

    def _warn(self, model: str, what: object, words: str) -> None:
        if (model, what) not in self._told:
            self._told.add((model, what))
            log.warning("WS-LEDGER-002: the ledger of %s: %s; see `windsock ledger %s`", model, words, model)

    def _write(self, connection: Connection, entry: LedgerEntry, *, seq: int, previous: str) -> LedgerRow:
        from sqlalchemy import text

        content = {**entry.model_dump(), "body": json.loads(canonical_json(entry.body))}
        row = LedgerRow(**content, seq=seq, at=self._now(), previous=previous)
        signature = self._signer.sign(signed_bytes(row.columns())).hex()
        row = LedgerRow(**{**row.model_dump(), "hash": row.expected_hash(), "signature": signature})
        connection.execute(text(INSERT), row.columns())
        return row

    def _anchor(self, connection: Connection) -> None:
        """Sign once for the rows from before signatures; part of the upgrade's own transaction.

        A ledger that has a mark was signed for before: its rows without signatures are nobody's.
        """
        from sqlalchemy import text

        for model in connection.execute(text("SELECT DISTINCT model FROM ledger ORDER BY model")).scalars():
            raws, _ = raw_rows(connection, model, None)
            last = last_of_old(raws)
            if last is None or self._marks.exists(model):
                log.warning("WS-LEDGER-002: the ledger of %s: its rows are not signed for", model)
                continue
            entry = LedgerEntry(
                model=model,
                action=LedgerAction.ANCHOR,
                epoch=0,
                version="-",
                digest=last["hash"],
                actor="windsock",
                body={"rows": len(raws), "reason": f"signs for the {len(raws)} rows from before signatures"},
            )
            seq = 1 + max(raw["seq"] for raw in raws)
            self._write(connection, entry, seq=seq, previous=last["hash"])
            log.info("%s: row %d signs for the rows from before signatures", model, seq)


def _with_loss(entry: LedgerEntry, view: LedgerView) -> LedgerEntry:
    """Return an entry that says what is missing before it, unless it is what a person says of that."""
    if view.lost is None or entry.action is LedgerAction.RECONCILE:
        return entry
    return entry.replace(body={**entry.body, "lost_seq": view.lost.seq, "lost_epoch": view.lost.epoch})


def _free_number(connection: Connection, model: str, after: int) -> int:
    """Return the first number after another one under which no row stands, whoever wrote it."""
    from sqlalchemy import text

    query = text("SELECT seq FROM ledger WHERE model = :model AND seq > :seq")
    taken = set(connection.execute(query, {"model": model, "seq": after}).scalars())
    free = after + 1
    while free in taken:
        free += 1
    return free


def _require_place(entry: LedgerEntry, rows: Sequence[LedgerRow], after_seq: int) -> None:
    last = rows[-1].seq if rows else 0
    if last != after_seq:
        raise StaleEpochError(
            f"{entry.model}: row {after_seq} is no longer the last one, it is {last}; "
            f"epoch {entry.epoch} came too late"
        )
    if entry.action is LedgerAction.COMMIT:
        taken = [row.epoch for row in rows if row.action is LedgerAction.COMMIT and row.epoch == entry.epoch]
    elif entry.action in ROUTING:
        taken = [row.epoch for row in rows if row.action in ROUTING and row.epoch >= entry.epoch]
    else:
        taken = []
    if taken:
        raise StaleEpochError(f"{entry.model}: epoch {entry.epoch} is taken; the ledger is at {max(taken)}")
