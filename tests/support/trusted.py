"""The world's certificate authorities are read once: a plain ``httpx.get`` reads all of them, for 17 ms."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import certifi


def read_once() -> None:
    """Let all clients that trust the world's authorities, and nothing else, share one context.

    They are certifi's, or those that this machine names in the variables that httpx follows.
    """
    make = ssl.create_default_context
    if hasattr(make, "__wrapped__"):
        return
    places = [("cafile", certifi.where())]
    for name, variable in (("cafile", "SSL_CERT_FILE"), ("capath", "SSL_CERT_DIR")):
        if place := os.environ.get(variable):
            places.append((name, place))
    shared = functools.cache(lambda name, place: make(**{name: place}))

    @functools.wraps(make)
    def create(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        (asked, *more) = kwargs.items() or [()]
        return make(*args, **kwargs) if args or more or asked not in places else shared(*asked)

    ssl.create_default_context = create
