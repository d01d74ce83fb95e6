"""``ReadColumn``: one column as it was read, and how it is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ColumnRole, ContractColumn, ValueForm

if TYPE_CHECKING:
    import pandas as pd

NUMERIC = frozenset({ColumnKind.NUMBER, ColumnKind.INTEGER})


@dataclass(frozen=True, kw_only=True)
class ReadColumn:
    """One typed column.

    The values of a number are float64; of an integer int64, or float64 where some are missing; of a boolean
    bool, or pandas' nullable boolean; of a category text or ``None`` in an object column; of a time
    datetime64[us, UTC].

    :param form: how its values are written; read by it again, they are the same.
    :param unread: values that do not fit the kind; they are missing in ``values``.
    :param shapes: how these look, the most frequent first; a digit is 9, a letter a.
    :param bare: of numbers with a sign of currency: values without it.
    :param doubt: which other reading is possible, and the key that settles it.
    :param findings: what was noticed; whole sentences with the column's name and counts, never a value.
    """

    name: str
    kind: ColumnKind
    values: pd.Series[Any]
    true_word: str | None = None
    false_word: str | None = None
    form: ValueForm = ValueForm()
    unread: int = 0
    shapes: tuple[str, ...] = ()
    bare: int = 0
    doubt: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a column is to be read.

    :param as_text: its text is kept as it is; for identities.
    :param role: what it is for, where that is known.
    :param held: what it means, where that is decided.
    :param form: what the source says of all its columns.
    """

    name: str
    as_text: bool = False
    role: ColumnRole | None = None
    held: ContractColumn | None = None
    form: ValueForm | None = None

    @property
    def is_target(self) -> bool:
        """Whether it is the target, whose values are never left unread."""
        return (self.role or (self.held.role if self.held else None)) is ColumnRole.TARGET

    @property
    def nulls(self) -> tuple[str, ...]:
        """Words that stand for a missing value besides the usual ones."""
        forms = (self.held.form if self.held else None, self.form)
        return tuple(dict.fromkeys(word for form in forms if form for word in form.nulls))


def missing_words(name: str, *, blank: int, words: int, rows: int) -> tuple[str, ...]:
    """Say how many values were read as missing."""
    parts = [f"{blank:,} of {rows:,} values are blank"] if blank else []
    if words:
        parts.append(f"{words:,}{'' if blank else f' of {rows:,} values'} are words such as NA")
    if not parts:
        return ()
    return (f"{name}: {' and '.join(parts)} and were read as missing; no row was dropped",)
