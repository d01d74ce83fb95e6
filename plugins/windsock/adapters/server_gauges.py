"""``ServerGauges``: numbers for the server's ``/metrics``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from windsock.adapters.server_client import ServerRouter
from windsock.exceptions import ServerUnavailableError, SettingsError, WindsockError
from windsock.settings import Settings

GAUGES = (
    "data_drift_score",
    "ml_drift_ratio",
    "ml_model_accuracy",
    "ml_estimated_performance",
    "ml_realised_performance",
    "recommendation_ctr",
)
"""What the server takes."""


class ServerGauges:
    """Sets gauges of the serving app by its admin call.

    :param settings: the server's address and token.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def set(self, name: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> None:
        """Replace a gauge's samples of the models that they name.

        The server replaces all gauges of a model at once: those of other names are sent again as they stand.

        :param samples: labels, among them ``model``, and value of each.
        :raises ServerUnavailableError: if the server does not answer, or does not take them.
        :raises SettingsError: if it does not take the admin token.
        """
        router = ServerRouter.of(self._settings)
        given: dict[str, list[dict[str, Any]]] = {}
        for labels, value in samples:
            told = {label: text for label, text in labels.items() if label != "model"}
            given.setdefault(labels["model"], []).append({"name": name, "labels": told, "value": value})
        for model, gauges in given.items():
            others = [gauge for gauge in _standing(router, model) if gauge["name"] != name]
            path = f"/admin/gauges/{quote(model, safe='')}"
            answer = router._call("PUT", path, content=json.dumps({"gauges": [*others, *gauges]}))
            if answer.status_code != 200:
                raise _refusal(answer.status_code, router._said(answer))


def _standing(router: ServerRouter, model: str) -> list[dict[str, Any]]:
    """Return a model's gauges as the server shows them."""
    from prometheus_client.parser import text_string_to_metric_families

    answer = router._call("GET", "/metrics")
    if answer.status_code != 200:
        raise _refusal(answer.status_code, router._said(answer))
    try:
        families = list(text_string_to_metric_families(answer.text))
    except ValueError:
        raise _refusal(answer.status_code, {}) from None
    return [
        {
            "name": sample.name,
            "labels": {label: text for label, text in sample.labels.items() if label != "model"},
            "value": sample.value,
        }
        for family in families
        for sample in family.samples
        if sample.name in GAUGES and sample.labels.get("model") == model
    ]


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
