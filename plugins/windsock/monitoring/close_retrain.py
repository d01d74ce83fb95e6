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
    drop = step.spec.monitoring.performance.drop
    outcome = learned(step.outcome, claim.episode, step.against, drop=drop)
    if claim.granted:
        ports.monitor.close(
            claim.model, holder=claim.holder, outcome=outcome, now=now, difference=step.against
        )
    return RetrainEnd(
        model=claim.model,
        holder=claim.holder,
        episode_key=claim.episode.key if claim.granted and claim.episode else None,
        outcome=outcome,
        closed_at=now,
    )


def learned(
    outcome: RetrainOutcome, episode: Episode | None, against: PairedDifference | None, *, drop: float
) -> RetrainOutcome:
    """Return what a retrain came to, by what its rows could have shown.

    A version that was kept out or refused says that retraining does not help only if its held-out rows could
    have told that it does: where the interval of its difference to the champion reaches further to either
    side than what was to be shown, or there is none, they were too few. To be shown is that the loss is won
    back, and where no loss asked (drift, an event), a gain as large as what counts as a loss.

    :param episode: that it was for; ``None``: the outcome stands. So it does for drift of a model whose
        labels do not come: another retrain would have no more rows.
    :param against: the difference to the champion; ``None``: the outcome stands.
    :param drop: what counts as a loss; 0: any does, and without a loss the outcome stands.
    """
    if outcome not in USELESS or episode is None or against is None or against.value is None:
        return outcome
    asked = _to_show(episode, against, drop)
    if not asked:
        return outcome
    if against.interval is None:
        return RetrainOutcome.TOO_FEW
    reach = (against.interval.high - against.interval.low) / 2
    return RetrainOutcome.TOO_FEW if reach > asked else outcome


def _to_show(episode: Episode, against: PairedDifference, drop: float) -> float:
    """Return how large a gain was to be shown, in the metric's unit; 0: none."""
    if episode.rows == 0:
        return 0.0
    loss = max(0.0, episode.loss or 0.0)
    if against.metric not in RELATIVE:
        return loss or drop
    # A share of a loss is of what the champion had before it lost it.
    return abs(against.opponent_value or 0.0) * (loss / (1 + loss) or drop)
