"""What ``windsock init`` proposes for a table, before it is written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from windsock.exceptions import SpecError
from windsock.spec.column_facts import (
    MANY,
    ColumnFacts,
    can_be_target,
    guess_entity,
    guess_event_time,
    guess_target,
)
from windsock.spec.column_leaks import column_leaks, strength_of
from windsock.spec.column_strength import Column
from windsock.spec.column_words import PERSONAL, PREDICTED, positive_word
from windsock.spec.epoch_guess import EpochGuess, guess_epoch
from windsock.spec.faults import closest, shown
from windsock.spec.label_folds import read_labels
from windsock.spec.leak_suspects import LeakSuspect
from windsock.spec.model import HELD_OUT_PERCENT
from windsock.spec.registries import Task
from windsock.spec.written import quoted
from windsock.texts import first_of

CANNOT_START = "WS-SPEC-008"
SHOWN_COLUMNS = 10
CLASSES_OF_NUMBERS = 10
"""More different whole numbers than this are a quantity, up to so many are classes."""
MAY_BE_TIMES = ("integer", "number", "text")
A_COPY = 0.9999
"""AUC or R2 of a copy without an exception."""
RARE_CLASS = 0.05
"""A class with a smaller share of the rows is rare: accuracy hardly sees it."""
LEAST_HELD_OUT = 20
"""With fewer held-out rows of a class areas have no interval, so the gate refuses what they decide."""
ENOUGH_OF_CLASS = 135
"""Of so many rows of a class a fifth by chance is that many with 95 % probability."""
A_PREDICTION = {False: 0.85, True: 0.5}
"""AUC, and R2 of numbers, that is enough alone where a column is called a prediction."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What is proposed.

    :param guessed: whether the target is a guess.
    :param ordinal: whether the target is a few whole numbers, which may be classes or a quantity.
    :param positive: the class that scores are for, where it can be known; else ``None``.
    :param personal: columns about people that are features all the same.
    :param useless: columns without a value, or with one in all rows.
    :param copies: columns that are excluded, for they hold the answer.
    :param suspects: columns that nearly give the answer, as the validation of data would name them.
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
    suspects: tuple[LeakSuspect, ...]
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
    def rows_needed(self) -> int | None:
        """The labelled rows with which the rarest class has enough held-out rows; ``None``: there are."""
        if self.task != "classification" or not self.target.rarest_share:
            return None
        have = self.target.rows - self.target.blanks
        if self.target.rarest_share * have >= ENOUGH_OF_CLASS:
            return None
        return math.ceil(ENOUGH_OF_CLASS / self.target.rarest_share)

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
    groups = entity.values if entity is not None and not entity.unique else None
    moments = event_time.values if event_time is not None else None
    judged = [column_of(column) for column in others]
    leaks = column_leaks(judged, chosen.values, numbers=numbers, groups=groups, times=moments)
    predictions = [column for column in others if PREDICTED.names(column.name)]
    copies = [column for column in others if _is_same(column, chosen, leaks)]
    labels = (
        read_labels(chosen.values, numbers=numbers, groups=groups, times=moments) if predictions else None
    )
    if labels is not None:
        copies += [
            column
            for column in predictions
            if column not in copies and strength_of(column_of(column), labels).alone >= A_PREDICTION[numbers]
        ]
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
        suspects=tuple(leak for leak in leaks if leak.column not in {column.name for column in copies}),
        dates=tuple(column for column in others if column.kind == "datetime"),
        epochs=epochs,
    )


def column_of(column: ColumnFacts) -> Column:
    """Return a column as the measure of leaks takes it."""
    number = column.kind in ("number", "integer", "datetime")
    return Column(name=column.name, values=column.values, number=number)


def _is_same(column: ColumnFacts, target: ColumnFacts, leaks: Sequence[LeakSuspect]) -> bool:
    """Return whether a column is the target in other words, without an exception."""
    same = column.distinct == target.distinct and column.blanks == target.blanks
    copies = {leak.column for leak in leaks if leak.kind == "copy" and leak.strength >= A_COPY}
    return same and column.name in copies


def _named(columns: Sequence[ColumnFacts], target: str) -> ColumnFacts:
    found = next((column for column in columns if column.name == target), None)
    names = [column.name for column in columns]
    if found is None:
        listed = first_of([quoted(name) for name in names], SHOWN_COLUMNS * 3)
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
    return first_of([quoted(column.name) for column in columns], SHOWN_COLUMNS)


def suspects_listed(proposal: Proposal) -> str:
    """Return the columns that nearly give the answer, each with how far it does."""
    said = [f"{quoted(str(leak.column))} ({leak.short})" for leak in proposal.suspects]
    return first_of(said, SHOWN_COLUMNS)


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
    if proposal.rows_needed is not None:
        rows = proposal.target.rows - proposal.target.blanks
        rarest = round(proposal.target.rarest_share * rows)
        held = round(rarest * HELD_OUT_PERCENT / 100)
        notes.append(
            f"the rarest class has {rarest:,} of {rows:,} rows, so about {held:,} will be held out; on "
            f"fewer than {LEAST_HELD_OUT} the gate refuses for want of evidence: {ENOUGH_OF_CLASS:,} rows of "
            f"the class are needed in the snapshot, at this share {proposal.rows_needed:,} rows in all"
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
