"""The text that a DAG shows about itself: purpose, owner, schedule, what to do when it is red."""

from __future__ import annotations

from windsock.spec import ModelSpec, schedule_word

RED = """\
### When it is red
1. Open the red task and read the last block of its log: VERDICT, WHY, NEXT, IDS.
2. `VERDICT: FAIL` is a decision: trying again says the same. Do what NEXT says; the version that served
goes on serving.
3. `VERDICT: ERROR` is a fault: when the named system is back, clear the task. Nothing is done twice.
4. A new version misbehaves: `windsock rollback {name} --reason "..."` serves the one before it again.

Every code (`WS-...`) is explained in docs/runbook.md.
"""


def retrain_doc(spec: ModelSpec) -> str:
    """Return the Markdown of a model's daily retrain DAG."""
    runbook = (
        f"[runbook]({spec.model.runbook})" if spec.model.runbook.startswith("http") else spec.model.runbook
    )
    rows = [
        ("model", f"{spec.name} ({spec.task}, tier {spec.model.tier})"),
        ("owner", spec.model.owner),
        ("schedule", schedule_word(spec.training.schedule)),
        ("candidates", ", ".join(candidate.label for candidate in spec.candidates)),
        ("metric", spec.metric),
        ("serving", f"{spec.serving.type}, {spec.serving.target}, {spec.serving.sla_latency_ms:g} ms"),
        ("rollout", spec.rollout.strategy),
        ("runbook", runbook or "docs/runbook.md"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    purpose = (
        spec.model.description
        or "Retrains the model and promotes the new version if the gate lets it through."
    )
    return f"{purpose}\n\n| | |\n|---|---|\n{table}\n\n{RED.format(name=spec.name)}"


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
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    purpose = (
        f"Waits for the end of each window of what {spec.name} is asked, judges drift and performance, and "
        "applies the trigger policy. A window that drifted is a green task whose verdict says FAIL."
    )
    return f"{purpose}\n\n| | |\n|---|---|\n{table}\n\n{RED.format(name=spec.name)}"


def drift_retrain_doc(spec: ModelSpec) -> str:
    """Return the Markdown of a model's retrain-on-drift DAG."""
    purpose = (
        f"Starts when the monitor of {spec.name} announces an episode, or an outside system posts an event "
        f"of the asset `x-windsock://{spec.name}/retrain`. Its first task claims the episode: a doubled "
        "event claims nothing. Labelled rows of the prediction log are mixed in, and the gate decides on "
        "those of them that are held out: drift alone promotes nothing."
    )
    return f"{purpose}\n\n{retrain_doc(spec)}"
