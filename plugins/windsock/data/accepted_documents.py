"""The documents of accepted snapshots, as far as they are what was written; what is lost is named.

A document that is not there, or is not what its signed digest stands for, is never believed and never stops a
model for good: the newest one that is whole counts, and a person is asked before anything is promoted on it.
A storage that does not answer is no lost document: the task is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from windsock.exceptions import UnverifiedSnapshotError
from windsock.ports import Ports
from windsock.records import DataContract, LedgerAction, LedgerRow, SnapshotStatistics
from windsock.texts import first_of

log = logging.getLogger(__name__)
SHOWN = 3


class AcceptedContract(NamedTuple):
    """The newest accepted contract that can be read.

    :param contract: it, or ``None`` where none was accepted or none can be read.
    :param newest: the version that was accepted last; 0: none was.
    :param lost: what cannot be read and what holds instead; empty if nothing is lost.
    """

    contract: DataContract | None = None
    newest: int = 0
    lost: str = ""


class AcceptedStatistics(NamedTuple):
    """What accepted snapshots looked like, the newest first.

    :param lost: what cannot be read, one sentence; empty if nothing is lost.
    :param asks: what a person has to answer for; nothing while some can be read.
    """

    found: tuple[SnapshotStatistics, ...] = ()
    lost: str = ""
    asks: tuple[str, ...] = ()


def accepted_contract_of(rows: Sequence[LedgerRow], ports: Ports) -> AcceptedContract:
    """Return the newest accepted contract that can be read, each document looked at once.

    :param rows: the model's rows of the ledger.
    :raises StorageError: if the storage does not answer.
    """
    accepts = [row for row in reversed(rows) if row.action is LedgerAction.ACCEPT]
    lost: list[str] = []
    newest = max((row.body["contract"] for row in accepts), default=0)
    by_digest: dict[str, LedgerRow] = {}
    for row in accepts:
        by_digest.setdefault(row.body["contract_digest"], row)
    for digest, row in by_digest.items():
        try:
            contract = ports.contracts.contract(row.body["contract_uri"], digest)
        except UnverifiedSnapshotError as error:
            log.warning("%s: contract %s: %s", error.code, row.body["contract"], error.message)
            lost.append(str(row.body["contract"]))
            continue
        return AcceptedContract(contract, newest, _contracts_lost(lost, contract))
    return AcceptedContract(None, newest, _contracts_lost(lost, None))


def _contracts_lost(versions: Sequence[str], instead: DataContract | None) -> str:
    if not versions:
        return ""
    holds = (
        f"contract {instead.version} holds instead"
        if instead
        else "columns mean what people wrote, else what the champion has, else what their values are"
    )
    many = len(versions) > 1
    what = f"data contract{'s' * many} {first_of(versions, SHOWN)} {'are' if many else 'is'} lost"
    why = f"{'their documents are' if many else 'its document is'} not there, or not what was written"
    return f"{what}: {why}; {holds}"


def unproven_since_promotion(rows: Sequence[LedgerRow]) -> tuple[str, ...]:
    """Return what was lost when snapshots were accepted, until a version that came after is promoted.

    A promotion of a version from before, such as by a roll back, is no answer to it.

    :param rows: the model's rows of the ledger.
    """
    since: dict[str, int] = {}
    registered: dict[str, int] = {}
    for row in rows:
        if row.action is LedgerAction.REGISTER:
            registered[row.version] = row.seq
        elif row.action is LedgerAction.COMMIT:
            made = registered.get(row.version, 0)
            since = {sentence: seq for sentence, seq in since.items() if seq > made}
        elif row.action is LedgerAction.ACCEPT:
            for sentence in row.body.get("unproven", ()):
                since.setdefault(sentence, row.seq)
    return tuple(since)


def accepted_statistics(history: Sequence[LedgerRow], ports: Ports) -> AcceptedStatistics:
    """Return what accepted snapshots looked like, as far as that can be read.

    :param history: their rows of the ledger, the newest first.
    :raises StorageError: if the storage does not answer.
    """
    found: list[SnapshotStatistics] = []
    lost: list[str] = []
    for row in history:
        try:
            found.append(
                ports.contracts.statistics(row.body["statistics_uri"], row.body["statistics_digest"])
            )
        except UnverifiedSnapshotError as error:
            log.warning("%s: %s", error.code, error.message)
            lost.append(row.body["snapshot_digest"][:12])
    if not lost:
        return AcceptedStatistics(tuple(found))
    said = (
        f"statistics of {len(lost):,} of {len(history):,} accepted snapshots are lost "
        f"({first_of(lost, SHOWN)}): a document is not there, or is not what was written"
    )
    asks = () if found else (f"{said}; nothing is left to compare this snapshot with",)
    return AcceptedStatistics(tuple(found), said, asks)
