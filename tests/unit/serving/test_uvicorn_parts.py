"""The server's own protocol is used with tested versions of uvicorn only."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from windsock.serving import uvicorn_parts
from windsock.serving.uvicorn_parts import TESTED, why_not_bounded


def test_the_installed_one_is_tested() -> None:
    assert why_not_bounded() is None


@pytest.mark.parametrize("version", ["0.33.9", "0.55.0", "1.0.0", "unknown"])
def test_another_one_is_not(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_parts, "version", lambda _: version)
    assert f"uvicorn {version} is not tested" in str(why_not_bounded())


def test_a_part_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HttpToolsProtocol, "on_response_complete")
    monkeypatch.setattr(uvicorn_parts, "PROTOCOL_FIELDS", ("cycle", "gone"))
    why = str(why_not_bounded())
    assert "HttpToolsProtocol.on_response_complete" in why
    assert "HttpToolsProtocol.gone" in why


@pytest.mark.parametrize("file", ["pyproject.toml", "include/serving/requirements.txt"])
def test_the_range_is_that_of_the_package(file: str) -> None:
    lines = (Path(__file__).resolve().parents[3] / file).read_text().splitlines()
    line = next(line.strip().strip('",') for line in lines if line.strip().strip('"').startswith("uvicorn"))
    first, beyond = (".".join(map(str, part)) for part in TESTED)
    assert {str(part) for part in Requirement(line).specifier} == {f">={first}", f"<{beyond}"}
