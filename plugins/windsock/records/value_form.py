"""How the values of a column of text are written."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from windsock.records.base import Record

LATER = ("currency", "whole")
"""Fields that came after contracts and bundles had been written without them."""


class ValueForm(Record):
    """How text stands for numbers, times and missing values; the defaults are what programs write.

    :param decimal: the sign before the decimals.
    :param thousands: the sign between groups of three digits; empty: none is allowed. A blank stands for all
        kinds of blanks.
    :param unit: what stands beside each number: nothing, a per cent sign or a sign of currency. The number
        is kept as it is written: ``95%`` is 95.
    :param currency: with a unit of currency: which one it is, such as ``EUR``; empty: not known.
    :param whole: of an identity that is text: whether all are whole numbers, so that ``7.0`` and ``007`` are
        7; ``None``: not decided.
    :param dates: the one form of all times: empty for ISO 8601, ``day_first``, ``month_first``, ``epoch_s``,
        ``epoch_ms``, ``epoch_us``, ``epoch_ns``, or a pattern of ``strptime``.
    :param nulls: words that stand for a missing value besides the usual ones.
    """

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    unit: Literal["", "percent", "currency"] = ""
    currency: str = ""
    whole: bool | None = None
    dates: str = ""
    nulls: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what is not decided as if the field were not there: digests from before it stay the same."""
        written: dict[str, Any] = write(self)
        return {key: value for key, value in written.items() if key not in LATER or value not in ("", None)}


class SourceForm(ValueForm):
    """What a source says of all its columns; only what is set is known.

    :param either: nothing in it says which sign begins the decimals, so that 1.137 may be 1137 as well.
    :param by_values: most columns' values say what the decimal sign is, and nobody else.
    """

    either: bool = False
    by_values: bool = False
