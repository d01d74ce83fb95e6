from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from windsock.spec import Duration, parse_duration
from windsock.spec.durations import LONGEST, UNITS

READER = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(weeks=2)),
        ("1d 6h", timedelta(days=1, hours=6)),
        ("1d6h", timedelta(days=1, hours=6)),
        (" 1 D ", timedelta(days=1)),
        ("36500d", LONGEST),
    ],
)
def test_spans(text, span):
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0d",
        "d",
        "30",
        "30 days",
        "-1d",
        "1.5h",
        "1d6",
        "1d, 6h",
        "36501d",
        "999999w " * 9,
        "٣d",
        "1d\0",
        "1e5d",
    ],
)
def test_what_is_no_span(text):
    with pytest.raises(ValueError, match="no time span; allowed: a time span such as 30d"):
        parse_duration(text)


@pytest.mark.parametrize("value", [3, 3.5, None, True, [], "x"])
def test_values_that_are_no_span(value):
    with pytest.raises(ValidationError, match="no time span"):
        READER.validate_python(value)


@given(st.text(max_size=30) | st.text(alphabet="0129wdhms -.", max_size=40))
def test_any_text_is_a_bounded_span_or_a_value_error(text):
    try:
        span = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) < span <= LONGEST
    assert datetime(2026, 1, 1, tzinfo=UTC) - span  # a window of this length has a beginning


PARTS = st.lists(st.tuples(st.integers(0, 999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4)


@given(PARTS, st.sampled_from(["", " ", "  "]))
def test_the_parts_add_up(parts, between):
    seconds = sum(number * UNITS[unit] for number, unit in parts)
    text = between.join(f"{number}{unit}" for number, unit in parts)
    if 0 < seconds <= LONGEST.total_seconds():
        assert parse_duration(text).total_seconds() == seconds
        assert READER.validate_python(text.upper()) == text
    else:
        with pytest.raises(ValueError, match="no time span"):
            parse_duration(text)
