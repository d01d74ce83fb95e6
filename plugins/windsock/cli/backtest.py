"""``windsock backtest``: what a history would have shown, and what retraining would have changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from windsock.cli.backtest_lines import HEAD, lines_of, row_of
from windsock.cli.backtest_retrain import WhatIf
from windsock.cli.backtest_table import label_delay, moment_of
from windsock.cli.backtest_worlds import Table, world_of_log, world_of_table
from windsock.cli.console import say, table
from windsock.cli.surroundings import installation, open_standing_ports, write_whole
from windsock.exceptions import MonitoringError, SpecError
from windsock.monitoring.backtest import replay, windows_between
from windsock.records.backtest import Backtest
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.spec.faults import NotAllowedError, closest
from windsock.spec.loader import load_models, load_shared


def _delay(text: str | None) -> str | None:
    try:
        label_delay(text)
    except NotAllowedError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def backtest(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    start: Annotated[str, typer.Option("--from", help="First day or time, in UTC unless it says otherwise.")],
    end: Annotated[str, typer.Option("--to", help="End of the history; this time itself is not in it.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="A dated table to replay instead of the prediction log.")
    ] = None,
    source: Annotated[bool, typer.Option("--source", help="Replay the model's own source of data.")] = False,
    event_time: Annotated[
        str | None,
        typer.Option("--event-time", help="The table's column of times; default: data.event_time."),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(
            "--label-delay", callback=_delay, help="Time from a table's row to its label, such as 7d."
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", help="For a table: the version to replay; default: the champion."),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain/--no-retrain", help="Try the retrains that would have been granted.")
    ] = True,
    output: Annotated[Path | None, typer.Option("--output", help="Write an HTML report with charts.")] = None,
) -> None:
    """Replay a history through the monitor and show what it would have detected, and when.

    Without --data or --source the prediction log is replayed. Nothing is written but the report.
    """
    if data is not None and source:
        raise typer.BadParameter("one of them, not both", param_hint="--data, --source")
    settings = installation()
    spec = find_model(settings, name)
    windows = windows_between(spec.monitoring, moment_of(start, "--from"), moment_of(end, "--to"))
    ports = open_standing_ports(settings)
    if data is not None or source:
        world = world_of_table(spec, ports, windows, data, Table(event_time, label_delay(delay), version))
    else:
        world = world_of_log(spec, ports, windows)
    retrainer = None
    if retrain:
        retrainer = WhatIf(
            spec,
            world.ports,
            bundles=world.bundles,
            ledger=world.ledger,
            history=world.history,
            hindsight=world.hindsight,
        )
    made = replay(spec, world.windows, world.ports, world.clock, history=world.told, retrainer=retrainer)
    made = made.replace(findings=(*world.findings, *made.findings))
    _require_rows(made)
    tell(made)
    if output is not None:
        from windsock.adapters.backtest_page import backtest_page

        write_whole(output, backtest_page(made).encode(), replace=True)
        say(f"report: {output}")


def tell(made: Backtest) -> None:
    """Print a backtest."""
    say(f"{made.model}: {made.history}")
    for line in table(HEAD, [row_of(one) for one in made.windows], indent=""):
        say(line)
    for line in lines_of(made):
        say(line)


def find_model(settings: Settings, name: str) -> ModelSpec:
    """Return a model of the project.

    :raises MonitoringError: if there is no such model, or nothing of it is watched.
    :raises SpecError: if its file cannot be used.
    """
    specs, errors = load_models(settings.models_dir, load_shared(settings.shared_file))
    if name not in specs:
        _raise_own(name, errors)
        hint = closest(name, list(specs))
        raise MonitoringError(
            f"no model is named {name[:80]!r} in {settings.models_dir} (named by {settings.models_from}); "
            f"models: {', '.join(specs) or 'none'}",
            code="WS-MONITORING-072",
            next_action=hint.capitalize() or "Name one of them, or set WINDSOCK_MODELS_DIR.",
        )
    if not specs[name].monitoring.is_on:
        raise MonitoringError(
            f"nothing of {name} is watched: monitoring.data_drift and performance_tracking are both off",
            code="WS-MONITORING-078",
            next_action="Switch one of them on in the model's file.",
        )
    return specs[name]


def _raise_own(name: str, errors: Sequence[SpecError]) -> None:
    """Raise the error of the file that seems to be the model's."""
    for error in errors:
        if error.file is not None and Path(error.file).stem == name:
            raise error


def _require_rows(made: Backtest) -> None:
    """See that there was something to judge.

    :raises MonitoringError: if no window had a row.
    """
    if not any(one.rows or (one.performance and one.performance.rows) for one in made.windows):
        raise MonitoringError(
            f"{made.history}: there is no answered row",
            code="WS-MONITORING-076",
            next_action="Move --from and --to to where the history has rows.",
        )
