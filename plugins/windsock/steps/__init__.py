"""The single door to every step, its idempotency keys, and the words it ends with."""

from __future__ import annotations

from windsock.steps.run import STEPS, StepResult, read_input, run_step
from windsock.steps.verdicts import Verdict, limit_text, refusal_of, shorten, verdict_of, verdict_of_error

__all__ = [
    "STEPS",
    "StepResult",
    "Verdict",
    "limit_text",
    "read_input",
    "refusal_of",
    "run_step",
    "shorten",
    "verdict_of",
    "verdict_of_error",
]
