"""The world's certificate authorities are read once: a plain ``httpx.get`` reads all of them, for 17 ms."""

from __future__ import annotations

import functools
import ssl
from typing import Any

import certifi


def read_once() -> None:
    """Let all clients that trust certifi's authorities, and nothing else, share one context."""
    make = ssl.create_default_context
    if hasattr(make, "__wrapped__"):
        return
    bundle = certifi.where()
    shared = functools.cache(lambda: make(cafile=bundle))

    @functools.wraps(make)
    def create(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        return shared() if not args and kwargs == {"cafile": bundle} else make(*args, **kwargs)

    ssl.create_default_context = create
