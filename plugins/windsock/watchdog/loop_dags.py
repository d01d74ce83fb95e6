"""The DAGs that a model's loop is made of, and which of them cannot work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from windsock.records import DagFacts, Severity
from windsock.records.alerts import Condition
from windsock.spec import ModelSpec

OFF, MISSING, FAILING = "watch:dags-off", "watch:dags-missing", "watch:dags-failing"
FAILED_IN_A_ROW = 2
"""So many runs of a DAG that failed one after the other are a finding."""
SHOWN = 5
INSTALLATION_DAGS = ("windsock__watchdog", "windsock__housekeeping")
"""The DAGs that belong to no single model."""
READ_PROCESSOR = (
    "read the end of the DAG processor's log (logs/airflow-dag-processor.log in the stack's home); if it "
    "runs and writes nothing, `windsock stack restart airflow-dag-processor`"
)


class LoopDag(NamedTuple):
    """A DAG of a model.

    :param suffix: its id after the model's name.
    :param without: what does not happen while it is switched off or missing.
    """

    model: str
    suffix: str
    without: str

    @property
    def dag_id(self) -> str:
        """Its id in Airflow."""
        return f"{self.model}__{self.suffix}"


def loop_dags(spec: ModelSpec) -> tuple[LoopDag, ...]:
    """Return the DAGs that a model's file asks for."""
    found = [
        LoopDag(spec.name, "daily_retrain", "no retrain on schedule"),
        LoopDag(spec.name, "rollback", "no roll back from Airflow"),
    ]
    if spec.monitoring.is_on:
        found.append(LoopDag(spec.name, "monitor", "no window is judged"))
        found.append(LoopDag(spec.name, "drift_retrain", "no retrain on drift"))
    if spec.rollout.strategy != "direct":
        found.append(LoopDag(spec.name, "ab_rollout", "no rollout starts or goes on"))
    return tuple(found)


class Waiting(NamedTuple):
    """What waits for a DAG of a model now.

    :param by: by the DAG's suffix, what waits for it, as a sentence's beginning.
    :param serves: whether a version serves.
    :param unknown: suffixes of DAGs of which nobody knows whether something waits for them.
    """

    by: Mapping[str, str]
    serves: bool
    unknown: Collection[str] = ()


WAITING_SEVERITY = {"drift_retrain": Severity.CRITICAL, "monitor": Severity.HIGH}
"""How bad it is that a DAG for which something waits cannot run; of others high."""


def dag_conditions(spec: ModelSpec, facts: Mapping[str, DagFacts], waiting: Waiting) -> tuple[Condition, ...]:
    """Return which of a model's DAGs cannot do their work.

    What nobody could ask about is left out: a finding neither begins nor ends by it. What is wrong with one
    DAG is said without the others; that nothing is wrong with any is said of all of them alone.

    :param facts: by DAG id.
    :param waiting: what waits for them.
    """
    dags = loop_dags(spec)
    known = [dag for dag in dags if dag.dag_id in facts and not facts[dag.dag_id].unknown]
    unsure = [dag for dag in known if facts[dag.dag_id].is_off and dag.suffix in waiting.unknown]
    found = [
        _blocked(dag, facts[dag.dag_id], waiting.by.get(dag.suffix, "")) for dag in known if dag not in unsure
    ]
    if len(known) == len(dags):
        off = [dag for dag in dags if facts[dag.dag_id].is_off and dag.suffix not in waiting.by]
        missing = [dag for dag in dags if facts[dag.dag_id].is_missing]
        found.append(_missing(spec.name, missing, waiting))
        if not unsure:
            found.append(_off(spec.name, off, serves=waiting.serves))
    ends = [(dag, facts[dag.dag_id]) for dag in known if facts[dag.dag_id].knows_ends]
    failing = _failing(spec.name, ends)
    if failing.active or len(ends) == len(dags):
        found.append(failing)
    return tuple(found)


def _blocked(dag: LoopDag, facts: DagFacts, waits: str) -> Condition:
    active = bool(waits) and facts.is_off
    return Condition(
        key=f"watch:blocked:{dag.suffix}",
        active=active,
        severity=WAITING_SEVERITY.get(dag.suffix, Severity.HIGH),
        title=f"{dag.model}: {dag.dag_id} is switched off and has work",
        text=f"{waits}, and {dag.dag_id} is switched off: {dag.without}."
        if active
        else f"Nothing waits for {dag.dag_id}, or it is switched on.",
        code="WS-WATCH-010",
        next_action=_switch_on(dag) if active else "",
    )


def _switch_on(dag: LoopDag) -> str:
    return (
        f"switch {dag.dag_id} on in Airflow's list of DAGs; `windsock models on {dag.model}` switches all on"
    )


def _off(model: str, off: Sequence[LoopDag], *, serves: bool) -> Condition:
    named = "; ".join(f"{dag.dag_id} ({dag.without})" for dag in off)
    matters = serves and any(dag.suffix != "daily_retrain" for dag in off)
    return Condition(
        key=OFF,
        active=bool(off),
        severity=Severity.MEDIUM if matters else Severity.LOW,
        title=f"{model}: DAGs are switched off",
        text=f"Switched off: {named}." if off else f"Every DAG of {model} is switched on.",
        code="WS-WATCH-011",
        next_action=f"`windsock models on {model}` switches all on; what is off on purpose may stay so"
        if off
        else "",
    )


def _missing(model: str, missing: Sequence[LoopDag], waiting: Waiting) -> Condition:
    named = "; ".join(f"{dag.dag_id} ({dag.without})" for dag in missing)
    blocks = any(dag.suffix in waiting.by for dag in missing)
    return Condition(
        key=MISSING,
        active=bool(missing),
        severity=Severity.CRITICAL if blocks else Severity.HIGH,
        title=f"{model}: Airflow lacks DAGs",
        text=f"Airflow does not know {named}." if missing else f"Airflow knows every DAG of {model}.",
        code="WS-WATCH-012",
        next_action=f"{READ_PROCESSOR}; `windsock validate` names a file that cannot be used. "
        "New DAGs are there after half a minute"
        if missing
        else "",
    )


def _failing(model: str, known: Sequence[tuple[LoopDag, DagFacts]]) -> Condition:
    failing = [(dag, facts) for dag, facts in known if facts.failed_in_a_row >= FAILED_IN_A_ROW]
    named = "; ".join(f"{dag.dag_id}: {facts.failed_in_a_row} ({dag.without})" for dag, facts in failing)
    only_scheduled = all(dag.suffix == "daily_retrain" for dag, _ in failing)
    first = failing[0][0].dag_id if failing else ""
    return Condition(
        key=FAILING,
        active=bool(failing),
        severity=Severity.MEDIUM if only_scheduled else Severity.HIGH,
        title=f"{model}: runs fail one after the other",
        text=f"Runs that failed in a row, limit: fewer than {FAILED_IN_A_ROW}: {named}."
        if failing
        else "No DAG's last runs failed one after the other.",
        code="WS-WATCH-013",
        next_action=f"open the last red run of {first} in Airflow and do what NEXT at the end of its red "
        "task's log says"
        if failing
        else "",
    )


def installation_dag_condition(facts: Mapping[str, DagFacts]) -> tuple[Condition, ...]:
    """Return whether the DAGs that look after all models can do their work.

    :param facts: by DAG id; those of the installation.
    """
    known = [facts[one] for one in INSTALLATION_DAGS if one in facts and not facts[one].unknown]
    off = [one.dag_id for one in known if one.is_off]
    missing = [one.dag_id for one in known if one.is_missing]
    failing = [one.dag_id for one in known if one.failed_in_a_row >= FAILED_IN_A_ROW]
    parts = [
        f"switched off: {', '.join(off)}" if off else "",
        f"not known to Airflow: {', '.join(missing)}" if missing else "",
        f"the last {FAILED_IN_A_ROW} runs failed: {', '.join(failing)}" if failing else "",
    ]
    said = "; ".join(filter(None, parts))
    if not said and sum(one.knows_ends for one in known) < len(INSTALLATION_DAGS):
        return ()
    cures = [
        "switch them on in Airflow's list of DAGs; `windsock models on NAME` of any model does it, too"
        if off
        else "",
        READ_PROCESSOR if missing else "",
        "open the last red run and do what NEXT at the end of its log says" if failing else "",
    ]
    return (
        Condition(
            key="watch:installation-dags",
            active=bool(said),
            severity=Severity.HIGH,
            title="the DAGs that look after all models do not work",
            text=f"{said[0].upper()}{said[1:]}." if said else "The DAGs that look after all models work.",
            code="WS-WATCH-014",
            next_action="; ".join(filter(None, cures)),
        ),
    )
