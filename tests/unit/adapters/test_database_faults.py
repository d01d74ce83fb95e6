"""What a database refuses for good is told with its cure, and is not tried again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from windsock.adapters.database import open_database, reading, writing
from windsock.adapters.database_faults import sqlstate, translated
from windsock.cli.app import run
from windsock.exceptions import DatabaseRefusedError, DatabaseUnavailableError, TransportError, WindsockError

pytest_plugins = ["support.databases"]


class DriverError(Exception):
    """What a PostgreSQL driver raises."""

    def __init__(self, text: str, state: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = state


def told(text: str, state: str | None = None) -> WindsockError:
    error = sa.exc.OperationalError("SELECT 1", {}, DriverError(text, state))
    url = sa.make_url("postgresql+psycopg://windsock:secret@db/control")
    return translated(error, "postgresql://windsock:***@db/control", url)


@pytest.mark.parametrize(
    ("text", "state", "cure"),
    [
        ("permission denied for schema public", "42501", "GRANT USAGE, CREATE ON SCHEMA public TO windsock"),
        ("permission denied for schema ml", "42501", "CREATE ON SCHEMA ml"),
        ("no schema has been selected to create in", "3F000", "SET search_path = windsock"),
        ('relation "ledger" already exists', "42P07", "CREATE SCHEMA windsock AUTHORIZATION windsock"),
        ('column "seq" does not exist', "42703", "CREATE SCHEMA windsock"),
        ('FATAL:  password authentication failed for user "windsock"', None, "WINDSOCK_DATABASE_URL"),
        ("FATAL:  no pg_hba.conf entry for host", None, "let the role log in"),
        ('FATAL:  database "control" does not exist', None, "CREATE DATABASE control OWNER windsock"),
        ("cannot execute a feature that is not there", "0A000", "administrator"),
    ],
)
def test_a_lasting_fault_is_refused_with_what_to_run(text, state, cure):
    error = told(text, state)
    assert isinstance(error, DatabaseRefusedError)
    assert not isinstance(error, TransportError)  # the retry policy fails it at once
    assert cure in error.next_action
    assert "retried" not in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("connection refused", None),
        ("terminating connection due to administrator command", "57P01"),
        ("the database system is starting up", "57P03"),
        ("sorry, too many clients already", "53300"),
        ("could not extend file: No space left on device", "53100"),
        ("deadlock detected", "40P01"),
        ("server closed the connection unexpectedly", "08006"),
        ("cannot execute INSERT in a read-only transaction", "25006"),
    ],
)
def test_a_passing_fault_is_tried_again(text, state):
    assert isinstance(told(text, state), DatabaseUnavailableError)


def test_a_name_that_is_no_plain_one_is_quoted():
    error = sa.exc.ProgrammingError("x", {}, DriverError("permission denied for schema public", "42501"))
    shown = translated(error, "db", sa.make_url("postgresql://Wind-Sock@db/My%20DB")).next_action
    assert 'ON DATABASE "My DB" TO "Wind-Sock"' in shown


def test_psycopg2s_word_for_the_state_counts_too():
    error = DriverError("x")
    error.pgcode = "42501"
    assert sqlstate(error) == "42501"


def test_tables_of_others_in_a_file_are_left_alone(tmp_path: Path):
    file = tmp_path / "control.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE ledger (account text, amount real)")
    with pytest.raises(DatabaseRefusedError, match="holds ledger already") as refused:
        open_database(f"sqlite:///{file}")
    assert refused.value.code == "WS-DATABASE-006"
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("ledger",)]


def test_a_file_in_a_folder_that_is_none_is_no_matter_of_trying_again(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseRefusedError, match="cannot be written"):
        open_database(f"sqlite:///{tmp_path}/file/control.db")


def test_a_table_that_is_gone_is_no_matter_of_trying_again(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/control.db"
    open_database(url)
    with writing(url) as connection:
        connection.exec_driver_sql("DROP TABLE alerts")
    with pytest.raises(DatabaseRefusedError, match="no such table"), reading(url) as connection:
        connection.exec_driver_sql("SELECT * FROM alerts")


# --- a real PostgreSQL


@pytest.fixture
def bare_postgres(request: pytest.FixtureRequest) -> Iterator[tuple[sa.Engine, str]]:
    """An engine of the administrator on a new database, and the URL of a role that may do nothing there."""
    server: str = request.getfixturevalue("postgres_url")
    name = f"faults_{uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
    admin.dispose()
    own = sa.create_engine(f"{server.rsplit('/', 1)[0]}/{name}", isolation_level="AUTOCOMMIT")
    host = server.rsplit("/", 1)[0].rpartition("@")[2]
    yield own, f"postgres://{name}@{host}/{name}"
    own.dispose()


def run_as_admin(engine: sa.Engine, error: WindsockError) -> None:
    """Run the SQL that the error names, as it names it, but for what is to be filled in."""
    statements = error.next_action.partition("administrator: ")[2].split(";")
    with engine.connect() as connection:
        for statement in (text.strip() for text in statements):
            if statement.startswith(("GRANT", "CREATE", "ALTER ROLE")):
                connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC", "WS-DATABASE-005"),
        ("ALTER ROLE {role} SET search_path = ''", "WS-DATABASE-005"),
        ("ALTER ROLE {role} SET search_path = nowhere", "WS-DATABASE-005"),
        ("CREATE TABLE ledger (account text)", "WS-DATABASE-006"),
        ("CREATE TABLE alerts (id int); CREATE TABLE step_records (id int)", "WS-DATABASE-006"),
    ],
)
@pytest.mark.postgres
@pytest.mark.slow
def test_what_a_database_refuses_works_after_the_sql_that_is_named(bare_postgres, before, code):
    admin, url = bare_postgres
    role = sa.make_url(url).username
    with admin.connect() as connection:
        connection.exec_driver_sql(before.format(role=role))
    with pytest.raises(DatabaseRefusedError) as refused:
        open_database(url)
    assert refused.value.code == code
    assert refused.value.__cause__ is None
    run_as_admin(admin, refused.value)
    with writing(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ledger").scalar() == 0


@pytest.mark.postgres
@pytest.mark.slow
def test_a_database_that_is_not_there_is_named_without_a_trace(bare_postgres, tmp_path, monkeypatch, capsys):
    _, url = bare_postgres
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    monkeypatch.setenv("WINDSOCK_DATABASE_URL", url.rpartition("/")[0] + "/absent")
    assert run(["ledger", "churn"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: WS-DATABASE-007: ")
    assert "CREATE DATABASE absent" in shown
    assert len(shown.splitlines()) == 2
