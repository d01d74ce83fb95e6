"""What the endpoints of one worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from windsock.exceptions import ServerUnavailableError
from windsock.ports import utc_now
from windsock.serving.check_bundle import LIMIT_SECONDS, make_shelf
from windsock.serving.metrics import Metrics
from windsock.serving.prediction_log import PredictionLog
from windsock.serving.strict_json import Fault, RequestRefusedError
from windsock.serving.worker import ServedModel, Worker
from windsock.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Sizes and times that a server bounds.

    :param body_bytes: largest request.
    :param body_seconds: longest time that a request may take to arrive.
    :param check_seconds: longest time that a new bundle may take to load and answer.
    :param acknowledge_seconds: longest time that the workers may take to serve by a new table.
    """

    body_bytes: int = 1024 * 1024
    body_seconds: float = 30.0
    check_seconds: float = LIMIT_SECONDS
    acknowledge_seconds: float = 60.0


@dataclass(frozen=True)
class Service:
    """One worker process: what it serves, its log, its metrics."""

    settings: Settings
    worker: Worker
    prediction_log: PredictionLog
    metrics: Metrics
    limits: Limits = Limits()
    now: Callable[[], datetime] = utc_now

    @property
    def served(self) -> Mapping[str, ServedModel]:
        """What is served just now; hold on to it for the time of one request."""
        return self.worker.served

    def model(self, name: str | None) -> ServedModel:
        """Return a served model.

        :param name: its name; ``None``: the only one.
        :raises RequestRefusedError: if there is none of that name: status 404.
        :raises ServerUnavailableError: if it should be served and cannot be, or nothing is.
        """
        served = self.served
        if name is None and len(served) == 1:
            return next(iter(served.values()))
        if name is not None and name in served:
            return served[name]
        if name is not None and (name in self.worker.faults or self.worker.table_fault):
            raise ServerUnavailableError(
                f"{name} cannot be served just now",
                code="WS-SERVING-008",
                next_action="Read the server's log and `GET /health`.",
            )
        if name is None and not served:
            raise ServerUnavailableError(
                "no model has been deployed yet",
                code="WS-SERVING-004",
                next_action="Let the retrain DAG of a model run to the end.",
            )
        got = "a name that is not served" if name is not None else "no model's name"
        expected = "POST /models/NAME/predict with the name of a served model"
        raise RequestRefusedError(404, "unknown_model", Fault("model", got, expected), code="WS-SERVING-013")


def make_service(settings: Settings, *, limits: Limits | None = None) -> Service:
    """Return a worker's service, not yet started."""
    return Service(
        settings=settings,
        worker=Worker(settings, make_shelf(settings)),
        prediction_log=PredictionLog(settings.serving_dir),
        metrics=Metrics(),
        limits=limits or Limits(),
    )
