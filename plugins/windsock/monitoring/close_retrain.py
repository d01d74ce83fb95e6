"""``close_retrain``: a retrain gives its claim back and says what it came to."""

from __future__ import annotations

from windsock.monitoring.claim_retrain import holder_of
from windsock.monitoring.performance_checks import RELATIVE
from windsock.ports import Ports
from windsock.records import CloseRetrainInput, Episode, PairedDifference, RetrainEnd, RetrainOutcome
from windsock.records.retraining import USELESS


def close_retrain(step: CloseRetrainInput, ports: Ports, key: str) -> RetrainEnd:
    """Close the episode that this run has claimed with its outcome; a run without a claim closes nothing.

    Whose claim it is, and of which episode, is read from the control database: what was handed over may have
    been edited on its way.

    :raises MonitoringError: if no run is named.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    name, now = step.spec.name, ports.now()
    holder = holder_of(name, step.run)
    episode = _claimed(ports, name, holder)
    outcome = learned(step.outcome, episode, step.against)
    ports.monitor.close(name, holder=holder, outcome=outcome, now=now)
    return RetrainEnd(
        model=name,
        holder=holder,
        episode_key=episode.key if episode else None,
        outcome=outcome,
        closed_at=now,
    )


def _claimed(ports: Ports, model: str, holder: str) -> Episode | None:
    """Return the episode that a run has, or had before it was given up for lost."""
    lease, own = ports.monitor.lease(model), ports.monitor.episodes(model)
    own = tuple(one for one in own if one.claimed_by == holder)
    if lease is not None and lease.holder == holder:
        return next((one for one in own if one.key == lease.episode_key), None)
    return own[-1] if own else None


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
