"""How a challenger must stand to the champion: better, or not worse by more than a margin."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from windsock.spec.base import Frozen
from windsock.spec.faults import NotAllowedError, shown
from windsock.spec.words import Switch

PERCENT_TEXT = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\s*")
LOSS = "at least 0 in the metric's unit, or a part of the champion's own value above 0% and below 100%"
MOST_RELATIVE = 0.5
"""Part of the champion's own value that a margin may be unless it is confirmed."""


class NotWorse(Frozen):
    """The challenger may be worse than the champion by at most this much of the metric."""

    not_worse: float = Field(
        ge=0, description="largest loss of the metric against the champion, such as 0.01"
    )


def _loss(value: object) -> object:
    """Return a number of the metric's unit, or a part as ``20%``."""
    if isinstance(value, str) and (found := PERCENT_TEXT.fullmatch(value)):
        number = float(found[1])
        if 0 < number < 100:
            return f"{number:g}%"
    elif isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if 0 <= number < math.inf:
            return number
    raise NotAllowedError(f"out of range: {shown(value)}", allowed=LOSS)


class MostLoss(Frozen):
    """The challenger may lose at most this much: of the metric, or of the champion's own value."""

    not_worse: Annotated[
        Annotated[float, Field(ge=0)] | Annotated[str, Field(pattern=r"^[0-9.]+(e-[0-9]+)?%$")],
        BeforeValidator(_loss),
    ] = Field(
        description="largest loss that is no harm: in the metric's unit, such as 0.01, or a part of the "
        "champion's own value, such as 20%"
    )
    confirmed: Switch = Field(
        default=False, description="a margin above half of what the champion has is meant"
    )

    @property
    def absolute(self) -> float | None:
        """The margin in the metric's unit; ``None`` where it is a part."""
        return self.not_worse if isinstance(self.not_worse, float) else None

    @property
    def relative(self) -> float | None:
        """The margin as a part of the champion's own value; ``None`` where it is in the metric's unit."""
        return float(self.not_worse.removesuffix("%")) / 100 if isinstance(self.not_worse, str) else None

    @model_validator(mode="after")
    def _half_is_confirmed(self) -> Self:
        if (self.relative or 0.0) > MOST_RELATIVE and not self.confirmed:
            raise NotAllowedError(
                f"{self.not_worse} is more than half of what the champion has",
                allowed="up to 50%",
                cure="add `confirmed: true` beside it if it is meant",
                at=("not_worse",),
            )
        return self


def _champion_form(value: object) -> str:
    return "margin" if isinstance(value, dict | NotWorse | MostLoss) else "word"


AgainstChampion = Annotated[
    Annotated[Literal["better"], Tag("word")] | Annotated[NotWorse, Tag("margin")],
    Discriminator(_champion_form),
]

PromoteRule = Annotated[
    Annotated[Literal["better"], Tag("word")] | Annotated[MostLoss, Tag("margin")],
    Discriminator(_champion_form),
]
