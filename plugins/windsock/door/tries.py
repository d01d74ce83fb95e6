"""Another change of traffic may come first; then a step looks at the ledger anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from windsock.exceptions import StaleEpochError

log = logging.getLogger(__name__)

TRIES = 3
Found = TypeVar("Found")


def looked_at_anew(act: Callable[[], Found], *, model: str) -> Found:
    """Do it; where another change of traffic comes first, do it again, :data:`TRIES` times in all.

    :param act: reads the ledger itself, each time.
    :param model: the model's name, for the log.
    :raises StaleEpochError: if another change came first each time.
    """
    for _ in range(TRIES - 1):
        try:
            return act()
        except StaleEpochError as error:
            log.info("%s: looked at anew: %s", model, error.message)
    return act()


__all__ = ["TRIES", "looked_at_anew"]
