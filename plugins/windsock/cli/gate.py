"""``windsock gate``: what the gate's limits need."""

from __future__ import annotations

from typing import Annotated

import typer

from windsock.cli.console import say
from windsock.cli.gate_plan import plan_lines, plan_of
from windsock.cli.models import ModelName
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import installation, open_ports, planning_ports
from windsock.spec.loader import find_model

gate = typer.Typer(help="What a model's limits need: `windsock gate plan NAME`.", no_args_is_help=True)


@gate.callback()
def _group() -> None:
    """Keep `plan` a command of its own, though it is the only one."""


@gate.command()
def plan(
    name: ModelName,
    power: Annotated[
        float, typer.Option(help="With which probability a true value passes.", min=0.5, max=0.99)
    ] = 0.8,
    as_json: JsonOption = False,
) -> None:
    """Print how many rows, positives and entities the limits of `gate` need, beside today's."""
    settings = installation()
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    with planning_ports(settings, open_ports) as ports:
        made = plan_of(spec, ports, power)
    if as_json:
        print_json(made.facts())
        return
    for line in plan_lines(made):
        say(line)
