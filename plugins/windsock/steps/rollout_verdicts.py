"""The last block of the rollout's logs."""

from __future__ import annotations

from windsock import records as r
from windsock.spec import PERCENT
from windsock.steps.words import Verdict, shorten

WORDS = {
    r.RolloutAction.HOLD: "HOLD",
    r.RolloutAction.ADVANCE: "PASS",
    r.RolloutAction.PROMOTE: "PASS",
    r.RolloutAction.KEEP: "KEEP",
    r.RolloutAction.ROLL_BACK: "FAIL",
}
NEXT = {
    r.RolloutAction.HOLD: "nothing to do; the next look follows by itself",
    r.RolloutAction.ADVANCE: "nothing to do; the next step begins now",
    r.RolloutAction.PROMOTE: "nothing to do; the version is promoted next",
    r.RolloutAction.KEEP: "nothing to do; the champion keeps serving",
    r.RolloutAction.ROLL_BACK: "nothing to do here; the champion gets all traffic back. Read the report, "
    "then mend the model",
}
CURES = {
    "WS-ROLLOUT-020": "find out why units are missing in one arm; mend it, stop the rollout, start it anew",
    "WS-ROLLOUT-021": "look at `GET /health` and at the log below the server's state folder",
}
HINDRANCES = {
    "WS-GATE-030": "run {model}__daily_retrain, so that the gate decides by today's policy",
    "WS-GATE-031": "clear `approve_model` of the run that brought it, so that it asks the people who are "
    "missing; the champion keeps serving",
    "WS-ROLLOUT-003": "nothing to do; {model}__daily_retrain brings a version that met the champion",
    "WS-ROLLOUT-004": "run {model}__daily_retrain with `force` if it shall be tried again",
    "WS-ROLLOUT-005": "clear the task that was killed; the rollout starts by itself after it",
    "WS-ROLLOUT-006": "write the strategy back into the model's file, or run {model}__daily_retrain: it "
    "promotes at once",
    "WS-ROLLOUT-014": "clear `deploy_model` of the run that brought it, or run {model}__daily_retrain for "
    "another version; the champion keeps serving",
    "WS-ROLLOUT-017": "write `rollout.metric` into the model's file; the next look starts the rollout",
    "WS-ROLLOUT-018": "write a smaller margin into the model's file, or confirm it; the next look starts the "
    "rollout",
    "WS-APPROVAL-002": "run {model}__daily_retrain for another version; the champion keeps serving",
}
"""What helps a version that waits and cannot start, by the code that its reason begins with."""


def describe_rollout_decision(record: r.RolloutDecision) -> Verdict:
    """Return the block of a look at a rollout."""
    cure = next((text for code, text in CURES.items() if record.reason.startswith(code)), None)
    next_action = cure if cure and record.action is r.RolloutAction.HOLD else NEXT[record.action]
    if record.action is r.RolloutAction.HOLD and record.reason.startswith("paused"):
        next_action = "resume it when the reason for the pause is gone"
    return Verdict(
        word="DRY RUN" if record.dry_run else WORDS[record.action],
        why=f"would {record.action.value}: {record.reason}" if record.dry_run else record.reason,
        next_action="nothing was stored, and nothing follows" if record.dry_run else next_action,
        ids={
            "model": record.model,
            "version": record.version,
            "experiment": record.experiment,
            "number": str(record.number),
            "bundle": shorten(record.digest),
            "evidence": shorten(record.evidence_digest),
        },
    )


def describe_rollout(record: r.RolloutState) -> Verdict:
    """Return the block of what is under way."""
    rollout = record.rollout
    if rollout is None:
        waits = f"version {record.waiting} waits for its rollout" if record.waiting else "none waits"
        helps = next((text for code, text in HINDRANCES.items() if record.reason.startswith(code)), None)
        return Verdict(
            word="HOLD" if helps else "PASS",
            why=record.reason or f"no rollout is under way; {waits}",
            next_action=helps.format(model=record.model) if helps else "nothing to do",
            ids={"model": record.model, "version": record.waiting or ""},
        )
    share, steps = rollout.share / PERCENT, len(rollout.plan.shares)
    place = f"step {rollout.step + 1} of {steps}, {share:g} % of the units"
    if rollout.plan.strategy == "shadow":
        place = "as a shadow, without answering"
    why = f"version {rollout.version} is tried against version {rollout.champion_version}: {place}"
    if rollout.paused_by:
        why += f"; paused by {rollout.paused_by}"
    if record.look_due:
        why += f"; next look {record.look_due:%Y-%m-%d %H:%M:%S} UTC"
    told = "; ".join((*([record.reason] if record.reason else []), why, *record.outlook))
    return Verdict(
        word="HOLD" if rollout.paused_by else "PASS",
        why=told,
        next_action="resume it when the reason for the pause is gone"
        if rollout.paused_by
        else "nothing to do",
        ids={
            "model": record.model,
            "version": rollout.version,
            "experiment": rollout.experiment,
            "bundle": shorten(rollout.digest),
        },
    )


def describe_shift(record: r.TrafficShift) -> Verdict:
    """Return the block of a step that has begun."""
    begun = (
        f"version {record.version} answers {record.share / PERCENT:g} % of the units, step {record.step + 1}"
    )
    return Verdict(
        word="PASS",
        why=record.reason or begun,
        ids={
            "model": record.model,
            "version": record.version,
            "experiment": record.experiment,
            "epoch": str(record.epoch),
        },
    )


def describe_waiting(record: r.Promotion) -> Verdict:
    """Return the block of a version that is not promoted at once."""
    return Verdict(
        word="PASS",
        why=record.reason or f"version {record.version} waits for its rollout",
        next_action=f"nothing to do; {record.model}__ab_rollout begins it",
        ids={"model": record.model, "version": record.version, "bundle": shorten(record.digest)},
    )
