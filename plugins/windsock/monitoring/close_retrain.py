"""``close_retrain``: a retrain gives its claim back and says what it came to."""

from __future__ import annotations

from windsock.ports import Ports
from windsock.records import CloseRetrainInput, RetrainEnd


def close_retrain(step: CloseRetrainInput, ports: Ports, key: str) -> RetrainEnd:
    """Close the claim's episode with its outcome; a claim that was not granted closes nothing.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    claim, now = step.claim, ports.now()
    if claim.granted:
        ports.monitor.close(claim.model, holder=claim.holder, outcome=step.outcome, now=now)
    return RetrainEnd(
        model=claim.model,
        holder=claim.holder,
        episode_key=claim.episode.key if claim.granted and claim.episode else None,
        outcome=step.outcome,
        closed_at=now,
    )
