"""What every source must keep to: some rows, columns with names of their own, and not too many of either."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from windsock.exceptions import DataRefusedError

MAX_ROWS = 50_000_000
MAX_COLUMNS = 5_000
NAME = re.compile(r"[^\W\d][^@]*$")
"""A row of values nearly always has one that is no name: a number, a date, an address."""


def require_rows(rows: int, place: str) -> None:
    """Say no to a source without rows, or with more than fit.

    :param place: kind and place of the source, without credentials.
    :raises DataRefusedError: if so.
    """
    if rows == 0:
        raise DataRefusedError(
            f"{place} has columns but no rows",
            code="WS-DATA-011",
            next_action="See why the source is empty; the model that serves is untouched.",
        )
    if rows > MAX_ROWS:
        raise DataRefusedError(
            f"{place} has more than {MAX_ROWS:,} rows, the limit"
            + (f": {rows:,}" if rows > MAX_ROWS + 1 else ""),
            code="WS-DATA-015",
            next_action="Read fewer rows: a query, a sample, or a narrower time.",
        )


def require_columns(names: Sequence[str], place: str) -> None:
    """Say no to columns that cannot be told apart, and to too many.

    :raises DataRefusedError: if so.
    """
    if not names:
        raise DataRefusedError(f"{place} has no columns", code="WS-DATA-011")
    if len(names) > MAX_COLUMNS:
        raise DataRefusedError(
            f"{place} has {len(names):,} columns; the limit is {MAX_COLUMNS:,}",
            code="WS-DATA-015",
            next_action="Choose the columns that are needed at the source, by a view or a query.",
        )
    written = [unicodedata.normalize("NFC", name) for name in names]
    doubled = [name for name, count in Counter(written).items() if count > 1]
    if doubled:
        more = f" and {len(doubled) - 10} more" if len(doubled) > 10 else ""
        places = ", ".join(_places(name, written) for name in doubled[:10])
        raise DataRefusedError(
            f"{place} has more than one column of the same name: {places}{more}",
            code="WS-DATA-012",
            next_action="Give each column a name of its own at the source.",
        )


def _places(name: str, names: Sequence[str]) -> str:
    """Return where a name stands, and the name itself unless the names may be a row's values."""
    places = " and ".join(str(place) for place, other in enumerate(names, start=1) if other == name)
    are_names = all(not other.strip() or NAME.match(other.strip()) for other in names)
    return f"{name!r} (columns {places})" if are_names else f"columns {places}"
