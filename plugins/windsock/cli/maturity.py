"""``windsock maturity``: how far each model's life is automated, by what is really there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from windsock.cli.console import say, table
from windsock.cli.models import no_rows
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import installation, open_standing_ports
from windsock.governance.maturity import maturity_of
from windsock.records.maturity import LEVELS, Maturity
from windsock.spec.loader import load_models, load_shared

HEAD = ("level", "check", "holds", "evidence")


def maturity(
    name: Annotated[str | None, typer.Argument(help="A model's name; default: all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which level of MLOps, 0 to 4, each model and the installation have reached, and the next step.

    Ten checks a model, each with its evidence: a row of the ledger, a verdict, a run. Nothing counts that
    only a file claims. The installation is as far as its least far model.
    """
    settings = installation()
    specs, _ = load_models(settings.models_dir, load_shared(settings.shared_file))
    ports = open_standing_ports(settings)
    known = sorted({*specs, *ports.ledger.models()})
    if name is not None and name not in known:
        raise no_rows(name, known, settings)
    found = [maturity_of(ports, model, specs.get(model)) for model in ([name] if name else known)]
    if as_json:
        least = min((one.level for one in found), default=0)
        content = {
            "level": least,
            "name": LEVELS[least],
            "models": [one.model_dump(mode="json") for one in found],
        }
        print_json(content)
        return
    for line in maturity_lines(found, whole=name is None):
        say(line)


def maturity_lines(found: Sequence[Maturity], *, whole: bool) -> list[str]:
    """Return what is printed.

    :param found: a model each.
    :param whole: whether these are all models of the installation.
    """
    lines: list[str] = []
    for one in found:
        rows = [
            (str(check.level), check.name, "yes" if check.holds else "no", check.evidence)
            for check in one.checks
        ]
        lines += [f"{one.model}: level {one.level} of 4, {one.name}", *table(HEAD, rows)]
        lines += [f"  next: {one.next_step}"] if one.next_step else ["  next: nothing; every check holds"]
    if not whole:
        return lines
    if not found:
        return ["installation: level 0 of 4, manual: there is no model", "  next: windsock init"]
    least = min(found, key=lambda one: one.level)
    return [
        *lines,
        f"installation: level {least.level} of 4, {least.name}; its least far model is {least.model}",
    ]
