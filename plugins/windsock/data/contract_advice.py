"""What to write where a column's values do not fit the contract: keys that have been tried on its values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from windsock.data.read_columns import NUMERIC, ReadColumn
from windsock.records import ColumnKind, ColumnRole, ContractColumn
from windsock.records.contract_file import column_by_people
from windsock.spec.columns import ColumnBlock

Keys = dict[str, str]
FORM = ("decimal", "thousands", "unit", "currency", "dates")
IN_DOUBT: dict[ColumnKind, tuple[Keys, ...]] = {
    ColumnKind.NUMBER: (
        {"decimal": ","},
        {"decimal": "."},
        {"decimal": ".", "thousands": ","},
        {"decimal": ",", "thousands": "."},
    ),
    ColumnKind.DATETIME: ({"dates": "day_first"}, {"dates": "month_first"}),
}
"""What is tried where the values have more than one reading."""


def advice_on(held: ContractColumn, free: ReadColumn, fits: Callable[[ContractColumn], bool]) -> str:
    """Return what the values would be read as without the contract, and what to write if that is meant.

    :param held: what the column means.
    :param free: its values as they would be read by themselves.
    :param fits: whether its values fit another meaning.
    """
    name, kind = held.name, free.kind.value
    if free.kind is not held.kind and not {free.kind, held.kind} <= NUMERIC:
        return (
            f"now it would be read as {kind}. If that is meant, write data.columns.{name}.kind: {kind}, or "
            "the form of its values beside it"
        )
    found: list[Keys] = []
    tried = _candidates(held, free)
    for keys in tried:
        if not any(one.items() <= keys.items() for one in found) and keys_fit(held, keys, fits):
            found.append(keys)
    if found:
        blocks = " or ".join(f"data.columns.{name}: {_block(keys)}" for keys in found)
        which = ", whichever is meant" if len(found) > 1 else ""
        return f"it would be read as {kind} in another form. If that is meant, write {blocks}{which}"
    if held.role is ColumnRole.TARGET:
        return "the others are as before: correct these at the source"
    more = f" besides the {len(held.form.nulls)} of before" if held.form.nulls else ""
    if tried:
        return (
            f"others would be read as {kind} in another form. If that is meant, write data.columns.{name}: "
            f"{_block(tried[0])[:-1]}, nulls: [...]}}, with the words that mean a missing value{more}"
        )
    return (
        f"the others are {kind} as before. If these mean a missing value, list their words{more} in "
        f"data.columns.{name}.nulls: [...]; else correct them at the source"
    )


def target_keys(held: ContractColumn, free: ReadColumn) -> list[Keys]:
    """Return what may be written of a target so that its values are read as they would be by themselves."""
    if free.kind is held.kind or {free.kind, held.kind} <= NUMERIC:
        return _candidates(held, free)
    words = _candidates(held, free) if free.kind is ColumnKind.BOOLEAN else []
    return [{"kind": free.kind.value, **(words[0] if words else {})}]


def _candidates(held: ContractColumn, free: ReadColumn) -> list[Keys]:
    if free.kind is ColumnKind.BOOLEAN:
        if free.true_word is None or free.false_word is None:
            return []
        return [{"true": free.true_word, "false": free.false_word}]
    other = {
        key: getattr(free.form, key) for key in FORM if getattr(free.form, key) != getattr(held.form, key)
    }
    if other.get("currency"):
        other.pop("unit", None)  # a currency says so
    kind = ColumnKind.NUMBER if free.kind in NUMERIC else free.kind
    doubted = IN_DOUBT.get(kind, ()) if free.doubt else ()
    return [keys for keys in (other, *doubted) if keys]


def keys_fit(held: ContractColumn, keys: Keys, fits: Callable[[ContractColumn], bool]) -> bool:
    """Return whether the values fit what a person would write."""
    values: dict[str, Any] = dict(keys)
    try:
        meant = column_by_people(held.name, ColumnBlock.model_validate(values), held)
    except ValidationError:
        return False
    return meant is not None and fits(meant)


def _block(keys: Keys) -> str:
    quoted = {key: f'"{key}"' if key in ("true", "false") else key for key in keys}
    return "{" + ", ".join(f"{quoted[key]}: {json.dumps(value)}" for key, value in keys.items()) + "}"
