"""Who said what about a version, read from the ledger's rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from windsock.records import LedgerAction, LedgerRow, RegisteredVersion, RunContext
from windsock.spec import ModelSpec, Tier

NEEDED: dict[Tier, int] = {"low": 0, "medium": 1, "high": 2}
"""Approvals that a model's tier asks for."""
ONE_MORE = "; one more than usual, for nobody knows who started it"
CLI = "cli:"
"""Stands before the name of who came by the command line."""
UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters without a shape of their own."""
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    chr(code) for code in (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)
"""Characters of other categories that are blank: fillers, the empty Braille cell, variation selectors."""


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


def needed_for(spec: ModelSpec, registered: LedgerRow, run: RunContext | None = None) -> int:
    """Return how many different people must approve a registered version.

    The checks a person is asked about are those of the registration. Of the tier then and the tier now, the
    higher holds: an edited file opens nothing. Where a person may have started it whom nobody can name, one
    more must approve: that person may be one of those who do.

    :param registered: the version's registration.
    :param run: the run that asks for the approval, or acts on it.
    """
    tiers: tuple[Tier, Tier] = (spec.model.tier, registered.body["tier"])
    needed = max(needed_approvals(tier, registered.body["asks"]) for tier in tiers)
    return needed + 1 if needed and is_starter_unknown([registered], run) else needed


def needed_for_promotion(rows: Sequence[LedgerRow], experiment: str | None, run: RunContext) -> int:
    """Return how many different people must approve the promotion that a rollout has proved.

    :param run: the run that asks for the approval, or acts on it.
    """
    return 2 if is_starter_unknown(_starting_rows(rows, experiment), run) else 1


def is_starter_unknown(rows: Iterable[LedgerRow], run: RunContext | None) -> bool:
    """Return whether a person may stand behind some rows, or a run, whom nobody can name.

    Rows from before the field was kept say nothing of it: their starter counts as known.
    """
    return bool(run and run.starter_unknown) or any(row.body.get("starter_unknown") for row in rows)


def one_more(rows: Iterable[LedgerRow], run: RunContext | None) -> str:
    """Return why one approval more is needed, as the end of a sentence; empty where none is."""
    return ONE_MORE if is_starter_unknown(rows, run) else ""


def same_person(one: Iterable[str | None], other: Iterable[str | None]) -> bool:
    """Return whether two people are one: whether any name or user id of theirs is the same.

    Case, spaces and the width or form of letters make no difference (Unicode's NFKC and case folding), nor
    do characters that nobody sees, nor the mark of who came by the command line; an absent or blank one is
    nobody's. Letters of two scripts that look alike stay two letters.
    """
    return bool(_identities(one) & _identities(other))


def different_people(users: Iterable[str], *, without: Iterable[str | None] = ()) -> list[str]:
    """Return the users whose yes would count, each person once.

    :param without: names and ids of people whose yes does not: they asked for it, or have said it.
    """
    out = tuple(without)
    people: list[str] = []
    for user in users:
        if not same_person((user,), (*out, *people)):
            people.append(user)
    return people


def _identities(person: Iterable[str | None]) -> set[str]:
    found = (identity(word) for word in person if word)
    return {word.removeprefix(CLI) for word in found} - {""}


def identity(word: str) -> str:
    """Return the form by which names and user ids are compared."""
    seen = "".join(one for one in word if not is_invisible(one))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(folded.split())


def is_invisible(character: str) -> bool:
    """Return whether nobody sees a character: controls, marks of format and direction, fillers, selectors."""
    return unicodedata.category(character) in UNSEEN or character in FILLERS


def hidden_in(*words: str | None) -> str:
    """Return the first invisible character of some words, as ``U+200B``; empty if there is none."""
    found = (one for word in words for one in word or "" if is_invisible(one))
    return next((f"U+{ord(one):04X}" for one in found), "")


def answerer(row: LedgerRow) -> tuple[str | None, ...]:
    """Return the name and the user id of the person who gave an answer."""
    return row.actor, row.body.get("approver_id")


def requesters(registered: LedgerRow, run: RunContext) -> tuple[str | None, ...]:
    """Return everyone whose own approval does not count: who asked for this run, or for what was registered.

    :param registered: the version's registration.
    :param run: the run that asks for the approval, or acts on it.
    """
    return run.requested_by, registered.actor, registered.body["requester"]


def starters(rows: Sequence[LedgerRow], experiment: str | None) -> tuple[str | None, ...]:
    """Return everyone who asked for a rollout or a step of it: their yes to its promotion does not count."""
    begun = _starting_rows(rows, experiment)
    return tuple(person for row in begun for person in (row.actor, row.body.get("requester")))


def _starting_rows(rows: Sequence[LedgerRow], experiment: str | None) -> list[LedgerRow]:
    shifts = [
        row
        for row in rows
        if row.action is LedgerAction.SHIFT and row.body.get("experiment") == experiment is not None
    ]
    queued = [row for row in rows if row.seq in {shift.body.get("queued") for shift in shifts}]
    return [*queued, *shifts]


def answer_rows(
    rows: Sequence[LedgerRow], version: RegisteredVersion, *, experiment: str | None = None
) -> tuple[LedgerRow, ...]:
    """Return the answers to this very version and digest.

    An answer about a registration and one about a rollout's promotion never stand for each other.

    :param experiment: the rollout that was asked about; ``None``: the registration.
    """
    answers = (LedgerAction.APPROVE, LedgerAction.REJECT)
    return tuple(
        row
        for row in rows
        if row.action in answers
        and (row.version, row.digest) == (version.version, version.digest)
        and row.body.get("experiment") == experiment
    )


def answers_of(
    rows: Sequence[LedgerRow],
    version: RegisteredVersion,
    *,
    without: Iterable[str | None] = (),
    experiment: str | None = None,
) -> Answers:
    """Return who approved and who rejected a version.

    :param without: the people whose approval does not count, from :func:`requesters` and :func:`starters`.
    :param experiment: the rollout that was asked about; ``None``: the registration.
    """
    people: dict[LedgerAction, list[LedgerRow]] = {LedgerAction.APPROVE: [], LedgerAction.REJECT: []}
    for row in answer_rows(rows, version, experiment=experiment):
        known = people[row.action]
        if not any(same_person(answerer(row), answerer(earlier)) for earlier in known):
            known.append(row)
    barred = tuple(without)
    approved = (row.actor for row in people[LedgerAction.APPROVE] if not same_person(answerer(row), barred))
    return Answers(tuple(approved), tuple(row.actor for row in people[LedgerAction.REJECT]))
