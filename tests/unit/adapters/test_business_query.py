from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.builders import NOON
from windsock.adapters import business_query
from windsock.adapters.business_process import run_query
from windsock.adapters.business_query import DuckdbBusinessQuery
from windsock.adapters.query_process import Answer
from windsock.exceptions import MonitoringError

FRAME = pd.DataFrame(
    {
        "outcome": pd.Series([True, None, False, True], dtype=object),
        "score": [0.1, 0.2, 0.3, None],
        "prediction": pd.Series(["a", True, 1, "secret"], dtype=object),
        "spent": pd.Series([1, 2.5, None, 3], dtype=object),
        "variant": pd.Categorical(["champion"] * 4),
        "receive_time": pd.to_datetime([NOON] * 4, utc=True),
    }
)


class Kept(Answer):
    """What the process would write, kept here; no limit is put on the tests' own process."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def begin(self, asked: Mapping[str, Any], *, writes: bool = True) -> None:
        pass

    def send(self, kind: str, *content: Any) -> None:
        self.rows += content


def ask_here(module: str, request: Any, limits: Any, *, payload: Any, bare: bool) -> Iterator[Any]:
    answer = Kept()
    run_query({**request, "memory_mb": limits.memory_mb}, io.BytesIO(payload), answer)
    yield from answer.rows


@pytest.fixture
def query(monkeypatch: pytest.MonkeyPatch) -> DuckdbBusinessQuery:
    """The query in this process: another one for each of these tests would take a minute."""
    monkeypatch.setattr(business_query, "ask", ask_here)
    return DuckdbBusinessQuery()


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("avg(outcome::double)", 2 / 3),
        ("sum(spent)", 6.5),
        ("select count(*) from predictions where prediction = 'true'", 1.0),
        ("  WITH x AS (SELECT score FROM predictions) SELECT max(score) FROM x", 0.3),
        ("from predictions select count(*) filter (variant = 'champion')", 4.0),
        ("count(*) filter (receive_time >= timestamp '2026-05-01 12:00:00')", 4.0),
        ("bool_and(score < 1)", 1.0),
        ("avg(score) filter (score > 9)", None),
        ("'nan'::double", None),
    ],
)
def test_one_number(query: DuckdbBusinessQuery, sql: str, value: float | None) -> None:
    rows = FRAME.head(1) if sql.startswith("'nan'") else FRAME
    assert query.number(sql, rows) == (None if value is None else pytest.approx(value))


def test_no_rows_and_columns_without_values(query: DuckdbBusinessQuery) -> None:
    assert query.number("count(*)", FRAME.head(0)) == 0
    assert query.number("avg(outcome::double)", FRAME.head(0)) is None
    assert query.number("avg(outcome::double)", FRAME.iloc[1:2]) is None


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; select 2",
        "select score from predictions",
        "select 1, 2",
        "score from predictions where false --",
        "avg(prediction::double)",
        "max(prediction)",
        "max(receive_time)",
        "no such thing",
        "nope(1)",
        "select 1 from others",
        "1e400::double",
        "",
        "drop view predictions",
        "create table x as select 1",
        "set threads = 9",
        "install httpfs",
    ],
)
def test_anything_else_is_refused_without_a_value(query: DuckdbBusinessQuery, sql: str) -> None:
    with pytest.raises(MonitoringError) as caught:
        query.number(sql, FRAME)
    assert caught.value.code == "WS-MONITORING-044"
    assert "secret" not in str(caught.value)


def test_it_sees_no_file_and_no_variable_of_the_process(query: DuckdbBusinessQuery, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a\n1\n")
    hidden = FRAME
    for sql in (
        f"from read_csv('{file}')",
        f"from '{file}'",
        f"from read_text('{file}') select 1",
        "select count(*) from hidden",
        "select count(*) from FRAME",
        f"copy predictions to '{tmp_path / 'out.csv'}'",
        f"attach '{tmp_path / 'out.db'}'",
    ):
        with pytest.raises(MonitoringError):
            query.number(sql, hidden)
    assert [one.name for one in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.slow
class TestOwnProcess:
    def test_the_number_comes_back(self) -> None:
        assert DuckdbBusinessQuery().number("sum(spent)", FRAME) == 6.5
        assert DuckdbBusinessQuery().number("avg(score) filter (score > 9)", FRAME) is None

    def test_what_is_wrong_is_said_without_a_value(self) -> None:
        with pytest.raises(MonitoringError, match="one number is needed") as caught:
            DuckdbBusinessQuery().number("select prediction from predictions", FRAME)
        assert caught.value.code == "WS-MONITORING-044"
        assert "secret" not in str(caught.value)

    def test_a_query_that_takes_too_long_is_killed(self) -> None:
        endless = "select sum(a.i * b.i) from range(10000000) a(i), range(10000000) b(i)"
        with pytest.raises(MonitoringError, match=r"after 0\.3 s.*WINDSOCK_BUSINESS_SECONDS") as caught:
            DuckdbBusinessQuery(seconds=0.3).number(endless, FRAME)
        assert caught.value.code == "WS-MONITORING-047"

    def test_a_query_that_needs_too_much_memory_is_stopped(self) -> None:
        with pytest.raises(MonitoringError, match="128 MiB.*WINDSOCK_BUSINESS_MEMORY_MB") as caught:
            DuckdbBusinessQuery(memory_mb=128).number("length(repeat('x', 400000000))", FRAME)
        assert caught.value.code == "WS-MONITORING-047"
