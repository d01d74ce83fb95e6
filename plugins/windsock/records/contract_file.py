"""A data contract as people write it: blocks of a YAML file to columns of the contract, and back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from windsock.records.contract import ContractColumn, ContractOrigin, DataContract
from windsock.records.data import ColumnKind, ColumnRole
from windsock.records.value_form import ValueForm
from windsock.spec.columns import ColumnBlock, ContractFile
from windsock.spec.starter import quoted

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""Date of a contract that people keep in a file: its content counts, whenever the file was written."""
BARE = re.compile(r"\w[\w ]*\w|\w")
FAMILIES = ({"day_first", "month_first"}, {"epoch_s", "epoch_ms", "epoch_us", "epoch_ns"})
"""Forms of dates of which a column can have only one, whatever its values look like."""
DECIDED = {
    ContractOrigin.INFERRED: "by the data of the first accepted snapshot that had it",
    ContractOrigin.CHAMPION: "by the champion: it was trained with this",
    ContractOrigin.PERSON: "by a person",
}


def contract_by_people(file: ContractFile) -> DataContract:
    """Return the contract that a file holds."""
    columns = tuple(column_by_people(name, block) for name, block in file.columns.items())
    return DataContract(
        model=file.model,
        version=file.version,
        columns=tuple(column for column in columns if column is not None),
        positive=file.positive,
        decided_at=UNDATED,
    )


def column_by_people(
    name: str, block: ColumnBlock, held: ContractColumn | None = None
) -> ContractColumn | None:
    """Return what a column means by a person's block, and by what is held where the block says nothing.

    :param held: what it means otherwise, where that is known.
    :returns: ``None`` if neither says of which kind it is.
    """
    given_kind = block.kind or ("boolean" if block.true is not None and held is None else None)
    kind = ColumnKind(given_kind) if given_kind else held.kind if held else None
    if kind is None:
        return None
    same = held if held is not None and held.kind is kind else None
    given = {
        "role": ColumnRole(block.role) if block.role else None,
        "true_word": block.true,
        "false_word": block.false,
        "classes": block.classes or None,
        "unique": block.unique,
    }
    decided: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    form = form_by_people(block, same.form if same else ValueForm())
    if held is not None and "role" not in decided:
        decided["role"] = held.role
    if same is not None:
        return same.replace(**decided, form=form, origin=ContractOrigin.PERSON)
    return ContractColumn(name=name, kind=kind, **decided, form=form, origin=ContractOrigin.PERSON)


def form_by_people(block: ColumnBlock, held: ValueForm) -> ValueForm:
    """Return how a column's values are written: by the block, else as it is held."""
    keys = ("decimal", "thousands", "unit", "currency", "whole", "dates")
    given = {key: getattr(block, key) for key in keys}
    decided: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if block.nulls:
        decided["nulls"] = block.nulls
    if block.currency is not None:
        decided["unit"] = "currency"
    elif block.unit in ("", "percent"):
        decided["currency"] = ""
    return _with_two_signs(held, decided)


def form_with_known(form: ValueForm, known: ValueForm) -> ValueForm:
    """Return a form with what it leaves open as it is known: the currency, and whether text is numbers."""
    open_currency = form.unit == known.unit == "currency" and not form.currency
    return form.replace(
        currency=known.currency if open_currency else form.currency,
        whole=known.whole if form.whole is None else form.whole,
    )


def form_by_source(source: Any, kind: ColumnKind, held: ValueForm) -> ValueForm:
    """Return how a column's values are written: by the keys of ``data.source``, else as it is held.

    ``dates`` names one of a family of forms: it counts over another form of the same family. Times of another
    family, such as those of ISO 8601 beside ``day_first``, stay as they are unless their values fit the key.
    """
    given = {key: getattr(source, key, None) for key in ("decimal", "thousands", "dates")}
    decided: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    dates = decided.pop("dates", None)
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) and not held.dates:
        return _with_two_signs(held, decided)
    if kind is ColumnKind.DATETIME and any({dates, held.dates} <= family for family in FAMILIES):
        return held.replace(dates=dates)
    return held


def _with_two_signs(held: ValueForm, decided: dict[str, Any]) -> ValueForm:
    """Return a form with what was decided; a sign that is given one meaning loses the other."""
    decimal, thousands = decided.get("decimal"), decided.get("thousands")
    if decimal is not None and decimal == held.thousands and thousands is None:
        decided = {**decided, "thousands": ""}
    elif thousands and thousands == held.decimal and decimal is None:
        decided = {**decided, "decimal": "." if thousands == "," else ","}
    return held.replace(**decided)


def contract_yaml(contract: DataContract) -> str:
    """Return a contract as a file for ``include/contracts``, with who decided each column beside it."""
    lines = [
        f"# The data contract of {contract.model}. Saved as include/contracts/{contract.model}.yaml, it is",
        "# what people decided: it counts over what the data or a champion decided, column by column.",
        f"model: {quoted(contract.model)}",
        f"version: {contract.version}",
    ]
    if contract.positive is not None:
        lines.append(f"positive: {_text(contract.positive)}")
    lines.append("columns:")
    for column in contract.columns:
        keys = ", ".join(f"{key}: {value}" for key, value in _keys(column).items())
        lines.append(f"  {_text(column.name)}: {{{keys}}}  # decided {DECIDED[column.origin]}")
    return "\n".join(lines) + "\n"


def _keys(column: ContractColumn) -> dict[str, str]:
    form, usual = column.form, ValueForm()
    keys = {"kind": column.kind.value, "role": column.role.value}
    if column.classes:
        keys["classes"] = _listed(column.classes)
    if column.unique:
        keys["unique"] = "true"
    for key in ("decimal", "thousands", "unit", "currency", "dates"):
        if getattr(form, key) != getattr(usual, key):
            keys[key] = _text(getattr(form, key))
    if form.whole is not None:
        keys["whole"] = str(form.whole).lower()
    if form.nulls:
        keys["nulls"] = _listed(form.nulls)
    if column.true_word is not None and column.false_word is not None:
        keys['"true"'], keys['"false"'] = _text(column.true_word), _text(column.false_word)
    return keys


def _listed(words: tuple[str, ...]) -> str:
    return f"[{', '.join(_text(word) for word in words)}]"


def _text(word: str) -> str:
    """Return a text between quotation marks where YAML, in a block of braces, could take it otherwise."""
    return quoted(word) if BARE.fullmatch(word) else json.dumps(word, ensure_ascii=False)
