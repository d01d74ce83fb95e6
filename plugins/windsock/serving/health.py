"""How the server fares, for people, probes and load balancers."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Any

from windsock.serving.metrics import Usage
from windsock.serving.served import ServedModel
from windsock.serving.service import Service
from windsock.serving.slots import probe

READY_SECONDS = 5.0
READY_AGE_SECONDS = 0.5
NEVER_USED = Usage(rows=0, calls=0, seconds=0.0, last=None)


def health_of(service: Service) -> dict[str, Any]:
    """Return the health of the server as one worker sees it.

    Predictions and dropped rows are counted over all workers since the start, what waits and shadows in this
    one.
    """
    worker, log = service.worker, service.prediction_log
    faults = faults_of(service)
    usage = service.metrics.usage()
    return {
        "status": "degraded" if faults else "ok",
        "faults": [fault.replace(f"{service.settings.home}/", "") for fault in faults],
        "models": {name: _model(served, usage) for name, served in sorted(service.served.items())},
        "uptime_seconds": round((service.now() - worker.started).total_seconds(), 1),
        "authentication": "api keys" if service.clients.required else "none",
        "worker": os.getpid(),
        "workers": len(worker.notes.living()),
        "log_dropped": service.metrics.dropped(),
        "log_waiting": log.state.waiting,
        "shadows_dropped": service.shadows.dropped,
    }


def faults_of(service: Service) -> list[str]:
    """Return what is wrong with the server, as one worker sees it."""
    worker, log = service.worker, service.prediction_log
    return [
        *([worker.table_fault] if worker.table_fault else []),
        *([worker.note_fault] if worker.note_fault else []),
        *(f"{name}: {fault}" for name, fault in worker.faults.items()),
        *([f"the prediction log: {log.fault}"] if log.fault else []),
        *([service.clients.fault] if service.clients.fault else []),
    ]


def status_of(service: Service) -> str:
    """Return in one word how the server fares; it names nothing, so that everybody may read it."""
    return "degraded" if faults_of(service) else "ok"


def _model(served: ServedModel, usage: dict[tuple[str, str], Usage]) -> dict[str, Any]:
    plan = served.plan
    versions = []
    for slot in plan.slots:
        known = usage.get((plan.model, slot.version), NEVER_USED)
        versions.append(
            {
                "version": slot.version,
                "digest": slot.digest,
                "share": slot.share,
                "variant": plan.role(slot.digest),
                **({"withdrawn": True} if slot.withdrawn else {}),
                "engine": served.slots[slot.digest].engine,
                "circuit": served.slots[slot.digest].breaker.state,
                **_numbers(known),
            }
        )
    of_model = [known for (model, _), known in usage.items() if model == plan.model]
    total = Usage(
        rows=sum(known.rows for known in of_model),
        calls=sum(known.calls for known in of_model),
        seconds=sum(known.seconds for known in of_model),
        last=max((known.last for known in of_model if known.last is not None), default=None),
    )
    version = served.most.version if any(served.shares.values()) else None
    return {"version": version, "epoch": plan.epoch, **_numbers(total), "versions": versions}


def _numbers(usage: Usage) -> dict[str, Any]:
    average = usage.seconds * 1000 / usage.calls if usage.calls else None
    last = datetime.fromtimestamp(usage.last, UTC).isoformat() if usage.last else None
    return {
        "predictions": usage.rows,
        "average_inference_ms": round(average, 3) if average is not None else None,
        "last_prediction": last,
    }


class Readiness:
    """Why the server cannot take traffic, looked at no more often than twice a second: everybody may ask.

    :param service: what is served.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._looked, self._why = -READY_AGE_SECONDS, list[str]()
        self._looking = asyncio.Lock()

    async def why_not(self) -> list[str]:
        """Return the reasons, none if every version answers; who asks during a look waits for it."""
        async with self._looking:
            if time.monotonic() - self._looked >= READY_AGE_SECONDS:
                self._why = await why_not_ready(self.service)
                self._looked = time.monotonic()
            return self._why


async def why_not_ready(service: Service) -> list[str]:
    """Return why the server cannot take traffic; nothing if every version answers its golden predictions.

    Versions that a rollout dropped are not asked: the champion answers in their place.
    """
    served = service.served
    why = [f"{name}: {fault}" for name, fault in service.worker.faults.items()]
    if service.worker.table_fault:
        why.append(service.worker.table_fault)
    if not served and not why:
        why.append("no model has been deployed yet")
    for name, model in served.items():
        for slot in (model.slots[plan.digest] for plan in model.plan.slots if not plan.withdrawn):
            try:
                async with asyncio.timeout(READY_SECONDS):
                    result = await probe(slot)
            except TimeoutError:
                why.append(f"{name} version {slot.plan.version}: no answer within {READY_SECONDS:g} s")
                continue
            if not result.matched:
                why.append(f"{name} version {slot.plan.version}: {result.message}")
    return why
