"""The page about a rollout, and where people find it: in the tracking run of its version.

Of several versions the page is in the run of the first one, and in that of each version that a decision
promotes, drops or ends the rollout of; each run has the numbers of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.exceptions import WindsockError
from windsock.ports import Ports, RunDraft
from windsock.records import (
    Challenger,
    Digest,
    LedgerAction,
    LedgerRow,
    Rollout,
    RolloutAction,
    RolloutDecision,
    concerned,
)
from windsock.spec import digest_of

log = logging.getLogger(__name__)

CODE = "WS-ROLLOUT-080"
FOLDER = "rollout"
NEWEST_LOOKS, EARLIER_LOOKS = 100, 400
"""Of a rollout's looks, those that its page and its evidence show: the newest, and of those before."""


def bare(decision: RolloutDecision) -> RolloutDecision:
    """Return a decision as it is before its evidence is stored: so the page does not depend on the pack."""
    return decision.bare


def course_to(ports: Ports, decision: RolloutDecision) -> tuple[RolloutDecision, ...]:
    """Return a rollout's course up to a decision, and with it, in few looks: thousands would fill each page.

    Planned looks and what did not just hold are always among them.
    """
    earlier = max(0, decision.number - NEWEST_LOOKS)
    every = -(-earlier // EARLIER_LOOKS) or 1
    about = (decision.model, decision.experiment)
    kept = (
        *ports.rollouts.series(*about, newest=NEWEST_LOOKS, every=every),
        *(ports.rollouts.planned(*about) if decision.estimate.method == "group_sequential" else ()),
    )
    shown = {one.number: one for one in kept if one.number < decision.number}
    return (*(shown[number] for number in sorted(shown)), decision)


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
    dropped, or with which the rollout ends.

    :returns: where people find the page, for a promotion in the run of that version; ``None``: it, or the
        tracker, is away.
    """
    name = f"{FOLDER}/{rollout.experiment}"
    files = {f"{name}.json": decision.model_dump_json(indent=2).encode()}
    if report is not None:
        files[f"{name}.html"] = report
    try:
        about, run_id = _told_to(decision), ""
        for place, one in enumerate(rollout.challengers):
            if place and decision.looks[place].withdrawn:
                continue  # it is judged no more
            has_page = not place or one.digest in about
            added = _add(ports, rollout, decision, rows, place, files if has_page else {})
            if not place or (one.digest in about and decision.action is RolloutAction.PROMOTE):
                run_id = added
        link = ports.tracker.run_link(rollout.model, run_id)
    except Exception as error:
        _warn(rollout, "the report is not in the tracker", error)
        return None
    if report is None:
        return None
    return link or f"runs:/{run_id}/{name}.html"


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
    run_id = _registered_run(rows, one) or _own_run(ports, rollout, one)
    numbers = _numbers(decision.against(place))
    ports.tracker.add_to_run(run_id, metrics=numbers, tags=_tags(decision), files=files)
    return run_id


def _registered_run(rows: Sequence[LedgerRow], one: Challenger) -> str | None:
    """Return the tracking run that a version was registered from; old rows do not tell it."""
    told = (
        row.body.get("run_id")
        for row in reversed(rows)
        if row.action is LedgerAction.REGISTER and (row.version, row.digest) == (one.version, one.digest)
    )
    return next((str(run_id) for run_id in told if run_id), None)


def _own_run(ports: Ports, rollout: Rollout, one: Challenger) -> str:
    """Return a tracking run that is the rollout's alone, or its further version's; its key finds it again."""
    further = [] if one.digest == rollout.digest else [one.digest]
    draft = RunDraft(
        key=digest_of([FOLDER, rollout.model, rollout.experiment, *further]),
        model=rollout.model,
        run_name=f"{FOLDER} {rollout.experiment}{f' version {one.version}' if further else ''}",
        tags={"windsock.version": one.version, "windsock.bundle": one.digest},
    )
    return ports.tracker.record_run(draft)


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
