"""What training noticed about the windows of the version that serves, for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.cli.surroundings import open_standing_ports
from windsock.exceptions import SettingsError, WindsockError
from windsock.ports import Ports
from windsock.settings import Settings

PROPOSES = "set `monitoring."
"""What a sentence says that proposes another window."""


def season_lines(name: str, ports: Ports) -> tuple[str, ...]:
    """Return what training noticed about windows; nothing where no version serves, or it has no profile.

    :raises WindsockError: if the ledger or the bundle cannot be read.
    """
    champion = ports.ledger.champion(name)
    if champion is None:
        return ()
    profile = ports.bundles.describe(champion.bundle_uri, champion.digest).profile
    return profile.noticed if profile else ()


def status_lines(name: str, ports: Ports) -> list[str]:
    """Return what training noticed about windows, or that it cannot be read: the rest of a status can."""
    try:
        return [f"training: {one}" for one in season_lines(name, ports)]
    except WindsockError as error:
        return [f"training: what it noticed cannot be read: {error.code}: {error.message}"]


def proposals(names: Sequence[str], settings: Settings) -> list[str]:
    """Return a line for each window that training proposed, of the versions that serve in an installation.

    Nothing where there is no installation: files alone know no rows. One that cannot be read is named.
    """
    try:
        ports = open_standing_ports(settings)
    except SettingsError:
        return []
    found = []
    try:
        for name in names:
            told = season_lines(name, ports)
            found += [f"  {name}: as its last training says, {one}" for one in told if PROPOSES in one]
    except WindsockError as error:
        found.append(f"  windows are not compared with what training found: {error.code}: {error.message}")
    return found
