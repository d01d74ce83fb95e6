"""A world in which versions 1 and 2 became champion, on the real ledger: lived once, copied for each test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.engines import ENGINES, CopiedWorld
from support.ledgers import sql_ledger
from support.world import world_of


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> CopiedWorld:
    """The world itself, which no test changes."""
    folder = tmp_path_factory.mktemp("two-champions")
    return CopiedWorld(lambda url: world_of(1, 2, ledger=sql_ledger(url)), folder)


@pytest.fixture(params=ENGINES)
def copied(request: pytest.FixtureRequest, lived: CopiedWorld, tmp_path: Path) -> tuple[str, Any]:
    """A copy of the world: where its database is, and its ports."""
    return lived.copy_of(request, request.param, tmp_path)


@pytest.fixture
def world_url(copied: tuple[str, Any]) -> str:
    """Where the database of the world is."""
    return copied[0]


@pytest.fixture
def ports(copied: tuple[str, Any]) -> Any:
    """The ports of the world."""
    return copied[1]
