"""``LeakSuspect``: what may not be known when a prediction is asked for, with its evidence in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from windsock.spec.base import Frozen
from windsock.texts import first_of

LeakKind = Literal["copy", "alone", "absence", "one_class", "pair", "rows"]
SHOWN = 5


class LeakSuspect(Frozen):
    """A column that nearly gives the target away, or rows that are on both sides of the split.

    :param column: its name; ``None`` of rows.
    :param other: of a pair: the other column.
    :param kind: ``copy``: the target written otherwise; ``alone``: no other column comes near, but for a few
        such ones; ``absence``: having a value or none gives the target away; ``one_class``: it tells one of
        three or more classes from the rest, and its numbers are of that class; ``pair``: only together with
        ``other``; ``rows``: held-out rows equal
        training rows.
    :param measure: what the strength is: AUC, R2, or a share of the held-out rows.
    :param strength: what the column reaches alone, on rows that nothing was fitted on.
    :param next_best: what the strongest column that is no suspect reaches alone; ``None``: there is none.
    :param together: what the columns that are not strong reach together; ``None`` where nothing is compared.
    :param rows: rows that were measured.
    :param filled: of a column: how many of them have a value; of rows: how many agree in their label.
    """

    column: str | None = None
    other: str | None = Field(default=None, exclude_if=lambda other: other is None)
    kind: LeakKind
    measure: Literal["auc", "r2", "share"]
    strength: float = Field(ge=0, le=1)
    next_best: float | None = None
    together: float | None = None
    rows: int = Field(ge=0)
    filled: int = Field(ge=0)

    @property
    def short(self) -> str:
        """How strong it is, in a few words."""
        reached = f"{self.measure.upper()} {self.strength:.3f}"
        if self.kind == "copy":
            return f"{reached}: the target written otherwise"
        if self.kind == "absence":
            return f"{reached} by having a value or none"
        if self.kind == "pair":
            from windsock.spec.written import quoted

            return f"{reached} together with {quoted(str(self.other))}"
        return f"{reached} {'alone' if self.kind == 'alone' else 'for one class'}"

    @property
    def sentence(self) -> str:
        """What is suspected, with its numbers."""
        if self.column is None:
            return (
                f"{self.strength:.1%} of {self.rows:,} held-out rows equal a training row in all features, "
                f"{self.filled:,} of them with the same label"
            )
        beside = [f"{self.filled:,} of {self.rows:,} rows have a value"]
        if self.next_best is not None:
            beside.append(f"the next column reaches {self.next_best:.3f}")
        if self.together is not None:
            beside.append(f"the weaker columns together {self.together:.3f}")
        from windsock.spec.written import quoted  # not where models are served: no YAML is there

        return f"{quoted(self.column)}: {self.short} ({', '.join(beside)})"


def suspects_text(suspects: Sequence[LeakSuspect]) -> str:
    """Return the sentences of some suspects, and how many more there are."""
    return first_of([one.sentence for one in suspects], SHOWN, separator="; ")


def way_out(suspects: Sequence[LeakSuspect]) -> str:
    """Return what a person can write so that nothing is suspected any more."""
    ways = []
    if any(one.column is not None for one in suspects):
        ways.append(
            "exclude the column (`data.exclude`), or list it in `data.known_leaks_checked` if it is known at "
            "prediction time"
        )
    if any(one.kind == "pair" for one in suspects):
        ways.append("of a pair exclude one column, or list both")
    if any(one.column is None for one in suspects):
        ways.append(
            "remove the copied rows at the source, or write `data.entity` so that they stay together, or "
            "`data.copied_rows_checked: true` if each is an event of its own"
        )
    return "; ".join(ways)
