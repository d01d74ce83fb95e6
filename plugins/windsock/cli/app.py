"""``windsock``: the commands, and how an error becomes a message and an exit code.

Exit codes: 0 done, 1 a verdict says no or the input is bad, 2 wrong usage, 3 a system did not answer.
"""

from __future__ import annotations

import atexit
import gc
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import typer

from windsock import __version__
from windsock.cli.alerts import alerts
from windsock.cli.backtest import backtest
from windsock.cli.clients import clients
from windsock.cli.data import data
from windsock.cli.demo import demo
from windsock.cli.first_file import init
from windsock.cli.gate import gate
from windsock.cli.keys import keys
from windsock.cli.ledger import ledger
from windsock.cli.models import models, rollback
from windsock.cli.monitor import monitor
from windsock.cli.rollout import rollout
from windsock.cli.serve import serve
from windsock.cli.specs import schema, validate
from windsock.cli.status import status
from windsock.cli.step import step
from windsock.cli.surroundings import exit_code
from windsock.cli.up import up
from windsock.exceptions import WindsockError

app = typer.Typer(
    name="windsock",
    help="The life of a machine-learning model as an ordinary part of Apache Airflow.",
    epilog="Exit codes: 0 done; 1 a no, or bad input; 2 wrong usage; 3 a system did not answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (validate, init, schema, status, rollback, monitor, backtest, step, serve, demo, up):
    app.command()(command)
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")
app.add_typer(ledger, name="ledger")
app.add_typer(clients, name="clients")
app.add_typer(alerts, name="alerts")
app.add_typer(data, name="data")
app.add_typer(gate, name="gate")
app.add_typer(rollout, name="rollout")


@dataclass
class Options:
    """What holds for every command."""

    debug: bool = False


def _version(wanted: bool) -> None:
    if wanted:
        print(f"windsock {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    context.obj.debug = debug


@cache
def _commands() -> Any:
    """Return all commands, made once for a process that runs several."""
    return _for_users(typer.main.get_command(app))


def _for_users(command: Any) -> Any:
    """Take what docstrings say to programmers, such as ``:raises``, out of the help."""
    if command.help:
        command.help = re.split(r"^\s*:(?:raises|param|returns)\b", command.help, flags=re.MULTILINE)[
            0
        ].rstrip()
    for inner in getattr(command, "commands", {}).values():
        _for_users(inner)
    return command


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of Windsock's own is printed without its trace.

    :param arguments: default: those of the process.
    """
    chosen = Options()
    try:
        _commands()(arguments, obj=chosen)
    except SystemExit as done:  # typer ends wrong usage and interruption by itself
        return done.code if isinstance(done.code, int) else 0
    except WindsockError as error:
        if chosen.debug:
            traceback.print_exc()
        typer.echo(f"error: {error.code}: {error.message}\nnext: {error.next_action}", err=True)
        return exit_code(error)
    return 0


def main() -> None:
    """Run the command of this process and end it."""
    atexit.register(gc.freeze)  # what is loaded goes with the process: nobody looks through it first
    sys.exit(run())
