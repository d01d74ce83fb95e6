"""What ``windsock init`` proposes for a table, before it is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from windsock.exceptions import SpecError
from windsock.spec.column_facts import (
    MANY,
    ColumnFacts,
    absence_tells,
    can_be_target,
    guess_entity,
    guess_event_time,
    guess_target,
    tells_target,
)
from windsock.spec.column_words import PERSONAL, PREDICTED, positive_word
from windsock.spec.epoch_guess import EpochGuess, guess_epoch
from windsock.spec.faults import closest, shown
from windsock.spec.registries import Task
from windsock.spec.written import quoted

CANNOT_START = "WS-SPEC-008"
SHOWN_COLUMNS = 10
CLASSES_OF_NUMBERS = 10
"""More different whole numbers than this are a quantity, up to so many are classes."""
NEARLY_ALONE = 0.9
"""Share of the target's variance from which a column alone nearly gives the answer away."""
FILLED_AFTERWARDS = 0.5
"""Such a share is enough of what it explains that a column has a value at all."""
MAY_BE_TIMES = ("integer", "number", "text")
A_COPY = 0.9999
RARE_CLASS = 0.05
"""A class with a smaller share of the rows is rare: accuracy hardly sees it."""
A_PREDICTION = 0.5
"""Such a share is enough where a column is called a prediction."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What is proposed.

    :param guessed: whether the target is a guess.
    :param ordinal: whether the target is a few whole numbers, which may be classes or a quantity.
    :param positive: the class that scores are for, where it can be known; else ``None``.
    :param personal: columns about people that are features all the same.
    :param useless: columns without a value, or with one in all rows.
    :param copies: columns that are excluded, for they hold the answer.
    :param suspects: columns that nearly give the answer, each with the share of it that they explain.
    :param dates: further columns of times.
    :param epochs: columns of numbers that would be times since 1970; nothing but their values says so.
    """

    target: ColumnFacts
    guessed: bool
    task: Task
    ordinal: bool
    positive: str | None
    entity: ColumnFacts | None
    event_time: ColumnFacts | None
    sensitive: tuple[ColumnFacts, ...]
    personal: tuple[ColumnFacts, ...]
    useless: tuple[ColumnFacts, ...]
    copies: tuple[ColumnFacts, ...]
    suspects: tuple[tuple[ColumnFacts, float], ...]
    dates: tuple[ColumnFacts, ...]
    epochs: tuple[tuple[ColumnFacts, EpochGuess], ...]

    @property
    def rarest(self) -> float | None:
        """The rarest class's share of the labelled rows where it is under 5 %, else ``None``."""
        if self.task != "classification":
            return None
        share = self.target.rarest_share
        return share if share < RARE_CLASS else None

    @property
    def excluded(self) -> tuple[ColumnFacts, ...]:
        """The columns that are no features."""
        return (*self.copies, *self.useless)

    @property
    def entity_repeats(self) -> bool:
        """Whether several rows share a value of the entity."""
        return self.entity is not None and not self.entity.unique

    @property
    def asks_positive(self) -> bool:
        """Whether only a person can know which of the two classes scores are for."""
        return self.task == "classification" and self.target.distinct == 2 and self.positive is None


def propose(columns: Sequence[ColumnFacts], target: str | None) -> Proposal:
    """Return what is proposed for a table.

    :param target: the column to predict; default: a guess.
    :raises SpecError: if the target is not there, cannot be predicted or cannot be guessed.
    """
    chosen = guess_target(columns) if target is None else _named(columns, target)
    if chosen is None:
        raise SpecError(
            f"none of the {len(columns)} columns looks like something to predict",
            code=CANNOT_START,
            next_action="Say which it is with --target COLUMN.",
        )
    whole = chosen.kind == "integer" and 2 < chosen.distinct <= MANY
    numbers = chosen.kind in ("number", "integer") and chosen.distinct > (
        CLASSES_OF_NUMBERS if chosen.kind == "integer" else MANY
    )
    rest = [column for column in columns if column is not chosen]
    guesses = ((column, guess_epoch(column.values)) for column in rest if column.kind in MAY_BE_TIMES)
    epochs = tuple((column, guess) for column, guess in guesses if guess and not column.is_named_identity)
    times = [column for column, _ in epochs]
    entity = guess_entity([column for column in rest if column not in times], chosen, numbers=numbers)
    event_time = guess_event_time(rest)
    sensitive = tuple(column for column in rest if column.is_sensitive and column is not entity)
    taken = (entity, event_time, *sensitive)
    others = [column for column in rest if column not in taken]
    told = [
        (column, tells_target(column, chosen, numbers=numbers)) for column in others if column.distinct > 0
    ]
    filled = {column.name: absence_tells(column, chosen, numbers=numbers) for column in others}
    copies = [column for column, share in told if _holds_answer(column, share, chosen)]
    return Proposal(
        target=chosen,
        guessed=target is None,
        task="regression" if numbers else "classification",
        ordinal=whole,
        positive=None if numbers else positive_word(chosen.classes, chosen.name),
        entity=entity,
        event_time=event_time,
        sensitive=sensitive,
        personal=tuple(column for column in others if PERSONAL.names(column.name) and column.distinct > 1),
        useless=tuple(column for column in others if column.is_useless and column not in copies),
        copies=tuple(copies),
        suspects=tuple(
            (column, share)
            for column, share in told
            if column not in copies and (share >= NEARLY_ALONE or filled[column.name] >= FILLED_AFTERWARDS)
        ),
        dates=tuple(column for column in others if column.kind == "datetime"),
        epochs=epochs,
    )


def _holds_answer(column: ColumnFacts, share: float, target: ColumnFacts) -> bool:
    """Return whether a column is the target in other words, or a prediction of it by name and by values."""
    same = share >= A_COPY and column.distinct == target.distinct and column.blanks == target.blanks
    return same or (share >= A_PREDICTION and PREDICTED.names(column.name))


def _named(columns: Sequence[ColumnFacts], target: str) -> ColumnFacts:
    found = next((column for column in columns if column.name == target), None)
    names = [column.name for column in columns]
    if found is None:
        listed = ", ".join(quoted(name) for name in names[: SHOWN_COLUMNS * 3])
        raise SpecError(
            f"there is no column {shown(target)}; columns: {listed}; {closest(target, names)}".rstrip("; "),
            code=CANNOT_START,
            next_action="Name one of the columns with --target.",
        )
    if not can_be_target(found):
        raise SpecError(
            f"column {quoted(target)} cannot be predicted: {kind_of(found)}, {found.distinct:,} values in "
            f"{found.rows:,} rows",
            code=CANNOT_START,
            next_action="Name a column with classes or numbers with --target.",
        )
    return found


def kind_of(column: ColumnFacts) -> str:
    """Return in a word or two what a column holds."""
    return {"empty": "no values", "datetime": "dates", "text": "text", "boolean": "yes or no"}.get(
        column.kind, "numbers"
    )


def names_listed(columns: Sequence[ColumnFacts]) -> str:
    """Return at most ten names, and how many more there are."""
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    return ", ".join(quoted(column.name) for column in columns[:SHOWN_COLUMNS]) + more


def suspects_listed(proposal: Proposal) -> str:
    """Return the columns that nearly give the answer, each with how far it does."""
    said = [f"{quoted(column.name)} ({share:.0%} of it)" for column, share in proposal.suspects]
    more = f" and {len(said) - SHOWN_COLUMNS} more" if len(said) > SHOWN_COLUMNS else ""
    return ", ".join(said[:SHOWN_COLUMNS]) + more


def target_reason(proposal: Proposal) -> str:
    """Return why this column is the target."""
    how = "a guess: correct it if it is wrong" if proposal.guessed else "as asked"
    return f"{how}; {kind_of(proposal.target)}, {proposal.target.distinct:,} different values"


def task_reason(proposal: Proposal) -> str:
    """Return why the task is this one."""
    distinct = proposal.target.distinct
    if proposal.ordinal and proposal.task == "classification":
        return f"{distinct} whole numbers, taken as classes; write regression if more means more"
    if proposal.ordinal:
        return f"{distinct} whole numbers, taken as a quantity; write classification if they are classes"
    if proposal.task == "regression":
        return f"the target is a number with {distinct:,} different values"
    return f"the target has {distinct:,} classes"


def notes_of(proposal: Proposal) -> tuple[str, ...]:
    """Return what was guessed, one sentence each."""
    return (
        *_notes_of_target(proposal),
        *_notes_of_columns(proposal),
        "the gate refuses every model until gate.card says its intended_use and limitations",
    )


def epoch_reason(guess: EpochGuess) -> str:
    """Return what numbers would be as times, and that only a person can know it."""
    first, last = guess.years
    years = f"of {first}" if first == last else f"of {first} to {last}"
    return f"perhaps: its numbers would be times {years} ({guess.unit}); nothing else says so"


def _notes_of_target(proposal: Proposal) -> list[str]:
    target = quoted(proposal.target.name)
    notes = [f"target: {target} ({target_reason(proposal)}), so the task is {proposal.task}"]
    if proposal.ordinal:
        notes.append(f"task: {task_reason(proposal)}")
    if proposal.positive is not None:
        notes.append(f"positive: {quoted(proposal.positive)}, the class that scores are for (a guess)")
    if proposal.rarest is not None:
        notes.append(
            f"metric: average_precision, for the rarest class is {proposal.rarest:.2%} of the rows: a model "
            f"that never finds it is right in {1 - proposal.rarest:.2%}"
        )
    if proposal.asks_positive:
        both = " or ".join(map(quoted, proposal.target.classes))
        notes.append(f"positive: which class are scores for, {both}? Write it in data.positive")
    if proposal.target.blanks:
        notes.append(
            f"{proposal.target.blanks:,} of {proposal.target.rows:,} rows have no {target}: "
            "data.unlabelled is drop, which leaves them out"
        )
    return notes


def _notes_of_columns(proposal: Proposal) -> list[str]:
    notes = []
    if proposal.entity:
        shared = f"; {proposal.entity.distinct:,} of them in {proposal.entity.rows:,} rows"
        notes.append(f"entity: {quoted(proposal.entity.name)}{shared if proposal.entity_repeats else ''}")
    if proposal.event_time:
        both = (
            "; by time one entity may have rows on both sides of the split" if proposal.entity_repeats else ""
        )
        notes.append(f"event_time: {quoted(proposal.event_time.name)}{both}")
    for column, guess in proposal.epochs[:SHOWN_COLUMNS]:
        notes.append(f"{quoted(column.name)}: {epoch_reason(guess)}; see the comment in the file")
    if proposal.sensitive:
        notes.append(f"sensitive, so no features: {names_listed(proposal.sensitive)}")
    if proposal.copies:
        notes.append(f"excluded, for they hold the answer: {names_listed(proposal.copies)}")
    if proposal.suspects:
        suspects = suspects_listed(proposal)
        notes.append(
            f"nearly give {quoted(proposal.target.name)} away; exclude what is not known in time: {suspects}"
        )
    return notes
