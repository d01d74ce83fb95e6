"""``windsock alerts``: what is firing, and whether every channel takes an alert."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from windsock.cli.airflow_database import lacking_airflow
from windsock.cli.console import say
from windsock.cli.list_by_default import ListByDefault
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import REFUSED, installation, open_standing_ports
from windsock.exceptions import SettingsError, SpecError, TransportError
from windsock.ports import Ports
from windsock.records import INSTALLATION, Alert, Severity
from windsock.settings import Settings
from windsock.spec.loader import load_models, load_shared
from windsock.watchdog.firing import alerts_of, reached

alerts = typer.Typer(
    cls=ListByDefault,
    help="What is firing, whom it reached, and whether every channel takes an alert.",
)
TEST_SECONDS = 180.0
PACKAGE_FOLDER = str(Path(__file__).parents[2])


@alerts.command("list")
def list_alerts(
    model: Annotated[
        str | None, typer.Option("--model", help="Of this model alone; `(installation)`: of none.")
    ] = None,
    resolved: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 where one of high or critical severity is firing.")
    ] = False,
) -> None:
    """List the alerts that fire, the gravest first: since when, whom they reached, and what to do.

    Exit code 0; with --check 1 where one of high or critical severity fires.
    """
    settings = installation()
    ports = open_standing_ports(settings)
    names = [model] if model else known_models(settings, ports)
    found = alerts_of(ports.monitor, names, resolved=resolved)
    if as_json:
        print_json(found)
    else:
        for line in alert_lines(found):
            say(line)
    if check and any(one.state == "firing" and one.severity.rank >= Severity.HIGH.rank for one in found):
        raise typer.Exit(REFUSED)


def known_models(settings: Settings, ports: Ports) -> list[str]:
    """Return every model that has a file or rows, and the installation."""
    try:
        specs, _ = load_models(settings.models_dir, load_shared(settings.shared_file))
    except SpecError:
        specs = {}
    return sorted({*specs, *ports.ledger.models(), INSTALLATION})


def alert_lines(found: Sequence[Alert]) -> list[str]:
    """Return the lines of a list of alerts."""
    if not found:
        return ["no alert fires"]
    return [line for one in found for line in one_alert(one)]


def one_alert(alert: Alert) -> list[str]:
    """Return an alert's lines: what, the text, whom it reached, what to do."""
    word = "RESOLVED" if alert.state == "resolved" else alert.severity.value.upper()
    code = f"{alert.code} " if alert.code else ""
    lines = [f"[{word}] {code}{alert.title}", f"    {alert.text}", f"    {reached(alert)}"]
    if alert.next_action and alert.state == "firing":
        lines.append(f"    NEXT: {alert.next_action}")
    return lines


@alerts.command("test")
def try_channels(
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", help="Try this channel alone; may be repeated. Default: all."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test alert through every channel, with Airflow's connections, and say whether it was taken.

    Exit code 1 if one refused it, 3 if Airflow's connections cannot be read.
    """
    settings = installation()
    tried = tried_channels(settings, channel or [])
    if as_json:
        print(json.dumps(tried, indent=2))
    else:
        for line in map(tried_line, tried):
            say(line)
    if not all(one["taken"] for one in tried):
        raise typer.Exit(REFUSED)


def tried_line(one: Mapping[str, Any]) -> str:
    """Return what became of the test alert at one channel."""
    if one["kind"] == "log":
        return f"{one['channel']}: WS-ALERTS-001: {one['why']}"
    if one["taken"]:
        return f"{one['channel']}: taken ({one['kind']}, connection {one['connection']})"
    return f"{one['channel']}: WS-ALERTS-004: refused: {one['why']}"


def tried_channels(settings: Settings, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what became of a test alert, channel by channel.

    :raises SettingsError: if a channel is unknown.
    :raises TransportError: if Airflow's connections cannot be read, or nothing answers in time.
    """
    known = [*load_shared(settings.shared_file).alert_channels, "(default)"]
    for name in names:
        if name not in known:
            raise SettingsError(
                f"unknown alert channel {name[:80]!r}; known: {', '.join(known)}",
                code="WS-ALERTS-005",
                next_action="Name one of them, or none to try all.",
            )
    environment = airflow_environment(settings)
    if why := lacking_airflow(environment):
        raise _unread(why)
    command = [sys.executable, "-m", "windsock.hooks.alert_test", *names]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransportError(
            f"no answer of Airflow and the channels within {TEST_SECONDS:g} s",
            code="WS-ALERTS-006",
            next_action="Try one alone with --channel NAME, and see that Airflow's database answers.",
        ) from None
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise _unread(last.partition(":")[0][:200] if ":" in last else "it printed nothing")
    return found


def _unread(why: str) -> TransportError:
    return TransportError(
        f"Airflow's connections could not be read ({why})",
        code="WS-ALERTS-006",
        next_action="Run it where Airflow's tasks run, with their AIRFLOW_HOME and database, or in the home "
        "of `windsock up` (--home).",
    )


def airflow_environment(settings: Settings, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which Airflow's own connections are read.

    A stack of this machine keeps its Airflow in the home; elsewhere the environment names it.

    :param environment: default: this process's.
    """
    env = dict(os.environ if environment is None else environment)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [PACKAGE_FOLDER, env.get("PYTHONPATH")]))
    env["WINDSOCK_HOME"], env["WINDSOCK_MODELS_DIR"] = str(settings.home), str(settings.models_dir)
    own = settings.home / "airflow"
    if "AIRFLOW_HOME" not in env and (own / "airflow.db").exists():
        env["AIRFLOW_HOME"] = str(own)
        env.setdefault("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{own / 'airflow.db'}")
        env.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    return env
