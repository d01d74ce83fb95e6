from __future__ import annotations

from datetime import UTC, datetime

import pytest
from croniter import croniter
from cron_descriptor import ExpressionDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from windsock.spec import cron_of, schedule_word
from windsock.spec.schedules import MONTHS, WEEKDAYS, WORDS, Schedule

READER = TypeAdapter(Schedule)
START = datetime(2026, 1, 1, tzinfo=UTC)


def is_schedule(text):
    try:
        READER.validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("word", WORDS)
def test_words(word):
    assert READER.validate_python(f" {word} ") == word
    assert croniter.is_valid(cron_of(word))
    assert schedule_word(cron_of(word)) == word
    assert schedule_word(word) == word


@pytest.mark.parametrize(
    "text",
    ["* * * * *", "0 2 * * *", "*/5 * * * *", "0 0 1,15 * *", "0 9-17/2 * * mon-fri", "0 0 * jan,JUL *", "5/15 * * * *"]
    + ["0 0 * * 7", "0 0 29 2 *", "0 0 31 2 1", "0 0 31 1,2 *", "0 0 * * sun,wed"],
)
def test_expressions(text):
    assert READER.validate_python(text) == text
    assert croniter(cron_of(text), START).get_next(datetime) > START


def test_spaces_do_not_matter():
    assert READER.validate_python("  0   2 * *\t* ") == "0 2 * * *"
    assert schedule_word("15 3 * * *") == "15 3 * * *"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no schedule"),
        ("dayly", "did you mean daily"),
        ("@daily", "did you mean daily"),
        ("0 2 * *", "no schedule"),
        ("0 2 * * * *", "no schedule"),
        ("60 * * * *", "field 1 (minute)"),
        ("* 24 * * *", "field 2 (hour)"),
        ("* * 0 * *", "field 3 (day of month)"),
        ("* * 32 * *", "field 3 (day of month)"),
        ("* * * 13 *", "field 4 (month)"),
        ("* * * mon *", "field 4 (month)"),
        ("* * * * 8", "field 5 (day of week)"),
        ("* * * * jan", "field 5 (day of week)"),
        ("* * * * monmon", "field 5 (day of week)"),
        ("5-3 * * * *", "field 1 (minute)"),
        ("*/0 * * * *", "field 1 (minute)"),
        ("*-5 * * * *", "field 1 (minute)"),
        ("1,,2 * * * *", "field 1 (minute)"),
        ("٣ * * * *", "field 1 (minute)"),
        ("0 0 30 2 *", "such a day"),
        ("0 0 31 4,6,9,11 *", "such a day"),
        ("0 0 L * *", "field 3 (day of month)"),
    ],
)
def test_what_is_no_schedule(text, says):
    with pytest.raises(ValidationError) as caught:
        READER.validate_python(text)
    assert says in str(caught.value)


@pytest.mark.parametrize("value", [5, None, True, ["daily"]])
def test_values_that_are_no_schedule(value):
    with pytest.raises(ValidationError, match="no schedule"):
        READER.validate_python(value)


@given(st.text(max_size=25) | st.text(alphabet="0123456789*/,- monjan", max_size=25))
def test_any_text_is_a_schedule_or_a_validation_error(text):
    assert is_schedule(text) in (True, False)


def fields(low, high, names=()):
    value = st.integers(low - 1, high + 1).map(str) | st.sampled_from([*names, "*"])
    part = st.tuples(value, st.none() | value, st.none() | st.integers(0, 70).map(str)).map(
        lambda found: found[0] + (f"-{found[1]}" if found[1] else "") + (f"/{found[2]}" if found[2] else "")
    )
    return st.lists(part, min_size=1, max_size=2).map(",".join)


CRON = st.tuples(fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12, MONTHS), fields(0, 7, WEEKDAYS)).map(" ".join)


@given(CRON)
@settings(max_examples=500, deadline=None)
def test_what_is_taken_is_one_that_airflow_s_cron_takes_and_that_comes(text):
    if is_schedule(text):
        assert croniter(text, START).get_next(datetime) > START
        assert len(croniter(text).expanded) == 5
        assert ExpressionDescriptor(text).get_description()
