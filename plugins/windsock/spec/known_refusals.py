"""What of a model's file makes the gate refuse every version: known before anything is trained."""

from __future__ import annotations

from windsock.spec.model import ModelSpec

WRITTEN_BY_PEOPLE = ("intended_use", "limitations")
"""Texts of the model card that have no default."""


def known_refusals(spec: ModelSpec) -> tuple[str, ...]:
    """Return a sentence for each reason for which the gate will refuse, whatever the training comes to."""
    empty = [name for name in WRITTEN_BY_PEOPLE if not getattr(spec.gate.card, name).strip()]
    if not empty:
        return ()
    are = "is" if len(empty) == 1 else "are"
    why = "the gate refuses every version until a person has written it into the model's file"
    return (f"gate.card: {' and '.join(empty)} {are} empty: {why}",)
