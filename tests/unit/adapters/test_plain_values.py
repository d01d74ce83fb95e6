from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.adapters.plain_values import NotPlain, read_column, write_column


def there_and_back(values: list[Any]) -> list[Any]:
    return read_column(msgspec.msgpack.decode(msgspec.msgpack.encode(write_column(values))))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=20),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
)


@given(st.lists(VALUES, max_size=20))
def test_every_plain_value_comes_back_as_itself(values: list[Any]) -> None:
    back = there_and_back(values)
    assert back == values
    assert list(map(type, back)) == list(map(type, values))


def test_a_time_keeps_its_zone() -> None:
    zone = timezone(timedelta(hours=2))
    (back,) = there_and_back([datetime(2026, 5, 1, 12, tzinfo=zone)])
    assert back.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, (1,), object(), 1j, ["datetime", "2026-05-01"]])
def test_what_is_no_plain_value_stays_none(value: Any) -> None:
    (back,) = there_and_back([value])
    assert isinstance(back, NotPlain)
    assert back.name == type(value).__name__


def test_a_driver_s_own_kind_of_a_type_is_that_type() -> None:
    class Own(datetime):
        pass

    class Word(str):
        __slots__ = ()

    class Number(int):
        pass

    own = Own(2026, 5, 1, tzinfo=UTC)
    back = there_and_back([own, Word("a"), Number(7)])
    assert back == [own, "a", 7]
    assert list(map(type, back)) == [datetime, str, int]


def test_a_decimal_keeps_its_places() -> None:
    assert str(there_and_back([Decimal("1.50"), None, date(2026, 5, 1), time(1), UUID(int=1)])[0]) == "1.50"
