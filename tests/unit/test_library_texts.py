"""What libraries say of a failure passes without the values that they were given."""

from __future__ import annotations

import time

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sklearn.linear_model import LogisticRegression

from windsock.library_texts import library_text

SECRET = "hunter2-Zq"


def raised(call) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def a_wrong_parameter() -> None:
    LogisticRegression(solver=SECRET).fit(np.zeros((4, 1)), np.array([0, 1, 0, 1]))


def a_refused_statement() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        connection.execute(sa.text("SELECT :a FROM nowhere"), {"a": SECRET})


def a_row_in_the_way() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        connection.execute(sa.text("CREATE TABLE t (a TEXT UNIQUE)"))
        for _ in range(2):
            connection.execute(sa.text("INSERT INTO t VALUES (:a)"), {"a": SECRET})


def a_wrong_record() -> None:
    class Settings(BaseModel):
        port: int

    Settings.model_validate({"port": SECRET})


@pytest.mark.parametrize(
    ("call", "kept"),
    [
        (a_wrong_parameter, "The 'solver' parameter of LogisticRegression must be"),
        (a_refused_statement, "no such table: nowhere"),
        (a_row_in_the_way, "UNIQUE constraint failed: t.a"),
        (a_wrong_record, "1 validation error for Settings"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_real_libraries_say(call, kept):
    error = raised(call)
    assert SECRET in str(error)
    assert kept in library_text(error)
    assert SECRET not in library_text(error)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot reach https://bo:hunter2-Zq@db/x", "cannot reach https://***@db/x"),
        ("cannot reach postgresql://bo:hun@ter2-Zq@db:5432/x", "cannot reach postgresql://***@db:5432/x"),
        ("GET /a?token=hunter2-Zq&b=c failed", "GET /a?token=*** failed"),
        ("Authorization: Bearer hunter2-Zq refused", "Authorization: *** refused"),
        ("password='hunter2 -Zq' is wrong", "password=*** is wrong"),
        (
            "Changing param values is not allowed. Param with key='C' was logged with value='hunter2-Zq'",
            "Changing param values is not allowed. Param with key='C' was logged with value=***",
        ),
        ("Param value 'hunter2-Zq' had length 6001", "Param value *** had length 6001"),
        ('DETAIL: Key (email)=(hunter2-Zq) already exists.', "DETAIL: Key (email)=*** already exists."),
        ('invalid input syntax for integer: "hunter2-Zq"', "invalid input syntax for integer: ***"),
        ("could not convert string to float: 'hunter2-Zq'", "could not convert string to float: ***"),
        ("[type=int, input_value='hunter2-Zq', a=b]", "[type=int, input_value=***, a=b]"),
        ("invalid params {'C': 'hunter2-Zq', 'l1': {'x': 2}}", "invalid params ***"),
        ("x must be a float. Got hunter2-Zq instead.", "x must be a float. Got *** instead."),
        ("GET /a?b=hunter2-Zq&c=d failed", "GET /a?b=***&c=*** failed"),
        ('column "age" does not exist', 'column "age" does not exist'),
        ('Referenced column "revenu" not found', 'Referenced column "revenu" not found'),
        ('relation "orders" does not exist', 'relation "orders" does not exist'),
        ('near "FORM": syntax error', 'near "FORM": syntax error'),
        ("no such table: orders", "no such table: orders"),
        ("the first line\nLINE 2: hunter2-Zq", "the first line"),
        ("", ""),
        ("a\x1b[31mb", "a?[31mb"),
    ],
)  # fmt: skip
def test_values_go_and_words_stay(text, left):
    assert library_text(text) == left
    assert SECRET not in library_text(text)


@given(st.text(max_size=500), st.integers(10, 300))
def test_any_text_is_short_and_on_one_line(text, shown):
    made = library_text(text, shown=shown)
    assert len(made) <= shown
    assert made.isprintable()


@pytest.mark.parametrize(
    "piece", ["'", '"', "{", "{:", "value=", "got ", "://", "'\\", "=(", "token: ", "key "]
)
def test_a_long_text_costs_little(piece):
    begun = time.process_time()
    library_text(piece * 100_000)
    assert time.process_time() - begun < 1.0


def test_a_wrong_parameter_names_itself_alone():
    assert isinstance(raised(a_wrong_record), ValidationError)
    assert library_text(raised(a_wrong_parameter), shown=400).endswith("Got *** instead.")
