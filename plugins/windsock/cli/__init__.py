"""The command line: everything that a DAG does, without Airflow."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command of this process; Ctrl-C while its modules are loaded ends it without a trace."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from windsock.cli.app import main as run_command

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command()
