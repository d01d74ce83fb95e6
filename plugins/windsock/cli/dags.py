"""``windsock dags``: which DAGs of a model are on, and one command that switches its set on or off."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from windsock.cli.airflow_answers import RestAirflow, airflow_access
from windsock.cli.airflow_rest import AirflowApiError
from windsock.cli.console import say, table
from windsock.exceptions import SettingsError
from windsock.records import DagFacts
from windsock.settings import Settings
from windsock.spec.loader import find_model, load_models, load_shared
from windsock.watchdog.loop_dags import INSTALLATION_DAGS, loop_dags

dags = typer.Typer(
    help="The DAGs of a model: which are on; switch them on or off.",
    no_args_is_help=True,
)
Name = Annotated[
    str | None, typer.Argument(help="The model's name; none: the DAGs that look after all models.")
]
Chosen = Annotated[
    list[str] | None,
    typer.Option("--dag", help="This DAG alone, by what follows the model's name: monitor; may be repeated."),
]


@dags.command("list")
def show(
    name: Annotated[str | None, typer.Argument(help="The model's name; none: all of them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the DAGs, whether each is on, and what does not happen while it is off."""
    settings = Settings.from_environment()
    shared = load_shared(settings.shared_file)
    if name is not None:
        specs = [find_model(settings.models_dir, name, shared_file=settings.shared_file)]
    else:
        specs = list(load_models(settings.models_dir, shared)[0].values())
    listed = [(one.dag_id, one.without) for spec in specs for one in loop_dags(spec)]
    if name is None:
        listed += [(one, "nothing starts by itself, and nothing is told") for one in INSTALLATION_DAGS]
    airflow = _airflow(settings)
    facts = [(airflow.dag(dag_id), without) for dag_id, without in listed]
    if as_json:
        print(json.dumps([{**one.model_dump(mode="json"), "without": why} for one, why in facts], indent=2))
        return
    rows = [(one.dag_id, state_of(one), why) for one, why in facts]
    for line in table(("dag", "state", "while it is off"), rows, indent=""):
        say(line)


def state_of(facts: DagFacts) -> str:
    """Return a DAG's state in a word."""
    if facts.is_missing:
        return "missing"
    return "off" if facts.is_off else "on"


@dags.command("on")
def switch_on(name: Name = None, dag: Chosen = None) -> None:
    """Switch a model's DAGs on: those that work on a schedule, and those that work when something asks."""
    _switch(name, dag, paused=False)


@dags.command("off")
def switch_off(name: Name = None, dag: Chosen = None) -> None:
    """Switch a model's DAGs off: their runs go on, no new one starts; `windsock status` says so."""
    _switch(name, dag, paused=True)


def _airflow(settings: Settings) -> RestAirflow:
    """Return what asks Airflow, once it has answered.

    :raises SettingsError: if nobody told how to sign in.
    :raises AirflowApiError: if it does not answer.
    """
    access = airflow_access(settings)
    if access.why:
        raise SettingsError(
            f"Airflow at {access.url}: {access.why}",
            code="WS-WATCH-035",
            next_action="Set the three variables, or run this where `windsock up` keeps its home.",
        )
    airflow = RestAirflow(access.api())
    if airflow.why_not:
        raise AirflowApiError(f"{access.url}: {airflow.why_not}")
    return airflow


def _switch(name: str | None, chosen: Sequence[str] | None, *, paused: bool) -> None:
    settings = Settings.from_environment()
    asked = wanted_dags(settings, name, chosen or ())
    airflow = _airflow(settings)
    word = "off" if paused else "on"
    missing = []
    for dag_id in asked:
        facts = airflow.dag(dag_id)
        if facts.is_missing:
            missing.append(dag_id)
            say(f"{dag_id}: Airflow does not know it")
        elif facts.is_paused == paused:
            say(f"{dag_id}: {word} already")
        else:
            airflow.api.set_paused(dag_id, paused)
            say(f"{dag_id}: {word}")
    if missing:
        raise SettingsError(
            f"Airflow does not know {', '.join(missing)}",
            code="WS-WATCH-036",
            next_action="See that its DAG processor runs, and `windsock validate`; new DAGs are there after "
            "half a minute.",
        )


def wanted_dags(settings: Settings, name: str | None, chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the DAG ids that a command is about.

    :raises SettingsError: if the model has no such DAG.
    """
    if name is None:
        known = {one.partition("__")[2]: one for one in INSTALLATION_DAGS}
    else:
        spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
        known = {one.suffix: one.dag_id for one in loop_dags(spec)}
    if unknown := [one for one in chosen if one not in known]:
        raise SettingsError(
            f"{name or 'the installation'} has no DAG {unknown[0][:80]!r}; it has: {', '.join(known)}",
            code="WS-WATCH-037",
            next_action="Name one of them.",
        )
    return tuple(known[one] for one in chosen) if chosen else tuple(known.values())
