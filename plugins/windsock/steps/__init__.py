"""The single door to every step, its idempotency keys, and the words it ends with."""

from __future__ import annotations

from windsock.steps.run import STEPS, StepResult, read_input, run_step
from windsock.steps.verdicts import refusal_of, verdict_of, verdict_of_error
from windsock.steps.words import Verdict, difference_text, shorten

__all__ = [
    "STEPS",
    "StepResult",
    "Verdict",
    "difference_text",
    "read_input",
    "refusal_of",
    "run_step",
    "shorten",
    "verdict_of",
    "verdict_of_error",
]
