"""``windsock data``: what a model's columns mean."""

from __future__ import annotations

import typer

from windsock.cli.models import ModelName
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import (
    installation,
    is_installed,
    not_installed,
    open_ports,
    planning_ports,
)
from windsock.data.contract import require_contract
from windsock.exceptions import DataRefusedError
from windsock.records.contract_file import contract_yaml
from windsock.spec.loader import find_model
from windsock.texts import one_line

data = typer.Typer(help="What a model's columns mean: `windsock data contract NAME`.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Keep `contract` a command of its own, though it is the only one."""


@data.command()
def contract(name: ModelName, as_json: JsonOption = False) -> None:
    """Print the data contract in force as YAML: saved as include/contracts/NAME.yaml, it is a person's.

    What is missing of the accepted documents stands above it.
    """
    settings = installation()
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    with planning_ports(settings, open_ports) as ports:
        try:
            in_force, missing = require_contract(spec, ports)
        except DataRefusedError as error:
            if is_installed(settings):
                raise
            nowhere = not_installed(settings)
            raise DataRefusedError(
                f"{error.message}; {nowhere.message}", code=error.code, next_action=nowhere.next_action
            ) from error
    if as_json:
        print_json({"model": name, "contract": in_force, "missing": missing})
        return
    print("".join(f"# Missing: {one_line(sentence)}\n" for sentence in missing), end="")
    print(contract_yaml(in_force), end="")
