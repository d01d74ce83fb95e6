"""``ServerGauges``: numbers for the server's ``/metrics``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from windsock.adapters.server_client import ServerRouter
from windsock.exceptions import ServerUnavailableError, SettingsError, WindsockError
from windsock.ports import Samples
from windsock.settings import Settings


class ServerGauges:
    """Sets gauges of the serving app by its admin call.

    :param settings: the server's address and token.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def set(self, model: str, samples: Samples) -> None:
        """Replace a model's samples of some gauges in one call; gauges of other names stay.

        :param samples: by the gauge's name, the labels beside ``model`` and the value of each sample; none
            clears the gauge. Nothing at all calls nobody.
        :raises ServerUnavailableError: if the server does not answer, or does not take them.
        :raises SettingsError: if it does not take the admin token.
        """
        if not samples:
            return
        gauges = [
            {"name": name, "labels": dict(labels), "value": value}
            for name, given in samples.items()
            for labels, value in given
        ]
        router = ServerRouter.of(self._settings)
        path = f"/admin/gauges/{quote(model, safe='')}"
        answer = router._call("PUT", path, content=json.dumps({"names": list(samples), "gauges": gauges}))
        if answer.status_code != 200:
            raise _refusal(answer.status_code, router._said(answer))


def _refusal(status: int, said: Mapping[str, Any]) -> WindsockError:
    """Return the error that an answer means."""
    if not said.get("code"):
        return ServerUnavailableError(
            f"what answers is not Windsock's server (status {status})",
            code="WS-SERVING-024",
            next_action="Set WINDSOCK_SERVER_URL to the address that `windsock serve` printed.",
        )
    kind = SettingsError if status in (401, 403) else ServerUnavailableError
    message = f"the server does not take the gauges: {said.get('error')}"
    return kind(message, code=str(said["code"]), next_action=str(said.get("next")))
