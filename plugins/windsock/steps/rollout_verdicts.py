"""The last block of the rollout's logs."""

from __future__ import annotations

from windsock import records as r
from windsock.spec import PERCENT
from windsock.steps.words import Verdict, shorten
from windsock.texts import numbered

WORDS = {
    r.RolloutAction.HOLD: "HOLD",
    r.RolloutAction.ADVANCE: "PASS",
    r.RolloutAction.PROMOTE: "PASS",
    r.RolloutAction.DROP: "FAIL",
    r.RolloutAction.KEEP: "KEEP",
    r.RolloutAction.ROLL_BACK: "FAIL",
}
NEXT = {
    r.RolloutAction.HOLD: "nothing to do; the next look follows by itself",
    r.RolloutAction.ADVANCE: "nothing to do; the next step begins now",
    r.RolloutAction.PROMOTE: "nothing to do; the version is promoted next",
    r.RolloutAction.DROP: "nothing to do here; the champion answers the units of what is dropped, the others "
    "go on. Read the report, then mend the model",
    r.RolloutAction.KEEP: "nothing to do; the champion keeps serving",
    r.RolloutAction.ROLL_BACK: "nothing to do here; the champion gets all traffic back. Read the report, "
    "then mend the model",
}
CURES = {
    "WS-ROLLOUT-020": "find out why units are missing in one arm, and mend it; {again}",
    "WS-ROLLOUT-021": "look at `GET /health`, at the log below the server's state folder, and where ids "
    "repeat at the client that sends them",
    "WS-ROLLOUT-027": "nothing to do if outcomes are still to come; else see that they are sent, and that "
    "`rollout.labels` names where to",
    "WS-ROLLOUT-028": "find out why labels are missing in one arm, and mend it; {again}",
    "WS-ROLLOUT-029": "write `rollout.unit_cap` into the model's file; {again}",
    "WS-ROLLOUT-031": "write the word that is sent as `outcome` of the metric, or send true or a number; "
    "{again}",
    "WS-ROLLOUT-032": "send the unit in the same spelling with requests and outcomes; if outcomes come later "
    "than `rollout.attribution`, raise that",
    "WS-ROLLOUT-033": "set the clock of the host that sends outcomes, or leave `event_time` out",
    "WS-ROLLOUT-034": "send a new `event_id` with each event",
}
AGAIN = (
    "then stop the rollout and run {model}__daily_retrain with `force`: a version that was stopped is held, "
    "and that lets it wait again"
)
"""How a rollout is begun anew."""
STILL_TO_COME = {
    "WS-ROLLOUT-020": "nothing to do while requests are still to come; else see that the model is asked",
    "WS-ROLLOUT-028": "nothing to do while labels are still to come; else see that they are sent",
    "WS-ROLLOUT-029": "nothing to do while units are still to come; where bots ask, write `rollout.unit_cap` "
    "into the model's file for the next rollout",
}
"""What helps while there is too little to say that anything is wrong."""
LACKING = "not enough evidence"
"""How the reason of a roll back begins that says nothing against the version."""
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
    reason = r.own_reason(record)
    next_action = NEXT[record.action]
    if record.action is r.RolloutAction.HOLD:
        next_action = _while_held(record, reason)
    if record.action is r.RolloutAction.ROLL_BACK and reason.startswith(LACKING):
        next_action = (
            "nothing to do here; the champion gets all traffic back. See to the evidence that was missing, "
            f"then run {record.model}__daily_retrain with `force`: the version waits for a rollout again"
        )
    about = r.concerned(record)
    return Verdict(
        word="DRY RUN" if record.dry_run else WORDS[record.action],
        why=f"would {record.action.value}: {record.reason}" if record.dry_run else record.reason,
        next_action="nothing was stored, and nothing follows" if record.dry_run else next_action,
        ids={
            "model": record.model,
            "version": ",".join(one.version for one in about),
            "experiment": record.experiment,
            "number": str(record.number),
            "bundle": ",".join(shorten(one.digest) for one in about),
            "evidence": shorten(record.evidence_digest),
        },
    )


def _while_held(record: r.RolloutDecision, reason: str) -> str:
    """Return what helps a rollout that holds."""
    if reason.startswith("paused"):
        return "resume it when the reason for the pause is gone"
    few = {check.code for check in record.checks if check.status is r.Status.INSUFFICIENT}
    cures = CURES | {code: text for code, text in STILL_TO_COME.items() if code in few}
    cure = next((text for code, text in cures.items() if reason.startswith(code)), NEXT[record.action])
    return cure.format(model=record.model, again=AGAIN.format(model=record.model))


def describe_rollout(record: r.RolloutState) -> Verdict:
    """Return the block of what is under way."""
    rollout = record.rollout
    if rollout is None:
        waits = _waits(record.waiting) if record.waiting else "none waits"
        helps = next((text for code, text in HINDRANCES.items() if record.reason.startswith(code)), None)
        return Verdict(
            word="HOLD" if helps else "PASS",
            why=record.reason or f"no rollout is under way; {waits}",
            next_action=helps.format(model=record.model) if helps else "nothing to do",
            ids={"model": record.model, "version": (record.waiting or "").replace(", ", ",")},
        )
    share, steps = rollout.share / PERCENT, len(rollout.plan.shares)
    place = f"step {rollout.step + 1} of {steps}, {share:g} % of the units"
    if rollout.others:
        place += f", {rollout.share_each / PERCENT:g} % each"
    if rollout.plan.strategy == "shadow":
        place = "as a shadow, without answering"
    verb = "are" if rollout.others else "is"
    why = f"{rollout.named} {verb} tried against version {rollout.champion_version}: {place}"
    if rollout.dropped:
        why += f"; dropped: {numbered([one.version for one in rollout.dropped])}"
    if rollout.pause and rollout.pause not in record.reason:
        why += f"; {rollout.pause}"
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
            "version": ",".join(one.version for one in rollout.challengers),
            "experiment": rollout.experiment,
            "bundle": ",".join(shorten(one.digest) for one in rollout.challengers),
        },
    )


def _waits(waiting: str) -> str:
    """Return that what waits does.

    :param waiting: a version, or several such as ``4, 5``.
    """
    versions = waiting.split(", ")
    one = len(versions) == 1
    return f"{numbered(versions)} {'waits for its' if one else 'wait for their'} rollout"


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
