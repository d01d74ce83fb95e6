"""``ServerGauges``: numbers for the server's ``/metrics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from windsock.settings import Settings


class ServerGauges:
    """Sets gauges of the serving app by its admin call.

    :param settings: the server's address and token.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def set(self, name: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> None:
        """Replace a gauge's samples."""
        raise NotImplementedError
