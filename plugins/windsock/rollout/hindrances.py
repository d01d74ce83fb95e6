"""Why a version that waits cannot start its rollout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from windsock.door import (
    evidence_of,
    lacking_approvals,
    require_golden,
    unproved,
    withdrawn,
)
from windsock.exceptions import DeploymentRefusedError, GateRefusedError
from windsock.ports import Ports
from windsock.records import (
    Champion,
    LedgerAction,
    LedgerRow,
    RouteState,
    StartRolloutInput,
    has_met,
    open_switch,
    registration_of,
    was_rolled_back,
)
from windsock.rollout.outlook import Outlook
from windsock.spec import ModelSpec, parse_duration
from windsock.texts import numbered

RARE_CLASS = 0.05
"""Below this share of the rows a class hardly moves the accuracy."""


def hindrance(
    step: StartRolloutInput, rows: Sequence[LedgerRow], queued: LedgerRow, champion: Champion
) -> str:
    """Return why the version that waits cannot start now; empty if it can."""
    about = f"version {queued.version} waits and cannot start"
    registered = registration(rows, queued)
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


def present_hindrance(
    step: StartRolloutInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    queued: LedgerRow,
    state: RouteState | None,
) -> str:
    """Return why it cannot start by policy, answers and metric as they are now; empty if it can.

    :raises GateRefusedError: if no row registers it.
    """
    registered = registration(rows, queued)
    return (
        _policy_hindrance(step, ports, rows, registered)
        or _golden_hindrance(ports, queued, state)
        or _metric_hindrance(step, ports, registered)
    )


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


def margin_hindrance(step: StartRolloutInput, queued: Sequence[LedgerRow], seen: Outlook) -> str:
    """Return that the margin is so large that a version which does great harm could be promoted."""
    if not seen.too_large or step.spec.rollout.confirms_margin:
        return ""
    verb = "waits" if len(queued) == 1 else "wait"
    versions = numbered([row.version for row in queued])
    return f"WS-ROLLOUT-018: {versions} {verb} and cannot start: {seen.too_large}"


def registration(rows: Sequence[LedgerRow], queued: LedgerRow) -> LedgerRow:
    """Return the row by which a version that waits passed the gate.

    :raises GateRefusedError: if there is none.
    """
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


def gathers_until(spec: ModelSpec, queued: Sequence[LedgerRow]) -> datetime:
    """Return until when versions that wait are kept waiting for others."""
    return min(row.at for row in queued) + parse_duration(spec.rollout.gather)


def versions_of(queued: Sequence[LedgerRow]) -> str:
    """Return the versions of rows for people, such as ``4, 5``."""
    return ", ".join(row.version for row in queued)


__all__ = [
    "gathers_until",
    "hindrance",
    "margin_hindrance",
    "present_hindrance",
    "registration",
    "versions_of",
]
