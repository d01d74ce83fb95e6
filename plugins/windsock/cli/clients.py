"""``windsock clients``: who may ask the server, with which key, how often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windsock.cli.console import say, table
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import installation
from windsock.exceptions import SettingsError
from windsock.ports import utc_now
from windsock.spec.durations import parse_duration

if TYPE_CHECKING:
    from windsock.records.clients import Client, ClientKey
    from windsock.serving.client_file import ClientRegistry

clients = typer.Typer(
    help="The server's clients: their keys, rights and rates. With the first one the server asks for keys.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="The client's name; the prediction log holds it.")]
Lifetime = Annotated[
    str | None, typer.Option("--expires", help="How long the key is taken, such as 90d; default: for good.")
]
HEAD = ("client", "scopes", "models", "rate/s", "burst", "key", "age", "state")


def _registry() -> ClientRegistry:
    from windsock.serving.client_file import ClientRegistry

    return ClientRegistry(installation().clients_file)


@clients.command()
def add(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="predict, outcomes or monitor; may be repeated. Default: predict and outcomes."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model it may ask; may be repeated. Default: all.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests per second in the long run.")] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests at once after a pause; default: those of two seconds.")
    ] = None,
    expires: Lifetime = None,
) -> None:
    """Add a client and show its key, this once."""
    secret = _registry().add(
        name,
        scopes=scope or ("predict", "outcomes"),
        models=model or ("*",),
        rate=rate,
        burst=burst,
        lifetime=_span("--expires", expires) if expires is not None else None,
    )
    _show(name, secret)


@clients.command("list")
def list_clients(as_json: JsonOption = False) -> None:
    """List clients and keys: ids and ages, never a key itself."""
    file, found = installation().clients_file, _registry().list()
    if as_json:
        print_json({"file": file, "clients": [client_facts(one, utc_now()) for one in found]})
        return
    if not found:
        say(f"no client is set up in {file}; `windsock clients add NAME` makes one")
        return
    now = utc_now()
    for line in table(HEAD, [row for client in found for row in client_rows(client, now)], indent=""):
        say(line)


@clients.command()
def rotate(
    name: Name,
    grace: Annotated[
        str, typer.Option(help="How long the keys before are still taken; 0: not at all.")
    ] = "24h",
    expires: Lifetime = None,
) -> None:
    """Give a client a new key and show it, this once; the keys before expire after the grace."""
    span = timedelta(0) if grace.strip() == "0" else _span("--grace", grace)
    lifetime = _span("--expires", expires) if expires is not None else None
    secret = _registry().rotate(name, grace=span, lifetime=lifetime)
    _show(name, secret)
    say(
        "its other keys are refused from now on" if not span else f"its other keys are taken for {grace} more"
    )


@clients.command()
def revoke(
    name: Name,
    key: Annotated[str | None, typer.Option(help="Id of the only key to revoke; default: all keys.")] = None,
) -> None:
    """Refuse a client's keys at once; the client and its rights stay."""
    count = _registry().revoke(name, key)
    say(f"revoked {count} key{'' if count == 1 else 's'} of {name}; workers refuse them within a second")


@clients.command()
def remove(name: Name) -> None:
    """Remove a client with all its keys."""
    left = _registry().remove(name)
    say(f"removed {name}; workers refuse its keys within a second")
    if not left:
        file = installation().clients_file
        say("no client is left: every call is refused until one is added,")
        say(f"or until {file} is removed and the server started again")


def client_facts(client: Client, now: datetime) -> dict[str, Any]:
    """Return what the list says of a client, for programs: no key and no digest of one."""
    return {
        "client": client.name,
        "scopes": sorted(client.scopes),
        "models": client.models,
        "rate_per_second": client.rate_per_second,
        "burst": client.burst,
        "keys": [
            {"id": key.id, "created": key.created, "expires": key.expires, "valid": key.valid_at(now)}
            for key in client.keys
        ],
    }


def client_rows(client: Client, now: datetime) -> Iterator[tuple[str, ...]]:
    """Yield a client's lines in the list: one for each key."""
    facts = (
        client.name,
        ",".join(sorted(client.scopes)),
        ",".join(client.models),
        "-" if client.rate_per_second is None else f"{client.rate_per_second:g}",
        "-" if client.burst is None else str(client.burst),
    )
    for key in client.keys:
        yield (*facts, key.id, _age(now - key.created), _state(key, now))
        facts = ("", "", "", "", "")
    if not client.keys:
        yield (*facts, "-", "-", "no key")


def _state(key: ClientKey, now: datetime) -> str:
    if key.expires is None:
        return "valid"
    if not key.valid_at(now):
        return f"expired {key.expires:%Y-%m-%d %H:%M} UTC"
    return f"valid until {key.expires:%Y-%m-%d %H:%M} UTC"


def _age(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _show(name: str, secret: str) -> None:
    say(f"key of {name}, shown this once; give it to the client in a safe way:")
    say(secret)
    say("it is sent as `Authorization: Bearer KEY` or `X-API-Key: KEY`; workers take it within a second")


def _span(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise SettingsError(
            f"{option} is no time span",
            code="WS-SETTINGS-013",
            next_action="Write it like 30d, 12h, 90m or '1d 6h'.",
        ) from error
