"""``python -m windsock.serving``: the server with nothing but what serving needs, for containers."""

from __future__ import annotations

import argparse
import logging
import sys

from windsock.exceptions import WindsockError
from windsock.serving.server import run
from windsock.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM comes; return the exit code.

    :param arguments: default: those of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m windsock.serving", description="Windsock's server")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8181, help="port to listen on; 0 takes a free one")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        run(Settings.from_environment(), host=asked.host, port=asked.port, workers=asked.workers)
    except WindsockError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
