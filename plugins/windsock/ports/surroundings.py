"""Port: what is around an installation, asked with bounded patience."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from windsock.records import ServerFacts, Space


class Surroundings(Protocol):
    """The programs and the machine that an installation lives on, as the watchdog asks for them."""

    def server(self) -> ServerFacts:
        """Return what the server says of itself; that it does not answer is an answer."""
        ...

    def tracking(self) -> tuple[str, str]:
        """Return MLflow's address as it may be shown, and why it does not answer; empty: it answers."""
        ...

    def alias(self, model: str) -> str | None:
        """Return the version that MLflow's alias of the champion names; empty: none.

        :returns: ``None``: it cannot be said without loading MLflow itself.
        """
        ...

    def spaces(self) -> tuple[Space, ...]:
        """Return how much space the folders of this machine have left."""
        ...

    def unwritable(self) -> tuple[str, ...]:
        """Return why folders that everything is written to cannot be written, one sentence each."""
        ...

    def broken_bundle(self, uri: str, digest: str, *, large: bool) -> str | None:
        """Return why a stored bundle is not what was signed; empty: it is.

        :param large: whether one is read that is too large to be read at each look.
        :returns: ``None``: it was not looked at: it is too large.
        """
        ...

    def no_key(self) -> str:
        """Return why the installation cannot sign; empty: it can."""
        ...

    def newest_hour(self, model: str) -> datetime | None:
        """Return the newest hour that the prediction log has begun; ``None``: there is none."""
        ...


class NoSurroundings:
    """Nothing around: nothing is known, and nothing is wrong."""

    def server(self) -> ServerFacts:
        """See :meth:`Surroundings.server`."""
        return ServerFacts(address="nowhere", status="ok")

    def tracking(self) -> tuple[str, str]:
        """See :meth:`Surroundings.tracking`."""
        return "nowhere", ""

    def alias(self, model: str) -> str | None:
        """See :meth:`Surroundings.alias`."""
        return None

    def spaces(self) -> tuple[Space, ...]:
        """See :meth:`Surroundings.spaces`."""
        return ()

    def unwritable(self) -> tuple[str, ...]:
        """See :meth:`Surroundings.unwritable`."""
        return ()

    def broken_bundle(self, uri: str, digest: str, *, large: bool) -> str | None:
        """See :meth:`Surroundings.broken_bundle`."""
        return None

    def no_key(self) -> str:
        """See :meth:`Surroundings.no_key`."""
        return ""

    def newest_hour(self, model: str) -> datetime | None:
        """See :meth:`Surroundings.newest_hour`."""
        return None
