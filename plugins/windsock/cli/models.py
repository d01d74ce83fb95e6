"""``windsock models`` and ``rollback``: what serves, and back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from windsock.cli.console import say, table
from windsock.cli.list_by_default import ListByDefault
from windsock.cli.model_dags import switch
from windsock.cli.output import JsonOption, print_json
from windsock.cli.running_airflow import running_airflow
from windsock.cli.surroundings import (
    REFUSED,
    complain,
    findings_on_stderr,
    installation,
    open_ports,
    open_standing_ports,
    planning_ports,
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
    cls=ListByDefault,
    help="List the models: owner, champion, schedule. `on` and `off` switch all DAGs of one.",
)
ModelName = Annotated[str, typer.Argument(help="The model's name.")]


@models.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models: owner, champion, schedule. Exit code 1 if a model file cannot be used."""
    settings = installation()
    specs, errors = load_models(settings.models_dir, load_shared(settings.shared_file))
    champions: dict[str, Champion | None] = {}
    if specs:
        with planning_ports(settings, open_ports) as ports:
            champions = {name: ports.ledger.champion(name) for name in specs}
    if as_json:
        listed = [model_facts(spec, champions[name]) for name, spec in specs.items()]
        print_json({"models_dir": settings.models_dir, "models": listed})
    elif specs:
        rows = [model_row(spec, champions[name]) for name, spec in specs.items()]
        for line in table(("model", "owner", "champion", "schedule"), rows, indent=""):
            say(line)
    elif not errors:
        say(
            f"no model file in {settings.models_dir} (named by {settings.models_from}); `windsock init`"
            " writes one, WINDSOCK_MODELS_DIR names another folder"
        )
    for error in errors:
        complain(error)
    if errors:
        raise typer.Exit(REFUSED)


@models.command()
def on(name: ModelName) -> None:
    """Switch all DAGs of a model on, in the stack that runs in this home."""
    settings = installation()
    with running_airflow(settings) as api:
        switch(api, settings, name, on=True)


@models.command()
def off(name: ModelName) -> None:
    """Switch all DAGs of a model off: nothing retrains, judges or rolls out; the server goes on serving.

    Its roll back is off as well; `windsock rollback NAME` works without Airflow.
    """
    settings = installation()
    with running_airflow(settings) as api:
        switch(api, settings, name, on=False)


def model_row(spec: ModelSpec, champion: Champion | None) -> tuple[str, str, str, str]:
    """Return a model's line in the list."""
    version = f"version {champion.version}" if champion else "none yet"
    return spec.name, spec.model.owner, version, schedule_word(spec.training.schedule)


def model_facts(spec: ModelSpec, champion: Champion | None) -> dict[str, str | int | None]:
    """Return what the list says of a model, for programs."""
    return {
        "model": spec.name,
        "owner": spec.model.owner,
        "tier": spec.model.tier,
        "schedule": spec.training.schedule,
        "champion": champion.version if champion else None,
        "epoch": champion.epoch if champion else None,
        "bundle": champion.digest if champion else None,
    }


def no_rows(name: str, known: Sequence[str], settings: Settings) -> SettingsError:
    """Return the refusal of a name of which the ledger has no row.

    :param known: models that have rows.
    :param settings: where the ledger is.
    """
    hint = closest(name, known)
    return SettingsError(
        f"the ledger of {settings.home} has no row of the model {name[:80]!r}; models with rows: "
        f"{', '.join(known) or 'none'}",
        code="WS-SETTINGS-008",
        next_action=hint.capitalize()
        or f"Name one of them; a model has rows once a version of it was registered. {settings.elsewhere}.",
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
    settings = installation()
    ports = open_standing_ports(settings)
    rows = ports.ledger.rows(name)
    if not rows:
        raise no_rows(name, ports.ledger.models(), settings)
    if sys.stdin.isatty() and not yes:
        typer.confirm(rollback_question(name, rows, to), abort=True)
    asked = RollBackInput(
        model=name, to_version=to, reason=reason.strip(), run=RunContext(requested_by=user())
    )
    with findings_on_stderr():
        result = run_step("roll_back", asked, ports)
    for line in verdict_of(result).lines():
        say(line)
