"""``python -m windsock.cli``."""

from __future__ import annotations

from windsock.cli import main

main()
