"""A process that runs for long notices that its SQLite file was moved away or replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from support.ledgers import sql_ledger
from unit.adapters.test_database import promotions, url_of
from windsock.adapters.database import open_database, reading, writing
from windsock.exceptions import DatabaseUnavailableError


def test_a_file_that_is_gone_is_no_answer_and_nothing_is_made(tmp_path: Path) -> None:
    ledger = sql_ledger(url_of(tmp_path))
    promotions(ledger, 2)
    file = tmp_path / "control.db"
    file.rename(tmp_path / "aside.db")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError, match="was there before and is gone"):
            ledger.rows("churn")
    assert not file.exists()
    (tmp_path / "aside.db").rename(file)
    assert len(ledger.rows("churn")) == 2


def test_what_is_written_after_a_restore_is_written_into_what_was_restored(tmp_path: Path) -> None:
    url, file = url_of(tmp_path), tmp_path / "control.db"
    promotions(sql_ledger(url), 2)
    with open_database(url).connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(file, tmp_path / "restored.db")
    with writing(url) as connection:
        connection.execute(sa.text("INSERT INTO alerts VALUES ('churn', 'new', 'firing', '2026', '{}')"))
    for name in ("control.db-wal", "control.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "restored.db").rename(file)
    with writing(url) as connection:
        connection.execute(sa.text("INSERT INTO alerts VALUES ('churn', 'later', 'firing', '2026', '{}')"))
    kept = sa.create_engine(f"sqlite:///{file}")
    for engine in (kept, open_database(url)):
        with engine.connect() as found:
            assert found.execute(sa.text("SELECT key FROM alerts")).scalars().all() == ["later"]
    kept.dispose()


def test_a_folder_in_its_place_is_no_answer(tmp_path: Path) -> None:
    url, file = url_of(tmp_path), tmp_path / "control.db"
    promotions(sql_ledger(url), 1)
    file.rename(tmp_path / "aside.db")
    file.mkdir()
    with pytest.raises(DatabaseUnavailableError, match="does not answer"), reading(url):
        pass
