"""What steps before came to, as far as a later step asks."""

from __future__ import annotations

from typing import Any

from support.builders import make_spec
from windsock.records import Record, RunContext
from windsock.spec import ModelSpec, digest_of
from windsock.steps.run import StepResult, handed_over, read_input, run_step


def attested(
    ports: Any, *, spec: ModelSpec | None = None, run: RunContext | None = None, **records: Record
) -> Any:
    """Return ports in which steps have come to these records, each under a spec and in a run."""
    asked = run or RunContext()
    about = {"spec": (spec or make_spec()).content_digest(), "run": [asked.dag_id, asked.run_id]}
    for step, record in records.items():
        ports.records.attest(step, record.model_dump(mode="json"), digest_of(about))
    return ports


def run_believed(name: str, step: Any, ports: Any) -> StepResult:
    """Run a step whose input is what the steps before came to."""
    given = step if isinstance(step, Record) else read_input(name, step)
    for _, maker, record in handed_over(given):
        attested(ports, spec=given.spec, run=given.run, **{maker: record})  # type: ignore[attr-defined]
    return run_step(name, step, ports)
