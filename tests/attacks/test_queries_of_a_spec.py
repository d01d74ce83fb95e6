"""Queries in a model's file that take everything: the system ends them, and says by which limit."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from windsock.adapters.business_query import DuckdbBusinessQuery
from windsock.adapters.sources import SourceReaders
from windsock.adapters.sql_source import source_limits
from windsock.exceptions import DataRefusedError, MonitoringError
from windsock.spec import SqlSource

pytestmark = pytest.mark.slow
ROWS = pd.DataFrame({"score": [0.1, 0.2], "outcome": ["a", "b"]})
ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t)"
START = 30.0
"""Seconds for starting a process on a machine that is busy with other tests."""
MEASURE = """
import resource, sys, time
import pandas as pd
from windsock.adapters.business_query import DuckdbBusinessQuery
from windsock.exceptions import MonitoringError
try:
    DuckdbBusinessQuery(seconds=3, memory_mb=1024).number(sys.argv[1], pd.DataFrame({"score": [0.1]}))
except MonitoringError as error:
    print(error.code)
print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


@pytest.mark.parametrize(
    "sql",
    [
        "length(repeat('x', 4000000000))",
        "select length(repeat('x', 4000000000)) from range(3)",
        "select length(string_agg(repeat('x', 10000000), '')) from range(1000)",
        "select list_sum(list(i)) from range(1000000000) t(i)",
        "select count(distinct repeat(i::varchar, 50)) from range(500000000) t(i)",
        "select sum(a.i * b.i) from range(10000000) a(i), range(10000000) b(i)",
        "with recursive t(i) as (select 1 union all select i + 1 from t) select max(i) from t",
        "select count(*) from (select unnest(range(100000000)), unnest(range(100000000)))",
    ],
)
def test_a_greedy_query_keeps_to_its_seconds_and_a_gigabyte(sql: str) -> None:
    begun = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", MEASURE, sql],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=True, timeout=90,
    ).stdout.split()  # fmt: skip
    assert said[0] == "WS-MONITORING-047"
    assert int(said[1]) < 1.3 * 1024 * 1024
    assert time.monotonic() - begun < 3 + START


def test_a_query_sees_neither_the_environment_nor_the_parent_s_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    monkeypatch.setenv("WINDSOCK_ADMIN_TOKEN", "planted-token")
    for sql in (
        "length(getenv('WINDSOCK_ADMIN_TOKEN'))",
        f"select count(*) from read_csv('{secret}')",  # noqa: S608 - that is the test
        f"select length(content) from read_text('{secret}')",  # noqa: S608 - that is the test
        "select count(*) from read_text('/proc/self/environ')",
        "select count(*) from read_csv('http://127.0.0.1:1/x.csv')",
        f"copy predictions to '{tmp_path}/out.csv'",
        f"attach '{tmp_path}/out.db'",
        "set memory_limit = '100GB'",
        "install httpfs",
    ):
        with pytest.raises(MonitoringError) as caught:
            DuckdbBusinessQuery(seconds=20).number(sql, ROWS)
        assert "planted" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    import sqlalchemy as sa

    url = f"sqlite:///{tmp_path}/shop.db"
    engine = sa.create_engine(url)
    ROWS.to_sql("customers", engine, index=False)
    engine.dispose()
    return url


@pytest.mark.parametrize(
    ("query", "what"),
    [
        (f"{ENDLESS} SELECT max(i) FROM t", "SECONDS"),  # noqa: S608 - that is the test
        ("SELECT zeroblob(900000000) AS a", "MEMORY_MB"),
        ("SELECT hex(zeroblob(400000000)) AS a", "MEMORY_MB"),
        ("SELECT group_concat(hex(zeroblob(90000000)), '') AS a FROM customers", "MEMORY_MB"),
        (f"{ENDLESS} SELECT hex(zeroblob(500000)) AS a FROM t", "MEMORY_MB"),  # noqa: S608 - that is the test
    ],
)
def test_a_greedy_source_is_ended_and_names_its_limit(shop: str, query: str, what: str) -> None:
    seconds = 2 if what == "SECONDS" else 6  # what takes memory is ended long before
    readers = SourceReaders((), {"shop": shop}.__getitem__, source_limits(seconds, 256))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises(DataRefusedError, match=f"WINDSOCK_SOURCE_{what}") as caught:
        readers.read(SqlSource(conn_id="shop", query=query))
    assert caught.value.code == "WS-DATA-019"
    assert time.monotonic() - begun < seconds + START
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024


def test_an_attached_file_and_a_loaded_library_are_no_part_of_a_source(shop: str, tmp_path: Path) -> None:
    readers = SourceReaders((), {"shop": shop}.__getitem__, source_limits(20, 512))
    for query in (
        f"ATTACH '{tmp_path}/new.db' AS new",
        "SELECT load_extension('libc.so.6')",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('x', 'y')",
        "WITH a AS (SELECT 1) INSERT INTO customers SELECT 1, 'c' FROM a",
    ):
        with pytest.raises(DataRefusedError):
            readers.read(SqlSource(conn_id="shop", query=query))
    assert len(readers.read(SqlSource(conn_id="shop", table="customers")).frame) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["shop.db"]
