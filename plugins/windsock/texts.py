"""Texts of people and of data, where they are shown: on one line, as they were written, and nothing else.

What a model's file, a form, the data or the database holds is data. Before it is put into Markdown, a log, a
terminal or a mail's head it goes through one of these, so that it makes no structure there: no row of a
table, no second line that looks like one of Windsock's, no colour, no folded lines.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

MOST_CHARACTERS = 1_000
# An underscore within a word, as in roc_auc, means nothing in Markdown and stays readable.
SPECIAL = re.compile(r"([\\`*\[\]<>|~&#!]|_(?![^\W_])|(?<![^\W_])_)")
BLOCK = re.compile(r"^(\d*)([-+=.)])")
"""What begins a list, a rule or a heading where a line begins with it."""
# They turn the order of what is read around; a reader would see another sentence than the one that is kept.
DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
GROUP = re.compile(r"::(?=(?:end)?group::)")
"""Airflow's log page folds what stands between these marks, wherever in a line they are."""
CUT_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?)?$")
"""The beginning of a number, where a text is cut."""
PACKAGE = "windsock"


def one_line(text: object) -> str:
    """Return a text on one line, without what a terminal or a page would obey.

    Line breaks of any script become a space; control characters, such as those that begin a terminal's
    commands, and marks of direction are left out.

    :param text: what a person wrote, or a value of the data.
    """
    return _visible(re.sub(r"\s+", " ", str(text)).strip())


def several_lines(text: object) -> str:
    """Return a text of several lines of which only the first stands at the margin.

    So no line of it looks like the beginning of something else; each is as :func:`one_line` leaves it.

    :param text: a message that may hold what a person wrote.
    """
    first, *more = [_visible(line.replace("\t", " ")) for line in str(text).splitlines()] or [""]
    return "\n".join([first, *(line if line.startswith(" ") else f"  {line}" for line in more)])


def log_text(text: object) -> str:
    """Return a text on one line of a task's log: Airflow's marks of a folded group are broken, too.

    A blank at its beginning or end stays: it may separate it from the rest of the sentence.
    """
    return GROUP.sub(": :", _visible(re.sub(r"\s+", " ", str(text))))


def inline(text: object, most: int = MOST_CHARACTERS) -> str:
    """Return a text for Markdown, on one line, whose every character is shown as itself.

    Pages that make links of addresses by themselves, as Airflow's do, go on doing so: such a link shows where
    it leads.

    :param text: what a person wrote, or a value of the data.
    :param most: characters that are shown; how many there are is said where there are more.
    """
    shown = one_line(text)
    more = f" ({len(shown):,} characters)" if len(shown) > most else ""
    return SPECIAL.sub(r"\\\1", shortened(shown, most)) + more


def paragraph(text: object, most: int = MOST_CHARACTERS) -> str:
    """Return a text for Markdown that is a paragraph of its own: as :func:`inline`, and it begins no block.

    :param text: what a person wrote, or a value of the data.
    :param most: as of :func:`inline`.
    """
    return BLOCK.sub(r"\1\\\2", inline(text, most))


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


def joined(words: Iterable[str]) -> str:
    """Return words as a sentence has them.

    >>> joined(["4"]), joined(["4", "5"]), joined(["4", "5", "6"])
    ('4', '4 and 5', '4, 5 and 6')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def numbered(versions: Sequence[str]) -> str:
    """Return ``version 4``, or of several ``versions 4, 5 and 6``."""
    return f"version{'s' if len(versions) > 1 else ''} {joined(versions)}"


def first_of(items: Sequence[str], most: int, *, separator: str = ", ", what: str = "") -> str:
    """Return the first of a list, and how many more there are.

    >>> (
    ...     first_of(["a", "b", "c"], 2),
    ...     first_of(["a"], 2),
    ...     first_of(["a", "b"], 1, separator="; ", what="checks"),
    ... )
    ('a, b and 1 more', 'a', 'a; and 1 more checks')

    :param most: so many are named.
    :param separator: between two; one that ends a part of a sentence ends the last one, too.
    :param what: what those are that are not named.
    """
    shown, more = separator.join(items[:most]), len(items) - most
    if more <= 0:
        return shown
    joint = f"{separator.rstrip()} and" if separator.startswith(";") else " and"
    return f"{shown}{joint} {more:,} more{f' {what}' if what else ''}"


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most that ends with a whole word, and with ``…`` if it was cut.

    A number is never cut. Only a word that takes more than half of the room, such as the name of a column, is
    cut within. Where there is room, a text is not shortened.

    >>> shortened("roc_auc 0.812 is too low", 14), shortened("roc_auc 0.812", 13), shortened("a_long_name", 8)
    ('roc_auc 0.812…', 'roc_auc 0.812', 'a_long_…')

    :param most: characters, ``…`` among them.
    """
    if len(text) <= most:
        return text
    room = text[: max(0, most - 1)]
    if text[len(room)] != " ":
        words, _, _ = room.rpartition(" ")
        room = words if len(words) >= most / 2 else CUT_NUMBER.sub("", room)
    return f"{room.rstrip(' ,;:-([')}…"


def clean_log_records() -> None:
    """Let every record of a logger of this package take its texts by :func:`log_text`.

    The words of a message are ours, its arguments may be anybody's. Records of other loggers are left alone.
    """
    before = logging.getLogRecordFactory()
    if getattr(before, "cleans", None) == PACKAGE:
        return

    def make(*given: Any, **named: Any) -> logging.LogRecord:
        record = before(*given, **named)
        name = str(record.name or "")  # of a record that `makeLogRecord` begins with there is none yet
        if name.partition(".")[0] == PACKAGE and isinstance(record.args, tuple):
            record.args = tuple(_clean_argument(one) for one in record.args)
        return record

    make.cleans = PACKAGE  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make)


def _clean_argument(value: object) -> object:
    return log_text(value) if isinstance(value, str | BaseException | PurePath) else value


def _visible(text: str) -> str:
    return "".join(one for one in text if one not in DIRECTION and unicodedata.category(one) != "Cc")
