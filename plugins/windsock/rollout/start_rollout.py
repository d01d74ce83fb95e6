"""``start_rollout``: go on with the rollout that is under way, else start the version that waits."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pydantic import ValidationError

from windsock.door import (
    append_unless_routed,
    evidence_of,
    lacking_approvals,
    looked_at_anew,
    plan_serving,
    require_evidence,
    require_golden,
    unproved,
    with_proved_addresses,
    withdrawn,
)
from windsock.exceptions import (
    DeploymentRefusedError,
    GateRefusedError,
    RolloutRefusedError,
    SpecError,
    StaleEpochError,
)
from windsock.ports import Ports
from windsock.records import (
    Champion,
    LedgerAction,
    LedgerRow,
    Rollout,
    RolloutPlan,
    RolloutState,
    RouteState,
    StartRolloutInput,
    broken,
    champion_of,
    experiment_name,
    has_met,
    last_routing_row,
    next_epoch,
    open_switch,
    registration_of,
    running_rollout,
    waiting_row,
    was_rolled_back,
)
from windsock.rollout.look_due import look_due
from windsock.rollout.outlook import Outlook, outlook, outlook_of
from windsock.rollout.splits import lay_split, settle, split_entry

log = logging.getLogger(__name__)

RARE_CLASS = 0.05
"""Below this share of the rows a class hardly moves the accuracy."""


def start_rollout(step: StartRolloutInput, ports: Ports, key: str) -> RolloutState:
    """Return the rollout that is under way, or start the newest version that waits for one.

    What a killed task left half done of a rollout is brought to its end first: a split that the server does
    not have, a promotion or roll back that was not committed. A version that cannot start is told, and
    raises nothing.

    :raises RolloutRefusedError: if the version that was asked for does not wait.
    :raises GateRefusedError: if no row registers the version that waits.
    :raises SpecError: if the rollout that was asked for cannot be.
    :raises DeploymentRefusedError: if the version does not answer once it has traffic; the champion serves
        again by then.
    :raises ServerUnavailableError: if the server does not answer.
    :raises StaleEpochError: if other changes of the traffic came first, each time it was tried.
    :raises VerdictError: if the ledger's hash chain is broken.
    """
    return looked_at_anew(lambda: _look_or_start(step, ports), model=step.spec.name)


def _look_or_start(step: StartRolloutInput, ports: Ports) -> RolloutState:
    rows: Sequence[LedgerRow] = ports.ledger.rows(step.spec.name)
    if not step.only_look:
        rows = settle(ports, rows, run=step.run)
    rollout, queued = running_rollout(rows), waiting_row(rows)
    waiting = queued.version if queued else None
    if rollout is not None:
        return _under_way(step, ports, rollout, waiting).replace(outlook=outlook_of(rows, rollout.experiment))
    _require_waiting(step, waiting)
    champion = champion_of(rows)
    if queued is None or champion is None:
        return RolloutState(model=step.spec.name, reason="no rollout is under way and no version waits")
    hindrance, state, seen = _hindrance(step, rows, queued, champion), None, Outlook()
    if not (hindrance or step.only_look):
        state, registered = ports.router.state(step.spec.name), _registration(rows, queued)
        hindrance = (
            _policy_hindrance(step, ports, rows, registered)
            or _golden_hindrance(ports, queued, state)
            or _metric_hindrance(step, ports, registered)
        )
        if not hindrance:
            seen = outlook(step.spec.name, _plan(step), ports)
            hindrance = _margin_hindrance(step, queued, seen)
    if hindrance or step.only_look:
        return RolloutState(
            model=step.spec.name,
            waiting=waiting,
            reason=hindrance or f"version {waiting} waits for its rollout",
        )
    begun = _begin(step, ports, rows, queued, champion, state, seen.notes)
    return RolloutState(
        model=step.spec.name,
        rollout=begun,
        started=True,
        look_due=look_due(begun, None),
        reason=f"rollout {begun.experiment} has begun",
        outlook=seen.notes,
    )


def _under_way(step: StartRolloutInput, ports: Ports, rollout: Rollout, waiting: str | None) -> RolloutState:
    told = []
    if waiting:
        told.append(f"version {waiting} waits until rollout {rollout.experiment} is over")
    if step.version not in (None, rollout.version, waiting):
        told.append(f"version {step.version} does not wait")
    if asked := step.overrides.model_dump(exclude_none=True):
        told.append(
            f"{', '.join(asked)}: not taken, rollout {rollout.experiment} keeps the plan that it began with"
        )
    return RolloutState(
        model=step.spec.name,
        rollout=rollout,
        waiting=waiting,
        look_due=look_due(rollout, ports.rollouts.last(rollout.model, rollout.experiment)),
        reason="; ".join(told),
    )


def _require_waiting(step: StartRolloutInput, waiting: str | None) -> None:
    if step.version in (None, waiting):
        return
    instead = f"version {waiting} does, the newest one" if waiting else "no version does"
    raise RolloutRefusedError(
        f"{step.spec.name}: version {step.version} does not wait for a rollout; {instead}",
        code="WS-ROLLOUT-002",
        next_action="Name that version, or none; a version waits once its retrain has promoted it.",
    )


def _hindrance(
    step: StartRolloutInput, rows: Sequence[LedgerRow], queued: LedgerRow, champion: Champion
) -> str:
    """Return why the version that waits cannot start now; empty if it can."""
    about = f"version {queued.version} waits and cannot start"
    registered = _registration(rows, queued)
    if not has_met(rows, registered, champion.digest):
        return (
            f"WS-ROLLOUT-003: {about}: it was judged against another champion than version "
            f"{champion.version}, which serves by now; the next retrain brings one that was"
        )
    if was_rolled_back(rows, queued.digest) and not queued.body.get("forced"):
        return f"WS-ROLLOUT-004: {about}: it was rolled back and is held"
    if any(
        row.action is LedgerAction.REJECT
        and (row.version, row.digest) == (queued.version, queued.digest)
        and row.body.get("experiment") is None
        for row in rows
    ):
        return f"WS-APPROVAL-002: {about}: it was rejected"
    if (switch := open_switch(rows)) is not None:
        return (
            f"WS-ROLLOUT-005: {about} yet: {switch.action.value} of version {switch.version} is not "
            "committed; clear the task that was killed"
        )
    if step.spec.rollout.strategy == "direct":
        return (
            f"WS-ROLLOUT-006: {about}: the model's file says `strategy: direct` by now; the next retrain "
            "promotes its version at once"
        )
    return ""


def _policy_hindrance(
    step: StartRolloutInput, ports: Ports, rows: Sequence[LedgerRow], registered: LedgerRow
) -> str:
    """Return what today's policy asks of a version beyond that by which it came to wait."""
    about = f"version {registered.version} waits and cannot start: the policy is stricter by now"
    pack = evidence_of(ports, registered)
    if more := [*unproved(step.spec, pack), *withdrawn(step.spec, pack, registered, ports)]:
        return f"WS-GATE-030: {about}: {'; '.join(more)}"
    if lacking := lacking_approvals(step.spec, rows, registered):
        return f"WS-GATE-031: {about}: {lacking}"
    return ""


def _golden_hindrance(ports: Ports, queued: LedgerRow, state: RouteState | None) -> str:
    """Return what keeps a version from traffic that is behind the server and does not answer as it must."""
    if state is None or (slot := state.plan.slot(queued.digest)) is None:
        return ""
    try:
        require_golden(ports, queued.model, slot)
    except DeploymentRefusedError as refusal:
        return f"WS-ROLLOUT-014: version {queued.version} waits and cannot start: {refusal.message}"
    return ""


def _metric_hindrance(step: StartRolloutInput, ports: Ports, registered: LedgerRow) -> str:
    """Return why the usual metric cannot decide: how many answers are right says little of a rare class."""
    asked = step.overrides.metric or step.spec.rollout.metric
    if asked is not None or step.spec.task != "classification":
        return ""
    share = evidence_of(ports, registered).get("evaluation", {}).get("rarest_class")
    if share is None or share >= RARE_CLASS:
        return ""
    return (
        f"WS-ROLLOUT-017: version {registered.version} waits and cannot start: one of its classes is "
        f"{share:.2%} of the rows, and `rollout.metric` is not given; accuracy, the usual one, hardly sees a "
        f"class under {RARE_CLASS:.0%}. Write `metric:` in the `rollout` block: a metric of outcomes such as "
        "conversion or one of `metrics`, or accuracy if it is meant"
    )


def _margin_hindrance(step: StartRolloutInput, queued: LedgerRow, seen: Outlook) -> str:
    """Return that the margin is so large that a version which does great harm could be promoted."""
    if not seen.too_large or step.spec.rollout.confirms_margin:
        return ""
    return f"WS-ROLLOUT-018: version {queued.version} waits and cannot start: {seen.too_large}"


def _registration(rows: Sequence[LedgerRow], queued: LedgerRow) -> LedgerRow:
    uri, evidence = queued.body["bundle_uri"], queued.body["evidence_digest"]
    row = registration_of(rows, queued.version, queued.digest, evidence, bundle_uri=uri)
    if row is not None:
        return row
    raise GateRefusedError(
        f"{queued.model} version {queued.version} waits for a rollout, and the ledger has no registration of "
        f"it with bundle {queued.digest[:12]}; nothing shows that it passed the gate",
        code="WS-GATE-010",
        next_action="Find out who wrote that row; run the retrain DAG for a version that passed.",
    )


def _plan(step: StartRolloutInput) -> RolloutPlan:
    try:
        return RolloutPlan.of_spec(step.spec, step.overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("rollout", *first["loc"]))
        problem = str(first["msg"])
    except ValueError as error:
        place, problem = "rollout", str(error)
    raise SpecError(
        problem,
        key=place,
        code="WS-ROLLOUT-007",
        next_action="Mend what the form asks for, or the `rollout` block of the model's YAML file.",
    )


def _begin(
    step: StartRolloutInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    queued: LedgerRow,
    champion: Champion,
    state: RouteState | None,
    told: tuple[str, ...],
) -> Rollout:
    name, plan, epoch = step.spec.name, _plan(step), next_epoch(rows, state.plan.epoch if state else 0)
    if not (view := ports.ledger.read(name)).is_whole:
        raise broken(name, view)
    require_evidence(ports, _registration(rows, queued))
    base = with_proved_addresses(ports, plan_serving(champion, state, rows))
    now = ports.now()
    rollout = Rollout(
        model=name,
        experiment=experiment_name(queued.version, epoch),
        version=queued.version,
        digest=queued.digest,
        bundle_uri=queued.body["bundle_uri"],
        evidence_digest=queued.body["evidence_digest"],
        champion_version=champion.version,
        champion_digest=champion.digest,
        plan=plan,
        step=0,
        step_epoch=epoch,
        step_since=now,
        started_at=now,
        salt=base.salt,
    )
    begins = {"begins": plan.model_dump(mode="json"), "decision": None, "queued": queued.seq}
    entry = split_entry(rollout, base, step.run, **begins, **({"outlook": list(told)} if told else {}))
    row = append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))
    lay_split(ports, row, rollout, actor=step.run.actor)
    log.info("%s: rollout %s has begun, epoch %d", name, rollout.experiment, epoch)
    begun = running_rollout(ports.ledger.rows(name))
    if begun is None or begun.experiment != rollout.experiment:
        raise StaleEpochError(f"{name}: rollout {rollout.experiment} was ended while it began")
    return begun


__all__ = ["start_rollout"]
