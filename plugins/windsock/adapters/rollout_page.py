"""``RolloutPage``: one HTML page about a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from windsock.adapters.pages import DATE, sections, whole_page
from windsock.adapters.rollout_charts import charts, lane_style
from windsock.adapters.rollout_page_style import HEAD, SEVERAL, STYLE
from windsock.adapters.rollout_page_tables import (
    arms_table,
    checks_table,
    counts_table,
    estimate_table,
    looks_table,
)
from windsock.records import (
    ChallengerLook,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutEnd,
    RolloutOutcome,
    RolloutPlan,
)
from windsock.texts import numbered


class RolloutPage:
    """Writes the page that people look at; it needs nothing from elsewhere."""

    def html(
        self, rollout: Rollout, decisions: Sequence[RolloutDecision], end: RolloutEnd | None = None
    ) -> bytes:
        """Return the page; the same decisions and the same end give the same bytes."""
        last = decisions[-1] if decisions else None
        parts = [("The rollout", _facts(rollout))]
        if rollout.others:
            parts.append(("The versions side by side", arms_table(rollout, last)))
        parts.append(("By look", _charts(rollout, decisions)))
        if last is not None:
            parts += _judged(rollout, last)
            parts += [
                ("What was counted in this step", counts_table(rollout, last.totals)),
                ("Looks", looks_table(decisions)),
            ]
        title = f"Rollout {rollout.experiment} of {rollout.model}"
        over = _ended(rollout, end) if end is not None else ""
        headline = _headline(rollout, last) if last is not None or end is None else ""
        body = f"<h1>{escape(title)}</h1>{over}{headline}{sections(parts)}"
        style = STYLE + SEVERAL if rollout.others else STYLE
        return whole_page(title, body, style=style, head=HEAD).encode()


def _judged(rollout: Rollout, last: RolloutDecision) -> list[tuple[str, str]]:
    """Return checks and estimate; of several challengers those of each that was not dropped before."""
    metric = escape(last.estimate.metric)
    if not last.looks:
        return [
            (f"Checks of look {last.number}", checks_table(last.checks) + _notes(last.notes)),
            (f"Estimate: {metric}", estimate_table(rollout, last.estimate)),
        ]
    return [
        *(
            (
                f"Look {last.number}: version {escape(one.version)}",
                _told(one)
                + checks_table(one.checks)
                + f"<h3>Estimate: {escape(one.estimate.metric)}</h3>"
                + estimate_table(rollout, one.estimate),
            )
            for one in last.looks
            if not one.withdrawn
        ),
        ("Notes", _notes(last.notes)),
    ]


def _told(one: ChallengerLook) -> str:
    return f'<p class="note">{one.action.value}: {escape(one.reason)}</p>'


def _ended(rollout: Rollout, end: RolloutEnd) -> str:
    """Return how the rollout ended by the ledger; the look that decided comes below it."""
    words = {
        RolloutOutcome.PROMOTED: ("promote", f"Ended: version {end.version} was promoted"),
        RolloutOutcome.KEPT: ("keep", f"Ended: version {rollout.champion_version} was kept"),
        RolloutOutcome.ROLLED_BACK: (
            "roll_back",
            f"Ended: rolled back to version {rollout.champion_version}",
        ),
    }
    kind, word = words.get(end.outcome, ("keep", f"Ended: {end.outcome.value.replace('_', ' ')}"))
    when = f"{end.ended_at:{DATE}} UTC, epoch {end.epoch}"
    return (
        f'<div class="come {kind}"><b>{escape(word)}</b><p>{escape(end.reason)}</p>'
        f'<p class="note">{when}</p></div>'
    )


def _headline(rollout: Rollout, last: RolloutDecision | None) -> str:
    """Return what it comes to, and why."""
    if last is None:
        waits = escape("".join(f" {word[:1].upper()}{word[1:]}." for word in _waits(rollout)))
        return f'<div class="come"><b>Not judged yet</b><p>No look was taken.{waits}</p></div>'
    words = {
        RolloutAction.HOLD: "Hold: nothing changes",
        RolloutAction.ADVANCE: "Advance to the next step",
        RolloutAction.DROP: f"Drop {numbered([one.version for one in last.dropped] or [last.version])}: "
        "the champion answers in its place",
        RolloutAction.PROMOTE: f"Promote version {last.version}",
        RolloutAction.KEEP: f"Keep version {last.champion_version}",
        RolloutAction.ROLL_BACK: f"Roll back to version {last.champion_version}",
    }
    shown = "<p>Only shown (dry run): nothing was stored and nothing follows.</p>" if last.dry_run else ""
    waits = "".join(f"; {word}" for word in _waits(rollout, last.reason))
    when = f"look {last.number}, {last.judged_at:{DATE}} UTC"
    return (
        f'<div class="come {last.action.value}"><b>{escape(words[last.action])}</b>'
        f'<p>{escape(last.reason)}</p>{shown}<p class="note">{when}{escape(waits)}</p></div>'
    )


def _waits(rollout: Rollout, said: str = "") -> list[str]:
    """Return what the rollout waits for.

    :param said: the reason of the last look; a pause that it names is not named again.
    """
    told = []
    if rollout.pause and rollout.pause not in said:
        told.append(f"{rollout.pause}: only a guardrail can move it")
    if rollout.asked_until:
        told.append(f"a person is asked until {rollout.asked_until:{DATE}} UTC")
    return told


def _facts(rollout: Rollout) -> str:
    plan = rollout.plan
    share = "0 %, beside the champion" if plan.strategy == "shadow" else f"{rollout.share / 100:g} %"
    looks = f"{plan.looks} planned in {plan.horizon}" if plan.horizon else "at any time"
    limits = ", ".join(f"{name} {limit:g}" for name, limit in plan.limits.items()) or "none"
    risk = f"{plan.alpha:g}"
    who = _several(rollout) if rollout.others else [("challenger", f"version {rollout.version}")]
    if rollout.others:
        share += f", {rollout.share_each / 100:g} % each"
        risk += " for all together"
    pairs = (
        *who,
        ("champion", f"version {rollout.champion_version}"),
        ("strategy", plan.strategy),
        ("challengers' units" if rollout.others else "challenger's units", share),
        ("step", f"{rollout.step + 1} of {len(plan.shares)}"),
        ("step began (UTC)", f"{rollout.step_since:{DATE}}"),
        ("began (UTC)", f"{rollout.started_at:{DATE}}"),
        ("ends without a decision", f"{rollout.deadline_at:{DATE}}"),
        ("must be", f"{_proof(plan)}: {plan.metric}"),
        ("guardrails", limits),
        ("looks", f"{looks}, every {plan.check}"),
        ("units needed in a step", f"{plan.minimum_units:,}"),
        ("shortest time", plan.cycle if plan.strategy == "ab" else f"{plan.cycle}, a step {plan.bake}"),
        ("risk of a false promotion", risk),
        ("a person approves", "yes" if plan.approve else "no"),
        ("an outcome counts within", plan.attribution or "any time"),
        ("most weight of a unit", "what it has" if plan.unit_cap is None else f"{plan.unit_cap:,} exposures"),
    )
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{told}</dl>'


def _several(rollout: Rollout) -> list[tuple[str, str]]:
    """Return the facts about who is tried, where several are."""
    dropped = [("dropped", numbered([one.version for one in rollout.dropped]))] if rollout.dropped else []
    return [("challengers", rollout.named), *dropped]


def _proof(plan: RolloutPlan) -> str:
    """Return what a promotion asks for, in words."""
    most = [f"{plan.margin:g}"] if plan.margin is not None else []
    if plan.relative_margin is not None:
        most.append(f"{plan.relative_margin:.4g} of the champion's own value")
    return f"not worse by more than {' or '.join(most)}" if most else "better"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}.</p>' for note in notes)


def _charts(rollout: Rollout, decisions: Sequence[RolloutDecision]) -> str:
    drawn = charts(rollout, decisions)
    if not drawn:
        return '<p class="note">No look has a number to draw yet.</p>'
    names = ["challenger"]
    if rollout.others:
        names = [f"version {escape(one.version)}" for one in rollout.challengers]
    marks = (f'<i class="{lane_style("challenger", lane)}"></i>{name}' for lane, name in enumerate(names))
    key = f'<p class="key">{"".join(marks)}<i class="champion"></i>champion</p>'
    return f'<div class="charts">{drawn}</div>{key}'
