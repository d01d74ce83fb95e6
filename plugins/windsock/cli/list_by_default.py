"""Groups of commands that list what they are about where no command of theirs is named."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class ListByDefault(TyperGroup):
    """``windsock models --json`` is ``windsock models list --json``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word `list` before options that no command is named for."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)
