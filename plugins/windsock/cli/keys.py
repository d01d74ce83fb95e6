"""``windsock keys``: the installation's signing key and admin token."""

from __future__ import annotations

import typer

from windsock.cli.console import say
from windsock.settings import Settings

keys = typer.Typer(help="The installation's signing key and admin token.", no_args_is_help=True)


@keys.callback()
def _group() -> None:
    """Make and keep the installation's signing key and admin token."""


@keys.command()
def init() -> None:
    """Make the signing key, its public key and the admin token; what is there is never replaced."""
    from windsock.adapters.signing import create_keys

    folder = create_keys(Settings.from_environment().keys_dir)
    say(f"made the signing key, its public key and the admin token in {folder}")
    say("keep a copy of the folder in a safe place: without the key no new model can be signed")
