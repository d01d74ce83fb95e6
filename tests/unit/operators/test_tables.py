from __future__ import annotations

import logging

import pytest

from support.builders import make_check
from windsock.operators.tables import log_checks, log_table
from windsock.records import Status


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="windsock.task")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_quiet_table_is_short_and_names_the_rest(lines):
    log_checks("checks of the data", [make_check(f"c{place}", value=1.0) for place in range(18)], shown=0)
    names = ", ".join(f"c{place}" for place in range(18))
    assert lines() == [f"checks of the data: 18 passed: {names}"]


def test_a_few_that_passed_have_a_line_each(lines):
    log_checks("gate", [make_check(f"c{place}", value=0.5, limit=0.4, relation=">=") for place in range(6)])
    assert lines() == [
        *(f"pass WS-DATA-100 c{place}: 0.5, limit: at least 0.4" for place in range(3)),
        "gate: 3 also passed: c3, c4, c5",
    ]


def test_what_did_not_pass_comes_first_and_whole(lines):
    long = "expect_column_values_to_be_between:" + "tenure_months_" * 5
    bad = make_check(long, Status.FAIL, value=0.187758, limit=0.05, relation="<=", n=12_345)
    log_checks("checks", [make_check("fine"), bad])
    assert lines() == [
        f"fail WS-DATA-100 {long}: 0.1878, limit: at most 0.05, n=12,345",
        "pass WS-DATA-100 fine: pass",
    ]


def test_checks_that_can_say_nothing_are_named_on_one_line_beyond_a_few(lines):
    silent = [make_check(f"s{place}", Status.INSUFFICIENT, value=0.5, limit=0.4) for place in range(9)]
    log_checks("checks", [make_check("bad", Status.FAIL, value=0.1), *silent], undecided=3)
    assert [line.split(":")[0] for line in lines()[:4]] == [
        "fail WS-DATA-100 bad",
        *(f"insufficient WS-DATA-100 s{place}" for place in range(3)),
    ]
    assert lines()[4:] == ["checks: 6 also insufficient: s3, s4, s5, s6, s7, s8"]


def test_no_word_of_a_table_is_cut(lines):
    name = "a_column_with_a_name_that_is_longer_than_a_column_of_the_table"
    log_table("Drift", ("column", "effect"), [(name, "0.3"), ("short", "0.2")])
    title, head, first, second = lines()
    assert (title, head.split(), first) == ("Drift", ["column", "effect"], f"{name}  0.3")
    assert second.split() == ["short", "0.2"]
