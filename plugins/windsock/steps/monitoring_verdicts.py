"""The last block of the monitor's logs."""

from __future__ import annotations

from windsock import records as r
from windsock.monitoring.breaker_text import reset_command
from windsock.records.check_text import first_checks
from windsock.steps.words import Verdict, shorten

WORDS = {
    r.Status.PASS: "PASS",
    r.Status.FAIL: "FAIL",
    r.Status.INSUFFICIENT: "HOLD",
    r.Status.ERROR: "ERROR",
    r.Status.EMPTY: "HOLD",
}


def describe_drift(record: r.DriftReport) -> Verdict:
    """Return the block of a drift verdict."""
    actions = {
        r.Status.FAIL: "nothing to do here; decide_retrain says whether a retrain follows",
        r.Status.ERROR: "mend what WHY names; the window is judged again by the next run",
    }
    return Verdict(
        word=WORDS[record.status],
        why=record.reason,
        next_action=actions.get(record.status, "nothing to do"),
        ids={
            "model": record.model,
            "version": record.version,
            "window": f"{record.window.start:%Y-%m-%dT%H:%M:%S}/{record.window.end:%Y-%m-%dT%H:%M:%S}",
            "severity": record.severity.value,
            "bundle": shorten(record.digest),
            "run_id": record.run_id or "",
        },
    )


def describe_performance(record: r.PerformanceReport) -> Verdict:
    """Return the block of a performance verdict."""
    failed = [check for check in record.checks if check.status in (r.Status.FAIL, r.Status.ERROR)]
    actions = {
        r.Status.FAIL: "look at the failed checks: labels, data or the world have changed",
        r.Status.ERROR: "mend what WHY names; the window is judged again by the next run",
    }
    return Verdict(
        word=WORDS[record.status],
        why=record.reason or first_checks(failed),
        next_action=actions.get(record.status, "nothing to do"),
        ids={
            "model": record.model,
            "version": record.version,
            "window": f"{record.window.start:%Y-%m-%dT%H:%M:%S}/{record.window.end:%Y-%m-%dT%H:%M:%S}",
            "bundle": shorten(record.digest),
        },
    )


def describe_decision(record: r.RetrainDecision) -> Verdict:
    """Return the block of the trigger policy."""
    held = record.order is r.RetrainOrder.HOLD
    next_action = "nothing to do"
    if record.order is r.RetrainOrder.GRANT:
        next_action = f"nothing to do; {record.model}__drift_retrain claims the episode"
    elif record.breaker:
        next_action = (
            "find out why retraining does not help, then "
            f"`{reset_command(record.model)}`; the champion keeps serving"
        )
    elif held and record.not_before:
        next_action = f"nothing to do; possible again from {record.not_before:%Y-%m-%d %H:%M:%S} UTC"
    elif record.waits_for:
        next_action = f"nothing to do; {record.waits_for.told}"
        if record.waits_for.expected_at is None:
            next_action = "send labels: a retrain needs them; see docs/labels.md"
    return Verdict(
        word="HOLD" if held or record.waits_for else "PASS",
        why=record.reason,
        next_action=next_action,
        ids={"model": record.model, "episode": record.episode.key if record.episode else ""},
    )


def describe_claim(record: r.RetrainClaim) -> Verdict:
    """Return the block of a claim."""
    next_action = "nothing to do" if record.granted else "nothing to do; the rest of this run is skipped"
    if record.findings:
        next_action = "put right what WHY names before this run comes to it; it goes on meanwhile"
    return Verdict(
        word="PASS" if record.granted else "HOLD",
        why="; ".join([record.reason, *record.findings]),
        next_action=next_action,
        ids={
            "model": record.model,
            "episode": record.episode.key if record.episode else "",
            "holder": record.holder,
        },
    )


def describe_end(record: r.RetrainEnd) -> Verdict:
    """Return the block of a claim given back."""
    next_action, why = "nothing to do", ""
    if record.outcome is r.RetrainOutcome.FAILED:
        next_action = "open the run's red task and do what its NEXT says"
    elif record.outcome is r.RetrainOutcome.UNCHANGED:
        why = ": the rows are those that the champion was trained on, so nothing was promoted"
    elif record.outcome is r.RetrainOutcome.TOO_FEW:
        next_action = "nothing to do; windows that are still bad ask again, with twice as many labels"
        why = ": its rows could not have shown a gain that matters, so the breaker does not count it"
        if (record.episode_key or "").startswith("event-"):
            next_action = "see that more labels come before an event asks again"
            why = ": its rows could not have shown a gain that matters; it counts against further events"
    return Verdict(
        word="PASS",
        why=f"the retrain came to: {record.outcome.value}{why}",
        next_action=next_action,
        ids={"model": record.model, "episode": record.episode_key or "", "holder": record.holder},
    )
