"""Plain lines for people: no colours, nothing that a log file could not hold."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.texts import one_line, several_lines


def say(line: str) -> None:
    """Print a line at once, without what a terminal would obey.

    A terminal that is gone is no reason to leave processes behind: :mod:`windsock.cli.output` remembers what
    was lost, and the command ends with an error.

    :param line: text; of several lines only the first stands at the margin.
    """
    print(several_lines(line), flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Return the lines of a table, its columns as wide as their longest cell."""
    everything = [
        head,
        ["-" * len(cell) for cell in head],
        *([one_line(cell) for cell in row] for row in rows),
    ]
    widths = [max(len(row[number]) for row in everything) for number in range(len(head))]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in everything
    ]
