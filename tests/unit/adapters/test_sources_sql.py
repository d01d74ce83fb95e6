from __future__ import annotations

import sqlite3
from datetime import datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from support.databases import postgres_url
from windsock.adapters import source_limits, sql_source
from windsock.adapters.sources import SourceReaders
from windsock.data.reading import read_column
from windsock.exceptions import DataRefusedError, SettingsError, SourceUnavailableError
from windsock.records import ColumnKind
from windsock.spec import SqlSource

__all__ = ["postgres_url"]
ENGINES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])]
ROWS = [
    {
        "id": 1,
        "amount": Decimal("1.50"),
        "at": datetime.fromisoformat("2026-05-01T12:00:00"),
        "ok": True,
        "name": "a%b:c",
    },
    {"id": 2, "amount": None, "at": None, "ok": None, "name": None},
    {
        "id": 3,
        "amount": Decimal("2.25"),
        "at": datetime.fromisoformat("2026-05-02T12:00:00"),
        "ok": False,
        "name": "7",
    },
]


def fill(url: str, schema: str | None = None) -> None:
    metadata = sa.MetaData(schema=schema)
    table = sa.Table(
        "Odd table" if schema is None else "plain",
        metadata,
        sa.Column("id", sa.Integer),
        sa.Column("amount", sa.Numeric(10, 2)),
        sa.Column("at", sa.DateTime),
        sa.Column("ok", sa.Boolean),
        sa.Column("name", sa.String),
    )
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        connection.execute(table.insert(), ROWS)
    engine.dispose()


@pytest.fixture(params=ENGINES)
def url(request, tmp_path):
    made = (
        f"sqlite:///{tmp_path}/x.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    fill(made)
    return made


def read(url, **fields):
    readers = SourceReaders((), {"shop": url}.__getitem__)
    return readers.read(
        SqlSource.model_construct(**{"conn_id": "shop", "query": None, "table": None, **fields})
    )


def refusal(*args, **fields) -> DataRefusedError:
    with pytest.raises(DataRefusedError) as caught:
        read(*args, **fields)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_a_table_is_read_with_its_types(url):
    got = read(url, table="Odd table")
    assert got.described == "sql: shop/Odd table"
    columns = {name: read_column(got.frame[name], name) for name in got.frame}
    assert [columns[name].kind for name in ("id", "amount", "at", "ok", "name")] == [
        ColumnKind.INTEGER,
        ColumnKind.NUMBER,
        ColumnKind.DATETIME,
        ColumnKind.BOOLEAN,
        ColumnKind.CATEGORY,
    ]
    assert columns["amount"].values.sum() == 3.75
    assert columns["name"].values.tolist() == ["a%b:c", None, "7"]


def test_a_query_is_taken_as_it_is_written(url):
    got = read(url, query="SELECT id, name FROM \"Odd table\" WHERE name LIKE 'a%:c' ORDER BY id;")
    assert got.frame.to_dict("list") == {"id": [1], "name": ["a%b:c"]}
    assert got.described.startswith("sql: shop/query ")


def test_chunks_are_put_together(url, monkeypatch):
    monkeypatch.setattr(sql_source, "CHUNK_ROWS", 2)
    assert read(url, table="Odd table").frame["id"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "query",
    [
        'DELETE FROM "Odd table"',
        'SELECT 1; DELETE FROM "Odd table"',
        "DROP TABLE x",
        "-- SELECT\nUPDATE x SET y = 1",
        "",
        "COMMIT; DROP TABLE x",
    ],
)
def test_only_one_select_is_run(url, query):
    error = refusal(url, query=query or "   ")
    assert error.code == "WS-DATA-017"
    assert len(read(url, table="Odd table").frame) == 3


@pytest.mark.parametrize("query", ['WITH gone AS (DELETE FROM "Odd table" RETURNING id) SELECT * FROM gone'])
def test_writing_inside_a_select_is_refused_by_the_database(url, query):
    assert refusal(url, query=query).code == "WS-DATA-017"
    assert len(read(url, table="Odd table").frame) == 3


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'a; b' AS x",
        'SELECT 1 AS "a;b"',
        "/* one; two */ SELECT 1 AS x",
        "(SELECT 1 AS x)",
        "VALUES (1)",
    ],
)
def test_semicolons_in_text_and_comments_are_none(url, query):
    if query.startswith("(") and url.startswith("sqlite"):
        pytest.skip("SQLite knows no bracket around a query")
    assert len(read(url, query=query).frame) == 1


@pytest.mark.parametrize(
    "query", ["SELECT FROM WHERE", 'SELECT no_such FROM "Odd table"', "SELECT * FROM no_such"]
)
def test_a_wrong_query_is_no_retry(url, query):
    error = refusal(url, query=query)
    assert error.code == "WS-DATA-017"


def test_a_value_that_does_not_convert_is_not_shown(url):
    if url.startswith("sqlite"):
        pytest.skip("SQLite converts anything")
    error = refusal(url, query='SELECT CAST(name AS integer) FROM "Odd table"')
    assert "a%b:c" not in str(error)


def test_a_missing_table(url):
    assert "no table 'no_such'" in str(refusal(url, table="no_such"))
    assert refusal(url, table="no_schema.no_such").code == "WS-DATA-017"


def test_no_rows_and_doubled_names(url):
    assert refusal(url, query='SELECT * FROM "Odd table" WHERE id > 9').code == "WS-DATA-011"
    assert refusal(url, query="SELECT 1 AS a, 2 AS a").code == "WS-DATA-012"


def test_too_many_rows(url, monkeypatch):
    monkeypatch.setattr(source_limits, "MAX_ROWS", 2)
    monkeypatch.setattr(sql_source, "MAX_ROWS", 2)
    assert refusal(url, table="Odd table").code == "WS-DATA-015"


@pytest.mark.postgres
@pytest.mark.slow
def test_a_schema(postgres_url):
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS sales")
    engine.dispose()
    fill(postgres_url, "sales")
    assert len(read(postgres_url, table="sales.plain").frame) == 3


class TestFaults:
    def test_a_database_that_is_away(self):
        with pytest.raises(SourceUnavailableError) as caught:
            read("postgresql+psycopg://user:hunter2@127.0.0.1:1/x?connect_timeout=2", table="x")
        assert caught.value.code == "WS-DATA-002"
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_a_file_that_cannot_be_opened(self, tmp_path):
        with pytest.raises(SourceUnavailableError):
            read(f"sqlite:///{tmp_path}/no/such/x.db", table="x")

    def test_a_locked_file_is_worth_a_retry(self, tmp_path):
        file = tmp_path / "x.db"
        fill(f"sqlite:///{file}")
        with sqlite3.connect(file) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(SourceUnavailableError):
                read(f"sqlite:///{file}?timeout=0.1", table="Odd table")

    @pytest.mark.parametrize(
        "url", ["nosuch://user:hunter2@host/x", "not a url hunter2", "oracle://user:hunter2@host/x"]
    )
    def test_a_url_that_is_none(self, url):
        with pytest.raises(SettingsError) as caught:
            read(url, table="x")
        assert "hunter2" not in str(caught.value)
        assert caught.value.code == "WS-SETTINGS-004"

    def test_an_unknown_connection_is_said_by_who_knows_them(self):
        def unknown(conn_id: str) -> str:
            raise SettingsError(f"there is no connection {conn_id!r}")

        with pytest.raises(SettingsError, match="shop"):
            SourceReaders((), unknown).read(SqlSource(conn_id="shop", table="x"))
