"""The way to the server: take an epoch, switch, bake, commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from windsock.door.addresses import require_deployed, with_proved_addresses
from windsock.exceptions import (
    DeploymentRefusedError,
    GateRefusedError,
    RolloutRefusedError,
    StaleEpochError,
)
from windsock.ports import Ledger, Ports
from windsock.records import (
    Champion,
    FallbackAnswer,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    RegisteredVersion,
    RoutePlan,
    RouteState,
    RunContext,
    SlotPlan,
    champion_of,
    commit_of,
    experiment_of,
    last_routing_row,
    next_epoch,
    running_rollout,
)

log = logging.getLogger(__name__)

CHAMPION_ALIAS = "champion"
ATTEMPTS = 20
BAKE_PROBES = 3
BAKE_PAUSE = 0.5
"""Seconds between two probes of the bake."""


def require_registered(rows: Sequence[LedgerRow], version: RegisteredVersion) -> LedgerRow:
    """Return the row by which the gate's yes to a version stands in the ledger.

    :param version: the record that was handed over; anyone may have written it.
    :raises GateRefusedError: if no row knows this very version, bundle and evidence.
    """
    row = version.registration(rows)
    if row is None:
        raise GateRefusedError(
            f"{version.model} version {version.version}: the ledger has no registration of this version with "
            f"bundle {version.digest[:12]} and evidence {version.evidence_digest[:12]}; "
            "nothing shows that it passed the gate",
            code="WS-GATE-010",
            next_action="Hand over the record of register_model as it was written, or run the retrain DAG.",
        )
    return row


def append_once(
    ledger: Ledger, entry: LedgerEntry, *, standing: Callable[[Sequence[LedgerRow]], LedgerRow | None]
) -> LedgerRow:
    """Append a row unless it stands already; rows of other writers may come between.

    :param standing: finds the row among those written so far; may raise if it must not be written any more.
    :raises StaleEpochError: if every try met another writer.
    """
    for _ in range(ATTEMPTS):
        rows = ledger.rows(entry.model)
        if (found := standing(rows)) is not None:
            return found
        try:
            return ledger.append(entry, after_seq=rows[-1].seq if rows else 0)
        except StaleEpochError:
            continue
    raise StaleEpochError(
        f"{entry.model}: {ATTEMPTS} tries to write {entry.action.value} of version {entry.version} "
        "met another writer each"
    )


def append_unless_routed(ledger: Ledger, entry: LedgerEntry, *, seen: LedgerRow | None) -> LedgerRow:
    """Append a row if no routing row came after ``seen``; approvals may come between.

    An intent to replace another champion than the present one comes too late, too.
    A commit that a twin of this task has already written for the same intent is returned as it stands.

    :param seen: the last routing row that the entry was made from; ``None``: there was none.
    :raises StaleEpochError: if another routing row came first.
    :raises RolloutRefusedError: if it would assign the units of a running rollout anew.
    """

    def standing(rows: Sequence[LedgerRow]) -> LedgerRow | None:
        last = last_routing_row(rows)
        if (last.hash if last else None) != (seen.hash if seen else None):
            raise StaleEpochError(
                f"{entry.model}: epoch {entry.epoch} for version {entry.version} came too late; "
                f"{last.action.value if last else 'nothing'} of version {last.version if last else '-'} "
                f"holds epoch {last.epoch if last else 0}"
            )
        if entry.action is LedgerAction.INTEND:
            champion = champion_of(rows)
            if entry.body.get("replaced") != (champion.digest if champion else None):
                raise StaleEpochError(
                    f"{entry.model}: another version became champion before {entry.version}"
                )
        _require_same_salt(rows, entry)
        return commit_of(rows, entry.epoch) if entry.action is LedgerAction.COMMIT else None

    return append_once(ledger, entry, standing=standing)


def _require_same_salt(rows: Sequence[LedgerRow], entry: LedgerEntry) -> None:
    plan = entry.body.get("plan") or {}
    rollout = running_rollout(rows) if plan.get("experiment") else None
    if rollout and rollout.experiment == plan["experiment"] and rollout.salt != plan["salt"]:
        raise RolloutRefusedError(
            f"{entry.model}: epoch {entry.epoch} has another salt than rollout {rollout.experiment}, which "
            "is under way; its units would change their version",
            code="WS-ROLLOUT-010",
            next_action="Stop the rollout first: `windsock rollout stop NAME`.",
        )


def plan_serving(champion: Champion, state: RouteState | None, rows: Sequence[LedgerRow]) -> RoutePlan:
    """Return the plan of the next epoch that gives a champion all traffic and keeps the other slots.

    :param state: what the server says; ``None``: it has lost its state, or never had any.
    """
    slots = list(state.plan.slots) if state else []
    if all(slot.digest != champion.digest for slot in slots):
        slots.append(SlotPlan.idle(champion))
    return RoutePlan.serving(
        champion.digest,
        model=champion.model,
        epoch=next_epoch(rows, state.plan.epoch if state else 0),
        slots=slots,
        salt=route_salt(rows) or (state.plan.salt if state else champion.model),
        fallback=state.plan.fallback if state else _last_fallback(rows),
    )


def champion_entry(champion: Champion, plan: RoutePlan, run: RunContext, reason: str) -> LedgerEntry:
    """Return the row that gives the champion its route back.

    :param plan: the route, under the epoch that the row takes.
    """
    return LedgerEntry(
        model=champion.model,
        action=LedgerAction.DEPLOY,
        epoch=plan.epoch,
        version=champion.version,
        digest=champion.digest,
        actor=run.actor,
        body={
            "bundle_uri": champion.bundle_uri,
            "reason": reason,
            "requester": run.requested_by,
            "plan": plan.row_body(),
        },
    )


def route_salt(rows: Sequence[LedgerRow]) -> str:
    """Return the salt of the last plan in the ledger; empty if there is none."""
    return next((str(row.body["plan"]["salt"]) for row in reversed(rows) if "plan" in row.body), "")


def _last_fallback(rows: Sequence[LedgerRow]) -> FallbackAnswer:
    """Return the fallback of the last plan in the ledger, or the default if there is none."""
    plans = (RoutePlan.of_row(row) for row in reversed(rows) if "plan" in row.body)
    return next((plan.fallback for plan in plans), FallbackAnswer())


def current_route(ports: Ports, rows: Sequence[LedgerRow]) -> RouteState | None:
    """Return what the server serves, after it was given the ledger's last plan where it did not have it.

    So a task that was killed between the ledger and the server is made up for, as is a server that lost its
    state. A switch that is open is left to whoever carries it out. What is made of it names no address that
    no deployment made.
    """
    last = last_routing_row(rows)
    if last is None:
        return None
    state = ports.router.state(last.model)
    behind = state is None or state.plan.epoch < last.epoch
    is_switch = last.action in (LedgerAction.INTEND, LedgerAction.ROLL_BACK)
    if behind and not (is_switch and commit_of(rows, last.epoch) is None):
        return lay_route(ports, last)
    if state is None:
        return None
    return state.replace(plan=with_proved_addresses(ports, state.plan))


def lay_route(ports: Ports, row: LedgerRow) -> RouteState:
    """Hand the plan of a routing row to the server; the same row twice changes nothing.

    :raises SlotAddressError: if no deployment made the address of one of its slots.
    """
    plan = RoutePlan.of_row(row)
    require_deployed(ports, plan)
    return ports.router.apply(plan)


def require_golden(ports: Ports, model: str, slot: SlotPlan) -> None:
    """See that a slot answers its golden predictions, as the version that it must be.

    :raises DeploymentRefusedError: if it does not.
    """
    probe = ports.router.probe(model, slot.digest)
    if not probe.matched:
        raise DeploymentRefusedError(
            f"{model} version {slot.version}: {probe.rows} golden predictions differ by up to "
            f"{probe.largest_difference:g} from what the model answered after training. "
            f"{probe.message}".rstrip(),
            code="WS-DEPLOYMENT-002",
        )
    if probe.version != slot.version:
        raise DeploymentRefusedError(
            f"{model}: version {probe.version} answers where version {slot.version} should",
            code="WS-DEPLOYMENT-003",
        )


def switch_route(ports: Ports, intent: LedgerRow, *, champion: Champion | None, actor: str) -> LedgerRow:
    """Carry out an intent (or roll back): switch, bake, commit.

    A plan that the server refuses leaves it as it was. If the new slot then does not answer as it must, all
    traffic goes back to the champion under the next epoch.

    :param intent: the open row; running this again for the same row ends in the same state.
    :param champion: the champion by the ledger, to go back to.
    :param actor: who does it.
    :returns: the commit.
    :raises StaleEpochError: if another routing change came first; nothing is committed then.
    :raises DeploymentRefusedError: if the new slot does not answer; the champion serves again by then.
    """
    plan = RoutePlan.of_row(intent)
    slot = plan.slot(intent.digest)
    if slot is None:
        raise DeploymentRefusedError(f"{intent.model}: epoch {intent.epoch} has no slot for {intent.version}")
    require_deployed(ports, plan)
    ports.router.apply(plan)
    try:
        _bake(ports, intent, slot)
    except DeploymentRefusedError as refusal:
        log.info("%s: version %s is abandoned: %s", intent.model, intent.version, refusal.message)
        lay_route(ports, abandon(ports, intent, slot, champion, actor=actor, reason=refusal.message))
        raise
    body = {key: value for key, value in intent.body.items() if key != "plan"}
    entry = LedgerEntry(
        model=intent.model,
        action=LedgerAction.COMMIT,
        epoch=intent.epoch,
        version=intent.version,
        digest=intent.digest,
        actor=actor,
        body=body,
    )
    return append_unless_routed(ports.ledger, entry, seen=intent)


def _bake(ports: Ports, intent: LedgerRow, slot: SlotPlan) -> None:
    """See a new version answer a few times under traffic; a roll back, which must not wait, once.

    The end of a rollout takes no version but the one that served all along: nothing is asked then.

    :raises DeploymentRefusedError: at the first answer that is not as it must be.
    """
    if intent.action is LedgerAction.ROLL_BACK and experiment_of(intent) is not None:
        return
    require_golden(ports, intent.model, slot)
    if intent.action is LedgerAction.INTEND:
        for _ in range(BAKE_PROBES - 1):
            ports.pause(BAKE_PAUSE)
            require_golden(ports, intent.model, slot)


def abandon(
    ports: Ports,
    row: LedgerRow,
    slot: SlotPlan,
    champion: Champion | None,
    *,
    actor: str,
    reason: str,
    without: bool = False,
) -> LedgerRow:
    """Write that a version is given up which did not answer; its plan gives the champion all traffic.

    :param row: the routing row that gave it traffic; nothing may have come after it.
    :param slot: the version's slot.
    :param champion: the champion by the ledger.
    :param without: whether its slot goes, too.
    """
    plan = RoutePlan.of_row(row)
    slots = [one for one in plan.slots if not (without and one.digest == slot.digest)]
    if champion and plan.slot(champion.digest) is None:
        slots.append(SlotPlan.idle(champion))
    epoch = row.epoch + 1
    back = RoutePlan.serving(
        champion.digest if champion else None,
        model=plan.model,
        epoch=epoch,
        slots=slots,
        salt=plan.salt,
        fallback=plan.fallback,
    )
    back = with_proved_addresses(ports, back)
    entry = LedgerEntry(
        model=row.model,
        action=LedgerAction.ABANDON,
        epoch=epoch,
        version=slot.version,
        digest=slot.digest,
        actor=actor,
        body={"reason": reason, "plan": back.row_body()},
    )
    return append_unless_routed(ports.ledger, entry, seen=row)


def finish_abandoned(ports: Ports, last: LedgerRow | None, digest: str) -> None:
    """Lay the route of an abandoned switch that a killed task did not bring to the server.

    :param last: the last routing row.
    :param digest: the bundle that this task wants to serve.
    :raises DeploymentRefusedError: if there was such a switch of this bundle; the champion serves again by
        then.
    """
    if last is None or last.action is not LedgerAction.ABANDON or last.digest != digest:
        return
    state = ports.router.state(last.model)
    if state is None or state.plan.epoch < last.epoch:
        lay_route(ports, last)
        raise DeploymentRefusedError(str(last.body["reason"]))


def mirror_champion(ports: Ports, model: str, version: str) -> bool:
    """Point the registry's alias at the champion; it is a mirror, so a failure is told and not raised.

    :returns: whether the alias is right now.
    """
    try:
        if ports.registry.alias(model, CHAMPION_ALIAS) != version:
            ports.registry.set_alias(model, CHAMPION_ALIAS, version)
    except Exception as error:
        log.warning(
            "WS-TRACKING-002: %s: the alias %s could not be set to version %s (%s); housekeeping sets it",
            model,
            CHAMPION_ALIAS,
            version,
            type(error).__name__,
        )
        return False
    return True
