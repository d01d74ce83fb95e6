"""``windsock ledger``: the rows of a model's ledger, and what to do where some are missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from windsock.cli.console import say, table
from windsock.cli.models import ModelName, no_rows
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import REFUSED, installation, open_standing_ports, user
from windsock.door import Differences, differences, reconcile
from windsock.records import ChainCheck, Champion, LedgerRow, LeftOut, RunContext, versions_by_row
from windsock.steps import shorten
from windsock.texts import one_line


class _ShowUnlessNamed(TyperGroup):
    """Takes what is no command of the group for a model's name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


ledger = typer.Typer(
    cls=_ShowUnlessNamed,
    help="Every row of a model's ledger: `windsock ledger NAME`; and what to do where rows are missing.",
    no_args_is_help=True,
)

HEAD = ("row", "time (UTC)", "action", "version", "epoch", "by", "bundle", "reason")


@ledger.command()
def show(name: ModelName, as_json: JsonOption = False) -> None:
    """Show every row of a model's ledger and prove them; exit code 1 if rows are missing or left out."""
    settings = installation()
    port = open_standing_ports(settings).ledger
    check, rows = port.verify(name), port.rows(name)
    if not rows and not check.left_out and check.broken_at is None:
        raise no_rows(name, port.models(), settings)
    if as_json:
        print_json({"model": name, "champion": port.champion(name), "chain": check, "rows": rows})
    else:
        _show(check, rows, port.champion(name))
    if check.broken_at is not None or check.left_out:
        raise typer.Exit(REFUSED)


def _show(check: ChainCheck, rows: Sequence[LedgerRow], champion: Champion | None) -> None:
    for line in table(HEAD, ledger_rows(rows), indent=""):
        say(line)
    for left in check.left_out:
        say(left_out_line(left))
    say(f"champion: version {champion.version}, epoch {champion.epoch}" if champion else "champion: none yet")
    say(chain_line(check))


@ledger.command("reconcile")
def reconcile_ledger(
    name: ModelName,
    reason: Annotated[str, typer.Option(help="What happened, for the ledger.")] = "",
    end_claim: Annotated[
        bool,
        typer.Option("--end-claim", help="End the claim of a retrain that a restored database brought back."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; a terminal is asked otherwise.")] = False,
) -> None:
    """Show how ledger and server differ, such as after a restore, and go on from what the ledger proves.

    Rows that are missing stay missing: a signed row says that a person has seen it, and their numbers and
    epochs are never used again. A server that is ahead gets the ledger's champion under an epoch above its
    own; a plan that lost its seal, as by a new admin token, is sealed anew. Without --reason it only shows.
    """
    settings = installation()
    ports = open_standing_ports(settings)
    found = differences(ports, name)
    for line in difference_lines(found, settings.admin_address):
        say(line)
    end_claim = end_claim and found.claim is not None
    if found.are_none and not end_claim:
        return
    if not reason.strip():
        flag = " --end-claim" if end_claim else ""
        say(f"next: windsock ledger reconcile {name}{flag} --reason 'WHAT HAPPENED'")
        raise typer.Exit(REFUSED)
    if sys.stdin.isatty() and not yes:
        typer.confirm("Go on from the rows that are there?", abort=True)
    run = RunContext(requested_by=user())
    row = reconcile(ports, found, run=run, reason=reason.strip(), end_claim=end_claim)
    above = f"; the next epoch is above {row.body['lost_epoch']}" if row.body["lost_epoch"] else ""
    say(f"done: row {row.seq} of the ledger says so{above}")


def difference_lines(found: Differences, address: str) -> list[str]:
    """Return what differs, a line each.

    :param address: of the server that was asked.
    """
    lines = [f"rows are missing or were changed at row {gap.at}" for gap in found.gaps]
    if found.lost is not None:
        lines.append(f"rows up to {found.lost.seq}, epoch {found.lost.epoch}, are missing at the end")
    lines += [left_out_line(left) for left in found.left_out]
    if server := _server_line(found):
        lines.append(f"server {address}: {server}")
    if found.short_rollout is not None:
        lines.append(
            f"rollout {found.short_rollout}: decisions are missing, so it neither advances nor promotes; end "
            f"it: windsock rollout stop {found.model}"
        )
    if found.claim is not None:
        lines.append(
            f"{found.claim.holder} has the model claimed for a retrain since "
            f"{found.claim.claimed_at:%Y-%m-%d %H:%M} until {found.claim.until:%Y-%m-%d %H:%M} UTC; if a "
            "restored database brought that back and the run is no more, add --end-claim"
        )
    return lines or [f"{found.model}: nothing differs, {found.rows} rows, epoch {found.epoch}"]


def _server_line(found: Differences) -> str:
    """Return how the server differs from the ledger; empty if it does not."""
    plan, champion = found.served, found.champion
    if found.is_behind:
        has = f"it serves by epoch {plan.epoch}" if plan is not None else "it serves nothing of this model"
        return f"{has}, the ledger's last change is epoch {found.epoch}; it gets the ledger's plan"
    if plan is None:
        return (
            "it serves nothing of this model or does not answer; only the ledger is looked at. "
            "WINDSOCK_SERVER_URL names another server"
        )
    gets = f"it gets version {champion.version}" if champion else "the ledger knows no champion"
    if found.is_ahead:
        serving = ", ".join(f"version {slot.version}" for slot in plan.slots if slot.share)
        keeps = "" if champion else ", so it goes on serving that; train and promote a version"
        return (
            f"{serving or 'no version'} serves by epoch {plan.epoch}, which the ledger (epoch {found.epoch}) "
            f"does not know; {gets}{keeps}"
        )
    if found.is_sealed:
        return ""
    if found.is_known:
        return (
            f"its plan of epoch {plan.epoch} is the ledger's and has no seal of the admin token; it gets one"
        )
    keeps = "" if champion else "; deploy a version"
    return f"its plan has no seal of the admin token and is not the ledger's; {gets}{keeps}"


def left_out_line(left: LeftOut) -> str:
    """Return what is said of a row that nobody believes."""
    return left.why if left.seq is None else f"left out: row {left.seq}: {left.why}"


def ledger_rows(rows: Sequence[LedgerRow]) -> list[tuple[str, ...]]:
    """Return the lines of the table; what is about a rollout names all that it tries."""
    return [_ledger_row(row, versions) for row, versions in zip(rows, versions_by_row(rows), strict=True)]


def _ledger_row(row: LedgerRow, versions: str) -> tuple[str, ...]:
    return (
        str(row.seq),
        f"{row.at:%Y-%m-%d %H:%M:%S}",
        row.action.value,
        versions,
        str(row.epoch),
        row.actor,
        shorten(row.digest),
        one_line(row.body.get("reason", "")),
    )


def chain_line(check: ChainCheck) -> str:
    """Return what the check of a ledger's chain came to, in one line."""
    if check.broken_at is None:
        left = f"; {len(check.left_out)} in the table left out" if check.left_out else ""
        return f"chain: whole, {check.rows} row{'' if check.rows == 1 else 's'}{left}"
    return (
        f"chain: BROKEN at row {check.broken_at}: from there on rows are missing or were changed; see "
        "`windsock ledger reconcile`"
    )
