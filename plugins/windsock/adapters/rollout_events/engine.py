"""The database in memory that exposures and outcomes are counted with: small, it spills to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from windsock.exceptions import SettingsError, StorageError
from windsock.records.values import LARGEST

MEMORY = "256MB"
THREADS = "2"
SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": MEMORY,
    "threads": THREADS,
    "preserve_insertion_order": "false",
}
BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?"
"""A number as programs write numbers; DuckDB reads ``1_000`` and ``inf`` as one, too."""
EXACT = 2**53
"""From here on a floating point number stands for several whole ones."""
MACROS = (
    # 64 bits of MD5: the same in every version of the database, as kept files need it
    "CREATE MACRO key_of(side, kind, name) AS md5_number_lower(side || kind || name)",
    f"""CREATE MACRO text_of(json) AS CASE
        WHEN json IS NULL OR json = 'null' THEN NULL
        WHEN starts_with(json, '"') THEN nullif(trim(json_extract_string(json, '$'), '{BLANKS}'), '')
        ELSE json END""",
    f"""CREATE MACRO any_number(said) AS CASE lower(said)
        WHEN 'true' THEN 1.0::DOUBLE WHEN 'false' THEN 0.0::DOUBLE
        ELSE if(regexp_full_match(said, '{NUMBER}'), try_cast(said AS DOUBLE), NULL) END""",
    f"""CREATE MACRO number_of(said) AS CASE
        WHEN isfinite(any_number(said)) AND abs(any_number(said)) <= {LARGEST!r} THEN any_number(said) END""",
    "CREATE MACRO word_of(said) AS CASE WHEN any_number(said) IS NULL THEN said END",
    r"""CREATE MACRO exact_of(said) AS if(regexp_full_match(said, '[+-]?\d+(\.0*)?'),
        regexp_replace(said, '^\+?(-?)0*(\d+?)(\.0*)?$', '\1\2'), NULL)""",
    rf"""CREATE MACRO beyond_of(said) AS if(
        length(said) > 15 AND regexp_full_match(said, '-?\d+') AND abs(number_of(said)) >= {EXACT},
        exact_of(said), NULL)""",
    """CREATE MACRO answer_number(json) AS CASE WHEN json = 'true' THEN 1.0::DOUBLE
        WHEN json = 'false' THEN 0.0::DOUBLE
        WHEN NOT starts_with(json, '"') THEN number_of(text_of(json)) END""",
    """CREATE MACRO answer_word(json) AS CASE WHEN json IN ('true', 'false') THEN NULL
        WHEN starts_with(json, '"') THEN text_of(json)
        ELSE coalesce(word_of(text_of(json)), beyond_of(text_of(json))) END""",
    """CREATE MACRO label_word(json, said) AS CASE
        WHEN starts_with(json, '"') OR said IN ('true', 'false') THEN said
        ELSE coalesce(word_of(said), beyond_of(said)) END""",
    f"""CREATE MACRO written_of(number) AS CASE
        WHEN abs(number) >= {EXACT} THEN NULL
        WHEN number = floor(number) THEN number::BIGINT::VARCHAR ELSE number::VARCHAR END""",
    """CREATE MACRO truth_of(word) AS CASE
        WHEN lower(word) IN ('yes', 'y', 't') THEN 1.0::DOUBLE
        WHEN lower(word) IN ('no', 'n', 'f') THEN 0.0::DOUBLE END""",
)


@contextmanager
def open_engine(folder: Path) -> Iterator[Any]:
    """Give a database in memory; what it has no memory for goes to a folder.

    :raises SettingsError: if DuckDB is not installed.
    :raises StorageError: if it fails; its own words may quote rows, so they are not repeated.
    """
    try:
        import duckdb
    except ImportError:
        raise SettingsError(
            "a rollout's exposures are counted with DuckDB, which is not installed",
            code="WS-ROLLOUT-045",
            next_action="Install `airflow-windsock` with what it requires, or write `strategy: direct`.",
        ) from None
    try:
        with duckdb.connect(":memory:", config={**SETTINGS, "temp_directory": str(folder)}) as connection:
            for macro in MACROS:
                connection.execute(macro)
            yield connection
    except duckdb.Error as error:
        raise StorageError(
            f"the rollout's counts could not be made: DuckDB says {type(error).__name__}",
            code="WS-ROLLOUT-046",
            next_action="See that the storage root's disk has space, then clear this task.",
        ) from None


def parquet_source(files: list[Path]) -> str:
    """Return files as the source of a query; a column that only some of them have is null in the others."""
    named = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{named}], union_by_name = true)"
