"""What the endpoints of one worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Self

from windsock.exceptions import ServerUnavailableError
from windsock.ports import utc_now
from windsock.records import BASIS_POINTS
from windsock.serving.check_bundle import LIMIT_SECONDS, make_shelf
from windsock.serving.clients import ClientBook, make_client_book
from windsock.serving.metrics import Metrics
from windsock.serving.microbatch import OverloadedError
from windsock.serving.prediction_log import PredictionLog
from windsock.serving.served import ServedModel
from windsock.serving.shadow import ShadowRunner
from windsock.serving.strict_json import Fault, RequestRefusedError
from windsock.serving.worker import Worker
from windsock.settings import Settings, WireLimits


@dataclass(frozen=True)
class Limits:
    """Sizes and times that a server bounds.

    :param body_bytes: largest request.
    :param body_seconds: longest time that a request may take to arrive.
    :param in_flight: most prediction requests that one worker works on at a time.
    :param check_seconds: longest time that a new bundle may take to load and answer.
    :param acknowledge_seconds: longest time that the workers may take to serve by a new table.
    :param gateway_factor: how much larger than a client's request a gateway's may be.
    """

    body_bytes: int = 1024 * 1024
    body_seconds: float = 30.0
    in_flight: int = 512
    check_seconds: float = LIMIT_SECONDS
    acknowledge_seconds: float = 60.0
    gateway_factor: int = 16

    @classmethod
    def of(cls, wire: WireLimits) -> Self:
        """Return the limits of an installation."""
        return cls(body_bytes=wire.body_bytes, body_seconds=wire.body_seconds)

    def for_gateways(self) -> Limits:
        """Return the limits of what another server of ours sends: the same rows, written out."""
        return replace(self, body_bytes=self.body_bytes * self.gateway_factor)


class Load:
    """How many prediction requests are in work.

    :param limit: most of them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0

    def enter(self) -> None:
        """Take one more.

        :raises OverloadedError: if there are too many.
        """
        if self.in_flight >= self.limit:
            raise OverloadedError(f"{self.in_flight} requests are in work; the limit is {self.limit}")
        self.in_flight += 1

    def leave(self) -> None:
        """End one."""
        self.in_flight -= 1


@dataclass(frozen=True)
class Service:
    """One worker process: what it serves, to whom, its log, its metrics."""

    settings: Settings
    worker: Worker
    prediction_log: PredictionLog
    metrics: Metrics
    clients: ClientBook
    shadows: ShadowRunner = field(default_factory=ShadowRunner)
    limits: Limits = Limits()
    now: Callable[[], datetime] = utc_now

    @cached_property
    def load(self) -> Load:
        """The requests in work."""
        return Load(self.limits.in_flight)

    @property
    def served(self) -> Mapping[str, ServedModel]:
        """What is served just now; hold on to it for the time of one request."""
        return self.worker.served

    @property
    def only_name(self) -> str | None:
        """Name of the model, where exactly one is served."""
        return next(iter(self.served)) if len(self.served) == 1 else None

    def look(self) -> None:
        """Follow what may have changed: the clients' file; tell what is loaded, and what fails."""
        self.clients.refresh()
        self.metrics.flush()
        engines, failing = set(), set()
        epochs: dict[str, int] = {}
        shares: dict[tuple[str, str], float] = {}
        for name, served in self.served.items():
            epochs[name] = served.plan.epoch
            for planned in served.plan.slots:
                shares[name, planned.version] = planned.share / BASIS_POINTS
            for slot in served.slots.values():
                engines.add((name, slot.plan.version, slot.engine))
                if slot.breaker.state == "open":
                    failing.add((name, slot.plan.version))
        self.metrics.engines(engines)
        self.metrics.circuits(failing)
        self.metrics.routes(epochs, shares)
        self.metrics.log_waiting(self.prediction_log.state.waiting)
        self.metrics.shadows(dropped=self.shadows.dropped, failed=self.shadows.failed)

    def admit(self, headers: Mapping[str, str], scope: str, model: str | None, cost: int = 1) -> str | None:
        """Return the name of the client that sends a request; ``None`` on a server without clients.

        :param headers: the request's.
        :param scope: what it asks for: ``predict``, ``outcomes`` or ``monitor``.
        :param model: the model that it is about; ``None``: about none.
        :raises ClientRefusedError: if it is nobody's, or not allowed.
        :raises RateLimitedError: if the client sends too much.
        """
        key = headers.get("authorization") or headers.get("x-api-key")
        return self.clients.admit(key.encode("latin-1") if key else None, scope, model, cost)

    def may_see(self, headers: Mapping[str, str], *, is_private: bool) -> bool:
        """Return whether a request may read models, versions and digests of the server's state.

        :param headers: the request's.
        :param is_private: whether it came to the private listener.
        """
        key = headers.get("authorization") or headers.get("x-api-key")
        return is_private or self.clients.knows(key.encode("latin-1") if key else None)

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
        prediction_log=PredictionLog(settings.serving_dir, keys_dir=settings.keys_dir),
        metrics=Metrics(),
        clients=make_client_book(settings),
        limits=limits or Limits.of(settings.wire),
    )
