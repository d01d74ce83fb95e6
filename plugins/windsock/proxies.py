"""Proxies of the environment: never between this installation's own programs, and named where one is used."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

LOCAL = ("127.0.0.1", "localhost", "::1")
NAMES = ("NO_PROXY", "no_proxy")


def with_local(text: str | None, *more: str) -> str:
    """Return a value of ``NO_PROXY`` that leaves out this machine, too; what it leaves out already stays.

    :param more: further hosts.
    """
    given = [part.strip() for part in (text or "").split(",") if part.strip()]
    if "*" in given:
        return "*"
    return ",".join(dict.fromkeys([*given, *LOCAL, *more]))


def no_proxy_variables(environment: MutableMapping[str, str], *more: str) -> dict[str, str]:
    """Return ``NO_PROXY`` in both spellings, each with what either of them leaves out and this machine.

    Libraries read one of the two, and not all of them the same.
    """
    given = ",".join(filter(None, (environment.get(name) for name in NAMES)))
    return dict.fromkeys(NAMES, with_local(given, *more))


def go_direct(url: str = "", environment: MutableMapping[str, str] | None = None) -> None:
    """Let this process call its own machine without a proxy, whatever the environment says.

    :param url: an address that is called; its host is left out, too, where it is this machine's.
    :param environment: default: that of the process.
    """
    env = os.environ if environment is None else environment
    host = host_of(url)
    env.update(no_proxy_variables(env, *([host] if host and is_local(host) else [])))


def host_of(url: str) -> str:
    """Return the host that an address names; empty where it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_local(host: str) -> bool:
    """Return whether a host is this machine, as far as its name says so."""
    name = host.lower().rstrip(".")
    if name in ("localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def through_proxy(url: str) -> str:
    """Return `` through the proxy ADDRESS (VARIABLE)`` where calls to an address take one, else nothing.

    The proxy's login is left out.
    """
    scheme, host = url.partition("://")[0].lower(), host_of(url)
    found = getproxies_environment()
    proxy = found.get(scheme) or found.get("all")
    if not host or not proxy or is_local(host) or proxy_bypass(host):
        return ""
    shown = proxy.rpartition("@")[2] if "@" in proxy else proxy.partition("://")[2] or proxy
    name = f"{scheme}_proxy" if found.get(scheme) else "all_proxy"
    variable = name if os.environ.get(name) else name.upper()
    return f" through the proxy {shown[:100]} ({variable})"
