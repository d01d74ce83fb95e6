from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from support.builders import digest
from support.ledgers import BODIES, sql_ledger, step_records
from support.retraining import make_episode
from windsock.adapters import database
from windsock.adapters.database import (
    HEAD,
    MIGRATIONS,
    VERSION_TABLE,
    open_database,
    reading,
    shown_url,
    writing,
)
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.monitor_table import SqlMonitor
from windsock.exceptions import (
    DatabaseRefusedError,
    DatabaseUnavailableError,
    SettingsError,
    StaleEpochError,
)
from windsock.records import LedgerAction, LedgerEntry
from windsock.records.ledger_form import UNSIGNED_FORM, hash_of

pytest_plugins = ["support.databases"]
PLUGINS = Path(database.__file__).parents[2]


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'control.db'}"


def promotions(ledger: SqlLedger, count: int) -> None:
    for number in range(1, count + 1):
        entry = LedgerEntry(
            model="churn",
            action=LedgerAction.COMMIT,
            epoch=number,
            version=str(number),
            digest=digest("a"),
            actor="scheduler",
            body=BODIES[LedgerAction.COMMIT],
        )
        ledger.append(entry, after_seq=number - 1)


def unsigned_rows(count: int) -> list[dict[str, Any]]:
    """Return rows as they were written before signatures."""
    rows: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        row: dict[str, Any] = {
            "model": "churn", "seq": number, "action": "commit", "epoch": number, "version": str(number),
            "digest": digest("a"), "actor": "scheduler", "at": "2026-01-01T00:00:00Z",
            "body": '{"bundle_uri":"memory://1"}', "previous": rows[-1]["hash"] if rows else "0" * 64,
        }  # fmt: skip
        rows.append({**row, "hash": hash_of({**row, "form": UNSIGNED_FORM})})
    return rows


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_code_needs_the_newest_revision() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_database_is_made_with_its_folder_and_tables(tmp_path: Path) -> None:
    engine = open_database(url_of(tmp_path / "deep" / "down"))
    assert set(sa.inspect(engine).get_table_names()) == {
        "ledger",
        "step_results",
        "step_records",
        "monitor_windows",
        "retrain_episodes",
        "retrain_leases",
        "alerts",
        "alert_history",
        "rollout_decisions",
        "rollout_counts",
        VERSION_TABLE,
    }
    with reading(url_of(tmp_path / "deep" / "down")) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    assert open_database(url_of(tmp_path / "deep" / "down")) is engine


def test_the_first_schema_is_brought_up_to_date_and_keeps_its_rows(
    bare_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_url = bare_database_url
    monkeypatch.setattr(database, "HEAD", "0001")
    before = unsigned_rows(2)
    with open_database(database_url).begin() as connection:
        for row in before:
            columns, values = ", ".join(row), ", :".join(row)
            insert = f"INSERT INTO ledger ({columns}) VALUES (:{values})"  # noqa: S608
            connection.execute(sa.text(insert), row)
        connection.exec_driver_sql(
            "INSERT INTO step_records VALUES ('key', 'train_model', 'churn', '{\"model\":\"churn\"}', '')"
        )
    assert "retrain_episodes" not in sa.inspect(open_database(database_url)).get_table_names()
    monkeypatch.undo()
    database._opened.cache_clear()
    ledger, records = sql_ledger(database_url), step_records(database_url)
    *rows, anchor = ledger.rows("churn")
    assert [row.hash for row in rows] == [row["hash"] for row in before]
    assert (anchor.action, anchor.previous) == (LedgerAction.ANCHOR, before[-1]["hash"])
    assert ledger.verify("churn").broken_at is None
    assert records.find("key") == {"model": "churn"}
    assert SqlMonitor(database_url).announce(make_episode()).announced == 1
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), open_database(database_url).begin() as writer:
        writer.exec_driver_sql("DELETE FROM ledger")


def test_a_folder_with_a_percent_sign_is_no_matter(tmp_path: Path) -> None:
    open_database(url_of(tmp_path / "100%"))


def test_at_head_nothing_imports_alembic(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from windsock.adapters.database import open_database\n"
        "open_database(sys.argv[1])\n"
        "print('alembic' in sys.modules)"
    )
    first, _ = run_python(code, url_of(tmp_path)).communicate(timeout=60)
    second, _ = run_python(code, url_of(tmp_path)).communicate(timeout=60)
    assert (first.strip(), second.strip()) == ("True", "False")


def test_importing_the_adapters_imports_no_tool(modules_after: Callable[[str], frozenset[str]]) -> None:
    assert modules_after("tables") & {"sqlalchemy", "alembic", "filelock"} == set()


@pytest.mark.slow
def test_many_processes_may_start_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from windsock.adapters.database import open_database, reading\n"
        "with reading(sys.argv[1]) as connection:\n"
        "    print(connection.exec_driver_sql('SELECT count(*) FROM ledger').scalar())"
    )
    started = [run_python(code, url_of(tmp_path)) for _ in range(8)]
    assert [process.communicate(timeout=120)[0].strip() for process in started] == ["0"] * 8


def test_the_libraries_say_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("alembic").setLevel(logging.NOTSET)
        open_database(url_of(tmp_path))
    assert {record.name for record in caplog.records} <= {"windsock.adapters.database"}


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_database(url_of(tmp_path))
    with sqlite3.connect(tmp_path / "control.db") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608  # noqa: S608
        connection.execute("ALTER TABLE ledger ADD COLUMN later TEXT")
    database._opened.cache_clear()
    with pytest.raises(SettingsError) as refusal:
        open_database(url_of(tmp_path))
    assert refusal.value.code == "WS-DATABASE-002"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        "mysql://user:secret@host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://host",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        open_database(url)
    assert refusal.value.code == "WS-DATABASE-003"
    assert "secret" not in str(refusal.value)


def test_a_driver_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="pg8000"):
        open_database("postgresql+pg8000://user:secret@127.0.0.1/name")


def test_a_server_that_is_away_is_told_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailableError) as refusal:
        open_database("postgresql://user:secret@127.0.0.1:1/name?application_name=hidden")
    assert "secret" not in str(refusal.value)
    assert "hidden" not in str(refusal.value)
    assert "user:***@127.0.0.1:1" in str(refusal.value)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseRefusedError):
        open_database(url_of(tmp_path / "file" / "below"))


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseRefusedError, match="not a database"):
        open_database(url_of(tmp_path))


def test_a_database_that_stays_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    url = url_of(tmp_path)
    open_database(url)
    holder = sqlite3.connect(tmp_path / "control.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailableError, match="locked"), writing(url):
        pass
    holder.execute("ROLLBACK")
    holder.close()
    with writing(url) as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_lock_file_that_is_never_freed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
    with (
        FileLock(tmp_path / "control.db.lock"),
        pytest.raises(DatabaseUnavailableError, match="another process"),
    ):
        open_database(url_of(tmp_path))


def test_an_exception_rolls_back(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    insert = "INSERT INTO step_results VALUES ('churn', 's', 'm', 'x', 'now')"

    def fail() -> None:
        with writing(url) as connection:
            connection.exec_driver_sql(insert)
            raise StaleEpochError("too late")

    with pytest.raises(StaleEpochError):
        fail()
    with reading(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM step_results").scalar() == 0


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    count = "SELECT count(*) FROM step_results"
    with reading(url) as reader:
        assert reader.exec_driver_sql(count).scalar() == 0
        with writing(url) as writer:
            writer.exec_driver_sql("INSERT INTO step_results VALUES ('churn', 's', 'm', 'x', 'now')")
        assert reader.exec_driver_sql(count).scalar() == 0
    with reading(url) as reader:
        assert reader.exec_driver_sql(count).scalar() == 1


def test_a_url_is_shown_without_password_and_query() -> None:
    shown = shown_url("postgresql://user:secret@host/name?password=also")
    assert shown == "postgresql://user:***@host/name"


def test_an_engine_does_not_cross_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = open_database(url_of(tmp_path))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert open_database(url_of(tmp_path)) is not parent
