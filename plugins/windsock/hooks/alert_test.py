"""``python -m windsock.hooks.alert_test``: a test alert through every channel, as a task would send it.

It prints one JSON object a line: ``channel``, ``kind``, ``connection``, ``taken`` and ``why``. ``windsock
alerts test`` starts it: the command line itself knows neither Airflow nor its connections.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from windsock.hooks.alert_channels import DEFAULT_CONNECTION, WRITE_ONE, default_channel
from windsock.hooks.alerts import refusal_of
from windsock.records import INSTALLATION, Alert, Severity
from windsock.settings import Settings
from windsock.spec import SharedSpec
from windsock.spec.loader import load_shared
from windsock.spec.shared import AlertChannel

DEFAULT = "(default)"
"""How the connection without a channel's name is called."""


def channels(shared: SharedSpec) -> Iterator[tuple[str, AlertChannel | None]]:
    """Yield each channel by its name, the default connection last; ``None``: it names no service."""
    yield from shared.alert_channels.items()
    yield DEFAULT, default_channel()


def main(arguments: Sequence[str]) -> int:
    """Try the named channels, or all of them; return 0."""
    logging.disable(logging.CRITICAL)  # what is printed is all that is wanted
    settings = Settings.from_environment()
    for name, channel in channels(load_shared(settings.shared_file)):
        if arguments and name not in arguments:
            continue
        sys.stdout.write(f"{json.dumps(_tried(name, channel))}\n")
        sys.stdout.flush()
    return 0


def _tried(name: str, channel: AlertChannel | None) -> dict[str, object]:
    if channel is None:
        said = {
            "channel": name,
            "kind": "log",
            "connection": DEFAULT_CONNECTION,
            "taken": True,
            "why": f"the connection {DEFAULT_CONNECTION} is not there or names no service: the log of the "
            f"task and the table of findings are all that is told; {WRITE_ONE}",
        }
        return dict(said)
    why = refusal_of(channel, sample_alert())
    return {
        "channel": name,
        "kind": channel.kind,
        "connection": channel.connection,
        "taken": why is None,
        "why": why or "",
    }


def sample_alert() -> Alert:
    """Return the alert that is sent."""
    now = datetime.now(UTC)
    return Alert(
        model=INSTALLATION,
        key="test",
        severity=Severity.LOW,
        title="a test of Windsock's alerts",
        text="Somebody tries whether alerts arrive. Nothing is wrong.",
        owner="windsock",
        next_action="nothing to do",
        first_at=now,
        last_at=now,
    )


if __name__ == "__main__":
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")  # connections of the metadata database, too
    sys.exit(main(sys.argv[1:]))
