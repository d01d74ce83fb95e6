from __future__ import annotations

from pathlib import Path

import pytest

from windsock.adapters.build import build_ports
from windsock.adapters.window_counts import ArchiveWindowCounter
from windsock.adapters.window_counts.ibis_engine import IbisEngine
from windsock.adapters.window_counts.parquet_engine import ParquetEngine
from windsock.exceptions import SettingsError
from windsock.settings import Settings, WireLimits


@pytest.mark.parametrize(
    ("word", "engine"),
    [(None, ParquetEngine), ("", ParquetEngine), ("parquet", ParquetEngine), ("ibis", IbisEngine)],
)
def test_the_environment_names_what_counts_windows(tmp_path: Path, word: str | None, engine: type) -> None:
    environment = {"WINDSOCK_HOME": str(tmp_path)}
    if word is not None:
        environment["WINDSOCK_COUNTER"] = word
    ports = build_ports(Settings.from_environment(environment), connections=str)
    assert isinstance(ports.counter, ArchiveWindowCounter)
    assert isinstance(ports.counter.engine, engine)


@pytest.mark.parametrize("word", ["Ibis", "duckdb", " "])
def test_another_word_for_what_counts_windows_is_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="WINDSOCK_COUNTER") as refused:
        Settings.from_environment({"WINDSOCK_COUNTER": word})
    assert refused.value.code == "WS-SETTINGS-001"
    assert "parquet" in refused.value.next_action
    assert "ibis" in refused.value.next_action


def test_the_environment_sets_the_limits_of_queries() -> None:
    limits = ("business_seconds", "business_memory_mb", "source_seconds", "source_memory_mb")
    environment = {
        f"WINDSOCK_{name.upper()}": text
        for name, text in zip(limits, ("8", "512", "90.5", "2048"), strict=True)
    }
    made = Settings.from_environment(environment)
    assert [getattr(made, name) for name in limits] == [8, 512, 90.5, 2048]
    default = Settings.from_environment({})
    assert [getattr(default, name) for name in limits] == [60, 1024, 3600, 4096]


@pytest.mark.parametrize("text", ["nope", "0", "-1", "nan", "inf", "1e99"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="WINDSOCK_SOURCE_SECONDS"):
        Settings.from_environment({"WINDSOCK_SOURCE_SECONDS": text})


@pytest.mark.parametrize("name", ["WINDSOCK_SERVING_CONNEXIONS", "WINDSOCK_SERVING_HEADBYTES"])
def test_a_bound_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=name) as refusal:
        Settings.from_environment({name: "5"})
    assert "WINDSOCK_SERVING_" in refusal.value.next_action


def test_the_other_variables_of_the_server_are_no_bounds() -> None:
    known = {"WINDSOCK_SERVING_OPEN": "1", "WINDSOCK_SERVING_PUBLIC_ADMIN": "0"}
    assert Settings.from_environment(known).wire == WireLimits()
