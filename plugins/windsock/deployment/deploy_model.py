"""``deploy_model``: bring a registered version to the server, without traffic."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from windsock.door import (
    append_unless_routed,
    lay_route,
    require_evidence,
    require_golden,
    require_registered,
    route_salt,
    with_proved_addresses,
)
from windsock.exceptions import DeploymentRefusedError, NotBuiltError, SpecError
from windsock.ports import Ports
from windsock.records import (
    Deployment,
    DeployModelInput,
    FallbackAnswer,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    RoutePlan,
    RouteState,
    SlotPlan,
    champion_line,
    champion_of,
    last_routing_row,
    next_epoch,
    open_switch,
    rollout_route,
    running_rollout,
    waiting_rows,
    was_rolled_back,
)

log = logging.getLogger(__name__)

KEPT_CHAMPIONS = 3
"""The champion that serves and the two before it stay behind the server: a roll back needs nothing."""
SHOWN_CLASSES = 10


def deploy_model(step: DeployModelInput, ports: Ports, key: str) -> Deployment:
    """Add a version to the server as a slot without traffic, and see it answer its golden predictions.

    :raises GateRefusedError: if the ledger does not know the version.
    :raises NotBuiltError: if the spec asks for a serving target other than ``local`` and ``docker``.
    :raises SpecError: if the spec's constant fallback answer is none that the version could give.
    :raises ServerUnavailableError: if the server does not answer.
    :raises DeploymentRefusedError: if the version does not verify, load or answer its golden predictions.
    """
    target = step.spec.serving.target
    if target == "kubernetes":
        raise NotBuiltError(
            f"{step.spec.name}: serving.target {target} is not built yet",
            next_action="Write `serving: {target: local}` (or docker) in the model's YAML file, then clear "
            "this task.",
        )
    rows = ports.ledger.rows(step.spec.name)
    require_evidence(ports, require_registered(rows, step.version))
    state = ports.router.state(step.spec.name)
    if was_rolled_back(rows, step.version.digest) and not step.force:
        return _held_back(step, rows, state, ports)
    address = ports.slots.address(step.version) if target == "docker" else None
    slot = state.plan.slot(step.version.digest) if state else None
    stands = slot is not None and slot.url == address
    if not stands:
        row = _own_open_row(step, rows, state, address) or _add_row(step, ports, rows, state, address)
        state = lay_route(ports, row)
        log.debug("%s: version %s stands behind the server, epoch %d", row.model, row.version, row.epoch)
    if state is not None:
        ports.slots.keep_only(step.spec.name, state.plan)
    return _deployment(step, ports, state, unchanged=stands)


def _deployment(
    step: DeployModelInput, ports: Ports, state: RouteState | None, *, unchanged: bool
) -> Deployment:
    slot = state.plan.slot(step.version.digest) if state else None
    if state is None or slot is None:
        raise DeploymentRefusedError(
            f"{step.spec.name}: the server did not take version {step.version.version}"
        )
    require_golden(ports, step.spec.name, slot)
    return Deployment(
        model=step.spec.name,
        version=slot.version,
        digest=slot.digest,
        epoch=state.plan.epoch,
        share=slot.share,
        target=step.spec.serving.target,
        unchanged=unchanged,
        reason=f"version {slot.version} stands behind the server already" if unchanged else "",
        deployed_at=ports.now(),
    )


def _own_open_row(
    step: DeployModelInput, rows: Sequence[LedgerRow], state: RouteState | None, address: str | None
) -> LedgerRow | None:
    """Return the row that an earlier try of this deployment wrote without bringing it to the server.

    A row that names another address than the one where the version's slot answers now is not taken up.
    """
    last = last_routing_row(rows)
    if last is None or last.action is not LedgerAction.DEPLOY or last.digest != step.version.digest:
        return None
    slot = RoutePlan.of_row(last).slot(step.version.digest)
    behind = state is None or state.plan.epoch < last.epoch
    return last if behind and slot is not None and slot.url == address else None


def _add_row(
    step: DeployModelInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    state: RouteState | None,
    address: str | None,
) -> LedgerRow:
    added = SlotPlan.idle(step.version).replace(url=address)
    plan = with_proved_addresses(ports, _plan_with(step, rows, state, _fallback(step, ports), added))
    entry = LedgerEntry(
        model=step.spec.name,
        action=LedgerAction.DEPLOY,
        epoch=plan.epoch,
        version=step.version.version,
        digest=step.version.digest,
        actor=step.run.actor,
        body={
            "bundle_uri": step.version.bundle_uri,
            "evidence_digest": step.version.evidence_digest,
            "requester": step.run.requested_by,
            "forced": step.force,
            "plan": plan.row_body(),
        },
    )
    return append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))


def _fallback(step: DeployModelInput, ports: Ports) -> FallbackAnswer:
    """Return the fallback that the spec asks for; a constant is held against the version's schema.

    :raises SpecError: if the version could never give that answer.
    """
    fallback = FallbackAnswer.of_spec(step.spec)
    if fallback.policy != "constant":
        return fallback
    schema = ports.bundles.load(step.version.bundle_uri, step.version.digest).schema
    if fallback.constant_for(schema) is None:
        named = ", ".join(json.dumps(label, ensure_ascii=False) for label in schema.classes[:SHOWN_CLASSES])
        raise SpecError(
            f"version {step.version.version} never answers with this; it answers with "
            f"{'one of ' + named if named else 'numbers'}",
            key="serving.fallback_answer.constant",
            code="WS-SERVING-041",
            next_action="Mend the value in the model's YAML file, then clear this task.",
        )
    return fallback


def _plan_with(
    step: DeployModelInput,
    rows: Sequence[LedgerRow],
    state: RouteState | None,
    fallback: FallbackAnswer,
    added: SlotPlan,
) -> RoutePlan:
    """Return the plan with the version added at 0 and with what need not be kept left out.

    A version that has a slot already keeps its share and gets the address at which it answers now.

    A rollout that is under way keeps its split, as the ledger has it: the server may be behind, or have lost
    its state. Otherwise the champion has all traffic: a server that serves what was never committed, or a
    split that is over, is put right.
    """
    champion, split = champion_of(rows), _split(rows)
    good = {commit.digest for commit in champion_line(rows)[-KEPT_CHAMPIONS:]}
    good |= {row.digest for row in waiting_rows(rows, most=step.spec.rollout.challengers)}
    base = split or (state.plan if state else None)
    slots = [
        slot for slot in (base.slots if base else ()) if slot.share or slot.shadow or slot.digest in good
    ]
    if champion and all(slot.digest != champion.digest for slot in slots):
        slots.append(SlotPlan.idle(champion))
    slots = [slot.replace(url=added.url) if slot.digest == added.digest else slot for slot in slots]
    if all(slot.digest != added.digest for slot in slots):
        slots.append(added)
    epoch = next_epoch(rows, state.plan.epoch if state else 0)
    if split is not None:
        return split.replace(epoch=epoch, slots=tuple(slots), fallback=fallback)
    return RoutePlan.serving(
        champion.digest if champion else None,
        model=step.spec.name,
        epoch=epoch,
        slots=slots,
        salt=route_salt(rows) or (state.plan.salt if state else step.spec.name),
        fallback=fallback,
    )


def _split(rows: Sequence[LedgerRow]) -> RoutePlan | None:
    """Return the split of the rollout that is under way; ``None``: there is none, or it is being ended."""
    rollout, switch = running_rollout(rows), open_switch(rows)
    if rollout is None or (switch is not None and switch.action is LedgerAction.ROLL_BACK):
        return None
    return rollout_route(rows, rollout)


def _held_back(
    step: DeployModelInput, rows: Sequence[LedgerRow], state: RouteState | None, ports: Ports
) -> Deployment:
    slot = state.plan.slot(step.version.digest) if state else None
    return Deployment(
        model=step.spec.name,
        version=step.version.version,
        digest=step.version.digest,
        epoch=state.plan.epoch if state else next_epoch(rows) - 1,
        share=slot.share if slot else 0,
        target=step.spec.serving.target,
        unchanged=True,
        reason=f"version {step.version.version} was rolled back and is held. "
        "Run with force to deploy it all the same",
        deployed_at=ports.now(),
    )
