"""What can be believed of a ledger's table: the stored rows, read and proved, each once in a process."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.adapters.ledger_chain import Proof, prove, prove_upon
from windsock.adapters.signing import Verifier
from windsock.records import GENESIS, Gap, LedgerMark, LedgerRow, LeftOut
from windsock.records.ledger_form import FORM, signed_bytes

if TYPE_CHECKING:
    from sqlalchemy import Connection

COLUMNS = (
    "model", "seq", "action", "epoch", "version", "digest", "actor", "body", "at", "previous", "hash", "form",
    "signature",
)  # fmt: skip
SELECT = f"SELECT {', '.join(COLUMNS)} FROM ledger WHERE model = :model AND seq > :seq ORDER BY seq"  # noqa: S608
FEW = 1_000
"""Rows that are read at each end where more were written since the last look: most are somebody else's."""


class Known(NamedTuple):
    """What this process has proved of a model's ledger.

    :param rows: the rows that the installation signed, in order.
    :param left_out: rows of the table that nobody believes.
    :param gaps: places at which the chain does not hold.
    """

    rows: tuple[LedgerRow, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def seq(self) -> int:
        """Number of the last of the rows; 0: there is none."""
        return self.rows[-1].seq if self.rows else 0

    @property
    def hash(self) -> str:
        """Hash of the last of the rows."""
        return self.rows[-1].hash if self.rows else GENESIS


class LedgerProofs:
    """Proves the rows of each model's ledger, and keeps what was proved for as long as it stands.

    :param keys_dir: the installation's keys; the public ones are enough.
    """

    def __init__(self, keys_dir: Path) -> None:
        self._verifier = Verifier(keys_dir, own=True)
        self._kept: dict[str, Known] = {}
        self._unsigned: set[tuple[object, ...]] = set()

    def forget(self, model: str) -> None:
        """Let the next proof of a model begin anew, with every row of the table."""
        self._kept.pop(model, None)

    def of(self, connection: Connection, model: str, mark: LedgerMark | None) -> Known:
        """Return what can be believed; what this process has proved before is not proved again.

        :param mark: the row that it names is the installation's own; ``None``: every row is looked at.
        """
        known = self._kept.get(model, Known())
        if known.rows and _stands(connection, known):
            head = mark.hash if mark and mark.seq > known.seq else known.hash
            raws, unfit = _ends_of_rows(connection, model, known.seq)
            proof = prove_upon(raws, upon=known.hash, head=head, is_signed=self._is_signed)
            if proof is None:
                raws, unfit = raw_rows(connection, model, known.seq)
                proof = prove(raws, upon=known.hash, is_signed=self._is_signed)
            if proof.is_linked:
                return self._keep(model, known, proof, unfit)
        with _without_collections():
            raws, unfit = raw_rows(connection, model, None)
            head = mark.hash if mark else GENESIS
            proof = prove_upon(raws, upon=GENESIS, head=head, is_signed=self._is_signed) if mark else None
            proof = proof or prove(raws, upon=GENESIS, is_signed=self._is_signed)
            return self._keep(model, Known(), proof, unfit)

    def _keep(
        self,
        model: str,
        known: Known,
        proof: Proof,
        unfit: tuple[LeftOut, ...],
    ) -> Known:
        rows = (*known.rows, *proof.rows)
        last = rows[-1].seq if rows else 0
        found = Known(
            rows,
            (*known.left_out, *proof.left_out, *unfit),
            (*known.gaps, *proof.gaps),
        )
        # What stands after the last believed row is looked at anew each time.
        left_out = tuple(left for left in proof.left_out if left.seq is not None and left.seq <= last)
        gaps = tuple(gap for gap in proof.gaps if gap.at <= last)
        self._kept[model] = found._replace(left_out=(*known.left_out, *left_out), gaps=(*known.gaps, *gaps))
        return found

    def _is_signed(self, raw: Mapping[str, Any]) -> bool:
        if raw["form"] != FORM or not isinstance(raw["signature"], str):
            return False
        about = (raw["hash"], raw["signature"], self._verifier.state())
        if about in self._unsigned:
            return False
        try:
            signed = self._verifier.verify(signed_bytes(raw), bytes.fromhex(raw["signature"]))
        except (ValueError, TypeError):
            signed = False
        if not signed:
            self._unsigned.add(about)
        return signed


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep Python's collector of cycles off while many rows are read: they make none, it costs a third."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _stands(connection: Connection, known: Known) -> bool:
    from sqlalchemy import text

    query = text("SELECT hash FROM ledger WHERE model = :model AND seq = :seq")
    found = connection.execute(query, {"model": known.rows[-1].model, "seq": known.seq}).scalar()
    return bool(found == known.hash)


def _ends_of_rows(
    connection: Connection, model: str, after: int
) -> tuple[list[dict[str, Any]], tuple[LeftOut, ...]]:
    """Return the stored rows after a number: all, or the first and the last ones where there are many."""
    first = raw_rows(connection, model, after, f"{SELECT} LIMIT {FEW}")
    if len(first[0]) + len(first[1]) < FEW:
        return first
    last, unfit = raw_rows(connection, model, after, f"{SELECT} DESC LIMIT {FEW}")
    rows = {raw["seq"]: raw for raw in (*first[0], *last)}
    return [rows[seq] for seq in sorted(rows)], unfit or first[1]


def raw_rows(
    connection: Connection, model: str, after: int | None, query: str = SELECT
) -> tuple[list[dict[str, Any]], tuple[LeftOut, ...]]:
    """Return the stored rows after a number, and those whose number is none; ``None``: all."""
    from sqlalchemy import text

    select = query if after is not None else query.replace("AND seq > :seq ", "")
    values = {"model": model} if after is None else {"model": model, "seq": after}
    found: Iterable[Any] = connection.execute(text(select), values)
    raws = [dict(zip(COLUMNS, row, strict=True)) for row in found]
    fit = [raw for raw in raws if isinstance(raw["seq"], int)]
    unfit = len(raws) - len(fit)
    return fit, (LeftOut(seq=None, why=f"{unfit} rows have no whole number"),) if unfit else ()
