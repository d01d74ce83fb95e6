"""``keep_house``: what an installation tidies every ten minutes; one fault never stops the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from windsock.deployment.keep_log import remove_older
from windsock.deployment.keep_rollouts import close_ended, forget_ended, unattended
from windsock.deployment.remove_old import remove_old
from windsock.door import CHAMPION_ALIAS, seal_route
from windsock.faults import Faults
from windsock.ports import Ports, Samples
from windsock.records import INSTALLATION, HousekeepingInput, HousekeepingReport, LedgerRow, numbers_used

log = logging.getLogger(__name__)

RAN_GAUGE = "windsock_housekeeping_last_run_timestamp_seconds"


def keep_house(step: HousekeepingInput, ports: Ports, key: str) -> HousekeepingReport:
    """Check every ledger, mirror the champions to the registry, close what was left open, keep the retention.

    A plan that has lost the server's seal, and is the ledger's, is sealed anew. Counts of rollouts that
    ended long ago are removed, and a rollout that nobody looks at is told.

    Nothing is raised: what could not be done stands in the report.
    """
    faults = Faults("WS-HOUSEKEEPING-002", log)
    none: tuple[str, ...] = ()
    listed = faults.run("the ledger's list of models", ports.ledger.models, none)
    models = tuple(sorted({*step.models, *listed}))
    broken = tuple(
        model
        for model in models
        if not faults.run(f"ledger of {model}", _whole(ports, model), otherwise=True)
    )
    repaired = tuple(
        model
        for model in models
        if model not in broken and faults.run(f"alias of {model}", _mirror(ports, model), otherwise=False)
    )
    now = ports.now()
    sound = [model for model in models if model not in broken]
    sealed = tuple(
        model
        for model in sound
        if faults.run(f"route of {model}", partial(seal_route, ports, model), otherwise=False)
    )
    rollouts = [_tend_rollouts(ports, model, now, faults) for model in sound]
    ends = tuple(
        name
        for model in sound
        for name in faults.run(f"ends of {model}", partial(close_ended, ports, model, now), none)
    )
    oldest_run = now - timedelta(hours=step.stale_run_hours)
    runs = faults.run("stale runs", lambda: ports.tracker.close_stale_runs(models, oldest_run), 0)
    closed = faults.run("prediction segments", ports.predictions.close_segments, 0)
    removed = 0
    if step.keep_predictions_days > 0:
        oldest = now - timedelta(days=step.keep_predictions_days)
        removed = faults.run("retention", lambda: remove_older(ports, oldest, broken=broken), 0)
    gone = remove_old(step.retention, ports, sound, faults.run, at_once=step.remove_at_once)
    ran: Samples = {RAN_GAUGE: [({}, now.timestamp())]}
    faults.run("the server's gauges", partial(ports.gauges.set, INSTALLATION, ran), None)
    return HousekeepingReport(
        aliases_repaired=repaired,
        routes_sealed=sealed,
        runs_closed=runs,
        segments_closed=closed,
        segments_removed=removed,
        rollouts_forgotten=sum(forgotten for forgotten, _ in rollouts),
        rollouts_closed=ends,
        broken_ledgers=broken,
        unattended=tuple(told for _, told in rollouts if told),
        faults=tuple(faults.told),
        away=tuple(faults.away),
        removed=gone.kinds,
        removal_goes_on=gone.goes_on,
    )


def _tend_rollouts(ports: Ports, model: str, now: datetime, faults: Faults) -> tuple[int, str]:
    """Return of how many rollouts the counts were removed, and what is to be told of the one under way."""
    none: tuple[LedgerRow, ...] = ()
    rows = faults.run(f"rollouts of {model}", lambda: tuple(ports.ledger.rows(model)), none)
    forgotten = faults.run(f"counts of {model}", lambda: forget_ended(ports, model, rows, now), 0)
    return forgotten, faults.run(f"looks at {model}", lambda: unattended(ports, rows, now), "")


def _whole(ports: Ports, model: str) -> Callable[[], bool]:
    def chore() -> bool:
        chain = ports.ledger.verify(model)
        if chain.broken_at is not None:
            log.warning("WS-LEDGER-002: the ledger of %s is broken at row %d", model, chain.broken_at)
        for left in chain.left_out:
            log.warning("WS-LEDGER-002: the ledger of %s: row %s is left out: %s", model, left.seq, left.why)
        return chain.broken_at is None

    return chore


def _mirror(ports: Ports, model: str) -> Callable[[], bool]:
    def chore() -> bool:
        champion = ports.ledger.champion(model)
        if champion is None:
            return False
        ports.registry.claim(model, numbers_used(ports.ledger.rows(model)))
        if ports.registry.alias(model, CHAMPION_ALIAS) == champion.version:
            return False
        ports.registry.set_alias(model, CHAMPION_ALIAS, champion.version)
        log.info("%s: the alias %s is set back to version %s", model, CHAMPION_ALIAS, champion.version)
        return True

    return chore
