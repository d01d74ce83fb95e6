"""Paths of a model's file: none leads to the installation's keys, and no text becomes a path elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.payloads import KINDS
from windsock.adapters.build import build_ports
from windsock.adapters.signing import ADMIN_TOKEN, PRIVATE_KEY, create_keys
from windsock.exceptions import DataRefusedError, WindsockError
from windsock.settings import Settings
from windsock.spec.loader import spec_from_bytes
from windsock.spec.sources import FileSource


@pytest.fixture
def settings(tmp_path):
    """An installation within its project, with keys, and a data file."""
    home = tmp_path / "project" / ".windsock"
    environment = {"WINDSOCK_HOME": str(home), "WINDSOCK_SOURCE_ROOTS": str(home.parent)}
    made = Settings.from_environment(environment)
    create_keys(made.keys_dir)
    (home.parent / "rows.csv").write_text("a,b\n1,2\n")
    return made


def ways_to(file: Path, root: Path) -> list[str]:
    """Return paths that lead to a file: plain, by the way up, whole, by links."""
    (root / "link.csv").symlink_to(file)
    (root / "folder").symlink_to(file.parent)
    relative = os.path.relpath(file, root)
    return [
        relative,
        f"x/../{relative}",
        str(file),
        f"{root}/./{relative}",
        "link.csv",
        f"folder/{file.name}",
    ]


@pytest.mark.parametrize("name", [PRIVATE_KEY, ADMIN_TOKEN, "signing.pub"])
def test_no_path_leads_to_the_keys(settings, name):
    secret = (settings.keys_dir / name).read_text()
    sources = build_ports(settings, connections=str).sources
    root = settings.home.parent
    (root / "x").mkdir()
    for path in ways_to(settings.keys_dir / name, root):
        with pytest.raises(DataRefusedError) as refused:
            sources.read(FileSource(path=path, format="csv"))
        assert refused.value.code == "WS-DATA-025", path
        assert not [line for line in secret.split("\n") if len(line) > 20 and line in str(refused.value)]
    assert len(sources.read(FileSource(path="rows.csv")).frame) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_the_name_of_a_model(kind):
    """The name stands in paths, DAG ids, addresses, queries and command lines."""
    content = f"model: {{name: {json.dumps(KINDS[kind])}}}\n".encode()
    with pytest.raises(WindsockError) as refused:
        spec_from_bytes(content, "offers.yaml")
    assert len([line for line in str(refused.value).split("\n") if not line.startswith(" ")]) == 1
