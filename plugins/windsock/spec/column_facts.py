"""What can be seen of a table's columns before anybody has explained them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

FactKind = Literal["empty", "number", "integer", "boolean", "datetime", "text"]

BOOLEAN_WORDS = (
    frozenset({"yes", "no"}),
    frozenset({"true", "false"}),
    frozenset({"y", "n"}),
    frozenset({"t", "f"}),
)
MANY = 20
"""More different values than this are no small set of groups or classes."""

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
IDENTITY = frozenset({"id", "uuid", "guid", "key"})
TARGETS = frozenset({"target", "label", "class", "outcome", "y"})
OUTCOMES = frozenset(
    {
        "churn",
        "churned",
        "default",
        "defaulted",
        "fraud",
        "survived",
        "converted",
        "cancelled",
        "canceled",
        "repaid",
    }
)
MOMENTS = frozenset({"event", "timestamp", "updated", "observed", "recorded", "date", "time", "ts", "at"})
EARLIER = frozenset(
    {"birth", "born", "signed", "signup", "joined", "opened", "start", "started", "created", "first"}
)
SENSITIVE = frozenset({"gender", "sex", "race", "ethnicity", "ethnic", "religion", "nationality"})
PERSONAL = frozenset(
    {"age", "marital", "senior", "disability", "disabled", "pregnant", "native", "foreign", "citizen"}
)
PREDICTED = frozenset({"pred", "predicted", "prediction", "proba", "probability", "score"})


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """One column as it looks.

    :param rows: rows looked at.
    :param blanks: rows without a value; blank text is none.
    :param distinct: different values.
    """

    name: str
    kind: FactKind
    rows: int
    blanks: int
    distinct: int

    @property
    def unique(self) -> bool:
        """Whether each row has a value of its own."""
        return self.rows > 1 and self.blanks == 0 and self.distinct == self.rows

    @property
    def words(self) -> frozenset[str]:
        """The words in the name: ``customerID`` has ``customer`` and ``id``."""
        return frozenset(word.lower() for word in WORD.findall(self.name))

    @property
    def is_sensitive(self) -> bool:
        """Whether the name says that the values are groups of people who must be treated alike."""
        return bool(self.words & SENSITIVE) and 2 <= self.distinct <= MANY


def look_at(frame: pd.DataFrame) -> tuple[ColumnFacts, ...]:
    """Return what is seen of each column; numbers and times that were read as text are recognised."""
    return tuple(_look(str(name), frame.iloc[:, number]) for number, name in enumerate(frame.columns))


def _look(name: str, column: pd.Series) -> ColumnFacts:
    import pandas as pd

    values = column.dropna()
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        kind = _typed_kind(values)
    else:
        values = values.astype(str).str.strip()
        values = values[values != ""]
        kind = _text_kind(values)
    blanks = len(column) - len(values)
    if values.empty:
        kind = "empty"
    return ColumnFacts(name=name, kind=kind, rows=len(column), blanks=blanks, distinct=int(values.nunique()))


def _typed_kind(values: pd.Series) -> FactKind:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "datetime"
    return "integer" if (values % 1 == 0).all() else "number"


def _text_kind(values: pd.Series) -> FactKind:
    import pandas as pd

    if frozenset(values.str.lower().unique()[:3]) in BOOLEAN_WORDS:
        return "boolean"
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return _typed_kind(numbers)
    if pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True).notna().all():
        return "datetime"
    return "text"


def guess_entity(columns: Sequence[ColumnFacts]) -> ColumnFacts | None:
    """Return the column that says whose row it is: one called an id, else the first unique text."""
    fitting = [column for column in columns if column.kind in ("integer", "text") and column.blanks == 0]
    named = [column for column in fitting if column.words & IDENTITY and column.distinct > MANY]
    unique = [column for column in fitting if column.unique and column.distinct > MANY]
    both = [column for column in named if column.unique]
    return next(iter((*both, *named, *(column for column in unique if column.kind == "text"))), None)


def guess_event_time(columns: Sequence[ColumnFacts]) -> ColumnFacts | None:
    """Return the column that says when a row was seen; a date of birth or of signing up does not."""
    fitting = (column for column in columns if column.kind == "datetime" and column.blanks == 0)
    return next((column for column in fitting if column.words & MOMENTS and not column.words & EARLIER), None)


def can_be_target(column: ColumnFacts) -> bool:
    """Return whether a column can be predicted at all: it has several values that come again, or numbers."""
    if column.kind in ("empty", "datetime") or column.distinct < 2:
        return False
    return column.kind in ("number", "integer") or not column.unique


def guess_target(columns: Sequence[ColumnFacts]) -> ColumnFacts | None:
    """Return the column that is most likely to be predicted: by its name, else the last with two values."""
    fitting = [column for column in columns if can_be_target(column) and not column.is_sensitive]
    fitting = [column for column in fitting if not column.words & (IDENTITY | PREDICTED)]
    words = TARGETS | OUTCOMES
    by_name = [column for column in fitting if column.words <= words]
    by_name += [column for column in fitting if column.words & words]
    two_valued = [column for column in reversed(fitting) if column.distinct == 2]
    return next(iter((*by_name, *two_valued, *reversed(fitting))), None)
