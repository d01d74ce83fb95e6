"""The installations that earlier releases left behind, opened by the present code."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from support.postgres import Server
from support.shifted import House, clock_at, standing_in

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@dataclass(frozen=True)
class Release:
    """What a release left in ``tests/fixtures``.

    :param name: such as ``0.1``.
    """

    name: str

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What is in the installation, as the release knew it."""
        return dict(json.loads(self._file(".json").read_text()))

    @property
    def now(self) -> datetime:
        """When the installation's clock stopped."""
        return datetime.fromisoformat(self.facts["now"])

    @contextmanager
    def opened(self, folder: Path, *, later: timedelta = timedelta(0), **changed: Any) -> Iterator[House]:
        """Unpack the installation, and stand in it at its hour.

        :param folder: where to, empty.
        :param later: how long after its clock stopped.
        :param changed: settings that differ.
        """
        with self.standing_at(self.unpack(folder), later=later, **changed) as house:
            yield house

    @contextmanager
    def standing_at(
        self, folder: Path, *, later: timedelta = timedelta(0), **changed: Any
    ) -> Iterator[House]:
        """Stand in a folder into which the installation was unpacked, at its hour."""
        if not Path("/proc/self/cwd").exists():
            pytest.skip("the installation is found by /proc/self/cwd, which only Linux has")
        house = House(folder, client_key=self.facts["client_key"], **changed)
        with standing_in(folder), clock_at(self.now + later):
            yield house

    def unpack(self, folder: Path) -> Path:
        """Unpack the installation into an empty folder, and return it."""
        with tarfile.open(self._file(".tar.gz")) as archive:
            archive.extractall(folder, filter="data")
        return folder

    def load_dump(self, server: Server) -> str:
        """Load the control database into PostgreSQL; give its URL."""
        url = server.new_database()
        command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", url.replace("+psycopg", "")]
        content = gzip.decompress(self._file(".sql.gz").read_bytes())
        subprocess.run(command, input=content, check=True, cwd=server.folder, capture_output=True)
        return url

    def _file(self, suffix: str) -> Path:
        return FIXTURES / f"installation_{self.name.replace('.', '_')}{suffix}"


V0_1 = Release("0.1")

__all__ = ["V0_1", "Release"]
