"""``start_rollout``: go on with the rollout that is under way, else start the version that waits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from windsock.door import (
    append_unless_routed,
    looked_at_anew,
    plan_serving,
    require_evidence,
    with_proved_addresses,
)
from windsock.exceptions import (
    LostBundleError,
    RolloutRefusedError,
    SpecError,
    StaleEpochError,
    UnverifiedBundleError,
)
from windsock.ports import Ports
from windsock.records import (
    Challenger,
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
    last_routing_row,
    next_epoch,
    running_rollout,
    waiting_rows,
    was_rolled_back,
)
from windsock.rollout.hindrances import (
    gathers_until,
    hindrance,
    margin_hindrance,
    present_hindrance,
    registration,
    versions_of,
)
from windsock.rollout.look_due import look_due
from windsock.rollout.outlook import outlook, outlook_of
from windsock.rollout.splits import lay_split, settle, split_entry
from windsock.texts import numbered

log = logging.getLogger(__name__)


def start_rollout(step: StartRolloutInput, ports: Ports, key: str) -> RolloutState:
    """Return the rollout that is under way, or start one with the newest versions that wait for it.

    Where the model's file asks for several challengers, versions wait for each other for a while.

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
    rollout, queued = running_rollout(rows), waiting_rows(rows, most=step.spec.rollout.challengers)
    if rollout is not None:
        return _under_way(step, ports, rollout, queued).replace(outlook=outlook_of(rows, rollout.experiment))
    asked = _asked_for(step, queued)
    champion = champion_of(rows)
    if not asked or champion is None:
        return RolloutState(model=step.spec.name, reason=_nothing_waits(rows))
    waits = RolloutState(model=step.spec.name, waiting=versions_of(queued))
    hindered = {row.seq: hindrance(step, rows, row, champion) for row in asked}
    state = ports.router.state(step.spec.name)
    for row in asked:
        hindered[row.seq] = hindered[row.seq] or present_hindrance(step, ports, rows, row, state)
    fit = [row for row in asked if not hindered[row.seq]]
    told = [why for why in hindered.values() if why]
    if not fit:
        return waits.replace(reason="; ".join(told))
    if waits_for := _waits_for_others(step, ports, fit):
        return waits.replace(reason="; ".join((waits_for, *told)))
    seen = outlook(step.spec.name, _plan(step), ports, challengers=len(fit))
    if too_large := margin_hindrance(step, fit, seen):
        return waits.replace(reason=too_large)
    if step.only_look:
        about = _waits(fit, "for its rollout", "for their rollout")
        return waits.replace(reason="; ".join((about, *told)), outlook=seen.notes)
    begun = _begin(step, ports, rows, fit, champion, state, seen.notes)
    return RolloutState(
        model=step.spec.name,
        rollout=begun,
        started=True,
        look_due=look_due(begun, None),
        reason="; ".join((f"rollout {begun.experiment} has begun", *told)),
        outlook=seen.notes,
    )


def _nothing_waits(rows: Sequence[LedgerRow]) -> str:
    """Return that nothing waits; and of a version that waited last, whether it is held since."""
    told = "no rollout is under way and no version waits"
    last = next((row for row in reversed(rows) if row.action is LedgerAction.QUEUE), None)
    if last is None or not was_rolled_back(rows, last.digest):
        return told
    return (
        f"{told}; version {last.version} is held, as its rollout was ended without promotion: "
        f"{last.model}__daily_retrain with `force` lets it wait again"
    )


def _waits_for_others(step: StartRolloutInput, ports: Ports, fit: Sequence[LedgerRow]) -> str:
    """Return until when versions wait for others to be tried with them; empty: they wait no longer."""
    block = step.spec.rollout
    until = gathers_until(step.spec, fit)
    if step.version is not None or len(fit) >= block.challengers or ports.now() >= until:
        return ""
    return (
        f"{_waits(fit, 'for others', 'for others')}: a rollout tries {block.challengers} versions; it "
        f"begins when so many wait, or at {until:%Y-%m-%d %H:%M} UTC with those that do"
    )


def _under_way(
    step: StartRolloutInput, ports: Ports, rollout: Rollout, queued: Sequence[LedgerRow]
) -> RolloutState:
    told = []
    if queued:
        until = f"until rollout {rollout.experiment} is over"
        told.append(_waits(queued, until, until))
    known = {one.version for one in rollout.challengers} | {row.version for row in queued}
    if unknown := [one for one in _named(step) if one not in known]:
        verb = "does" if len(unknown) == 1 else "do"
        told.append(f"{numbered(unknown)} {verb} not wait")
    if asked := step.overrides.model_dump(exclude_none=True):
        told.append(
            f"{', '.join(asked)}: not taken, rollout {rollout.experiment} keeps the plan that it began with"
        )
    return RolloutState(
        model=step.spec.name,
        rollout=rollout,
        waiting=versions_of(queued) or None,
        look_due=look_due(rollout, ports.rollouts.last(rollout.model, rollout.experiment)),
        reason="; ".join(told),
    )


def _waits(rows: Sequence[LedgerRow], one: str, several: str) -> str:
    """Return that versions wait, and for what: ``one`` of one version, ``several`` of more."""
    versions = numbered([row.version for row in rows])
    return f"{versions} wait {several}" if len(rows) > 1 else f"{versions} waits {one}"


def _named(step: StartRolloutInput) -> list[str]:
    return [one.strip() for one in (step.version or "").split(",") if one.strip()]


def _asked_for(step: StartRolloutInput, queued: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Return the rows of the versions that were named, or of all that wait."""
    named = _named(step)
    unknown = [one for one in named if one not in {row.version for row in queued}]
    if not unknown:
        return [row for row in queued if not named or row.version in named]
    one = len(queued) == 1
    instead = (
        f"{numbered([row.version for row in queued])} {'does' if one else 'do'}, the newest"
        if queued
        else "none does"
    )
    verb = "does" if len(unknown) == 1 else "do"
    raise RolloutRefusedError(
        f"{step.spec.name}: {numbered(unknown)} {verb} not wait for a rollout; {instead}",
        code="WS-ROLLOUT-002",
        next_action="Name what waits, or nothing; a version waits once its retrain has promoted it, and the "
        "newest `rollout.challengers` do. One that was stopped or rolled back is held: `force` in "
        f"{step.spec.name}__daily_retrain lets it wait again.",
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
    queued: Sequence[LedgerRow],
    champion: Champion,
    state: RouteState | None,
    told: tuple[str, ...],
) -> Rollout:
    name, epoch = step.spec.name, next_epoch(rows, state.plan.epoch if state else 0)
    plan = _plan(step).replace(classes=_class_words(ports, champion, queued))
    if not (view := ports.ledger.read(name)).is_whole:
        raise broken(name, view)
    for row in queued:
        require_evidence(ports, registration(rows, row))
    base = with_proved_addresses(ports, plan_serving(champion, state, rows))
    now = ports.now()
    first, *others = queued
    rollout = Rollout(
        model=name,
        experiment=experiment_name(first.version, epoch),
        **_challenger(first).model_dump(),
        champion_version=champion.version,
        champion_digest=champion.digest,
        plan=plan,
        step=0,
        step_epoch=epoch,
        step_since=now,
        started_at=now,
        salt=base.salt,
        others=tuple(_challenger(row) for row in others),
    )
    begins: dict[str, Any] = {"begins": plan.model_dump(mode="json"), "decision": None, "queued": first.seq}
    if others:
        begins["others"] = [{**_challenger(row).model_dump(mode="json"), "queued": row.seq} for row in others]
    if told:
        begins["outlook"] = list(told)
    entry = split_entry(rollout, base, step.run, epoch=epoch, **begins)
    row = append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))
    lay_split(ports, row, rollout, run=step.run)
    log.debug("%s: rollout %s has begun, epoch %d", name, rollout.experiment, epoch)
    begun = running_rollout(ports.ledger.rows(name))
    if begun is None or begun.experiment != rollout.experiment:
        raise StaleEpochError(f"{name}: rollout {rollout.experiment} was ended while it began")
    return begun


def _class_words(ports: Ports, champion: Champion, queued: Sequence[LedgerRow]) -> tuple[str, ...]:
    """Return the classes that are words, of all versions that will answer."""
    bundles = [(champion.bundle_uri, champion.digest)]
    bundles += [(row.body["bundle_uri"], row.digest) for row in queued]
    words: list[object] = []
    for bundle in bundles:
        try:
            schema = ports.bundles.describe(*bundle).schema
        except (LostBundleError, UnverifiedBundleError) as error:
            log.warning("%s: words of its classes are taken for no labels: %s", error.code, error.message)
            continue
        words += [*schema.classes, *(schema.label_words or ())]
    return tuple(dict.fromkeys(one for one in words if isinstance(one, str)))


def _challenger(queued: LedgerRow) -> Challenger:
    return Challenger(
        version=queued.version,
        digest=queued.digest,
        bundle_uri=queued.body["bundle_uri"],
        evidence_digest=queued.body["evidence_digest"],
    )


__all__ = ["start_rollout"]
