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
