"""The loop's worlds for readers: a line each, written into a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from loop_measures import Total, middle

if TYPE_CHECKING:
    from loop_worlds import World

BEGIN, END = "<!-- worlds of the loop -->", "<!-- end of the worlds -->"
"""Between these lines of the document stands the table."""
COLUMNS = (
    "world",
    "right is",
    "histories",
    "healthy days",
    "false retrains",
    "days to notice",
    "days to recovery",
    "passes at a loss",
    "as good as new at the end",
)


def write_table(document: Path, totals: Sequence[Total], worlds: Mapping[str, World]) -> None:
    """Put a table of worlds in place of the one that a document has.

    :raises ValueError: if the document has no place for it.
    """
    text = document.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{document} has no place for the table: add the lines {BEGIN} and {END} to it")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    table = "\n".join(table_of(totals, worlds))
    document.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def table_of(totals: Sequence[Total], worlds: Mapping[str, World]) -> list[str]:
    """Return the lines of a table, in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(one, worlds[one.world]) for one in totals)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _row(total: Total, world: World) -> tuple[str, ...]:
    runs = total.runs
    early, late = total.pairs("lost"), total.pairs("lost_late")
    lost, passed = early[0] + late[0], early[1] + late[1]
    recovered = [one.recovered for one in runs if one.recovered is not None]
    return (
        total.world,
        world.right.told,
        str(len(runs)),
        f"{sum(one.healthy for one in runs):g}",
        str(sum(one.false for one in runs)),
        "-" if world.change is None else middle([one.noticed for one in runs]),
        f"{middle(recovered)} ({_reached(recovered)})" if recovered else "-",
        f"{passed} of {lost}" if lost else "-",
        f"{sum(one.as_good for one in runs)} of {len(runs)}",
    )


def _reached(days: Sequence[float]) -> str:
    return f"{sum(one < inf for one in days)} of {len(days)}"
