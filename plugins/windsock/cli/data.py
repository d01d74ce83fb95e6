"""``windsock data``: what a model's columns mean."""

from __future__ import annotations

import typer

from windsock.cli.models import ModelName
from windsock.cli.surroundings import open_ports
from windsock.data.contract import require_contract
from windsock.records.contract_file import contract_yaml
from windsock.settings import Settings
from windsock.spec.loader import find_model

data = typer.Typer(help="What a model's columns mean: `windsock data contract NAME`.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Keep `contract` a command of its own, though it is the only one."""


@data.command()
def contract(name: ModelName) -> None:
    """Print the data contract in force as YAML: saved as include/contracts/NAME.yaml, it is a person's."""
    settings = Settings.from_environment()
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    print(contract_yaml(require_contract(spec, open_ports(settings))), end="")
