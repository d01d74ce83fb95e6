"""What the project says about itself: its metadata, its pins and its files, for the packaging tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
PLUGINS = PROJECT / "plugins"
DISTRIBUTION = "airflow-windsock"


def project_table() -> dict[str, Any]:
    """Read ``[project]`` of pyproject.toml."""
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def direct_requirements() -> dict[str, Requirement]:
    """Give what pyproject.toml asks for, all extras included, by canonical name."""
    table = project_table()
    lines = [
        *table["dependencies"],
        *(line for extra in table["optional-dependencies"].values() for line in extra),
    ]
    return {canonicalize_name(line.name): line for line in map(Requirement, lines)}


def needed_distributions() -> set[str]:
    """Follow the installed distributions' own requirements from the direct ones to the last."""
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for name, line in direct_requirements().items() for extra in ("", *line.extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in map(Requirement, metadata.requires(name) or []):
            if line.marker is None or line.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(line.name), wanted) for wanted in ("", *line.extras)]
    return {name for name, _ in seen}


def pins() -> dict[str, str]:
    """Read constraints.txt: version by name as it stands there."""
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines)


def texts() -> dict[str, str]:
    """Read every text file of the repository that git knows or would add, by its path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    found = {}
    for name in filter(None, listed.split("\0")):
        try:
            found[name] = (PROJECT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return found


def run_python(code: str, *options: str, **environment: str) -> str:
    """Run ``code`` in a new interpreter and give the last line that it prints.

    :raises AssertionError: where it fails; with the end of its error output.
    """
    run = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True, text=True, check=False, timeout=900, env={**os.environ, **environment},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout.strip().splitlines()[-1]
