"""``python -m windsock.serving``: the server with nothing but what serving needs, for containers."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from windsock.adapters.tls import tls_files
from windsock.exceptions import SettingsError, WindsockError
from windsock.serving.server import run
from windsock.serving.slot_app import run_slot
from windsock.settings import Settings

SWITCH = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "": False,
    "0": False,
    "false": False,
    "no": False,
}
SWITCH["off"] = False


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM comes; return the exit code.

    :param arguments: default: those of the command line.
    """
    asked = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        if asked.slot is not None:
            run_slot(asked.slot, host=asked.host, port=asked.port)
            return 0
        run(
            Settings.from_environment(),
            host=asked.host,
            port=asked.port,
            workers=asked.workers,
            open_to_all=asked.open or _switch("WINDSOCK_SERVING_OPEN"),
            tls=tls_files(asked.tls_cert, asked.tls_key, asked.tls_client_ca),
        )
    except WindsockError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m windsock.serving", description="Windsock's server")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8181, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--slot",
        type=Path,
        help="serve the one version of this folder, for the server in front and nobody else; the target that "
        "starts slots writes it",
    )
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument(
        "--open",
        action="store_true",
        help="while no client is set up, answer everybody, also other machines (WINDSOCK_SERVING_OPEN=1)",
    )
    for name, what in (
        ("cert", "certificate in PEM; the server speaks https then"),
        ("key", "private key of the certificate, mode 0600"),
        ("client-ca", "authorities of the certificates that clients must show"),
    ):
        variable = f"WINDSOCK_TLS_{name.replace('-', '_').upper()}"
        given = os.environ.get(variable)
        parser.add_argument(
            f"--tls-{name}", type=Path, default=Path(given) if given else None, help=f"{what} ({variable})"
        )
    return parser


def _switch(variable: str) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    if value not in SWITCH:
        raise SettingsError(
            f"{variable} is neither 1 nor 0", next_action=f"Set {variable}=1, or leave it out."
        )
    return SWITCH[value]


if __name__ == "__main__":
    sys.exit(main())
