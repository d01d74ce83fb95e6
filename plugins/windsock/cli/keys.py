"""``windsock keys``: the installation's signing key, admin token and log key."""

from __future__ import annotations

import typer

from windsock.cli.console import say
from windsock.cli.surroundings import complain, installation, open_standing_ports, user
from windsock.door import sign_anew
from windsock.exceptions import SettingsError, WindsockError
from windsock.records import RunContext
from windsock.settings import Settings

keys = typer.Typer(help="The installation's signing key, admin token and log key.", no_args_is_help=True)


@keys.callback()
def _group() -> None:
    """Make and keep the installation's signing key, admin token and log key."""


@keys.command()
def init() -> None:
    """Make the signing key, its public key and the admin token; what is there is never replaced.

    Where the signing key is there, what is missing beside it is made.
    """
    from windsock.adapters.signing import PRIVATE_KEY, create_keys

    folder = installation().keys_dir
    before = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    create_keys(folder)
    if PRIVATE_KEY in before:
        made = sorted({file.name for file in folder.iterdir()} - before)
        say(f"made {' and '.join(made)} in {folder}; the signing key is as it was")
        return
    say(f"made the signing key, its public key and the admin token in {folder}")
    say("keep a copy of the folder in a safe place: without the key no new model can be signed")


@keys.command()
def rotate() -> None:
    """Make a new signing key; what the old one signed stays verifiable, by its public key in retired/."""
    from windsock.adapters.signing import RETIRED, replace_signing_key

    settings = installation()
    folder = settings.keys_dir
    made = replace_signing_key(folder)
    say(f"made the signing key {made} in {folder}; the public keys of before are in {folder / RETIRED}")
    _sign_ledgers(settings)
    say("copy signing.pub and retired/ to machines that only serve, and keep a copy of the folder")


def _sign_ledgers(settings: Settings) -> None:
    """Let the new key sign a row of each ledger: it proves the rows before, also without the old key."""
    try:
        ports = open_standing_ports(settings)
    except SettingsError:
        return  # nothing has run here yet
    for model in ports.ledger.models():
        try:
            row = sign_anew(ports, model, run=RunContext(requested_by=user()))
        except WindsockError as error:
            complain(error)
            say(f"{model}: its ledger is not signed with the new key; keep the old public key")
        else:
            say(f"{model}: row {row.seq} of its ledger is signed with the new key")


@keys.command("log")
def log_key() -> None:
    """Make the key that encrypts sensitive fields in the prediction log; again: put a new one first."""
    from windsock.adapters.column_cipher import LOG_KEY, make_log_key

    folder = installation().keys_dir
    held = make_log_key(folder)
    if held == 1:
        say(f"made the log key {folder / LOG_KEY}; sensitive fields are encrypted from now on")
    else:
        say(f"put a new key first in {folder / LOG_KEY}; it holds {held}, the older ones go on decrypting")
    say("keep a copy of it in a safe place: without it what was encrypted is lost")
