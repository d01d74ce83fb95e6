"""``SqlLedger``: the ledger in the control database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from windsock.adapters.database import reading, writing
from windsock.exceptions import StaleEpochError, VerdictError
from windsock.ports import utc_now
from windsock.records import (
    GENESIS,
    ChainCheck,
    Champion,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    champion_by,
)
from windsock.spec import canonical_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

COLUMNS = "model, seq, action, epoch, version, digest, actor, body, at, previous, hash"
VALUES = ":model, :seq, :action, :epoch, :version, :digest, :actor, :body, :at, :previous, :hash"


class SqlLedger:
    """Keeps each model's rows as a hash chain; optimistic, safe under many writers.

    :param url: the control database.
    :param now: the clock that dates rows.
    """

    def __init__(self, url: str, now: Callable[[], datetime] = utc_now) -> None:
        self._url = url
        self._now = now

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        """Return all rows of a model in order.

        :raises VerdictError: if a row cannot be read as one.
        """
        with reading(self._url) as connection:
            return tuple(_row_of(found) for found in _raw_rows(connection, model))

    def champion(self, model: str) -> Champion | None:
        """Return the version of the last commit, or ``None`` if there never was one."""
        from sqlalchemy import text

        query = text(
            f"SELECT {COLUMNS} FROM ledger WHERE model = :model AND action = :action "  # noqa: S608
            "ORDER BY seq DESC LIMIT 1"
        )
        with reading(self._url) as connection:
            found = (
                connection.execute(query, {"model": model, "action": LedgerAction.COMMIT.value})
                .mappings()
                .first()
            )
        return champion_by(_row_of(dict(found))) if found else None

    def append(self, entry: LedgerEntry, *, after_seq: int) -> LedgerRow:
        """Append a row if the model's last row is still ``after_seq``.

        :raises StaleEpochError: if another row came first, or the epoch is taken.
        :raises VerdictError: if the ledger's last row is not the one that was written last.
        :raises ValueError: if the body holds NaN or infinity.
        """
        from sqlalchemy import text
        from sqlalchemy.exc import IntegrityError

        try:
            with writing(self._url) as connection:
                row = self._next_row(connection, entry, after_seq)
                connection.execute(text(f"INSERT INTO ledger ({COLUMNS}) VALUES ({VALUES})"), _raw_of(row))  # noqa: S608
                connection.execute(
                    text(
                        "INSERT INTO ledger_heads (model, seq, hash) VALUES (:model, :seq, :hash) "
                        "ON CONFLICT (model) DO UPDATE SET seq = excluded.seq, hash = excluded.hash"
                    ),
                    {"model": row.model, "seq": row.seq, "hash": row.hash},
                )
        except IntegrityError as error:
            raise StaleEpochError(
                f"{entry.model}: row {after_seq + 1} or epoch {entry.epoch} was taken by another writer"
            ) from error
        return row

    def _next_row(self, connection: Connection, entry: LedgerEntry, after_seq: int) -> LedgerRow:
        from sqlalchemy import text

        head = connection.execute(
            text(
                "SELECT h.seq, h.hash, l.hash FROM ledger_heads h "
                "LEFT JOIN ledger l ON l.model = h.model AND l.seq = h.seq WHERE h.model = :model"
            ),
            {"model": entry.model},
        ).first()
        seq, previous, kept = head or (0, GENESIS, GENESIS)
        if kept != previous:
            raise _broken(entry.model, seq)
        if seq != after_seq:
            raise StaleEpochError(
                f"{entry.model}: row {after_seq} is no longer the last one, it is {seq}; "
                f"epoch {entry.epoch} came too late"
            )
        content = {**entry.model_dump(), "body": json.loads(canonical_json(entry.body))}
        row = LedgerRow(**content, seq=seq + 1, at=self._now(), previous=previous)
        return row.model_copy(update={"hash": row.expected_hash()})

    def verify(self, model: str) -> ChainCheck:
        """Recompute the hash chain of a model, and see that no last row was taken away."""
        from sqlalchemy import text

        with reading(self._url) as connection:
            found = _raw_rows(connection, model)
            head = connection.execute(
                text("SELECT seq, hash FROM ledger_heads WHERE model = :model"), {"model": model}
            ).first()
        previous = GENESIS
        for number, raw in enumerate(found, start=1):
            if not _is_whole(raw, number, previous):
                return ChainCheck(model=model, rows=len(found), broken_at=number)
            previous = raw["hash"]
        if (head or (0, GENESIS)) != (len(found), previous):
            return ChainCheck(model=model, rows=len(found), broken_at=len(found) + 1)
        return ChainCheck(model=model, rows=len(found))

    def models(self) -> tuple[str, ...]:
        """Return the names of all models that have rows."""
        from sqlalchemy import text

        query = text("SELECT model FROM ledger UNION SELECT model FROM ledger_heads ORDER BY model")
        with reading(self._url) as connection:
            return tuple(connection.execute(query).scalars())


def _raw_rows(connection: Connection, model: str) -> list[dict[str, Any]]:
    from sqlalchemy import text

    query = text(f"SELECT {COLUMNS} FROM ledger WHERE model = :model ORDER BY seq")  # noqa: S608
    return [dict(found) for found in connection.execute(query, {"model": model}).mappings()]


def _raw_of(row: LedgerRow) -> dict[str, Any]:
    content = row.model_dump(mode="json")
    return {**content, "body": canonical_json(content["body"])}


def _row_of(raw: dict[str, Any]) -> LedgerRow:
    try:
        return LedgerRow.model_validate({**raw, "body": json.loads(raw["body"])})
    except (ValidationError, ValueError, TypeError):
        raise _broken(str(raw.get("model")), raw.get("seq")) from None  # its text repeats the row


def _is_whole(raw: dict[str, Any], number: int, previous: str) -> bool:
    """Return whether a raw row is the one that was written: every column as it was, at its place."""
    try:
        row = _row_of(raw)
        return (
            row.seq == number
            and row.previous == previous
            and row.hash == row.expected_hash()
            and _raw_of(row) == raw
        )
    except (VerdictError, ValueError):
        return False


def _broken(model: str, seq: object) -> VerdictError:
    return VerdictError(
        f"the ledger of {model} is broken at row {seq}: it is not what was written",
        code="WS-LEDGER-002",
        next_action="Find out who changed the control database, and restore it from a backup.",
    )
