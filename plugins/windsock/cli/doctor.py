"""``windsock doctor``: whether an installation can do its work, and what to do where it cannot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import typer

from windsock.cli.console import say
from windsock.cli.doctor_checks import LOCAL, Check, Finding, State
from windsock.cli.doctor_services import SERVICES
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import REFUSED, installation, location
from windsock.exceptions import WindsockError
from windsock.watchdog.bounded import NoAnswer, ask

CHECK_SECONDS = 15.0
"""After so long a check that only waits is told as one that did not end, and the next one begins."""


def doctor(as_json: JsonOption = False) -> None:
    """Check keys, rights, disk, stores, MLflow, server, Airflow, ports, clocks, versions and alerts.

    Nothing is changed but for a file of a few bytes in the storage root, removed at once. A check that only
    waits ends within 15 seconds. Exit code 1 if one of them fails.
    """
    state = State(settings=installation(), location=location())
    found = examine(state, (*LOCAL, *SERVICES), seconds=CHECK_SECONDS)
    worst = max((one.rank for one in found), default=0)
    if as_json:
        print_json({"home": state.settings.home, "status": ("ok", "warn", "fail")[worst], "checks": found})
    else:
        say(f"home {state.settings.home} (named by {state.settings.home_from})")
        for one in found:
            for line in one.lines():
                say(line)
        bad = [sum(one.status == status for one in found) for status in ("fail", "warn")]
        say(f"{len(found)} checks: {bad[0]} failed, {bad[1]} with a warning")
    if worst == Finding.RANKS["fail"]:
        raise typer.Exit(REFUSED)


def examine(state: State, checks: Sequence[tuple[str, Check]], *, seconds: float) -> list[Finding]:
    """Return what all checks found, each in its time.

    :param seconds: how long one may wait; what hangs is left behind and ends with the process. On a machine
        that is busy it is waited for while this process still works.
    """
    found: list[Finding] = []
    for name, check in checks:
        begun = time.monotonic()
        answer = ask(partial(_guarded, name, check, state), seconds)
        if not isinstance(answer, NoAnswer):
            found += answer
            continue
        found.append(
            Finding(
                check=name,
                status="fail",
                what="did not end",
                value=f"{time.monotonic() - begun:.0f} s",
                limit=f"within {seconds:g} s, longer only while it works",
                next_action="See what it waits for: a network that drops packets, a lock, a slow disk.",
            )
        )
    return found


def _guarded(name: str, check: Check, state: State) -> list[Finding]:
    try:
        return check(state)
    except WindsockError as error:
        return [
            Finding(
                check=name,
                status="fail",
                what=f"{error.code}: {error.message}",
                next_action=error.next_by_hand,
            )
        ]
    except Exception as error:  # a check that breaks must not hide the others
        return [
            Finding(
                check=name,
                status="fail",
                what=f"could not be checked: {type(error).__name__}",
                next_action="Report it with the output of `windsock --version`.",
            )
        ]
