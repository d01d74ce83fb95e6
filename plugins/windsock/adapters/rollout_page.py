"""``RolloutPage``: one HTML page about a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from windsock.adapters.pages import DATE, sections, table, whole_page
from windsock.adapters.rollout_charts import charts
from windsock.records import (
    CheckResult,
    Estimate,
    Interval,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutPlan,
    StepTotals,
)

MOST_ROWS = 500
"""Looks that the table shows in full; of more, the earlier ones that held are left out."""
THOUSANDS = 10_000
"""From here on a number is shown without its decimals."""
HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1">'
STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5f6672;--paper:#fff;--panel:#f5f6f8;--rule:#e1e4e9;
--new:#2463a5;--old:#b3631a;--pass:#2c7a45;--fail:#b8352b;--error:#7746a0}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7ec;--soft:#9aa2af;--paper:#14171c;--panel:#1d2128;
--rule:#323843;--new:#6fb0f2;--old:#e59a52;--pass:#69bd82;--fail:#f0796e;--error:#bd92e0}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:1080px;margin:0 auto;padding:20px 16px 48px}h1{font-size:21px;line-height:1.3;margin:0 0 10px}
h2{font-size:16px;margin:30px 0 8px}p{margin:4px 0}.note{color:var(--soft);font-size:13px}
.come{border-left:5px solid var(--soft);background:var(--panel);padding:10px 14px;margin:10px 0}
.come b{display:block;font-size:18px}.come.promote,.come.advance{border-color:var(--pass)}
.come.roll_back{border-color:var(--fail)}.come.keep{border-color:var(--old)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px 18px;margin:12px 0 0}
.facts dt{color:var(--soft);font-size:12px}.facts dd{margin:0;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:20px}
figure{margin:0}figcaption{color:var(--soft);font-size:13px;margin-bottom:2px}
svg{width:100%;height:auto;max-width:620px;display:block}
svg text{font:12.5px system-ui,sans-serif;fill:var(--soft)}
svg path{stroke-width:1.6}svg .grid{stroke:var(--rule);stroke-width:1}.band{fill:var(--new);opacity:.17}
.whisker{stroke:var(--new)}.challenger{stroke:var(--new)}.champion{stroke:var(--old)}.dot{fill:var(--new)}
.olddot{fill:var(--old)}.bound{fill:var(--fail)}.champion{stroke-width:4.5;opacity:.85}
.zero{stroke:var(--ink);stroke-width:1.1}
.limit{stroke:var(--fail);stroke-dasharray:5 4}.step{stroke:var(--soft);stroke-dasharray:2 4;stroke-width:1}
.key{color:var(--soft);font-size:13px;margin-top:6px}.key i{display:inline-block;width:11px;height:11px;
margin:0 5px 0 12px;vertical-align:-1px}.key i:first-child{margin-left:0}
.key .challenger{background:var(--new)}
.key .champion{background:var(--old)}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;
width:100%}td,th{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);
vertical-align:top;font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:500}
td:not(:last-child){white-space:nowrap}td:last-child{min-width:220px}.wide+.wide{margin-top:14px}
.pass{color:var(--pass);font-weight:600}.fail{color:var(--fail);font-weight:600}
.error{color:var(--error);font-weight:600}.insufficient{color:var(--soft);font-weight:600}
"""
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
    ("moved", "units that were exposed to both arms; they stay in the arm of their first exposure"),
    ("strange", "exposures by a version that is neither arm: where there are any, the rollout holds"),
    ("damaged", "lines of the log that could not be read"),
)


class RolloutPage:
    """Writes the page that people look at; it needs nothing from elsewhere."""

    def html(self, rollout: Rollout, decisions: Sequence[RolloutDecision]) -> bytes:
        """Return the page; the same decisions give the same bytes."""
        last = decisions[-1] if decisions else None
        parts = [("The rollout", _facts(rollout)), ("By look", _charts(rollout, decisions))]
        if last is not None:
            parts += [
                (f"Checks of look {last.number}", _checks(last.checks) + _notes(last.notes)),
                (f"Estimate: {escape(last.estimate.metric)}", _estimate(rollout, last.estimate)),
                ("What was counted in this step", _counts(last.totals)),
                ("Looks", _looks(decisions)),
            ]
        title = f"Rollout {rollout.experiment} of {rollout.model}"
        body = f"<h1>{escape(title)}</h1>{_headline(rollout, last)}{sections(parts)}"
        return whole_page(title, body, style=STYLE, head=HEAD).encode()


def _headline(rollout: Rollout, last: RolloutDecision | None) -> str:
    """Return what it comes to, and why."""
    if last is None:
        return '<div class="come"><b>Not judged yet</b><p>No look was taken.</p></div>'
    words = {
        RolloutAction.HOLD: "Hold: nothing changes",
        RolloutAction.ADVANCE: "Advance to the next step",
        RolloutAction.PROMOTE: f"Promote version {last.version}",
        RolloutAction.KEEP: f"Keep version {last.champion_version}",
        RolloutAction.ROLL_BACK: f"Roll back to version {last.champion_version}",
    }
    shown = "<p>Only shown (dry run): nothing was stored and nothing follows.</p>" if last.dry_run else ""
    when = f"look {last.number}, {last.judged_at:{DATE}} UTC"
    return (
        f'<div class="come {last.action.value}"><b>{escape(words[last.action])}</b>'
        f'<p>{escape(last.reason)}</p>{shown}<p class="note">{when}{escape(_waits(rollout))}</p></div>'
    )


def _waits(rollout: Rollout) -> str:
    told = []
    if rollout.paused_by:
        told.append(f"paused by {rollout.paused_by}: only a guardrail can move it")
    if rollout.asked_until:
        told.append(f"a person is asked until {rollout.asked_until:{DATE}} UTC")
    return "".join(f"; {word}" for word in told)


def _facts(rollout: Rollout) -> str:
    plan = rollout.plan
    share = "0 %, beside the champion" if plan.strategy == "shadow" else f"{rollout.share / 100:g} %"
    looks = f"{plan.looks} planned in {plan.horizon}" if plan.horizon else "at any time"
    limits = ", ".join(f"{name} {limit:g}" for name, limit in plan.limits.items()) or "none"
    pairs = (
        ("challenger", f"version {rollout.version}"),
        ("champion", f"version {rollout.champion_version}"),
        ("strategy", plan.strategy),
        ("challenger's units", share),
        ("step", f"{rollout.step + 1} of {len(plan.shares)}"),
        ("step began (UTC)", f"{rollout.step_since:{DATE}}"),
        ("began (UTC)", f"{rollout.started_at:{DATE}}"),
        ("ends without a decision", f"{rollout.deadline_at:{DATE}}"),
        ("must be", f"{_proof(plan)}: {plan.metric}"),
        ("guardrails", limits),
        ("looks", f"{looks}, every {plan.check}"),
        ("units needed in a step", f"{plan.minimum_units:,}"),
        ("shortest time", plan.cycle if plan.strategy == "ab" else f"{plan.cycle}, a step {plan.bake}"),
        ("risk of a false promotion", f"{plan.alpha:g}"),
        ("a person approves", "yes" if plan.approve else "no"),
        ("an outcome counts within", plan.attribution or "any time"),
        ("most weight of a unit", "what it has" if plan.unit_cap is None else f"{plan.unit_cap:,} exposures"),
    )
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{told}</dl>'


def _proof(plan: RolloutPlan) -> str:
    """Return what a promotion asks for, in words."""
    most = [f"{plan.margin:g}"] if plan.margin is not None else []
    if plan.relative_margin is not None:
        most.append(f"{plan.relative_margin:.4g} of the champion's own value")
    return f"not worse by more than {' or '.join(most)}" if most else "better"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}.</p>' for note in notes)


def _charts(rollout: Rollout, decisions: Sequence[RolloutDecision]) -> str:
    drawn = charts(rollout.plan, decisions)
    if not drawn:
        return '<p class="note">No look has a number to draw yet.</p>'
    key = '<p class="key"><i class="challenger"></i>challenger<i class="champion"></i>champion</p>'
    return f'<div class="charts">{drawn}</div>{key}'


def _checks(checks: Sequence[CheckResult]) -> str:
    rows = (
        (
            check.name,
            check.status.value,
            _number(check.value),
            _interval(check.interval),
            f"{check.relation or ''} {_number(check.limit)}".strip() if check.limit is not None else "-",
            "-" if check.n is None else f"{check.n:,}",
            check.code,
            check.message,
        )
        for check in checks
    )
    return table(("check", "verdict", "value", "interval", "limit", "units", "code", "message"), rows)


def _estimate(rollout: Rollout, made: Estimate) -> str:
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


def _relative(made: Estimate) -> str:
    if made.difference is None:
        return "-"
    part = f" ({made.difference / abs(made.champion):+.1%} of the champion's)" if made.champion else ""
    return f"{made.difference:+.4g}{part}"


def _gain(made: Estimate) -> str:
    ratio = made.variance_ratio
    return f"of that without the time before: worth {1 / ratio - 1:+.0%} units" if ratio else ""


def _counts(totals: StepTotals) -> str:
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
        for name, arm in (("champion", totals.champion), ("challenger", totals.challenger))
    )
    events = (
        ("outcomes", f"{totals.outcomes:,}", "outcomes that count"),
        *((name.replace("_", " "), f"{getattr(totals, name):,}", means) for name, means in COUNTS),
    )
    until = f'<p class="note">Counted up to {totals.counted_until:%Y-%m-%d %H:%M:%S} UTC.</p>'
    return (
        table(("arm", "units", "exposures", "answered", "by fallback", "no answer", "why"), arms)
        + table(("events", "number", "what they are"), events)
        + until
    )


def _looks(decisions: Sequence[RolloutDecision]) -> str:
    early = decisions[:-MOST_ROWS]
    kept = [look for look in early if look.action is not RolloutAction.HOLD]
    shown = [*kept, *decisions[-MOST_ROWS:]]
    left_out = decisions[-1].number - len(shown)
    rows = (
        (
            str(look.number),
            f"{look.judged_at:{DATE}}",
            str(look.step + 1),
            f"{look.share / 100:g} %",
            look.action.value,
            f"{look.totals.champion.units:,}",
            f"{look.totals.challenger.units:,}",
            "-" if look.estimate.difference is None else f"{look.estimate.difference:+.4g}",
            _interval(look.estimate.interval),
            look.reason,
        )
        for look in reversed(shown)
    )
    head = ("look", "time (UTC)", "step", "share", "comes to", "champion's units", "challenger's units")
    note = f'<p class="note">{left_out:,} earlier looks are not shown.</p>' if left_out else ""
    return table((*head, "difference", "interval", "why"), rows) + note


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= THOUSANDS else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"[{interval.low:.4g}, {interval.high:.4g}]"
