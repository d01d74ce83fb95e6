"""Whether what was seen can be judged at all: split, counts, units, time."""

from __future__ import annotations

from datetime import timedelta

from windsock.records import CheckResult, Status
from windsock.records.check_text import LIMIT, SHARE, against_limit
from windsock.rollout.look import FEWEST_UNITS, Look
from windsock.statistics.sample_ratio import sample_ratio_p

SAMPLE_RATIO, COUNTS, UNITS, CYCLE, BAKE = "sample_ratio", "counts", "units", "cycle", "bake"
SAMPLE_RATIO_LIMIT = 0.0005
"""p-value below which a split is broken: looked at 20 times, a sound one is called so in 0.4 % of cases."""
SHADOW_SHARE = 0.95
"""Of the champion's units that a shadow must have been asked about, whatever it answered: it gets a copy only
while there is time."""
DAMAGED_SHARE = 0.001
"""Of the answers that may be unreadable, and always one: a killed worker leaves a torn line."""
MOVED_SHARE = 0.01
"""Of the units that may have been exposed to both arms."""
REUSED_SHARE = 0.001
"""Of the exposures that may have the prediction id of another unit's."""
REPEATED_SHARE = 0.1
"""Of the exposures that may be repeated: a client that tries again sends the same prediction id."""

AGAIN = "send a new id with each request, or none"


def sample_ratio(look: Look) -> CheckResult:
    """Check that each arm has as many units as its share asks for."""
    champion, challenger = (arm.units for arm in look.arms)
    if look.plan.strategy == "shadow":
        return _shadow_ratio(champion, challenger)
    units = champion + challenger
    if not units:
        return _of_split(Status.INSUFFICIENT, "no request has come yet, so no unit was exposed")
    p = sample_ratio_p((champion, challenger), look.split)
    status = Status.FAIL if p < SAMPLE_RATIO_LIMIT else Status.PASS
    expected = units * look.split[1] / sum(look.split)
    message = (
        f"{challenger:,} of {units:,} units{_both(look)} are {look.name}'s, {expected:,.0f} expected; "
        f"{against_limit('p', p, '>=', SAMPLE_RATIO_LIMIT, status=status)}"
    )
    return _of_split(status, message, value=p, limit=SAMPLE_RATIO_LIMIT, n=units)


def _both(look: Look) -> str:
    """Return whose units are told where several challengers are tried."""
    return f" of the champion and {look.name}" if look.is_one_of_several else ""


def _shadow_ratio(champion: int, challenger: int) -> CheckResult:
    if not champion:
        return _of_split(Status.INSUFFICIENT, "no request has come yet, so no unit was exposed")
    seen = challenger / champion
    status = Status.PASS if seen >= SHADOW_SHARE else Status.FAIL
    n = f"{challenger:,} of {champion:,}"
    what = "units that the shadow was asked about"
    message = against_limit(what, seen, ">=", SHADOW_SHARE, status=status, n=n, unit=SHARE)
    return _of_split(status, message, value=seen, limit=SHADOW_SHARE, n=champion)


def _of_split(
    status: Status, message: str, value: float | None = None, limit: float | None = None, n: int = 0
) -> CheckResult:
    return CheckResult(
        name=SAMPLE_RATIO,
        status=status,
        code="WS-ROLLOUT-020",
        value=value,
        limit=limit,
        relation=">=",
        n=n,
        message=message,
    )


def counts(look: Look) -> CheckResult:
    """Check that the counts are those of this step, and that nothing of them is strange or lost."""
    totals, rollout = look.totals, look.rollout
    exposures = totals.exposures  # of all arms, as what may be wrong with them is
    if look.is_foreign:
        message = (
            f"the counts are of {totals.experiment} step {totals.step}, not of {rollout.experiment} "
            f"step {rollout.step}"
        )
        return _of_counts(Status.ERROR, message)
    for seen, limit, what in _faults(look, exposures):
        if seen > limit:
            message = against_limit("", seen, "<=", limit, status=Status.FAIL, n=f"{exposures:,} exposures")
            return _of_counts(Status.FAIL, f"{message}; {what}", value=seen, limit=limit, n=exposures)
    message = f"{exposures:,} exposures, each of one of the arms"
    return _of_counts(Status.PASS, message, value=0, limit=0, n=exposures)


def _faults(look: Look, exposures: int) -> list[tuple[int, float, str]]:
    """Return what may be wrong with the counts: how many, how many are allowed, what."""
    totals = look.totals
    damaged = max(1.0, exposures * DAMAGED_SHARE)
    no_arm, arms = ("none of the arms", "several") if look.is_one_of_several else ("neither arm", "both")
    found = [
        (totals.strange, 0.0, f"answers are by a version that is {no_arm}"),
        (totals.damaged, damaged, "lines of the log cannot be read"),
        (
            totals.reused,
            exposures * REUSED_SHARE,
            f"exposures have the prediction id of another unit; {AGAIN}",
        ),
        (totals.repeated_exposures, exposures * REPEATED_SHARE, f"exposures repeat a prediction id; {AGAIN}"),
    ]
    if look.plan.strategy != "shadow":
        found.append((totals.moved, totals.units * MOVED_SHARE, f"units were exposed to {arms} arms"))
    return found


def _of_counts(
    status: Status, message: str, value: float | None = None, limit: float | None = None, n: int = 0
) -> CheckResult:
    return CheckResult(
        name=COUNTS,
        status=status,
        code="WS-ROLLOUT-021",
        value=value,
        limit=limit,
        relation="<=",
        n=n,
        message=message,
    )


def units(look: Look) -> CheckResult:
    """Check that enough units were exposed, and enough of them to each arm."""
    seen, least = look.units, look.plan.minimum_units
    fewest = min(arm.units for arm in look.arms)
    enough = seen >= least and fewest >= FEWEST_UNITS
    status = Status.PASS if enough else Status.INSUFFICIENT
    message = against_limit(f"units{_both(look)} in this step", seen, ">=", least, status=status)
    if fewest < FEWEST_UNITS:
        message += f"; {against_limit('in the smaller arm', fewest, '>=', FEWEST_UNITS)}"
    return CheckResult(
        name=UNITS,
        status=status,
        code="WS-ROLLOUT-022",
        value=seen,
        limit=least,
        relation=">=",
        n=seen,
        message=message,
    )


def cycle(look: Look) -> CheckResult:
    """Check that the present step, whose counts decide, has seen a whole cycle of what people do."""
    return _lasted(CYCLE, "WS-ROLLOUT-023", look, look.plan.length("cycle"))


def bake(look: Look) -> CheckResult:
    """Check that the present step has lasted long enough."""
    return _lasted(BAKE, "WS-ROLLOUT-024", look, look.plan.length("bake"))


def _lasted(name: str, code: str, look: Look, least: timedelta) -> CheckResult:
    lasted = look.now - look.rollout.step_since
    shown, status = timedelta(seconds=int(lasted.total_seconds())), Status.INSUFFICIENT
    if lasted >= least:
        status = Status.PASS
    return CheckResult(
        name=name,
        status=status,
        code=code,
        value=lasted.total_seconds(),
        limit=least.total_seconds(),
        relation=">=",
        message=f"time in this step {shown}{LIMIT}at least {least}: {status.value}",
    )


__all__ = ["BAKE", "COUNTS", "CYCLE", "SAMPLE_RATIO", "UNITS"]
