"""Every code that the product can print is explained, and nothing else is."""

from __future__ import annotations

import re

import pytest

CODE = re.compile(r"WS-[A-Z]+-\d{3}")


@pytest.fixture(scope="module")
def in_source(project):
    files = (project / "plugins" / "windsock").rglob("*.py")
    return {code for file in files for code in CODE.findall(file.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def in_runbook(project):
    lines = (project / "docs" / "runbook.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `WS-")]
    return {CODE.findall(row)[0]: row for row in rows}


def test_every_code_is_explained(in_source, in_runbook):
    assert sorted(in_source - set(in_runbook)) == []


def test_nothing_is_explained_that_cannot_happen(in_source, in_runbook):
    assert sorted(set(in_runbook) - in_source) == []


def test_every_explanation_says_what_it_means_and_what_to_do(in_runbook):
    for code, row in in_runbook.items():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 3, code
        assert all(len(cell) > 10 for cell in cells[1:]), code
