"""``windsock``: the commands, and how an error becomes a message and an exit code.

Exit codes: 0 done, 1 a verdict says no or the input is bad, 2 wrong usage, 3 a system did not answer or the
output could not be written, 130 interrupted, 141 the reader of the output went away.
"""

from __future__ import annotations

import atexit
import gc
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
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
from windsock.cli.doctor import doctor
from windsock.cli.exit_codes import epilog_of
from windsock.cli.first_file import init
from windsock.cli.gate import gate
from windsock.cli.housekeeping import housekeeping
from windsock.cli.keys import keys
from windsock.cli.ledger import ledger
from windsock.cli.maturity import maturity
from windsock.cli.models import models, rollback
from windsock.cli.monitor import monitor
from windsock.cli.output import checked_output, end_output
from windsock.cli.rollout import rollout
from windsock.cli.serve import serve
from windsock.cli.specs import schema, validate
from windsock.cli.stack_parts import stack
from windsock.cli.status import status
from windsock.cli.step import step
from windsock.cli.surroundings import HomeOption, choose_home, exit_code, home_chosen, with_home
from windsock.cli.up import up
from windsock.exceptions import WindsockError

app = typer.Typer(
    name="windsock",
    help="The life of a machine-learning model as an ordinary part of Apache Airflow.",
    epilog="Exit codes: 0 done; 1 a no, or bad input; 2 wrong usage; 3 a system did not answer or the output "
    "was lost; 130 interrupted; 141 the reader of the output went away. docs/commands.md has them all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    validate,
    init,
    schema,
    status,
    rollback,
    monitor,
    backtest,
    step,
    serve,
    demo,
    up,
    doctor,
    maturity,
):
    app.command()(command)
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")
app.add_typer(ledger, name="ledger")
app.add_typer(clients, name="clients")
app.add_typer(alerts, name="alerts")
app.add_typer(data, name="data")
app.add_typer(gate, name="gate")
app.add_typer(housekeeping, name="housekeeping")
app.add_typer(stack, name="stack")
app.add_typer(rollout, name="rollout")


def _registered(group: typer.Typer) -> Iterator[Any]:
    """Yield what typer knows of each command of a group and of those in it."""
    yield from group.registered_commands
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from _registered(inner.typer_instance)


for one in _registered(app):
    one.callback = with_home(one.callback)


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
    home: HomeOption = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    context.obj.debug = debug
    choose_home(home)


@cache
def _commands() -> Any:
    """Return all commands, made once for a process that runs several."""
    return _for_users(typer.main.get_command(app))


def _for_users(command: Any, *words: str) -> Any:
    """Take what docstrings say to programmers, such as ``:raises``, out of the help; say the exit codes."""
    if command.help:
        command.help = re.split(r"^\s*:(?:raises|param|returns)\b", command.help, flags=re.MULTILINE)[
            0
        ].rstrip()
    inner_commands = getattr(command, "commands", {})
    for name, inner in inner_commands.items():
        _for_users(inner, *words, name)
    if words and not inner_commands:
        command.epilog = epilog_of(" ".join(words))
    return command


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of Windsock's own is printed without its trace.

    :param arguments: default: those of the process.
    """
    with checked_output() as output, home_chosen(None):
        return end_output(output, _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    chosen = Options()
    try:
        _commands()(arguments, obj=chosen)
    except SystemExit as done:  # typer ends wrong usage and interruption by itself
        return done.code if isinstance(done.code, int) else 0
    except WindsockError as error:
        if chosen.debug:
            traceback.print_exc()
        typer.echo(f"error: {error.code}: {error.message}\nnext: {error.next_by_hand}", err=True)
        return exit_code(error)
    return 0


def main() -> None:
    """Run the command of this process and end it."""
    atexit.register(gc.freeze)  # what is loaded goes with the process: nobody looks through it first
    code = run()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be ended in order
    sys.exit(code)
