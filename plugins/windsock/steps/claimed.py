"""The rows that decide about a retrain: those of its own claim, whatever was handed over."""

from __future__ import annotations

from windsock.exceptions import GateRefusedError
from windsock.ports import Ports
from windsock.records import TakeSnapshotInput
from windsock.records.retrain_claims import ClaimedRows, claimed_rows

CODE = "WS-MONITORING-130"


def require_claimed(step: TakeSnapshotInput, ports: Ports) -> None:
    """See that recent rows and onset are those of the run's claim in the control database.

    Both pass through XCom, which others may write. A run without a claim has no onset; it may have recent
    rows if no DAG runs it, for its records count in no run of a DAG.

    :raises GateRefusedError: if they are others.
    """
    name, run = step.spec.name, step.run
    asked = ClaimedRows(step.recent, step.onset)
    if asked == ClaimedRows() and not run.run_id:
        return
    lease = ports.monitor.lease(name)
    if run.run_id and lease is not None and lease.holder == run.label:
        if asked != claimed_rows(step.spec.monitoring, ports.monitor.episodes(name), lease):
            raise _refused(name, "are not those of this run's claim in the control database")
    elif asked.onset is not None or (asked.recent is not None and run.dag_id):
        raise _refused(name, "were handed over, and this run has no claim that they could be of")


def _refused(model: str, what: str) -> GateRefusedError:
    return GateRefusedError(
        f"{model}: the stretch of recent rows and the onset {what}: somebody else wrote or changed them, or "
        "the model's file was edited since",
        code=CODE,
        next_action="Clear claim_retrain and all that follows it, so that the run has its own claim's rows; "
        "a step by hand takes `recent` alone, without `onset` and without a DAG's run.",
    )
