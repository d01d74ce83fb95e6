"""The text that a DAG shows about itself: purpose, owner, schedule, what to do when it is red."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.spec import ModelSpec, schedule_word
from windsock.spec.unused import not_built, unused_keys
from windsock.texts import paragraph, table

RED = """\
### When it is red
1. Open the red task and read the last block of its log: VERDICT, WHY, NEXT, IDS.
2. `VERDICT: FAIL` is a decision: trying again says the same. Do what NEXT says; the version that served
goes on serving.
3. `VERDICT: ERROR` is a fault: when the named system is back, clear the task. Nothing is done twice.
4. A new version misbehaves: `windsock rollback {name} --reason "..."` serves the one before it again.

Every code (`WS-...`) is explained in docs/runbook.md.
"""


def _page(purpose: str, rows: Sequence[tuple[str, object]], *more: str) -> str:
    """Return a page: a paragraph, a table of names and values, further paragraphs; values are escaped."""
    return "\n\n".join([purpose, "\n".join(table(("", ""), rows)), *more])


def retrain_doc(spec: ModelSpec) -> str:
    """Return the Markdown of a model's daily retrain DAG."""
    rows = [
        ("model", f"{spec.name} ({spec.task}, tier {spec.model.tier})"),
        ("owner", spec.model.owner),
        ("schedule", schedule_word(spec.training.schedule)),
        ("candidates", ", ".join(candidate.label for candidate in spec.candidates)),
        ("metric", spec.metric),
        ("serving", f"{spec.serving.type}, {spec.serving.target}, {spec.serving.sla_latency_ms:g} ms"),
        ("rollout", spec.rollout.strategy),
        ("runbook", spec.model.runbook or "docs/runbook.md"),
    ]
    purpose = paragraph(
        spec.model.description
        or "Retrains the model and promotes the new version if the gate lets it through."
    )
    return _page(purpose, rows, *_unused(spec), RED.format(name=spec.name))


def _unused(spec: ModelSpec) -> list[str]:
    """Return what the model's file says and nothing heeds yet, if anything."""
    said = [*unused_keys(spec), *(sentence for sentence, _ in not_built(spec))]
    return ["### Not used yet\n" + "\n".join(f"- {paragraph(one)}" for one in said)] if said else []


def monitor_doc(spec: ModelSpec) -> str:
    """Return the Markdown of a model's monitor DAG."""
    block = spec.monitoring
    retrain = block.retrain
    asks = " or ".join(retrain.triggers) or "nothing"
    rows = [
        ("window", f"{block.window}, judged {block.lateness_allowance} after its end"),
        ("drift", f"{block.drift.method}: q {block.drift.q:g}, KS {block.drift.ks:g}"),
        ("labels", block.labels.kind),
        ("retrain on", f"{asks}: {retrain.windows} of the last {retrain.of} windows"),
        ("bounds", f"cooldown {retrain.cooldown}, {retrain.per_day} in 24 hours, breaker {retrain.breaker}"),
        ("alerts", block.alert_channel or "connection windsock_alerts"),
    ]
    purpose = (
        f"Judges drift and performance of each closed window of what {spec.name} is asked, and applies the "
        "trigger policy. `windsock__watchdog` starts it for windows that have rows. A window that drifted is "
        "a green task whose verdict says FAIL."
    )
    return _page(purpose, rows, RED.format(name=spec.name))


def drift_retrain_doc(spec: ModelSpec) -> str:
    """Return the Markdown of a model's retrain-on-drift DAG."""
    purpose = (
        f"Starts when the monitor of {spec.name} announces an episode, or an outside system posts an event "
        f"of the asset `x-windsock://{spec.name}/retrain`. Its first task claims the episode: a doubled "
        "event claims nothing. Labelled rows of the prediction log are mixed in, and the gate decides on "
        "those of them that are held out: drift alone promotes nothing."
    )
    return f"{purpose}\n\n{retrain_doc(spec)}"


def ab_rollout_doc(spec: ModelSpec) -> str:
    """Return the Markdown of a model's rollout DAG."""
    block = spec.rollout
    most = block.challengers
    each, risk = (f", {most} versions together", " for all together") if most > 1 else ("", "")
    shares = {
        "canary": f"{', '.join(f'{step:g}' for step in block.steps)} %{each}, {block.bake} at each step",
        "ab": f"{block.share:g} % of the units{each}",
        "shadow": "none: the new version answers nobody",
    }
    usual = "accuracy" if spec.task == "classification" else "absolute_error"
    margins = [] if block.margin is None else [f"{block.margin:g}"]
    if block.relative_margin is not None:
        margins.append(f"{block.relative_margin:.3g} of the champion's own value")
    smaller = ", the smaller of both" if len(margins) > 1 else ""
    proof = f"not worse by more than {' or '.join(margins)}{smaller}" if margins else "better"
    limits = ", ".join(f"{name} {limit:g}" for name, limit in block.limits.items())
    rows = [
        ("strategy", block.strategy),
        ("share", shares.get(block.strategy, "all at once")),
        *([("versions at once", f"{most}; they wait {block.gather} for each other")] if most > 1 else []),
        ("judged", f"each {block.check}, from {block.minimum_units:,} units and {block.cycle} on"),
        ("metric", f"{block.metric or usual}: {proof}, alpha {block.alpha:g}{risk}"),
        ("guardrails", limits or "none"),
        ("horizon", block.horizon or "none: look as often as you like"),
        ("deadline", block.deadline),
        ("approval", "a person is asked before the promotion" if block.approve else "nobody is asked"),
    ]
    purpose = (
        f"Tries a new version of {spec.name} on its share of the traffic. `windsock__watchdog` starts it "
        "when the next analysis is due or a version waits. Each run is one look: it goes on "
        "with the rollout that is under way or starts the version that waits, judges it, and gives it more "
        "traffic, promotes it or ends it. A run without a rollout is green and skips its tasks."
    )
    if most > 1:
        purpose += (
            f" Up to {most} versions are tried at once, each against the champion: one that does harm is "
            "dropped and the champion answers its units, the others go on; at most one is promoted."
        )
    names = "`version` may name several that wait, such as `4, 5`. " if most > 1 else ""
    form = (
        "**By hand**: trigger the DAG; `action` pause, resume, stop or roll_back acts at once, `dry_run` "
        f"only shows the decision. {names}`{spec.name}__rollback` ends a rollout with one click, too. A roll "
        "back never waits for an approval.\n\n"
        "**If this DAG goes away** (the model's file says `direct`, or is gone) a rollout that runs keeps "
        f'its split, and nobody looks at it: `windsock rollout stop {spec.name} --reason "..."` ends it. '
        "`windsock__housekeeping` tells of one that nobody looks at."
    )
    return _page(purpose, rows, form, RED.format(name=spec.name))
