"""``close_retrain``: a retrain gives its claim back and says what it came to."""

from __future__ import annotations

from windsock.monitoring.claim_retrain import holder_of
from windsock.monitoring.performance_checks import RELATIVE
from windsock.monitoring.retrain_end import difference_of, proved
from windsock.ports import Ports
from windsock.records import CloseRetrainInput, Episode, PairedDifference, RetrainEnd, RetrainOutcome
from windsock.records.retraining import USELESS


def close_retrain(step: CloseRetrainInput, ports: Ports, key: str) -> RetrainEnd:
    """Close the episode that this run has claimed with its outcome; a run without a claim closes nothing.

    Whose claim it is, and of which episode, is read from the control database; whether a version was promoted
    or waits, and how it did against the champion, from the ledger and the gate's signed evidence: what was
    handed over may have been edited on its way.

    :raises MonitoringError: if no run is named.
    :raises DatabaseUnavailableError: if the control database does not answer.
    :raises StorageError: if the storage does not answer.
    """
    holder = holder_of(step.spec.name, step.run)
    episode = _claimed(ports, step.spec.name, holder)
    rows = ports.ledger.rows(step.spec.name)
    against = difference_of(step.against, ports, rows, holder)
    return close_as(step.replace(outcome=proved(step.outcome, episode, rows, holder), against=against), ports)


def close_as(step: CloseRetrainInput, ports: Ports) -> RetrainEnd:
    """Close the episode of a run with an outcome that is known to be true, as that of a replay's own trial.

    :raises MonitoringError: if no run is named.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    name, now = step.spec.name, ports.now()
    holder = holder_of(name, step.run)
    episode = _claimed(ports, name, holder)
    drop = step.spec.monitoring.performance.drop
    outcome = learned(step.outcome, episode, step.against, drop=drop)
    ports.monitor.close(name, holder=holder, outcome=outcome, now=now, difference=step.against)
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
