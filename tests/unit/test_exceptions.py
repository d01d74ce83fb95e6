from __future__ import annotations

import re
from pathlib import Path

import pytest

import windsock
from windsock import exceptions
from windsock.exceptions import ServerUnavailableError, StorageError, WindsockError

PACKAGE = Path(windsock.__file__).parent
TOLD = re.compile(r'next_action=f?"([^"]*clear this task[^"]*)"|[A-Z_]+ = "([^"]*clear this task[^"]*)"')
KINDS = [one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, WindsockError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_who_has_no_task_is_told_of_none(kind):
    said = kind("it failed").next_by_hand
    assert "task" not in said
    assert said.endswith(".") or kind.default_next == said


@pytest.mark.parametrize(
    ("said", "by_hand"),
    [
        ("Start it with `windsock serve`, then clear this task.", "Start it with `windsock serve`."),
        ("Free some space, then clear this task; nothing is left.", "Free some space; nothing is left."),
        ("Add people. Then clear this task.", "Add people."),
        ("Clear nothing.", "Clear nothing."),
    ],
)
def test_what_stands_before_it_stays(said, by_hand):
    error = StorageError("full", next_action=said)
    assert (error.next_action, error.next_by_hand) == (said, by_hand)


def test_a_task_is_told_to_be_cleared():
    assert "then clear this task" in ServerUnavailableError("away").next_action


def test_each_next_action_of_the_package_says_it_in_a_form_that_is_found():
    found = {
        one
        for path in sorted(PACKAGE.rglob("*.py"))
        if not {"operators", "spec", "exceptions.py"} & set(path.relative_to(PACKAGE).parts)
        for match in TOLD.findall(path.read_text(encoding="utf-8"))
        for one in match
        if one
    }
    assert len(found) > 5
    assert [one for one in found if "task" in StorageError("x", next_action=one).next_by_hand] == []
