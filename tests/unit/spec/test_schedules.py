from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cron_descriptor import ExpressionDescriptor, FormatException, MissingFieldException
from croniter import croniter
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
    [
        "* * * * *",
        "0 2 * * *",
        "*/5 * * * *",
        "0 0 1,15 * *",
        "0 9-17/2 * * mon-fri",
        "0 0 * jan,JUL *",
        "5/15 * * * *",
    ]
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
        ("0 0 30 2 */1", "such a day"),
        ("0 0 31 2 0-6", "such a day"),
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


def field(low, high, names=()):
    """Fields of a cron expression that are right (mostly), and some that are wrong."""
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    base = st.just("*") | number.map(str) | spans | st.sampled_from(["*", *names])
    stepped = st.tuples(base, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    wrong = st.sampled_from([f"{low - 1}", f"{high + 1}", "*/0", "5-1", "x", "", f"1-{high + 1}"])
    return st.lists(st.one_of(base, base, base, base, stepped, stepped), min_size=1, max_size=3).map(
        ",".join
    ), wrong


FIELDS = [field(0, 59), field(0, 23), field(1, 31), field(1, 12, MONTHS), field(0, 7, WEEKDAYS)]
RIGHT = st.tuples(*(right for right, _ in FIELDS)).map(" ".join)
ANY = st.tuples(*(right | wrong for right, wrong in FIELDS)).map(" ".join)


@given(RIGHT.filter(is_schedule))
@settings(max_examples=400, deadline=None)
def test_what_is_taken_is_one_that_airflow_s_cron_takes_and_that_comes(text):
    assert croniter(text, START).get_next(datetime) > START
    assert len(croniter(text).expanded) == 5
    # Airflow describes a schedule in words where it can; only these two errors are expected by it.
    with suppress(FormatException, MissingFieldException):
        assert ExpressionDescriptor(text).get_description()


@given(ANY)
@settings(max_examples=300, deadline=None)
def test_what_croniter_does_not_take_is_refused(text):
    if not croniter.is_valid(text):
        assert not is_schedule(text)
