"""``windsock data``: what a model's columns mean."""

from __future__ import annotations

import typer

from windsock.cli.models import ModelName
from windsock.cli.surroundings import open_ports
from windsock.data.contract import require_contract
from windsock.records.contract_file import contract_yaml
from windsock.settings import Settings
from windsock.spec.loader import find_model
from windsock.texts import one_line

data = typer.Typer(help="What a model's columns mean: `windsock data contract NAME`.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Keep `contract` a command of its own, though it is the only one."""


@data.command()
def contract(name: ModelName) -> None:
    """Print the data contract in force as YAML: saved as include/contracts/NAME.yaml, it is a person's.

    What is missing of the accepted documents stands above it.
    """
    settings = Settings.from_environment()
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    in_force, missing = require_contract(spec, open_ports(settings))
    print("".join(f"# Missing: {one_line(sentence)}\n" for sentence in missing), end="")
    print(contract_yaml(in_force), end="")
