"""Codes that lost the zeros around them, such as ``007`` that became ``7``: known words in a new dress."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from windsock.data.target_contract import class_counts
from windsock.records import CheckResult, ColumnKind, ColumnSchema, ContractColumn, Status
from windsock.records.values import MOST_UNREAD

if TYPE_CHECKING:
    import pandas as pd

WHOLE = re.compile(r"([+-]?)0*([0-9]+)(\.0+)?")


def rewritten_codes(held: ContractColumn, column: ColumnSchema, values: pd.Series[Any]) -> CheckResult | None:
    """Return what fails of a category whose codes were written with other zeros until now.

    A new word counts only where the same number was known by another word, and that word is gone: a number
    that nobody has seen is a new word, and where both are there each is its own.

    :param values: those of the source's rows.
    :returns: ``None`` where up to 5 % of the values are written so.
    """
    if held.kind is not ColumnKind.CATEGORY or column.kind is not ColumnKind.CATEGORY or not held.words:
        return None
    counts = class_counts(values, column)
    gone = {_bare(word) for word in held.words if word not in counts} - {None}
    gone -= {_bare(word) for word in held.words if word in counts}
    known = frozenset(held.words)
    rows = sum(count for word, count in counts.items() if word not in known and _bare(word) in gone)
    total = sum(counts.values())
    if not rows or rows <= MOST_UNREAD * total:
        return None
    return CheckResult(
        name=f"contract_codes:{column.name}",
        status=Status.FAIL,
        code="WS-DATA-175",
        value=rows / total,
        limit=MOST_UNREAD,
        relation="<=",
        n=total,
        message=(
            f"{rows:,} of {total:,} values ({rows / total:.1%}) of {column.name} are known codes with other "
            "zeros than until now, such as 007 that became 7, and the model would not know them. Export the "
            "column as text; if the numbers are meant as such, write "
            f"data.columns.{column.name}.kind: integer"
        ),
    )


def _bare(word: str) -> str | None:
    """Return a whole number without what may be left out around it; ``None``: it is none."""
    found = WHOLE.fullmatch(word)
    return found[1].removeprefix("+") + found[2] if found else None
