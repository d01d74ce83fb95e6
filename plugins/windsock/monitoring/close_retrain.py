"""``close_retrain``: a retrain gives its claim back and says what it came to."""

from __future__ import annotations

from windsock.monitoring.performance_checks import RELATIVE
from windsock.ports import Ports
from windsock.records import CloseRetrainInput, Episode, PairedDifference, RetrainEnd, RetrainOutcome
from windsock.records.retraining import USELESS


def close_retrain(step: CloseRetrainInput, ports: Ports, key: str) -> RetrainEnd:
    """Close the claim's episode with its outcome; a claim that was not granted closes nothing.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    claim, now = step.claim, ports.now()
    outcome = learned(step.outcome, claim.episode, step.against)
    if claim.granted:
        ports.monitor.close(claim.model, holder=claim.holder, outcome=outcome, now=now)
    return RetrainEnd(
        model=claim.model,
        holder=claim.holder,
        episode_key=claim.episode.key if claim.granted and claim.episode else None,
        outcome=outcome,
        closed_at=now,
    )


def learned(
    outcome: RetrainOutcome, episode: Episode | None, against: PairedDifference | None
) -> RetrainOutcome:
    """Return what a retrain came to, by what its rows could have shown.

    A version that was kept out or refused says that retraining does not help only if its held-out rows could
    have told that the loss is won back: where the interval of its difference to the champion reaches further
    to either side than the loss, or there is none, they were too few.

    :param episode: that it was for; without a loss to win back the outcome stands.
    :param against: the difference to the champion; ``None``: the outcome stands.
    """
    if outcome not in USELESS or episode is None or episode.loss is None or episode.loss <= 0:
        return outcome
    if against is None or against.value is None:
        return outcome
    if against.interval is None:
        return RetrainOutcome.TOO_FEW
    reach = (against.interval.high - against.interval.low) / 2
    return RetrainOutcome.TOO_FEW if reach > _in_units(episode.loss, against) else outcome


def _in_units(loss: float, against: PairedDifference) -> float:
    """Return a loss in the metric's unit; a share is of what the champion had before it lost it."""
    if against.metric not in RELATIVE or against.opponent_value is None:
        return loss
    return abs(against.opponent_value) * loss / (1 + loss)
