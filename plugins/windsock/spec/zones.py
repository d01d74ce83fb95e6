"""Time zones by their names in the IANA database."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo

from windsock.exceptions import SpecError


def is_zone(name: str) -> bool:
    """Return whether there is a time zone of that name here."""
    try:
        zone_of(name)
    except SpecError:
        return False
    return True


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.

    :raises SpecError: if there is none of that name here.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such key, a folder, or a name that is none
        raise SpecError(
            f"no time zone has the name {name!r}",
            key="monitoring.timezone",
            next_action="Write a name of the IANA database, such as Europe/Berlin; on a machine without it, "
            "install the package tzdata.",
        ) from None
