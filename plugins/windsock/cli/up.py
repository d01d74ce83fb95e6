"""``windsock up``: Airflow, MLflow and the server on this machine, until Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from windsock.cli.console import say
from windsock.cli.stack import ROLES, Stack, running_stack
from windsock.cli.stack_ports import StackPorts
from windsock.cli.supervisor import StopSignalError
from windsock.cli.surroundings import HomeOption, location
from windsock.exceptions import SpecError
from windsock.spec.loader import load_models, load_shared

SHOWN_ERRORS = 5
INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        help="The project folder; default: the nearest one upwards that has dags and include.",
        exists=True,
        file_okay=False,
    ),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", envvar="WINDSOCK_MODELS_DIR", help="Model files; default: include/models."),
]
AirflowPort = Annotated[int | None, typer.Option(help="Default: WINDSOCK_AIRFLOW_PORT, else 8080.")]
MlflowPort = Annotated[int | None, typer.Option(help="Default: WINDSOCK_MLFLOW_PORT, else 5000.")]
ServerPort = Annotated[int | None, typer.Option(help="Default: WINDSOCK_SERVER_PORT, else 8181.")]
PrivatePort = Annotated[
    int | None, typer.Option(help="Default: WINDSOCK_PRIVATE_PORT, else the server's port and 1.")
]


def up(
    home: HomeOption = None,
    project: ProjectOption = None,
    models: ModelsOption = None,
    airflow_port: AirflowPort = None,
    mlflow_port: MlflowPort = None,
    server_port: ServerPort = None,
    private_port: PrivatePort = None,
) -> None:
    """Start Airflow, MLflow and the server on 127.0.0.1; Ctrl-C stops all of it.

    :raises PartFailedError: if a part does not come up, or ends more often than it is restarted.
    :raises SettingsError: if a port is taken, or a stack runs in this home already.
    """
    ports = StackPorts.from_environment(
        airflow=airflow_port, mlflow=mlflow_port, server=server_port, private=private_port
    )
    place = location(home=home, project=project)
    stack = Stack(
        project=place.project,
        home=place.home,
        ports=ports,
        models_dir=models.absolute() if models else None,
    )
    begun = time.monotonic()
    say(f"Starting Airflow, MLflow and the server; their logs: {stack.logs}")
    try:
        with running_stack(stack, say=say) as supervisor:
            say(f"Windsock is up after {time.monotonic() - begun:.0f} s. Ctrl-C stops all of it.")
            for line in [*addresses(stack), *logins(stack), *broken(stack)]:
                say(line)
            try:
                supervisor.watch()
            finally:
                say("Stopping ...")
    except StopSignalError:
        say("Stopped; no process is left.")
    except KeyboardInterrupt:  # before the supervisor takes signals, or after it
        say("Stopped; no process is left.")
        raise typer.Exit(INTERRUPTED) from None


def addresses(stack: Stack) -> list[str]:
    """Return the lines that say where everything is."""
    return [
        f"  Airflow    {stack.airflow_url}    DAGs, logs, approvals",
        f"  MLflow     {stack.mlflow_url}    runs and versions",
        f"  server     {stack.server_url}    predictions; its pages: /docs, /health, /metrics",
        f"  models     {stack.models}",
        f"  logs       {stack.logs}/*.log; those of tasks are in Airflow",
    ]


def broken(stack: Stack) -> list[str]:
    """Return a line for each model file that cannot be used, the first ones, and how many more there are."""
    errors: tuple[SpecError, ...]
    try:
        _, errors = load_models(stack.models, load_shared(stack.models.parent / "windsock.yaml"))
    except SpecError as error:
        errors = (error,)
    lines = [f"  broken     {error.message}" for error in errors[:SHOWN_ERRORS]]
    more = len(errors) - SHOWN_ERRORS
    return [*lines, f"  broken     and {more} more: `windsock validate` names them"] if more > 0 else lines


def logins(stack: Stack) -> list[str]:
    """Return the lines that say who may sign in to Airflow."""
    notes = {
        "admin": "may do all",
        "reviewer": "approves what admin triggered",
        "reviewer2": "the second person where two must approve (tier high)",
    }
    lines: list[str] = []
    for user, password in stack.logins.items():
        head = "logins" if not lines else ""
        lines.append(f"  {head:<10} {user} / {password}    {notes[user]} (role {ROLES[user]})")
    return lines
