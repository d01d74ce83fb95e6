"""Who said what about a version, read from the ledger's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from windsock.records import LedgerAction, LedgerRow, RegisteredVersion
from windsock.spec import Tier

NEEDED: dict[Tier, int] = {"low": 0, "medium": 1, "high": 2}
"""Approvals that a model's tier asks for."""


class Answers(NamedTuple):
    """The people's answers about one version and digest.

    :param approvers: who said yes, each once, in the order of the answers.
    :param rejecters: who said no, likewise.
    """

    approvers: tuple[str, ...]
    rejecters: tuple[str, ...]


def needed_approvals(tier: Tier, asks: Sequence[str]) -> int:
    """Return how many different people must approve.

    :param tier: the model's tier.
    :param asks: insufficient checks that a person is asked about; any makes it one at least.
    """
    return max(NEEDED[tier], 1 if asks else 0)


def same_person(one: str | None, other: str | None) -> bool:
    """Return whether two user ids name one person; case and outer spaces are no difference."""
    return one is not None and other is not None and one.strip().casefold() == other.strip().casefold()


def answer_rows(rows: Sequence[LedgerRow], version: RegisteredVersion) -> tuple[LedgerRow, ...]:
    """Return the answers to this very version and digest."""
    answers = (LedgerAction.APPROVE, LedgerAction.REJECT)
    return tuple(
        row
        for row in rows
        if row.action in answers and row.version == version.version and row.digest == version.digest
    )


def answers_of(
    rows: Sequence[LedgerRow], version: RegisteredVersion, *, requester: str | None = None
) -> Answers:
    """Return who approved and who rejected a version.

    :param requester: the person who triggered the run; their own approval does not count.
    """
    people: dict[LedgerAction, dict[str, str]] = {LedgerAction.APPROVE: {}, LedgerAction.REJECT: {}}
    for row in answer_rows(rows, version):
        people[row.action].setdefault(row.actor.strip().casefold(), row.actor)
    approvers = tuple(
        user for user in people[LedgerAction.APPROVE].values() if not same_person(user, requester)
    )
    return Answers(approvers, tuple(people[LedgerAction.REJECT].values()))
