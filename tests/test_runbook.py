"""Every code that the product can print is explained, and nothing else is."""

from __future__ import annotations

import re
from collections import Counter

import pytest

CODE = re.compile(r"WS-[A-Z]+-\d{3}")
COMMAND = re.compile(r"\| (`windsock [^|]*`) \|")
"""First cell of a row that says what a command does."""
SENTENCE = re.compile(r"(?<=[.:;])\s+")
LONG = 40


@pytest.fixture(scope="module")
def in_source(project):
    files = (project / "plugins" / "windsock").rglob("*.py")
    return {code for file in files for code in CODE.findall(file.read_text(encoding="utf-8"))}


def doubled(items):
    return [item for item, times in Counter(items).items() if times > 1]


@pytest.fixture(scope="module")
def rows(project):
    lines = (project / "docs" / "runbook.md").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| `WS-")]


@pytest.fixture(scope="module")
def in_runbook(rows):
    return {CODE.findall(row)[0]: row for row in rows}


def test_every_code_is_explained(in_source, in_runbook):
    assert sorted(in_source - set(in_runbook)) == []


def test_nothing_is_explained_that_cannot_happen(in_source, in_runbook):
    assert sorted(set(in_runbook) - in_source) == []


def test_no_code_is_explained_twice(rows):
    assert doubled(CODE.findall(row)[0] for row in rows) == []


def test_no_command_is_explained_twice_in_a_document(project):
    for file in sorted((project / "docs").glob("*.md")):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert doubled(found[1] for line in lines if (found := COMMAND.match(line))) == [], file.name


def test_the_changelog_has_no_sentence_twice(project):
    lines = (project / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    sentences = [one.casefold() for line in lines for one in SENTENCE.split(line.removeprefix("- "))]
    assert doubled(one for one in sentences if len(one) > LONG) == []


def test_every_explanation_says_what_it_means_and_what_to_do(in_runbook):
    for code, row in in_runbook.items():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 3, code
        assert all(len(cell) > 10 for cell in cells[1:]), code
