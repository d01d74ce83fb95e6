"""A module of this very package as a process of its own, whichever other Windsock is installed."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
# Where this very package is what would be imported, nothing moves: site-packages must not stand before the
# standard library.
CODE = """
import os, sys
from importlib import import_module
from importlib.util import find_spec
root, module = sys.argv[1:3]
del sys.argv[1:3]
found = find_spec("windsock")
place = found and found.origin and os.path.dirname(os.path.dirname(os.path.realpath(found.origin)))
if place != root:
    sys.path.insert(0, root)
import_module(module).main()
"""


def command_of(module: str, *arguments: str) -> list[str]:
    """Return the command that runs the function ``main`` of a module of this package.

    :param module: its full name.
    :param arguments: what it finds in ``sys.argv`` behind its name.
    """
    return [sys.executable, "-P", "-c", CODE, PACKAGE_ROOT, module, *arguments]
