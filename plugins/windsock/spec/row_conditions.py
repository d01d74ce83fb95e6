"""``data.where``: which rows are taken, as plain data; nothing in it is ever run as code or SQL."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from windsock.spec.base import Frozen
from windsock.spec.faults import NotAllowedError

Value = str | int | float | bool


class RangeBlock(Frozen):
    """From the least up to the largest value, both of them inside."""

    min: int | float | str | None = Field(default=None, description="least number, or a time as text")
    max: int | float | str | None = Field(default=None, description="largest number, or a time as text")

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.min is None and self.max is None:
            raise NotAllowedError("a range without an end", cure="add min, max or both")
        texts = [isinstance(end, str) for end in (self.min, self.max) if end is not None]
        if len(set(texts)) > 1:
            raise NotAllowedError("min and max are of two kinds", cure="write two numbers, or two times")
        least, largest = self.min, self.max
        numbers = isinstance(least, int | float) and isinstance(largest, int | float)
        if numbers and least > largest:  # type: ignore[operator]
            raise NotAllowedError(f"min {least} is more than max {largest}", cure="swap them", at=("min",))
        return self


def _form(value: object) -> str:
    if isinstance(value, dict | RangeBlock):
        return "range"
    return "list" if isinstance(value, list | tuple) else "value"


Condition = Annotated[
    Annotated[Value, Tag("value")]
    | Annotated[tuple[Value, ...], Field(min_length=1, max_length=1_000), Tag("list")]
    | Annotated[RangeBlock, Tag("range")],
    Discriminator(_form),
]
