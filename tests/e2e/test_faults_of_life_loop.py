"""What goes wrong in the loop and with people: said within two looks, told once, and ended by what NEXT says."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.life.course import live_through, show_table
from support.life.fault import Fault, Lived
from support.life.installation import Life, lived_in
from support.life.models import ROLLED_OUT, write_include

pytestmark = [pytest.mark.e2e, pytest.mark.acceptance]

HEARTBEAT = 30.0
"""The shortest check of the models below."""
MODELS = {"plain": {}, "tried": ROLLED_OUT}


def switch_off(dag_id: str):
    def off(life: Life) -> None:
        life.live.await_dag(dag_id)
        life.live.admin.set_paused(dag_id, paused=True)

    return off


def all_off(life: Life) -> None:
    life.run("windsock models on plain")
    life.run("windsock models off plain")


FAULTS = [
    Fault(
        name="all DAGs of a model off",
        code="WS-WATCH-011",
        key="watch:dags-off",
        model="plain",
        severity="low",
        break_=all_off,
    ),
]


def write(include: Path, project: Path) -> None:
    write_include(include, project, MODELS)


@pytest.fixture(scope="module")
def lived(tmp_path_factory, project) -> dict[str, Lived]:
    with lived_in(tmp_path_factory.mktemp("life"), project, write, heartbeat=HEARTBEAT) as life:
        found = live_through(life, FAULTS)
    show_table(list(found.values()), heartbeat=HEARTBEAT)
    return found


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_it_is_said_told_once_and_ended_by_what_next_says(lived, name):
    assert not lived[name].faults, lived[name]
