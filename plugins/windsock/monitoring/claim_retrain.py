"""``claim_retrain``: one retrain of a model at a time, and one for each episode."""

from __future__ import annotations

from windsock.exceptions import MonitoringError
from windsock.monitoring.asking import event_key
from windsock.monitoring.decide_retrain import decide_retrain, sweep_episodes
from windsock.ports import Ports
from windsock.records import ClaimRetrainInput, DecideRetrainInput, RetrainClaim, RunContext
from windsock.spec.known_refusals import known_refusals


def claim_retrain(step: ClaimRetrainInput, ports: Ports, key: str) -> RetrainClaim:
    """Claim the model, and the event's episode with it.

    First it is looked at what a retrain needs at its end: one that could not come to it is refused before it
    has trained anything, and claims nothing.

    The same run claims as often as it likes: it has the same answer. A claim without an episode is of a
    retrain on schedule or by hand: neither budget nor cooldown binds it. An event from outside that was not
    announced yet enters by the trigger policy.

    :raises MonitoringError: if no run is named, for then nobody could be told apart.
    :raises DatabaseUnavailableError: if the control database does not answer.
    :raises SettingsError: if a key or the admin token is missing or cannot be used.
    :raises StorageError: if the storage cannot be written.
    :raises TrackingUnavailableError: if MLflow does not answer.
    """
    found = ports.preflight.check(step.spec.name, deploys=not step.dry_run)
    claim = _claim(step, ports, key)
    return claim.replace(findings=(*known_refusals(step.spec), *found)) if claim.granted else claim


def _claim(step: ClaimRetrainInput, ports: Ports, key: str) -> RetrainClaim:
    name, now = step.spec.name, ports.now()
    champion = ports.ledger.champion(name)
    holder = holder_of(name, step.run)
    # An episode of a version that serves no more is closed by this: its retrain would answer nothing.
    sweep_episodes(ports, name, champion.digest if champion else None, now)
    episode_key = step.episode_key
    if step.event_id is not None:
        episode_key = event_key(step.event_id)
        if all(one.key != episode_key for one in ports.monitor.episodes(name)):
            asked = DecideRetrainInput(spec=step.spec, event_id=step.event_id, run=step.run)
            decision = decide_retrain(asked, ports, key)
            if decision.episode is None:
                return RetrainClaim(
                    model=name, granted=False, reason=decision.reason, holder=holder, claimed_at=now
                )
            episode_key = decision.episode.key
    return ports.monitor.claim(step.spec, episode_key=episode_key, holder=holder, now=now)


def holder_of(model: str, run: RunContext) -> str:
    """Return who claims: the DAG and its run.

    :raises MonitoringError: if no run is named.
    """
    if not run.run_id:
        raise MonitoringError(
            f"{model}: a retrain cannot be claimed without a run id",
            code="WS-MONITORING-050",
            next_action="Name the run in the step's input: run: {dag_id: ..., run_id: ...}.",
        )
    return run.label
