"""The tables of a rollout's page: arms, checks, estimate, counts, looks."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.adapters.pages import DATE, table
from windsock.records import (
    DROPPED,
    ArmTotals,
    CheckResult,
    Estimate,
    Interval,
    Rollout,
    RolloutAction,
    RolloutDecision,
    StepTotals,
    arms_of,
)
from windsock.records.check_text import limit_words
from windsock.texts import joined

MOST_ROWS = 500
"""Looks that the table shows in full; of more, the earlier ones that held are left out."""
THOUSANDS = 10_000
"""From here on a number is shown without its decimals."""
COUNTS = (
    ("repeated_exposures", "exposures whose prediction id had been counted; they count once"),
    ("reused", "of these, those whose prediction id another unit has: many of them, and the rollout holds"),
    ("unitless", "exposures that name no unit; each is a unit of its own"),
    ("repeated_outcomes", "outcomes whose event had been counted; they count once"),
    ("early", "outcomes before the unit's first exposure; they do not count"),
    ("earlier", "outcomes of units, or of predictions, that were exposed before the step only"),
    ("carried", "outcomes that may come of an exposure before the step, by the plan's attribution"),
    ("late", "outcomes that came later than the plan's attribution; they do not count"),
    ("unknown", "outcomes of units, or of predictions, without an exposure in the step, or before it"),
    ("unusable", "outcomes that are no number where one is needed, or name nobody"),
    ("moved", "units that were exposed to two arms; they stay in the arm of their first exposure"),
    ("strange", "exposures by a version that is none of the arms: where there are any, the rollout holds"),
    ("damaged", "lines of the log that could not be read"),
)
SEVERAL_COUNTS = {
    "moved": "units that were exposed to more than one arm; they stay in the arm of their first exposure",
    "strange": "exposures by a version that is none of the arms: where there are any, the rollout holds",
}
"""What these are where several versions are tried."""


def arms_table(rollout: Rollout, last: RolloutDecision | None) -> str:
    """Return the champion and all challengers, a row each."""
    lower = rollout.plan.metrics[rollout.plan.metric].lower_is_better
    arms = arms_of(rollout, last)
    rows = (
        (
            arm.version,
            arm.state,
            f"{arm.share / 100:g} %",
            "-" if arm.units is None else f"{arm.units:,}",
            _number(arm.value),
            _difference(arm.estimate),
            _interval(arm.estimate.interval if arm.estimate else None),
            arm.judged.action.value if arm.judged and arm.state != DROPPED else "-",
            arm.judged.reason if arm.judged else "-",
        )
        for arm in arms
    )
    head = ("version", "state", "share", "units", rollout.plan.metric, "difference", "interval", "comes to")
    better = "lower" if lower else "higher"
    told = f"Each challenger against the champion alone; {better} is better."
    if any(arm.state == DROPPED for arm in arms):
        told += " The champion answers the units of a version that was dropped."
    note = f'<p class="note">{told}</p>'
    return table((*head, "why"), rows, cards=True) + note


def checks_table(checks: Sequence[CheckResult]) -> str:
    """Return the checks of one look, those of one challenger."""
    rows = (
        (
            check.name,
            check.status.value,
            _number(check.value),
            _interval(check.interval),
            limit_words(check.relation, check.limit) if check.relation and check.limit is not None else "-",
            "-" if check.n is None else f"{check.n:,}",
            check.code,
            check.message,
        )
        for check in checks
    )
    head = ("check", "verdict", "value", "interval", "limit", "n", "code", "message")
    return table(head, rows, cards=True)


def estimate_table(rollout: Rollout, made: Estimate) -> str:
    """Return one challenger's metric against the champion's."""
    lower = rollout.plan.metrics[rollout.plan.metric].lower_is_better
    decides = {
        "confidence_sequence": "confidence sequence: holds at every look",
        "group_sequential": "group sequential: holds at the planned looks",
    }
    level = f", {made.interval.level:.4g}" if made.interval else ""
    rows = [
        ("champion", _number(made.champion), ""),
        ("challenger", _number(made.challenger), ""),
        ("difference", _relative(made), "lower is better" if lower else "higher is better"),
        ("interval that decides", _interval(made.interval), f"{decides[made.method]}{level}"),
        ("units behind it", f"{made.information:,}", ""),
    ]
    if made.method == "group_sequential":
        rows += [
            ("z", _number(made.z), "difference in standard errors"),
            ("bound of this look", _number(made.bound), "no value between planned looks"),
            ("part of the horizon", _share(made.fraction), ""),
        ]
    if made.variance_ratio is not None:
        rows.append(("variance by CUPED", _share(made.variance_ratio), _gain(made)))
    rows += [
        (
            "usual interval",
            _interval(made.fixed),
            "information only: of a single look; looked at often, it errs far more often than it says",
        ),
        (
            "chance of being better",
            _share(made.chance_better),
            "information only: a Bayesian read-out; nothing is decided by it",
        ),
    ]
    return table(("", "value", ""), rows)


def _difference(made: Estimate | None) -> str:
    return "-" if made is None or made.difference is None else f"{made.difference:+.4g}"


def _relative(made: Estimate) -> str:
    if made.difference is None:
        return "-"
    part = f" ({made.difference / abs(made.champion):+.1%} of the champion's)" if made.champion else ""
    return f"{made.difference:+.4g}{part}"


def _gain(made: Estimate) -> str:
    ratio = made.variance_ratio
    return f"of that without the time before: worth {1 / ratio - 1:+.0%} units" if ratio else ""


def counts_table(rollout: Rollout, totals: StepTotals) -> str:
    """Return what was counted, by arm, and what became of the outcomes."""
    arms = (
        (
            name,
            f"{arm.units:,}",
            f"{arm.exposures:,}",
            f"{arm.answered:,}",
            f"{arm.fallbacks:,}",
            f"{arm.refused:,}",
            arm.causes or "-",
        )
        for name, arm in _named_arms(rollout, totals)
    )
    several = SEVERAL_COUNTS if rollout.others else {}
    events = (
        ("outcomes", f"{totals.outcomes:,}", "outcomes that count"),
        *(
            (name.replace("_", " "), f"{getattr(totals, name):,}", several.get(name, means))
            for name, means in COUNTS
        ),
    )
    until = f'<p class="note">Counted up to {totals.counted_until:%Y-%m-%d %H:%M:%S} UTC.</p>'
    if rollout.dropped:
        until += '<p class="note">By fallback: of a version that was dropped, what the champion answers.</p>'
    return (
        table(("arm", "units", "exposures", "answered", "by fallback", "no answer", "why"), arms, cards=True)
        + table(("events", "number", "what they are"), events)
        + until
    )


def _named_arms(rollout: Rollout, totals: StepTotals) -> list[tuple[str, ArmTotals]]:
    if not rollout.others:
        return [("champion", totals.champion), ("challenger", totals.challenger)]
    names = [
        f"champion, version {rollout.champion_version}",
        *(f"version {one.version}" for one in rollout.challengers),
    ]
    return list(zip(names, totals.arms, strict=False))


def looks_table(decisions: Sequence[RolloutDecision]) -> str:
    """Return the looks, the newest first."""
    early = decisions[:-MOST_ROWS]
    kept = [look for look in early if look.action is not RolloutAction.HOLD]
    shown = [*kept, *decisions[-MOST_ROWS:]]
    left_out = decisions[-1].number - len(shown)
    several = any(look.looks for look in shown)
    rows = (
        (
            str(look.number),
            f"{look.judged_at:{DATE}}",
            str(look.step + 1),
            f"{look.share / 100:g} %",
            look.action.value,
            *([_about(look)] if several else []),
            *_units(look.totals, several=several),
            _difference(look.estimate),
            _interval(look.estimate.interval),
            look.reason,
        )
        for look in reversed(shown)
    )
    head = ["look", "time (UTC)", "step", "share", "comes to"]
    head += (
        ["about", "units: champion / challengers"] if several else ["champion's units", "challenger's units"]
    )
    note = f'<p class="note">{left_out:,} earlier looks are not shown.</p>' if left_out else ""
    return table((*head, "difference", "interval", "why"), rows, cards=True) + note


def _about(look: RolloutDecision) -> str:
    """Return the version whose difference stands beside it; of a drop all that are dropped."""
    return joined([one.version for one in look.dropped] or [look.version])


def _units(totals: StepTotals, *, several: bool) -> list[str]:
    units = [f"{arm.units:,}" for arm in totals.arms]
    return [" / ".join(units)] if several else units


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= THOUSANDS else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"[{interval.low:.4g}, {interval.high:.4g}]"


__all__ = [
    "COUNTS",
    "MOST_ROWS",
    "arms_table",
    "checks_table",
    "counts_table",
    "estimate_table",
    "looks_table",
]
