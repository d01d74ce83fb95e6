"""The note that an installation has sealed its routes: a plan without a seal is not from before."""

from __future__ import annotations

import logging
from pathlib import Path

from windsock.private_files import make_file

log = logging.getLogger(__name__)

MARKER = "routes.sealed"
NO_MARKER = "WS-SERVING-091"


class SealNote:
    """An empty file beside the keys: who can take it away could read the admin token, too, and make seals.

    :param keys_dir: the installation's keys; ``None``: nothing is noted.
    """

    def __init__(self, keys_dir: Path | None) -> None:
        self._marker = keys_dir / MARKER if keys_dir is not None else None

    def exists(self) -> bool:
        """Return whether seals have been written; where the folder cannot be read, it is not known: no."""
        try:
            return self._marker is not None and self._marker.exists()
        except OSError:
            return False

    def make(self) -> None:
        """Note that seals are written; a folder that cannot be written to stops no plan and is logged."""
        if self._marker is None or self.exists():
            return
        try:
            make_file(self._marker)
        except OSError as error:
            log.warning(
                "%s: cannot write %s (%s): the server would not notice if all seals were taken away",
                NO_MARKER,
                self._marker,
                error.strerror,
            )
