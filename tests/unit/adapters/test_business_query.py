from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from support.builders import NOON
from windsock.adapters.business_query import DuckdbBusinessQuery
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


@pytest.fixture
def query() -> DuckdbBusinessQuery:
    return DuckdbBusinessQuery(seconds=20)


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


def test_a_query_that_takes_too_long_is_stopped() -> None:
    endless = "select sum(a.i * b.i) from range(10000000) a(i), range(10000000) b(i)"
    with pytest.raises(MonitoringError, match="stopped"):
        DuckdbBusinessQuery(seconds=0.2).number(endless, FRAME)
