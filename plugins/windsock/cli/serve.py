"""``windsock serve``: the serving app, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from windsock.cli.surroundings import findings_on_stderr, installation
from windsock.exceptions import SettingsError

DEFAULT_PORT = 8181


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="0 takes a free one; default: that of WINDSOCK_SERVER_URL."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer.")] = 1,
    open_to_all: Annotated[
        bool,
        typer.Option(
            "--open",
            envvar="WINDSOCK_SERVING_OPEN",
            help="While no client is set up, answer everybody, also from other machines.",
        ),
    ] = False,
    tls_cert: Annotated[
        Path | None,
        typer.Option(envvar="WINDSOCK_TLS_CERT", help="Certificate in PEM; the server speaks https then."),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(envvar="WINDSOCK_TLS_KEY", help="Private key of the certificate, mode 0600."),
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="WINDSOCK_TLS_CLIENT_CA", help="Authorities of the certificates that clients must show."
        ),
    ] = None,
) -> None:
    """Serve the promoted models over HTTP until Ctrl-C."""
    from windsock.adapters.tls import tls_files
    from windsock.serving.server import run

    settings = installation()
    chosen = port_of(settings.server_url) if port is None else port
    with findings_on_stderr():
        run(
            settings,
            host=host,
            port=chosen,
            workers=workers,
            open_to_all=open_to_all,
            tls=tls_files(tls_cert, tls_key, tls_client_ca),
        )


def port_of(server_url: str) -> int:
    """Return the port that an address names.

    :raises SettingsError: if it is no address.
    """
    try:
        return urlsplit(server_url).port or DEFAULT_PORT
    except ValueError as error:
        raise SettingsError(
            "WINDSOCK_SERVER_URL holds no valid port",
            code="WS-SETTINGS-006",
            next_action="Write it like http://127.0.0.1:8181, or name the port with --port.",
        ) from error
