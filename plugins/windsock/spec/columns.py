"""What a person says of a column: under ``data.columns`` of a model, or in its contract file."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from windsock.spec.base import Frozen
from windsock.spec.currencies import CODES, currency_of
from windsock.spec.faults import NotAllowedError

Kind = Literal["number", "integer", "boolean", "category", "datetime"]
Role = Literal["feature", "sensitive", "ignored"]
ContractRole = Literal["feature", "sensitive", "ignored", "target", "entity", "event_time"]


def _as_word(value: Any) -> Any:
    """Return a word as the source writes it: YAML takes ``1`` for a number and ``true`` for a truth."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Word = Annotated[str, BeforeValidator(_as_word), Field(min_length=1, max_length=1_000)]


DATE_FORMS = ("day_first", "month_first", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns")


CLOCK_FORMS = ("%H:%M", "%H:%M:%S", "%H.%M.%S", "%I:%M %p", "%I:%M:%S %p")
"""Forms of a time of day, which is a number: minutes since midnight."""


KNOWN_TIME = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)


def _is_pattern(text: str) -> bool:
    """Return whether a pattern writes a time so that it can be read by it again."""
    try:
        written = KNOWN_TIME.strftime(text)
        read = datetime.strptime(written, text)  # noqa: DTZ007
    except (ValueError, re.error):
        return False
    weeks = "%U" in text or "%W" in text  # without a weekday they are no day
    return written != text.replace("%%", "%") and not (weeks and read.date() != KNOWN_TIME.date())


def _date_form(value: Any) -> Any:
    if isinstance(value, str) and value and value not in DATE_FORMS and not _is_pattern(value):
        raise NotAllowedError(
            "no form of dates", allowed=f"{', '.join(DATE_FORMS)}, or a pattern such as %d.%m.%y"
        )
    return value


DateForm = Annotated[str, BeforeValidator(_date_form), Field(max_length=100)]


def _currency(value: Any) -> Any:
    if isinstance(value, str) and not currency_of(value):
        raise NotAllowedError("no known currency", allowed=f"{', '.join(CODES)}, or a sign such as €")
    return currency_of(value) if isinstance(value, str) else value


Currency = Annotated[str, BeforeValidator(_currency), Field(max_length=10)]


class ColumnBlock(Frozen):
    """What one column means; what is not written here is held as it was, or read from the data."""

    kind: Kind | None = Field(
        default=None, description="what its values are; default: as the contract has it, else by the data"
    )
    role: Role | None = Field(
        default=None, description="what it is for; the target, entity and event time have keys of their own"
    )
    classes: tuple[Word, ...] = Field(
        default=(), max_length=1_000, description="of the target: its classes; default: those seen so far"
    )
    unique: bool | None = Field(
        default=None, description="of the entity: whether each row must have a value of its own"
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="the sign before the decimals")
    thousands: Literal["", ",", ".", " ", "'"] | None = Field(
        default=None, description="the sign between groups of three digits"
    )
    unit: Literal["", "percent", "currency"] | None = Field(
        default=None, description="what stands beside each number"
    )
    currency: Currency | None = Field(
        default=None, description="which currency its numbers are in, by code or sign; its unit is currency"
    )
    whole: bool | None = Field(
        default=None,
        description="of an entity that is text: whether all are whole numbers, so that 7.0 and 007 are 7",
    )
    dates: DateForm | None = Field(
        default=None,
        description="the one form of its times: `day_first`, `month_first`, `epoch_s`, `epoch_ms`, "
        "`epoch_us`, `epoch_ns`, or a pattern of strptime; empty: ISO 8601",
    )
    nulls: tuple[Word, ...] = Field(
        default=(), max_length=100, description="words that mean a missing value, besides the usual ones"
    )
    true: Word | None = Field(
        default=None, description="of a boolean: the word that means true; the key is quoted in YAML"
    )
    false: Word | None = Field(
        default=None, description="of a boolean: the word that means false; the key is quoted in YAML"
    )

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        if (self.true is None) != (self.false is None):
            given, missing = ("true", "false") if self.false is None else ("false", "true")
            raise NotAllowedError(
                "only one of the two words of a boolean", cure=f'add "{missing}"', at=(given,)
            )
        if self.true is not None and self.true.lower() == str(self.false).lower():
            raise NotAllowedError("the words of true and false are the same", cure="write two", at=("false",))
        fitting = {
            ("true", "false"): ("boolean",),
            ("decimal", "thousands", "unit", "currency"): ("number", "integer"),
            ("dates",): ("number", "datetime") if self.dates in CLOCK_FORMS else ("datetime",),
        }
        for keys, kinds in fitting.items():
            key = next((key for key in keys if getattr(self, key)), None)
            if key and self.kind is not None and self.kind not in kinds:
                raise NotAllowedError(
                    f"{key} says nothing of a column of kind {self.kind}",
                    allowed=f"kind {' or '.join(kinds)}",
                    at=(key,),
                )
        if self.decimal is not None and self.decimal == self.thousands:
            raise NotAllowedError(
                "the same sign as before the decimals", cure="write two signs", at=("thousands",)
            )
        if self.currency is not None and self.unit in ("", "percent"):
            raise NotAllowedError("the unit is no currency", cure="write one of both", at=("unit",))
        if self.kind == "datetime" and self.classes:
            raise NotAllowedError("times are no classes", cure="remove it", at=("classes",))
        if len(set(self.classes)) < len(self.classes):
            raise NotAllowedError("a class stands here twice", cure="keep one", at=("classes",))
        return self


class ContractBlock(ColumnBlock):
    """One column of a contract file; here the kind must stand, and every role may."""

    kind: Kind = Field(description="what its values are")
    role: ContractRole = Field(default="feature", description="what it is for")  # type: ignore[assignment]


class ContractFile(Frozen):
    """``include/contracts/NAME.yaml``: what people decided about a model's columns."""

    model: str = Field(description="the model's name")
    version: int = Field(default=1, ge=1, description="version of the contract that it was printed from")
    positive: Word | None = Field(default=None, description="the class that scores are for")
    columns: dict[str, ContractBlock] = Field(min_length=1, description="the columns by their names")

    @model_validator(mode="after")
    def _roles_once(self) -> Self:
        for role in ("target", "entity", "event_time"):
            named = [name for name, column in self.columns.items() if column.role == role]
            if len(named) > 1:
                raise NotAllowedError(
                    f"{len(named)} columns have the role {role}",
                    cure="keep it for one of them",
                    at=("columns", named[1], "role"),
                )
        return self
