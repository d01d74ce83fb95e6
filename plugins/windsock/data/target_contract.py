"""The target under the contract: its classes, the class that scores are for, and what settles a change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.data.contract import InForce
from windsock.records import CheckResult, ColumnKind, ColumnSchema, ContractColumn, Status
from windsock.records.source_words import Reading
from windsock.records.values import category_text
from windsock.spec import ModelSpec
from windsock.spec.column_words import positive_word as named_positive

if TYPE_CHECKING:
    import pandas as pd

YAML_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
LEAST_ROWS = 5
"""A class in fewer rows is not written into a message: it may be a value that slipped into the column."""
MOST_CLASSES, LONGEST_CLASS = 20, 40


def target_checks(
    held: ContractColumn, column: ColumnSchema, values: pd.Series[Any], force: InForce, spec: ModelSpec
) -> Iterator[CheckResult]:
    """Yield what fails of a target with classes whose values could be read: one cause, one check.

    :param values: those of the source's rows.
    """
    new = [word for word in words_of(values, column) if word not in held.classes] if held.classes else []
    if new:
        yield _new_classes(held, column, values, new, force, spec)
        return
    if impossible := _impossible(held, column):
        yield _no_classes_of_its_kind(held, column, impossible)
        return
    contract, present = force.contract, positive_word(spec, column, values)
    if contract is None or contract.positive is None or spec.data.positive is not None:
        return
    if present in (None, contract.positive):
        return
    yield CheckResult(
        name=f"contract_positive:{column.name}",
        status=Status.FAIL,
        code="WS-DATA-145",
        n=len(values),
        message=(
            f"scores of target {column.name} are for another class by contract {contract.version} than "
            "the model would take; write the class in data.positive"
        ),
    )


def _impossible(held: ContractColumn, column: ColumnSchema) -> list[str]:
    """Return the listed classes that no value of the target's kind can be."""
    if column.kind is ColumnKind.CATEGORY:
        return []
    reading = Reading(kind=column.kind, true_word=column.true_word, false_word=column.false_word)

    def can_be(word: str) -> bool:
        try:
            reading.read(word)
        except ValueError:
            return False
        return True

    return [word for word in held.classes if not can_be(word)]


def _no_classes_of_its_kind(
    held: ContractColumn, column: ColumnSchema, impossible: Sequence[str]
) -> CheckResult:
    count = len(impossible)
    return CheckResult(
        name=f"contract_classes:{column.name}",
        status=Status.FAIL,
        code="WS-DATA-121",
        value=count,
        limit=0,
        relation="==",
        message=(
            f"target {column.name} is {column.kind.value}, and {count:,} of {len(held.classes):,} classes "
            "that are listed for it can be no value of that kind; write "
            f"data.columns.{column.name}.kind: category beside the classes, or take them out"
        ),
    )


def _new_classes(
    held: ContractColumn,
    column: ColumnSchema,
    values: pd.Series[Any],
    new: Sequence[str],
    force: InForce,
    spec: ModelSpec,
) -> CheckResult:
    counts = class_counts(values, column)
    settles = settling_keys(held, column, counts, {}, force, spec)
    advice = f"write {settles}" if settles else f"list all in data.columns.{column.name}.classes"
    return CheckResult(
        name=f"contract_classes:{column.name}",
        status=Status.FAIL,
        code="WS-DATA-143",
        value=len(new),
        limit=0,
        relation="==",
        n=len(values),
        message=(
            f"target {column.name} has {len(held.classes):,} classes by "
            f"{f'contract {force.version}' if force.contract else 'data.columns'}; "
            f"{len(new):,} more stand in {sum(counts[word] for word in new):,} of {len(values):,} rows now. "
            f"If that is meant, {advice}"
        ),
    )


def settling_keys(
    held: ContractColumn,
    column: ColumnSchema,
    counts: Mapping[str, int],
    keys: Mapping[str, Any],
    force: InForce,
    spec: ModelSpec,
) -> str:
    """Return all that a person writes into the model's file if other classes are meant, as one YAML fragment.

    :param column: how the target's values are read then.
    :param counts: its classes as the source writes them, and their rows.
    :param keys: what must be written of the column besides its classes.
    :returns: nothing where a class is too rare, too long or one of too many to be written down.
    """
    rare = [word for word, rows in counts.items() if rows < LEAST_ROWS and word not in held.classes]
    if rare or not 2 <= len(counts) <= MOST_CLASSES or max(map(len, counts)) > LONGEST_CLASS:
        return ""
    block = dict(keys)
    if held.classes:
        block["classes"] = _all_classes(held, counts)
    data: dict[str, Any] = {"columns": {column.name: block}}
    positive = _positive(held, column, sorted(counts), force, spec)
    if positive is not None:
        data = {"positive": positive, **data}
    fragment: dict[str, Any] = {"data": data}
    if force.champion is not None and spec.gate.on_insufficient != "ask":
        fragment["gate"] = {"on_insufficient": "ask"}  # the champion does not know these classes
    which = "; see that data.positive is the class that scores are for" if positive is not None else ""
    return f"{_flow(fragment)} into the model's file{which}"


def _all_classes(held: ContractColumn, counts: Mapping[str, int]) -> list[str]:
    """Return the classes to list: those of before, too, unless all of them have another name now."""
    renamed = not set(held.classes) & set(counts)
    return sorted(counts) if renamed else sorted({*held.classes, *counts})


def _positive(
    held: ContractColumn,
    column: ColumnSchema,
    words: Sequence[str],
    force: InForce,
    spec: ModelSpec,
) -> str | None:
    """Return the class that scores are for, where it has to be written; ``None``: it has not."""
    written = spec.data.positive
    held_positive = force.contract.positive if force.contract else None
    before = held_positive if written is None else _as_class(written, held)
    if len(words) != 2 or before is None:
        return None
    if column.kind is ColumnKind.BOOLEAN:
        default = class_word(True, column)
        accepted = force.accepted.column(held.name) if force.accepted else None
        was_false = before in ("false", (accepted or held).false_word)
        chosen = before if before in words else class_word(not was_false, column)
    else:
        default = words[-1]
        kept = [word for word in words if word in held.classes]
        others = [word for word in words if word not in kept]
        told = named_positive(words, column.name)
        chosen = before if before in words else others[0] if kept else told or default
    needed = chosen != before or (written is None and chosen != default)
    return chosen if needed else None


def _as_class(wanted: Any, held: ContractColumn) -> str:
    return class_word(wanted, held) if isinstance(wanted, bool) else str(wanted)


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    plain = name.isidentifier() and name.lower() not in YAML_WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)


def positive_word(spec: ModelSpec, column: ColumnSchema, values: pd.Series[Any]) -> str | None:
    """Return the word of the class that scores are for: the model's file names it, else it is the last."""
    classes = sorted(values.dropna().unique().tolist()) if spec.task == "classification" else []
    if len(classes) != 2:
        return None
    wanted = spec.data.positive
    asked = [
        label
        for label in classes
        if wanted is not None and str(wanted) in (str(label), class_word(label, column))
    ]
    return class_word(asked[0] if asked else classes[-1], column)


def class_word(label: Any, column: ColumnSchema | ContractColumn) -> str:
    """Return a class as the source writes it."""
    if isinstance(label, bool) or column.kind is ColumnKind.BOOLEAN:
        word = column.true_word if label else column.false_word
        return word if word is not None else str(bool(label)).lower()
    return category_text(label)


def words_of(values: pd.Series[Any], column: ColumnSchema) -> tuple[str, ...]:
    """Return a column's different values as words, sorted."""
    return tuple(sorted({class_word(value, column) for value in values.dropna().unique().tolist()}))


def class_counts(values: pd.Series[Any], column: ColumnSchema) -> dict[str, int]:
    """Return in how many rows each class stands, as the source writes it."""
    counts: dict[str, int] = {}
    for value, rows in values.value_counts().items():
        word = class_word(value, column)
        counts[word] = counts.get(word, 0) + int(rows)
    return counts
