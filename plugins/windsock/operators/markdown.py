"""Texts of people and of data in Markdown: they are shown as they were written and make no structure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

MOST_CHARACTERS = 1_000
# An underscore within a word, as in roc_auc, means nothing in Markdown and stays readable.
SPECIAL = re.compile(r"([\\`*\[\]<>|~&#!]|_(?![^\W_])|(?<![^\W_])_)")
# They turn the order of what is read around; a reviewer would see another sentence than the one that is kept.
DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def inline(text: object, most: int = MOST_CHARACTERS) -> str:
    """Return a text on one line, whose every character is shown as itself.

    Line breaks of any script become a space, marks of direction and control characters are left out.

    :param text: what a person wrote, or a value of the data.
    :param most: characters that are shown; how many there are is said where there are more.
    """
    shown = re.sub(r"\s+", " ", str(text)).strip()
    shown = "".join(one for one in shown if one not in DIRECTION and unicodedata.category(one) != "Cc")
    more = f" … ({len(shown):,} characters)" if len(shown) > most else ""
    return SPECIAL.sub(r"\\\1", shown[:most]) + more


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table.

    :param header: titles of the columns; ours, and not escaped.
    :param rows: their cells, each of which is escaped.
    """
    return [
        f"| {' | '.join(header)} |",
        "|---" * len(header) + "|",
        *(f"| {' | '.join(inline(cell) for cell in row)} |" for row in rows),
    ]
