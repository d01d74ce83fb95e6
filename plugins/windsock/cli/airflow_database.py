"""Whether the Airflow that an environment names is there, before its first import makes an empty one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from configparser import ConfigParser, Error
from contextlib import closing
from pathlib import Path

VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
OPTION = "sql_alchemy_conn"
SQLITE = "sqlite:///"


def lacking_airflow(environment: Mapping[str, str]) -> str:
    """Return why there are no connections of Airflow to read; empty: there may be.

    Nothing is made, and of a database only a file is opened: a server says itself what it lacks.

    :param environment: variables, as Airflow would be started with.
    """
    home = Path(environment.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    url = _address(environment, home)
    if not url.startswith(SQLITE):
        return ""
    file = Path(url.removeprefix(SQLITE).partition("?")[0])
    named = "by AIRFLOW_HOME" if environment.get("AIRFLOW_HOME") else "by nothing but Airflow's default"
    if not file.is_file():
        return f"Airflow's database {file} is not there; its folder {home} is named {named}"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as opened:
            found = opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'connection'").fetchone()
    except sqlite3.Error as error:
        return f"Airflow's database {file} cannot be read ({type(error).__name__})"
    return "" if found else f"Airflow's database {file} has no tables: no Airflow was set up there"


def _address(environment: Mapping[str, str], home: Path) -> str:
    """Return the database's address as Airflow finds it; ``-``: a command or a secret store knows it."""
    if environment.get(VARIABLE):
        return environment[VARIABLE]
    if any(environment.get(f"{VARIABLE}_{how}") for how in ("CMD", "SECRET")):
        return "-"
    file = Path(environment.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read(file, encoding="utf-8")
    except (OSError, Error, UnicodeDecodeError):
        return "-"
    if not config.has_section("database"):
        return f"{SQLITE}{home}/airflow.db"
    section = config["database"]
    if any(section.get(f"{OPTION}_{how}") for how in ("cmd", "secret")):
        return "-"
    return section.get(OPTION) or f"{SQLITE}{home}/airflow.db"
