"""What a look at a rollout comes to: hold, advance, promote, keep the champion, or roll back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from windsock.records import (
    CheckResult,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutPlan,
    Status,
    StepTotals,
)
from windsock.records.check_text import named_check
from windsock.rollout.coverage import (
    COVERAGE,
    WEIGHTS,
    coverage,
    has_weights,
    labelled_metrics,
    weights,
)
from windsock.rollout.guardrails import PREFIX, guardrails, is_measured_at_once
from windsock.rollout.look import Look
from windsock.rollout.notes import notes
from windsock.rollout.outcomes import OUTCOMES, needs_outcomes, outcomes
from windsock.rollout.promotion import PROMOTION, Proof, promotion, prove
from windsock.rollout.several import Judged, combined, looks_of
from windsock.rollout.soundness import (
    BAKE,
    COUNTS,
    CYCLE,
    SAMPLE_RATIO,
    UNITS,
    bake,
    counts,
    cycle,
    sample_ratio,
    units,
)
from windsock.spec import HARM, PERCENT

OWN_CHECKS = {
    SAMPLE_RATIO: sample_ratio,
    COUNTS: counts,
    UNITS: units,
    OUTCOMES: outcomes,
    COVERAGE: coverage,
    WEIGHTS: weights,
    CYCLE: cycle,
    BAKE: bake,
}
"""In the order in which they are asked for: the first one that is not met is why a rollout holds."""


class Verdict(NamedTuple):
    """An action and the sentence that says why."""

    action: RolloutAction
    reason: str


def decide(
    rollout: Rollout,
    totals: StepTotals,
    before: Sequence[RolloutDecision],
    *,
    number: int,
    now: datetime,
) -> RolloutDecision:
    """Judge what was seen of a rollout's present step. Pure: the same input, the same decision.

    In this order: a guardrail that is broken rolls back at any look; while paused nothing else follows before
    the deadline; a broken split or strange counts hold; then every check that the plan asks for must have run
    and passed, and the rollout advances or its challenger is promoted; last the horizon and the deadline end
    it. After the deadline nothing waits for a person: neither for an approval nor for the end of a pause.

    Of several challengers each is judged so, alone against the champion and with its part of alpha; see
    :func:`~windsock.rollout.several.combined` for what follows of all.

    :param totals: sums of the present step.
    :param before: the decisions that stand, by number; the planned looks among them are the test's history.
    :param number: of this decision.
    """
    judged = [
        _judged(
            Look(
                rollout=rollout,
                totals=totals,
                before=[one.against(place) for one in before],
                now=now,
                place=place,
            )
        )
        for place, one in enumerate(rollout.challengers)
        if one.digest not in rollout.withdrawn
    ]
    whole = combined(judged)
    return RolloutDecision(
        model=rollout.model,
        experiment=rollout.experiment,
        version=whole.about.challenger.version,
        digest=whole.about.challenger.digest,
        champion_version=rollout.champion_version,
        number=number,
        step=rollout.step,
        share=rollout.share,
        action=whole.action,
        reason=whole.reason,
        checks=whole.about.checks,
        estimate=whole.about.proof.estimate,
        totals=totals,
        planned_look=max(one.proof.planned_look or 0 for one in judged) or None,
        judged_at=now,
        notes=notes(whole.about.look),
        looks=looks_of(rollout, judged),
    )


def _judged(look: Look) -> Judged:
    """Judge one challenger against the champion, as if it were the only one."""
    proof = prove(look)
    checks = _checks(look, proof)
    verdict = _decided(look, {check.name: check for check in checks}, proof)
    return Judged(look, verdict.action, verdict.reason, checks, proof)


def required_checks(plan: RolloutPlan, *, last_step: bool) -> tuple[str, ...]:
    """Return the names of the checks without which nothing advances and nobody is promoted."""
    asked = {
        OUTCOMES: last_step and needs_outcomes(plan),
        COVERAGE: last_step and bool(labelled_metrics(plan)),
        WEIGHTS: last_step and has_weights(plan),
        CYCLE: last_step,
        BAKE: plan.strategy != "ab",
    }
    names = [name for name in OWN_CHECKS if asked.get(name, True)]
    names += [f"{PREFIX}{name}" for name in plan.limits]
    return (*names, PROMOTION) if last_step else tuple(names)


def _checks(look: Look, proof: Proof) -> tuple[CheckResult, ...]:
    required = required_checks(look.plan, last_step=look.rollout.is_last_step)
    own = [check(look) for name, check in OWN_CHECKS.items() if name in required]
    proved = [promotion(look, proof)] if PROMOTION in required else []
    return (*own, *guardrails(look), *proved)


def _decided(look: Look, checks: dict[str, CheckResult], proof: Proof) -> Verdict:
    for name, check in checks.items():
        if name.startswith(PREFIX) and check.status is Status.FAIL:
            return Verdict(RolloutAction.ROLL_BACK, named_check(check))
    if look.rollout.paused_by is not None and not look.is_due:
        return Verdict(RolloutAction.HOLD, f"{look.rollout.pause}; only a guardrail acts")
    missing = _unmet(look, checks)
    if missing is None and look.rollout.is_last_step and not _is_too_late(look):
        return Verdict(RolloutAction.PROMOTE, named_check(checks[PROMOTION]))
    ended = _ended(look, checks, proof, missing)
    if ended is not None:
        return ended
    if missing is None:
        return Verdict(RolloutAction.ADVANCE, _next_step(look, checks))
    return Verdict(RolloutAction.HOLD, missing)


def _is_too_late(look: Look) -> bool:
    """Return whether a promotion would come after the deadline: a proof may, what waits for a person not."""
    return look.is_due and (look.plan.approve or look.rollout.paused_by is not None)


def _unmet(look: Look, checks: dict[str, CheckResult]) -> str | None:
    """Return the first required check that is not met, in words; ``None``: every one ran and is met."""
    for name in required_checks(look.plan, last_step=look.rollout.is_last_step):
        if name not in checks:
            return f"the check {name} did not run"
        if not _is_met(look, checks[name]):
            return named_check(checks[name])
    return None


def _is_met(look: Look, check: CheckResult) -> bool:
    """Return whether a check lets the rollout go on.

    Between two steps a guardrail that waits for outcomes may be undecided, and one that needs none may be
    undecided once it has a value. For a promotion only harm may: the promotion's own check is about the same
    metric.
    """
    if check.passed or check.status is not Status.INSUFFICIENT or not check.name.startswith(PREFIX):
        return check.passed
    if look.rollout.is_last_step:
        return check.name == f"{PREFIX}{HARM}" and check.interval is not None
    return check.interval is not None or not is_measured_at_once(look, check)


def _ended(look: Look, checks: dict[str, CheckResult], proof: Proof, missing: str | None) -> Verdict | None:
    """Return what the horizon or the deadline make of a rollout that was not promoted."""
    plan, horizon = look.plan, look.plan.horizon_length
    lacking = _lacking(checks, proof)
    past = horizon is not None and look.elapsed >= horizon and look.rollout.is_last_step
    if past and lacking is None and missing is not None:
        return Verdict(RolloutAction.KEEP, f"no proof of gain by the horizon of {plan.horizon}: {missing}")
    if not look.is_due:
        return None
    if lacking is not None:
        reason = f"not enough evidence by the deadline of {plan.deadline}: {lacking}"
        return Verdict(RolloutAction.ROLL_BACK, reason)
    return Verdict(RolloutAction.KEEP, _out_of_time(look, missing))


def _out_of_time(look: Look, missing: str | None) -> str:
    """Return why the deadline ends a rollout that could be judged."""
    by = f"by the deadline of {look.plan.deadline}"
    if missing is not None:
        return f"no proof of gain {by}: {missing}"
    if not look.rollout.is_last_step:
        return f"no proof of gain {by}: still at step {look.rollout.step + 1} of {len(look.plan.shares)}"
    if look.rollout.paused_by is not None:
        return f"{look.rollout.pause}, so nothing was promoted {by}"
    return f"nobody approved {by}"


def _lacking(checks: dict[str, CheckResult], proof: Proof) -> str | None:
    """Return what is missing to judge the rollout at all, in words; ``None``: nothing is."""
    for name, check in checks.items():
        if name in OWN_CHECKS and not check.passed:
            return named_check(check)
        if name.startswith(PREFIX) and check.interval is None:
            return named_check(check)
        if name == PROMOTION and not proof.has_value:
            return named_check(check)
    return None


def _next_step(look: Look, checks: dict[str, CheckResult]) -> str:
    step, tried = look.rollout.step, len(look.rollout.challengers)
    shares = [f"{share // tried / PERCENT:g} %" for share in look.plan.shares]
    each = " each" if look.is_one_of_several else ""
    return (
        f"step {step + 1} of {len(shares)} ({shares[step]}{each}) is done: {checks[UNITS].message}; "
        f"{checks[BAKE].message}; no guardrail broken; next is {shares[step + 1]}{each}"
    )


__all__ = ["decide", "required_checks"]
