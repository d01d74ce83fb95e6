"""What is to be done once a rollout is over by the ledger: its page and its tracking runs say so, too."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.exceptions import WindsockError
from windsock.ports import MODEL_VERSION, Ports, RunDraft
from windsock.records import (
    Challenger,
    LedgerAction,
    LedgerRow,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    RolloutOutcome,
    ended_rollouts,
    running_rollout,
)
from windsock.spec import digest_of

log = logging.getLogger(__name__)

CODE = "WS-ROLLOUT-080"
FOLDER = "rollout"
OUTCOME_TAG = "windsock.rollout_outcome"
"""The tag of a run whose version's rollout is over: how it ended, by the ledger."""
ENDED_TAG = "windsock.rollout_ended"
"""The name of the rollout that this is about: a version may be tried more than once."""
SERVES_TAG = "windsock.rollout_serves"
"""Which version serves by the end of that rollout."""
NEWEST_LOOKS, EARLIER_LOOKS = 100, 400
"""Of a rollout's looks, those that its page and its evidence show: the newest, and of those before."""


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


def close_rollout(ports: Ports, model: str, experiment: str) -> str:
    """Let the page and the tracking runs of a rollout that is over say how it ended.

    A second try changes nothing.

    :returns: what is not done yet, as a sentence; empty: all of it is done, or the rollout goes on.
    """
    rows = ports.ledger.rows(model)
    end = next((one for one in ended_rollouts(rows) if one.experiment == experiment), None)
    rollout = _as_it_was(rows, experiment)
    if end is None or rollout is None:
        return ""
    try:
        _tell_runs(ports, rows, rollout, end)
    except Exception as error:
        told = error.code if isinstance(error, WindsockError) else type(error).__name__
        log.warning("%s: %s %s: its report and runs do not say its end (%s)", CODE, model, experiment, told)
        return f"the report and the runs of rollout {experiment} in MLflow do not say yet that it is over"
    return ""


def unclosed(ports: Ports, rows: Sequence[LedgerRow], end: RolloutEnd) -> bool:
    """Return whether the tracking run of a rollout that is over does not say so.

    :raises TrackingUnavailableError: if MLflow does not answer.
    """
    rollout = _as_it_was(rows, end.experiment)
    run_id = registered_run(rows, rollout.challengers[0]) if rollout else None
    if run_id is None:
        return False  # its own run can only be found by making it
    tags = ports.tracker.tags(run_id)
    return (tags.get(ENDED_TAG), tags.get(OUTCOME_TAG)) != (end.experiment, end.outcome.value)


def _tell_runs(ports: Ports, rows: Sequence[LedgerRow], rollout: Rollout, end: RolloutEnd) -> None:
    last = ports.rollouts.last(rollout.model, rollout.experiment)
    course = () if last is None else course_to(ports, last)
    page = ports.rollout_reporter.html(rollout, [one.bare for one in course], end)
    name, promoted = f"{FOLDER}/{rollout.experiment}", end.outcome is RolloutOutcome.PROMOTED
    for place, one in enumerate(rollout.challengers):
        won = promoted and one.version == end.version
        ports.tracker.add_to_run(
            run_of(ports, rollout, rows, one),
            metrics={} if last is None or place else {f"{FOLDER}_number": float(last.number)},
            tags={
                "windsock.rollout": rollout.experiment,
                ENDED_TAG: rollout.experiment,
                OUTCOME_TAG: end.outcome.value,
                SERVES_TAG: end.version if promoted else rollout.champion_version,
            },
            files={f"{name}.html": page} if won or not place else {},
        )


def _as_it_was(rows: Sequence[LedgerRow], experiment: str) -> Rollout | None:
    """Return a rollout as it was at its last step, or as it is."""
    running = running_rollout(rows)
    if running is not None and running.experiment == experiment:
        return running
    shifts = [
        row for row in rows if row.action is LedgerAction.SHIFT and row.body.get("experiment") == experiment
    ]
    return running_rollout([row for row in rows if row.seq <= shifts[-1].seq]) if shifts else None


def run_of(ports: Ports, rollout: Rollout, rows: Sequence[LedgerRow], one: Challenger) -> str:
    """Return the tracking run that a version's rollout is told in."""
    return registered_run(rows, one) or _own_run(ports, rollout, one)


def registered_run(rows: Sequence[LedgerRow], one: Challenger) -> str | None:
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
    which = f" version {one.version}" if further else ""
    draft = RunDraft(
        key=digest_of([FOLDER, rollout.model, rollout.experiment, *further]),
        model=rollout.model,
        run_name=f"{rollout.model} {FOLDER} {rollout.experiment}{which} {rollout.started_at:%Y-%m-%d %H:%M}",
        tags={
            "windsock.kind": FOLDER,
            "windsock.model": rollout.model,
            MODEL_VERSION: one.version,
            "windsock.bundle": one.digest,
        },
    )
    return ports.tracker.record_run(draft)


__all__ = ["ENDED_TAG", "FOLDER", "OUTCOME_TAG", "close_rollout", "course_to", "run_of", "unclosed"]
