"""How a challenger must stand to the champion: better, or not worse by more than a margin."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from windsock.spec.base import Frozen


class NotWorse(Frozen):
    """The challenger may be worse than the champion by at most this much of the metric."""

    not_worse: float = Field(
        ge=0, description="largest loss of the metric against the champion, such as 0.01"
    )


def _champion_form(value: object) -> str:
    return "margin" if isinstance(value, dict | NotWorse) else "word"


AgainstChampion = Annotated[
    Annotated[Literal["better"], Tag("word")] | Annotated[NotWorse, Tag("margin")],
    Discriminator(_champion_form),
]
