"""``windsock models`` and ``rollback``: what serves, and back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from windsock.cli.console import say, table
from windsock.cli.model_dags import switch
from windsock.cli.running_airflow import running_airflow
from windsock.cli.surroundings import (
    REFUSED,
    complain,
    findings_on_stderr,
    open_ports,
    open_standing_ports,
    user,
)
from windsock.exceptions import SettingsError
from windsock.records import (
    Champion,
    LedgerRow,
    RollBackInput,
    RunContext,
    champion_of,
    running_rollout,
)
from windsock.settings import Settings
from windsock.spec import ModelSpec, schedule_word
from windsock.spec.faults import closest
from windsock.spec.loader import load_models, load_shared
from windsock.steps import verdict_of
from windsock.steps.run import run_step

models = typer.Typer(
    help="List the models: owner, champion, schedule. Exit code 1 if a model file cannot be used. "
    "`on` and `off` switch all DAGs of one.",
    invoke_without_command=True,
)
ModelName = Annotated[str, typer.Argument(help="The model's name.")]


@models.callback()
def list_models(context: typer.Context) -> None:
    """List the models: owner, champion, schedule. Exit code 1 if a model file cannot be used."""
    if context.invoked_subcommand is not None:
        return
    settings = Settings.from_environment()
    specs, errors = load_models(settings.models_dir, load_shared(settings.shared_file))
    if specs:
        ledger_port = open_ports(settings).ledger
        rows = [model_row(spec, ledger_port.champion(name)) for name, spec in specs.items()]
        for line in table(("model", "owner", "champion", "schedule"), rows, indent=""):
            say(line)
    elif not errors:
        say(f"no model file in {settings.models_dir}; `windsock init` writes one")
    for error in errors:
        complain(error)
    if errors:
        raise typer.Exit(REFUSED)


@models.command()
def on(name: ModelName) -> None:
    """Switch all DAGs of a model on, in the stack that runs in this home."""
    settings = Settings.from_environment()
    with running_airflow(settings) as api:
        switch(api, settings, name, on=True)


@models.command()
def off(name: ModelName) -> None:
    """Switch all DAGs of a model off: nothing retrains, judges or rolls out; the server goes on serving.

    Its roll back is off as well; `windsock rollback NAME` works without Airflow.
    """
    settings = Settings.from_environment()
    with running_airflow(settings) as api:
        switch(api, settings, name, on=False)


def model_row(spec: ModelSpec, champion: Champion | None) -> tuple[str, str, str, str]:
    """Return a model's line in the list."""
    version = f"version {champion.version}" if champion else "none yet"
    return spec.name, spec.model.owner, version, schedule_word(spec.training.schedule)


def no_rows(name: str, known: Sequence[str]) -> SettingsError:
    """Return the refusal of a name of which the ledger has no row.

    :param known: models that have rows.
    """
    hint = closest(name, known)
    return SettingsError(
        f"the ledger has no row of the model {name[:80]!r}; models with rows: {', '.join(known) or 'none'}",
        code="WS-SETTINGS-008",
        next_action=hint.capitalize()
        or "Name one of them; a model has rows once a version of it was registered.",
    )


def rollback_question(name: str, rows: Sequence[LedgerRow], to: str | None) -> str:
    """Return what a person is asked before a roll back: what serves now, and what would."""
    serving, rollout = champion_of(rows), running_rollout(rows)
    now = f"version {serving.version} of {name} serves now" if serving else f"no version of {name} serves"
    if rollout is None:
        return f"{now}. Serve {f'version {to}' if to else 'the one before it'} instead?"
    verb = "are" if rollout.others else "is"
    now += f", and {rollout.named} {verb} tried against it by rollout {rollout.experiment}"
    if to in (None, rollout.champion_version):
        return f"{now}. End the rollout, so that version {rollout.champion_version} serves alone?"
    return f"{now}. End the rollout and serve version {to} instead?"


def rollback(
    name: ModelName,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")],
    to: Annotated[
        str | None, typer.Option("--to", help="Version to serve again; default: the champion before.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; a terminal is asked otherwise.")] = False,
) -> None:
    """Serve an earlier champion again, by the same door as the DAG NAME__rollback.

    A rollout that is under way is ended instead, and its champion gets all traffic back. Else each call goes
    one version further back; that is why a person is shown which version serves now. Within 15 minutes of a
    rollout's end it does so only with --to.
    """
    if not reason.strip():
        raise typer.BadParameter("write why", param_hint="--reason")
    ports = open_standing_ports(Settings.from_environment())
    rows = ports.ledger.rows(name)
    if not rows:
        raise no_rows(name, ports.ledger.models())
    if sys.stdin.isatty() and not yes:
        typer.confirm(rollback_question(name, rows, to), abort=True)
    asked = RollBackInput(
        model=name, to_version=to, reason=reason.strip(), run=RunContext(requested_by=user())
    )
    with findings_on_stderr():
        result = run_step("roll_back", asked, ports)
    for line in verdict_of(result).lines():
        say(line)
