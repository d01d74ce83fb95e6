"""Nonsense in the table of the schema's revision stops neither readers nor a roll back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from support.ledgers import sql_ledger
from support.world import MODEL, back, shares, world_of
from windsock.adapters import database
from windsock.adapters.database import COLUMNS, HEAD, VERSION_TABLE, open_database

pytest_plugins = ["support.databases"]

TABLE = VERSION_TABLE
NONSENSE = {
    "a word": (f"UPDATE {TABLE} SET version_num = 'nonsense'",),  # noqa: S608
    "later": (f"UPDATE {TABLE} SET version_num = '9999'",),  # noqa: S608
    "earlier": (f"UPDATE {TABLE} SET version_num = '0001'",),  # noqa: S608
    "empty": (f"DELETE FROM {TABLE}",),  # noqa: S608
    "gone": (f"DROP TABLE {TABLE}",),
    "another table": (f"DROP TABLE {TABLE}", f"CREATE TABLE {TABLE} (other TEXT)"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_readers_and_a_roll_back_go_on(
    database_url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    ports = world_of(1, 2, ledger=sql_ledger(database_url))
    with open_database(database_url).begin() as connection:
        for statement in NONSENSE[name]:
            connection.exec_driver_sql(statement)
    database._opened.cache_clear()
    world = replace(ports, ledger=sql_ledger(database_url))
    assert world.ledger.champion(MODEL).version == "2"
    assert back(world).version == "1"
    assert shares(world) == {"1": 10_000, "2": 0}
    assert "WS-LEDGER-030" in caplog.text
    assert f"'{HEAD}'" in caplog.text


def test_the_columns_are_those_of_a_new_database(database_url: str) -> None:
    inspector = sa.inspect(open_database(database_url))
    tables = {name for name in inspector.get_table_names() if name != VERSION_TABLE}
    found = {
        name: " ".join(sorted(column["name"] for column in inspector.get_columns(name))) for name in tables
    }
    assert found == COLUMNS
