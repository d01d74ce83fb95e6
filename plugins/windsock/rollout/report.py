"""The page about a rollout, and where people find it: in the tracking run of its version.

Of several versions the page is in the run of the first one, and in that of each version that a decision
promotes, drops or ends the rollout of; each run has the numbers of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.door.rollout_close import FOLDER, close_rollout, course_to, run_of
from windsock.exceptions import WindsockError
from windsock.ports import Ports
from windsock.records import (
    Digest,
    LedgerRow,
    Rollout,
    RolloutAction,
    RolloutDecision,
    concerned,
)

log = logging.getLogger(__name__)

CODE = "WS-ROLLOUT-080"
TRIES = 3
"""How often a page is written again because a later look came meanwhile."""


def bare(decision: RolloutDecision) -> RolloutDecision:
    """Return a decision as it is before its evidence is stored: so the page does not depend on the pack."""
    return decision.bare


def page(ports: Ports, rollout: Rollout, decisions: Sequence[RolloutDecision]) -> bytes | None:
    """Return the page; where it cannot be written, say so and go on: the decision stands without it.

    :param decisions: by number.
    """
    try:
        return ports.rollout_reporter.html(rollout, [*decisions[:-1], bare(decisions[-1])])
    except Exception as error:
        _warn(rollout, "the page could not be written", error)
        return None


def keep_report(
    ports: Ports,
    rollout: Rollout,
    decision: RolloutDecision,
    rows: Sequence[LedgerRow],
    report: bytes | None,
) -> str | None:
    """Add page, decision and numbers to the version's tracking run, and to those of others their numbers.

    Of several the first one's run has the page, and so has that of each version that is promoted or
    dropped, or with which the rollout ends. Looks that are taken at the same time may be told in any order:
    the page shows the newest one in the end, and that the rollout is over where it is.

    :returns: where people find the page, for a promotion in the run of that version; ``None``: it, or the
        tracker, is away.
    """
    told, run_id = decision, ""
    try:
        for _ in range(TRIES):
            run_id = _tell(ports, rollout, told, rows, report)
            newest = ports.rollouts.last(rollout.model, rollout.experiment)
            if newest is None or newest.number <= told.number:
                break
            told, report = newest, page(ports, rollout, course_to(ports, newest))
        close_rollout(ports, rollout.model, rollout.experiment)
        link = ports.tracker.artifact_link(rollout.model, run_id, f"{FOLDER}/{rollout.experiment}.html")
    except Exception as error:
        _warn(rollout, "the report is not in the tracker", error)
        return None
    if report is None:
        return None
    return link or f"runs:/{run_id}/{FOLDER}/{rollout.experiment}.html"


def _tell(
    ports: Ports,
    rollout: Rollout,
    decision: RolloutDecision,
    rows: Sequence[LedgerRow],
    report: bytes | None,
) -> str:
    """Add what a look says to the runs of all that are tried; return the run in which the page is found."""
    name = f"{FOLDER}/{rollout.experiment}"
    files = {f"{name}.json": decision.model_dump_json(indent=2).encode()}
    if report is not None:
        files[f"{name}.html"] = report
    about, run_id = _told_to(decision), ""
    for place, one in enumerate(rollout.challengers):
        if place and decision.looks[place].withdrawn:
            continue  # it is judged no more
        has_page = not place or one.digest in about
        added = _add(ports, rollout, decision, rows, place, files if has_page else {})
        if not place or (one.digest in about and decision.action is RolloutAction.PROMOTE):
            run_id = added
    return run_id


def _told_to(decision: RolloutDecision) -> set[Digest]:
    """Return the bundles that a decision promotes, drops or ends the rollout of; none where it goes on."""
    if decision.action in (RolloutAction.HOLD, RolloutAction.ADVANCE):
        return set()
    return {one.digest for one in concerned(decision)}


def _add(
    ports: Ports,
    rollout: Rollout,
    decision: RolloutDecision,
    rows: Sequence[LedgerRow],
    place: int,
    files: dict[str, bytes],
) -> str:
    """Add what a look says of one challenger to its tracking run, and return that.

    :param place: of its lane, from 0.
    """
    one = rollout.challengers[place]
    run_id = run_of(ports, rollout, rows, one)
    numbers = _numbers(decision.against(place))
    ports.tracker.add_to_run(run_id, metrics=numbers, tags=_tags(decision), files=files)
    return run_id


def _numbers(decision: RolloutDecision) -> dict[str, float]:
    seen, totals = decision.estimate, decision.totals
    numbers = {
        "number": decision.number,
        "share": decision.share,
        "units_champion": totals.champion.units,
        "units_challenger": totals.challenger.units,
        "unanswered_champion": totals.champion.refused,
        "unanswered_challenger": totals.challenger.refused,
        "outcomes": totals.outcomes,
        "champion": seen.champion,
        "challenger": seen.challenger,
        "difference": seen.difference,
        "difference_low": seen.interval.low if seen.interval else None,
        "difference_high": seen.interval.high if seen.interval else None,
    }
    return {f"{FOLDER}_{name}": float(value) for name, value in numbers.items() if value is not None}


def _tags(decision: RolloutDecision) -> dict[str, str]:
    tags = {"windsock.rollout": decision.experiment, "windsock.rollout_decision": decision.action.value}
    if decision.looks:
        about = [one.version for one in decision.dropped] or [decision.version]
        tags["windsock.rollout_decision_version"] = ", ".join(about)
    if decision.evidence_digest is not None:
        tags["windsock.rollout_evidence"] = decision.evidence_digest
    return tags


def _warn(rollout: Rollout, what: str, error: Exception) -> None:
    told = error.code if isinstance(error, WindsockError) else type(error).__name__
    log.warning("%s: %s %s: %s (%s)", CODE, rollout.model, rollout.experiment, what, told)


__all__ = ["bare", "course_to", "keep_report", "page"]
