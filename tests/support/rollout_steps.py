"""A version's way through its rollout on in-memory ports: wait, start, decide, shift, steer, end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from support.builders import make_spec
from support.rollouts import make_look
from support.world import MODEL, deploy, promote, version_of, world_of
from windsock.deployment.roll_back import roll_back
from windsock.governance.promote_model import promote_model
from windsock.ports import Ports
from windsock.records import (
    LedgerRow,
    PromoteModelInput,
    Promotion,
    RollBack,
    RollBackInput,
    Rollout,
    RolloutDecision,
    RolloutOverrides,
    RolloutState,
    RunContext,
    ShiftTrafficInput,
    StartRolloutInput,
    SteerRolloutInput,
    TrafficShift,
    running_rollout,
    waiting_rows,
)
from windsock.rollout.evidence import evidence_bytes, evidence_uri
from windsock.rollout.shift_traffic import shift_traffic
from windsock.rollout.start_rollout import start_rollout
from windsock.rollout.steer_rollout import steer_rollout
from windsock.spec import ModelSpec

CANARY = make_spec(rollout={"strategy": "canary", "steps": [5, 25, 100]})
AB = make_spec(rollout={"strategy": "ab", "share": 40})
SHADOW = make_spec(rollout={"strategy": "shadow"})
DIRECT = make_spec()


def waiting_world(*champions: int, waits: int = 2, spec: ModelSpec = CANARY, **replaced: Any) -> Any:
    """Return a world where a version waits for its rollout."""
    ports = world_of(*(champions or (1,)), **replaced)
    deploy(ports, waits, spec=spec)
    promote(ports, waits, spec=spec)
    return ports


def started_world(*champions: int, starts: int = 2, spec: ModelSpec = CANARY, **replaced: Any) -> Any:
    """Return a world where a rollout is under way, at its first step."""
    ports = waiting_world(*champions, waits=starts, spec=spec, **replaced)
    start(ports, spec=spec)
    return ports


def start(
    ports: Ports,
    *,
    spec: ModelSpec = CANARY,
    version: int | str | None = None,
    only_look: bool = False,
    requester: str | None = None,
    **overrides: Any,
) -> RolloutState:
    """Run ``start_rollout``."""
    step = StartRolloutInput(
        spec=spec,
        version=None if version is None else str(version),
        only_look=only_look,
        overrides=RolloutOverrides(**overrides),
        run=RunContext(requested_by=requester),
    )
    return start_rollout(step, ports, "")


def waiting_row(rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the row by which the newest version waits for its rollout; older ones wait no more."""
    return next(iter(waiting_rows(rows, most=1)), None)


def running(ports: Ports) -> Rollout:
    """Return the rollout that is under way."""
    rollout = running_rollout(ports.ledger.rows(MODEL))
    assert rollout is not None
    return rollout


def with_pack(ports: Ports, decision: RolloutDecision) -> RolloutDecision:
    """Store the evidence pack of a decision, as the look at the rollout under way does; return it with it."""
    rows = ports.ledger.rows(decision.model)
    rollout, uri = running_rollout(rows), evidence_uri(decision.bare)
    if rollout is None:
        return decision
    digest = ports.bundles.put_document(uri, evidence_bytes(rollout, [decision.bare], rows, None))
    return decision.model_copy(update={"evidence_digest": digest, "evidence_uri": uri})


def decided(ports: Ports, action: str, *, pack: bool = True, **fields: Any) -> RolloutDecision:
    """Keep the next decision on the rollout that is under way; one that promotes has its evidence pack."""
    rollout = running(ports)
    number = len(ports.rollouts.decisions(MODEL, rollout.experiment)) + 1
    about = {
        "experiment": rollout.experiment,
        "version": rollout.version,
        "digest": rollout.digest,
        "champion_version": rollout.champion_version,
        "step": rollout.step,
        "share": rollout.share,
        "judged_at": rollout.step_since + timedelta(hours=number),
    }
    look = make_look(number, action, **{**about, **fields})
    return ports.rollouts.add_decision(with_pack(ports, look) if pack and action == "promote" else look)


def shift(ports: Ports, decision: RolloutDecision, *, spec: ModelSpec = CANARY) -> TrafficShift:
    """Run ``shift_traffic``."""
    return shift_traffic(ShiftTrafficInput(spec=spec, decision=decision), ports, "")


def advance(ports: Ports) -> TrafficShift:
    """Decide to advance, and do so."""
    return shift(ports, decided(ports, "advance"))


def steer(ports: Ports, action: Any, *, by: str | None = "ann", **fields: Any) -> RolloutState:
    """Run ``steer_rollout``."""
    run = RunContext(requested_by=by, run_id=fields.pop("run_id", None))
    return steer_rollout(SteerRolloutInput(model=MODEL, action=action, run=run, **fields), ports, "")


def prove(
    ports: Ports, number: int, experiment: str, *, spec: ModelSpec = CANARY, **fields: Any
) -> Promotion:
    """Run ``promote_model`` because of a rollout."""
    run = RunContext(requested_by=fields.pop("requester", None))
    step = PromoteModelInput(spec=spec, version=version_of(number), experiment=experiment, run=run, **fields)
    return promote_model(step, ports, "")


def end(
    ports: Ports,
    experiment: str | None,
    outcome: Any = "rolled_back",
    *,
    run_id: str | None = None,
    **fields: Any,
) -> RollBack:
    """Run ``roll_back`` for a rollout."""
    step = RollBackInput(
        model=MODEL,
        experiment=experiment,
        outcome=outcome,
        reason="errors 4 %",
        run=RunContext(dag_id="churn__ab_rollout", run_id=run_id),
        **fields,
    )
    return roll_back(step, ports, "")


def split(ports: Any) -> dict[str, tuple[int, bool]]:
    """Return share and shadow of each version behind the server."""
    return {slot.version: (slot.share, slot.shadow) for slot in ports.router.plans[MODEL].slots}
