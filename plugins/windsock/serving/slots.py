"""Slots: one version each, in the process, behind one small protocol; over HTTP: ``http_slot.py``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

from windsock.exceptions import (
    DataRefusedError,
    DeploymentRefusedError,
    ServerUnavailableError,
    TrainingRefusedError,
    WindsockError,
)
from windsock.ports import CompiledModel, LoadedBundle
from windsock.records import (
    DriftProfile,
    GoldenPredictions,
    InputSchema,
    ProbeResult,
    SlotPlan,
)
from windsock.serving.answers import ScoreReader
from windsock.serving.breaker import CircuitBreaker
from windsock.serving.field_values import Values
from windsock.serving.microbatch import MicroBatcher
from windsock.serving.recent_rows import RecentRows
from windsock.training.golden import answers_to

Rows = Sequence[Values]
Scores = Sequence[Sequence[float]]
"""For each row the class probabilities in the order of the classes, or the one number."""
SCIKIT_LEARN = "scikit-learn"
INLINE_ROWS = 256
"""A compiled version answers this many rows on the loop: a thread would take longer to wake up."""


class UnanswerableError(WindsockError, ValueError):
    """The rows are valid one value at a time, but the model has no answer to them."""

    default_code = "WS-SERVING-012"
    default_next = "Look for extreme numbers in the features."


class SlotFailedError(ServerUnavailableError):
    """The version behind a slot did not answer, or answered as another one."""

    default_code = "WS-SERVING-008"
    default_next = "Read the server's log and `GET /health`; roll back if it stays so."


class Slot(Protocol):
    """One version that answers.

    :param engine: what computes: ``linear`` or ``trees`` (compiled), ``scikit-learn``, or ``remote``.
    :param breaker: takes the slot out of use while it fails.
    :param score_reader: turns its scores into predictions.
    :param profile: the version's drift profile, where it has one.
    :param recent: the last rows that it answered in this worker.
    """

    plan: SlotPlan
    schema: InputSchema
    golden: GoldenPredictions
    engine: str
    breaker: CircuitBreaker
    score_reader: ScoreReader
    profile: DriftProfile | None
    recent: RecentRows

    def scores_now(self, rows: Rows) -> Scores | None:
        """Answer without waiting, as :meth:`scores` would; ``None`` where that would hold up the loop."""
        ...

    async def scores(self, rows: Rows) -> Scores:
        """Answer valid rows, all in one call.

        :raises UnanswerableError: if the model has no finite answer to them.
        :raises SlotFailedError: if the version did not answer.
        """
        ...


def compiled_scores(model: CompiledModel, rows: Rows) -> Scores:
    """Return a compiled model's answers.

    :raises UnanswerableError: if it has no finite answer to them.
    """
    try:
        scores = model.answers(rows)
    except ArithmeticError as error:
        raise UnanswerableError(f"the model has no answer to these rows ({type(error).__name__})") from None
    # The sum is finite if each part is; where it is not, each part may still be.
    if not math.isfinite(sum(map(sum, scores))) and not is_finite(scores):
        raise UnanswerableError("the model has no finite answer to these rows")
    return scores


def is_finite(scores: Scores) -> bool:
    """Return whether every number in the scores is finite."""
    return all(math.isfinite(value) for row in scores for value in row)


def pipeline_scores(bundle: LoadedBundle, rows: Rows) -> Scores:
    """Return the answers of a bundle's fitted pipeline, from one call of it.

    :raises UnanswerableError: if it has no finite answer to them.
    """
    names = [field.name for field in bundle.schema.fields]
    try:
        given = [dict(zip(names, row, strict=True)) for row in rows]
        return answers_to(bundle.pipeline, given, bundle.schema.fields)
    except (DataRefusedError, TrainingRefusedError, ValueError, OverflowError) as error:
        # The message of a library may quote a value: only its kind goes on.
        raise UnanswerableError(f"the model has no answer to these rows ({type(error).__name__})") from None


def golden_values(bundle: LoadedBundle | Slot) -> list[Values]:
    """Return golden rows in the form that slots are asked with."""
    return [bundle.schema.values_of(row) for row in bundle.golden.rows]


class BundleSlot:
    """What all slots take from their bundle."""

    def __init__(self, plan: SlotPlan, bundle: LoadedBundle) -> None:
        self.plan = plan
        self.schema = bundle.schema
        self.golden = bundle.golden
        self.profile = bundle.profile
        self.breaker = CircuitBreaker()
        self.score_reader = ScoreReader(bundle.schema)
        self.recent = RecentRows(bundle.schema)


class CompiledSlot(BundleSlot):
    """A version in its compiled form, loaded in this process.

    :param plan: the slot in the routing table.
    :param bundle: its verified bundle.
    :param executor: the threads that answer requests of many rows.
    """

    def __init__(self, plan: SlotPlan, bundle: LoadedBundle, executor: Executor) -> None:
        if bundle.compiled is None:
            raise ValueError("the bundle has no compiled form")
        super().__init__(plan, bundle)
        self.model = bundle.compiled
        self.engine = bundle.compiled.engine
        self.executor = executor

    def scores_now(self, rows: Rows) -> Scores | None:
        """See :meth:`Slot.scores_now`."""
        inline = len(rows) <= INLINE_ROWS and not self.plan.shadow  # a shadow must not hold up answers
        return compiled_scores(self.model, rows) if inline else None

    async def scores(self, rows: Rows) -> Scores:
        """See :meth:`Slot.scores`."""
        now = self.scores_now(rows)
        if now is not None:
            return now
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, compiled_scores, self.model, rows)


class LocalSlot(BundleSlot):
    """A version that scikit-learn computes in this process, in a thread; waiting requests share a call.

    :param plan: the slot in the routing table.
    :param bundle: its verified bundle.
    :param executor: the threads that answer.
    """

    engine = SCIKIT_LEARN

    def __init__(self, plan: SlotPlan, bundle: LoadedBundle, executor: Executor) -> None:
        super().__init__(plan, bundle)
        self.bundle = bundle
        self.batcher = MicroBatcher(partial(pipeline_scores, bundle), executor)

    def scores_now(self, rows: Rows) -> Scores | None:
        """See :meth:`Slot.scores_now`: it never answers without waiting."""
        return None

    async def scores(self, rows: Rows) -> Scores:
        """See :meth:`Slot.scores`."""
        return await self.batcher.scores(rows)


class AbsentSlot:
    """A version that is not loaded: it fails when it is asked, so that the fallback answers.

    A new worker could not load it; or its rollout has dropped it, and nobody asks it.

    :param plan: the slot in the routing table.
    :param like: a version of the same plan that could be loaded, or its own bundle; requests are held against
        its schema.
    :param why: why this one is not.
    """

    engine = "absent"

    def __init__(self, plan: SlotPlan, like: Slot | BundleSlot, why: str) -> None:
        self.plan = plan
        self.why = why
        self.schema, self.golden = like.schema, like.golden
        self.profile: DriftProfile | None = None
        self.recent, self.score_reader = like.recent, like.score_reader
        self.breaker = CircuitBreaker()

    def scores_now(self, rows: Rows) -> Scores | None:
        """See :meth:`Slot.scores_now`: it fails at once."""
        raise SlotFailedError(f"version {self.plan.version} could not be loaded")

    async def scores(self, rows: Rows) -> Scores:
        """See :meth:`Slot.scores`: it fails at once."""
        raise SlotFailedError(f"version {self.plan.version} could not be loaded")


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


def slot_in_process(plan: SlotPlan, bundle: LoadedBundle, executor: Executor) -> Slot:
    """Return a version that answers in this process, after it has given its golden predictions.

    :raises DeploymentRefusedError: if they are others.
    """
    rows, compiled = golden_values(bundle), bundle.compiled
    scores = compiled_scores(compiled, rows) if compiled else pipeline_scores(bundle, rows)
    found = compare_golden(bundle.golden, scores, plan.version)
    if not found.matched:
        raise DeploymentRefusedError(
            f"version {plan.version}: its golden predictions differ by up to "
            f"{found.largest_difference:g}; {found.message}",
            code="WS-SERVING-009",
        )
    return (CompiledSlot if compiled else LocalSlot)(plan, bundle, executor)


async def probe(slot: Slot) -> ProbeResult:
    """Ask a slot for its golden predictions. A slot that gives no answer does not match."""
    try:
        scores = await slot.scores(golden_values(slot))
    except WindsockError as error:
        return ProbeResult(
            version=slot.plan.version,
            rows=len(slot.golden.rows),
            largest_difference=0.0,
            matched=False,
            message=error.message,
        )
    return compare_golden(slot.golden, scores, slot.plan.version)
