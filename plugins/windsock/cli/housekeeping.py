"""``windsock housekeeping``: what the DAG ``windsock__housekeeping`` does, now and by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from windsock.cli.console import say, table
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import findings_on_stderr, installation, open_standing_ports
from windsock.deployment.remove_old import remove_logs
from windsock.deployment.retention import Plan, Removal, plan_retention
from windsock.exceptions import WindsockError
from windsock.ports import Ports
from windsock.records import HousekeepingInput, RunContext
from windsock.records.retention import RetentionPolicy
from windsock.spec.loader import load_models, load_shared
from windsock.steps import shorten
from windsock.steps.run import run_step
from windsock.steps.verdicts import refusal_of, verdict_of

housekeeping = typer.Typer(
    help="Repair, close and remove what is due, as the DAG windsock__housekeeping does.", no_args_is_help=True
)


@housekeeping.callback()
def _group() -> None:
    """Keep `run` a command of its own."""


@housekeeping.command()
def run(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what the retention would remove, and why the rest stays."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Do all of housekeeping now; the retention, too, though it was done less than a day ago.

    :raises WindsockError: if something is wrong that a person must look at, or a system did not answer.
    """
    settings = installation()
    shared = load_shared(settings.shared_file)
    specs, _ = load_models(settings.models_dir, shared)
    ports = open_standing_ports(settings)
    policy = RetentionPolicy.of(shared.retention)
    models = sorted({*specs, *ports.ledger.models()})
    if dry_run:
        _show_plan(policy, ports, models, as_json=as_json)
        return
    step = HousekeepingInput(
        models=tuple(models),
        keep_predictions_days=shared.predictions_kept_days,
        retention=policy,
        remove_at_once=True,
        run=RunContext(),
    )
    with findings_on_stderr():
        result = run_step("keep_house", step, ports)
    if as_json:
        print_json(result.record.model_dump(mode="json"))
    else:
        say(verdict_of(result).why)
    if (error := refusal_of(result)) is not None:
        raise error


def _show_plan(policy: RetentionPolicy, ports: Ports, models: Sequence[str], *, as_json: bool) -> None:
    """Print what would go and what stays, and why.

    :raises WindsockError: the first fault, after all models were looked at.
    """
    plans: dict[str, Plan] = {}
    faults: list[WindsockError] = []
    for model in models:
        try:
            plans[model] = plan_retention(policy, ports, model, ports.now())
        except WindsockError as error:
            faults.append(error)
    rows = [_removal(removal, ports) for plan in plans.values() for removal in plan.removals]
    kept: list[dict[str, object]] = [
        {"model": model, "kind": kind, "why": why, "count": count}
        for model, plan in plans.items()
        for (kind, why), count in sorted(plan.kept.items())
    ]
    logs = remove_logs(policy, ports, ports.now(), remove=False)
    if as_json:
        print_json({"removals": rows, "kept": kept, "logs": {"files": logs.items, "bytes": logs.bytes}})
    else:
        for line in _plan_lines(rows, kept):
            say(line)
        if logs.items:
            say(f"and {logs.items:,} logs, {logs.bytes:,} bytes")
    if faults:
        raise faults[0]


def _removal(removal: Removal, ports: Ports) -> dict[str, str | float | int | None]:
    return {
        "kind": removal.kind,
        "model": removal.model,
        "name": removal.name,
        "made_at": removal.made_at.isoformat() if removal.made_at else None,
        "kept_days": removal.days,
        "runs": len(removal.runs),
        "bytes": sum(map(ports.kept.size, removal.things)),
    }


def _plan_lines(removals: Sequence[Mapping[str, object]], kept: Sequence[Mapping[str, object]]) -> list[str]:
    head = ("kind", "model", "name", "made at", "kept days", "runs", "bytes")
    rows = [_row(one) for one in removals]
    lines = ["would be removed:", *table(head, rows)] if rows else ["nothing would be removed"]
    if kept:
        stays = [tuple(str(one[name]) for name in ("model", "kind", "count", "why")) for one in kept]
        lines += ["stays:", *table(("model", "kind", "how many", "why"), stays)]
    return lines


def _row(removal: Mapping[str, object]) -> list[str]:
    shown = {
        **removal,
        "name": shorten(str(removal["name"])),
        "made_at": str(removal["made_at"] or "begun")[:16],
    }
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in shown.values()]
