"""Slots: one version each, in the process or over HTTP, behind one small protocol."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol

from windsock.exceptions import (
    DataRefusedError,
    ServerUnavailableError,
    TrainingRefusedError,
    WindsockError,
)
from windsock.ports import LoadedBundle
from windsock.records import Answer, GoldenPredictions, InputSchema, ProbeResult, SlotPlan
from windsock.training.golden import answers_to

if TYPE_CHECKING:
    import httpx

Rows = Sequence[Mapping[str, Any]]
Scores = Sequence[Sequence[float]]
"""For each row the class probabilities in the order of the classes, or the one number."""


class UnanswerableError(WindsockError, ValueError):
    """The rows are valid one value at a time, but the model has no answer to them."""

    default_code = "WS-SERVING-012"
    default_next = "Look for extreme numbers in the features."


class SlotFailedError(ServerUnavailableError):
    """The version behind a slot did not answer, or answered as another one."""

    default_code = "WS-SERVING-008"
    default_next = "Read the server's log and `GET /health`; roll back if it stays so."


class Slot(Protocol):
    """One version that answers."""

    plan: SlotPlan
    schema: InputSchema
    golden: GoldenPredictions

    async def scores(self, rows: Rows) -> Scores:
        """Answer valid feature objects, all in one call.

        :raises UnanswerableError: if the model has no finite answer to them.
        :raises SlotFailedError: if the version did not answer.
        """
        ...


def local_scores(bundle: LoadedBundle, rows: Rows) -> Scores:
    """Return a loaded bundle's answers from one call of its pipeline.

    :raises UnanswerableError: if it has no finite answer to them.
    """
    try:
        return answers_to(bundle.pipeline, [dict(row) for row in rows], bundle.schema.fields)
    except (DataRefusedError, TrainingRefusedError, ValueError, OverflowError) as error:
        # The message of a library may quote a value: only its kind goes on.
        raise UnanswerableError(f"the model has no answer to these rows ({type(error).__name__})") from None


class LocalSlot:
    """A version loaded in this process; it answers in a worker thread, so that the loop goes on.

    :param plan: the slot in the routing table.
    :param bundle: its verified bundle.
    :param executor: the threads that answer.
    """

    def __init__(self, plan: SlotPlan, bundle: LoadedBundle, executor: Executor) -> None:
        self.plan = plan
        self.bundle = bundle
        self.schema = bundle.schema
        self.golden = bundle.golden
        self.executor = executor

    async def scores(self, rows: Rows) -> Scores:
        """See :meth:`Slot.scores`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, local_scores, self.bundle, rows)


class HttpSlot:
    """A version behind another copy of this app, in a container or a service.

    :param plan: the slot in the routing table, with its ``url``.
    :param bundle: the verified bundle; its schema and golden predictions are used, its pipeline is not.
    :param client: HTTP client of this worker.
    :param token: gives the admin token, which both servers share.
    """

    def __init__(
        self, plan: SlotPlan, bundle: LoadedBundle, client: httpx.AsyncClient, token: Callable[[], str]
    ) -> None:
        self.plan = plan
        self.schema = bundle.schema
        self.golden = bundle.golden
        self.client = client
        self.token = token
        self.address = f"{(plan.url or '').rstrip('/')}/admin/scores/{bundle.schema.model}/{plan.digest}"

    async def scores(self, rows: Rows) -> Scores:
        """See :meth:`Slot.scores`."""
        import httpx

        content = json.dumps({"rows": [dict(row) for row in rows]}, allow_nan=False)
        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        try:
            answer = await self.client.post(self.address, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise SlotFailedError(
                f"version {self.plan.version} at {self.plan.url} did not answer ({type(error).__name__})"
            ) from error
        if answer.status_code == 422:
            raise UnanswerableError("the model has no answer to these rows")
        if answer.status_code != 200:
            raise SlotFailedError(
                f"version {self.plan.version} at {self.plan.url} answered with status {answer.status_code}"
            )
        return self._read(answer.content, len(rows))

    def _read(self, content: bytes, rows: int) -> Scores:
        width = len(self.schema.classes) if self.schema.answer is Answer.CLASS else 1
        try:
            said = json.loads(content)
            scores = [[float(value) for value in row] for row in said["scores"]]
            digest = said["digest"]
        except (ValueError, KeyError, TypeError) as error:
            raise SlotFailedError(
                f"version {self.plan.version} at {self.plan.url} answered nonsense"
            ) from error
        if digest != self.plan.digest or len(scores) != rows or any(len(row) != width for row in scores):
            raise SlotFailedError(f"another version than {self.plan.version} answers at {self.plan.url}")
        return scores


def compare_golden(golden: GoldenPredictions, scores: Scores, version: str) -> ProbeResult:
    """Hold a slot's answers to its golden rows against what the model answered after training."""
    differences = [
        abs(seen - known)
        for seen_row, known_row in zip(scores, golden.scores, strict=False)
        for seen, known in zip(seen_row, known_row, strict=False)
    ]
    same_shape = [len(row) for row in scores] == [len(row) for row in golden.scores]
    matched = same_shape and all(difference <= golden.tolerance for difference in differences)
    largest = max((value for value in differences if math.isfinite(value)), default=0.0)
    message = "" if matched else f"the tolerance is {golden.tolerance:g}"
    return ProbeResult(
        version=version,
        rows=len(golden.rows),
        largest_difference=largest,
        matched=matched,
        message=message if same_shape else "the answers have another shape",
    )


async def probe(slot: Slot) -> ProbeResult:
    """Ask a slot for its golden predictions. A slot that gives no answer does not match."""
    try:
        scores = await slot.scores(slot.golden.rows)
    except WindsockError as error:
        return ProbeResult(
            version=slot.plan.version,
            rows=len(slot.golden.rows),
            largest_difference=0.0,
            matched=False,
            message=error.message,
        )
    return compare_golden(slot.golden, scores, slot.plan.version)
