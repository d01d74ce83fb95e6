"""A version number names one bundle, whatever the registry counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windsock.exceptions import StaleEpochError
from windsock.records import LedgerRow, RegisteredVersion, numbers_used


def registration_or_free(
    registered: RegisteredVersion,
) -> Callable[[Sequence[LedgerRow]], LedgerRow | None]:
    """Return what finds a version's registration, and raises where its number names another bundle by now.

    :raises StaleEpochError: by what is returned: a second try takes another number.
    """

    def standing(rows: Sequence[LedgerRow]) -> LedgerRow | None:
        found = registered.registration(rows)
        taken = numbers_used(rows).get(registered.version, frozenset())
        if found is None and taken - {registered.digest}:
            raise StaleEpochError(
                f"{registered.model}: version {registered.version} was given to bundle "
                f"{min(taken - {registered.digest})[:12]} meanwhile; bundle {registered.digest[:12]} needs "
                "another number"
            )
        return found

    return standing
