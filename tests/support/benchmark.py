"""The project's benchmarks, as modules."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from support.project import PROJECT


def benchmark(name: str) -> ModuleType:
    """Return the benchmark that ``make bench NAME=...`` runs; its neighbours are found while it is loaded."""
    folder = str(PROJECT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
