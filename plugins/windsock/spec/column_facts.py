"""What can be seen of a table's columns before anybody has explained them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from windsock.spec.column_groups import (
    REPEATED,
    identity_agreement,
    is_code,
    is_prose,
    is_whole,
    repeats_like_identity,
)
from windsock.spec.column_words import (
    EARLIER,
    IDENTITY,
    MOMENTS,
    NO_LABEL,
    NUMBER,
    OUTCOMES,
    PERSONAL,
    PERSONS,
    PREDICTED,
    SENSITIVE,
    SENSITIVE_PAIRS,
    TARGETS,
    THINGS,
    WHETHER,
    Vocabulary,
    is_truth,
    words_of,
)

if TYPE_CHECKING:
    import pandas as pd

FactKind = Literal["empty", "number", "integer", "boolean", "datetime", "text"]

MANY = 20
"""More different values than this are no small set of groups or classes."""
NONE_MORE = Vocabulary()


@dataclass(frozen=True, kw_only=True)
class SeenColumn:
    """One column as the reader of snapshots reads it.

    :param values: its values; missing where there is none.
    :param words: of two words for true and false: both as the source writes them, false first.
    :param doubt: what is not sure of this reading; its values are as the source has them then.
    """

    kind: FactKind
    values: pd.Series
    words: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """What is seen of one column.

    :param rows: number of rows.
    :param blanks: rows without a value; blank text is none.
    :param distinct: different values.
    :param values: one value for each row, missing where there is none.
    :param classes: of at most two different values: these, as the source writes them.
    :param more_sensitive: words for groups of people that the installation adds.
    """

    name: str
    kind: FactKind
    rows: int
    blanks: int
    distinct: int
    values: pd.Series = field(compare=False, repr=False)
    classes: tuple[str, ...] = ()
    more_sensitive: Vocabulary = field(default=NONE_MORE, compare=False, repr=False)

    @property
    def is_useless(self) -> bool:
        """Whether there is nothing to learn from: no value at all, or one value in all rows."""
        return self.distinct == 0 or (self.distinct == 1 and self.blanks == 0)

    @property
    def rarest_share(self) -> float:
        """The share of the values that is the rarest one; 1 without values."""
        counts = self.values.dropna().value_counts()
        return float(counts.iloc[-1] / counts.sum()) if len(counts) else 1.0

    @property
    def unique(self) -> bool:
        """Whether each row has a value of its own."""
        return self.rows > 1 and self.blanks == 0 and self.distinct == self.rows

    @property
    def words(self) -> frozenset[str]:
        """The words in the name: ``customerID`` has ``customer`` and ``id``."""
        return frozenset(words_of(self.name))

    @property
    def is_sensitive(self) -> bool:
        """Whether the name says that the values are groups of people who must be treated alike."""
        named = SENSITIVE.names(self.name) or self.more_sensitive.names(self.name)
        paired = SENSITIVE_PAIRS.names(self.name) and self.distinct <= 3
        return (named or paired) and 2 <= self.distinct <= MANY

    @property
    def is_named_identity(self) -> bool:
        """Whether the name is one of identities, and the values are too many for groups."""
        named = IDENTITY.names(self.name) or (NUMBER.end(self.name) and len(self.words) > 1)
        return self.distinct > MANY and (named or (NUMBER.end(self.name) and not self.name.isascii()))


def look_at(
    frame: pd.DataFrame,
    seen: Mapping[str, SeenColumn] | None = None,
    *,
    sensitive_words: Sequence[str] = (),
) -> tuple[ColumnFacts, ...]:
    """Return what is seen of each column.

    :param frame: the rows; numbers and times that are text are recognised.
    :param seen: columns as the reader of snapshots reads them, by name: nothing is recognised anew.
    :param sensitive_words: further words for groups of people.
    """
    more, known = Vocabulary(*sensitive_words), seen or {}
    return tuple(
        _facts(str(name), known.get(str(name)) or _see(frame.iloc[:, number]), more)
        for number, name in enumerate(frame.columns)
    )


def _facts(name: str, seen: SeenColumn, more: Vocabulary) -> ColumnFacts:
    values = seen.values
    if seen.kind == "text":
        values = values.mask(values.astype(str).str.lower().isin(NO_LABEL))
    there = values.dropna()
    distinct = int(there.nunique())
    return ColumnFacts(
        name=name,
        kind="empty" if there.empty else seen.kind,
        rows=len(values),
        blanks=len(values) - len(there),
        distinct=distinct,
        values=values,
        classes=(seen.words or tuple(sorted(map(_written, there.unique())))) if distinct <= 2 else (),
        more_sensitive=more,
    )


def _written(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _see(column: pd.Series) -> SeenColumn:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return SeenColumn(kind=_typed_kind(column.dropna()), values=column)
    texts = column.dropna().astype(str).str.strip()
    texts = texts[texts != ""]
    kind, read = _read_text(texts)
    return SeenColumn(kind=kind, values=read.reindex(column.index))


def _typed_kind(values: pd.Series) -> FactKind:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "datetime"
    return "integer" if (values % 1 == 0).all() else "number"


def _read_text(values: pd.Series) -> tuple[FactKind, pd.Series]:
    import pandas as pd

    if is_truth(values.unique()[:3]) and not values.str.isdigit().any():
        return "boolean", values
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return _typed_kind(numbers), numbers
    moments = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
    return ("datetime", moments) if moments.notna().all() else ("text", values)


def guess_entity(columns: Sequence[ColumnFacts], target: ColumnFacts, *, numbers: bool) -> ColumnFacts | None:
    """Return the column that says whose row it is, by its values first and by its name then.

    In this order: many values that come again and whose rows agree in their label; a person's number that
    comes again; an identity that each row has for itself; a code that comes again; any unique text.

    :param numbers: whether the target is a number to predict.
    """
    fitting = [column for column in columns if _may_identify(column)]
    repeated = [column for column in fitting if repeats_like_identity(column.values.dropna())]
    shares = {column.name: _agreement(column, target, numbers=numbers) for column in fitting}
    agreeing = sorted(
        (column for column in fitting if shares[column.name]), key=lambda column: -shares[column.name]
    )
    named = [column for column in fitting if column.is_named_identity and column.blanks == 0]
    texts = [column for column in fitting if column.kind == "text"]
    return next(
        iter(
            (
                *agreeing,
                *(column for column in fitting if _is_of_person(column)),
                *(column for column in named if column.unique),
                *(column for column in named if not THINGS.names(column.name)),
                *(column for column in repeated if _is_code(column)),
                *(column for column in texts if column.unique and column.distinct > MANY),
            )
        ),
        None,
    )


def _may_identify(column: ColumnFacts) -> bool:
    if PERSONAL.names(column.name):  # equal ages are no identity
        return False
    there = column.values.dropna()
    if column.kind == "text":
        return not is_prose(there)
    return column.kind == "integer" or (column.kind == "number" and is_whole(there))


def _agreement(column: ColumnFacts, target: ColumnFacts, *, numbers: bool) -> float:
    return identity_agreement(column.values, target.values, text=column.kind == "text", numbers=numbers)


def _is_of_person(column: ColumnFacts) -> bool:
    """Return whether a column that comes again is a person's by its name: a number, or codes of persons."""
    if THINGS.names(column.name) or not PERSONS.names(column.name) or column.unique:
        return False
    there = column.values.dropna()
    many = repeats_like_identity(there)
    if column.kind == "text":
        return column.distinct > MANY and (many or column.is_named_identity or is_code(there))
    return column.is_named_identity and column.distinct <= REPEATED * len(there)


def _is_code(column: ColumnFacts) -> bool:
    return column.kind == "text" and not THINGS.names(column.name) and is_code(column.values.dropna())


def guess_event_time(columns: Sequence[ColumnFacts]) -> ColumnFacts | None:
    """Return the column that says when a row was seen; a date of birth or of signing up does not."""
    fitting = (column for column in columns if column.kind == "datetime" and column.blanks == 0)
    return next(
        (column for column in fitting if MOMENTS.names(column.name) and not EARLIER.names(column.name)), None
    )


def can_be_target(column: ColumnFacts) -> bool:
    """Return whether a column can be predicted at all: it has several values that come again, or numbers."""
    if column.kind in ("empty", "datetime") or column.distinct < 2:
        return False
    return column.kind in ("number", "integer") or not column.unique


def guess_target(columns: Sequence[ColumnFacts]) -> ColumnFacts | None:
    """Return the column that is most likely to be predicted: by its name, else the last with two values."""
    fitting = [column for column in columns if can_be_target(column) and not column.is_sensitive]
    fitting = [
        column
        for column in fitting
        if not (
            IDENTITY.names(column.name) or PREDICTED.names(column.name) or _is_other_scripts_number(column)
        )
    ]
    two_valued = [column for column in reversed(fitting) if column.distinct == 2]
    by_name = [column for column in fitting if column.words and all(map(_is_outcome, column.words))]
    by_name += [column for column in fitting if any(map(_is_outcome, column.words))]
    by_name += [column for column in two_valued if WHETHER.end(column.name)]
    return next(iter((*by_name, *two_valued, *reversed(fitting))), None)


def _is_outcome(word: str) -> bool:
    return TARGETS.is_word(word) or OUTCOMES.is_word(word)


def _is_other_scripts_number(column: ColumnFacts) -> bool:
    return not column.name.isascii() and NUMBER.end(column.name) and column.distinct > MANY
