"""A module of this very package as a process of its own, whichever other Windsock is installed."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
# Where the package is importable already, nothing moves: site-packages must not stand before the standard
# library.
CODE = (
    "import sys; from importlib import import_module; root, module = sys.argv[1:3]; del sys.argv[1:3];"
    "root in sys.path or sys.path.insert(0, root); import_module(module).main()"
)


def command_of(module: str, *arguments: str) -> list[str]:
    """Return the command that runs the function ``main`` of a module of this package.

    :param module: its full name.
    :param arguments: what it finds in ``sys.argv`` behind its name.
    """
    return [sys.executable, "-P", "-c", CODE, PACKAGE_ROOT, module, *arguments]
