"""The one door to a route: take an epoch, switch, bake, commit; every change of traffic uses it."""

from __future__ import annotations

from windsock.door.addresses import require_deployed, with_proved_addresses
from windsock.door.policy import lacking_approvals, require_policy, unproved, withdrawn
from windsock.door.proof import evidence_of, has_evidence, require_evidence
from windsock.door.reconcile import Differences, differences, reconcile, seal_route, sign_anew
from windsock.door.rollout_end import Turn, end_rollout, finish_switch, write_roll_back
from windsock.door.route import (
    CHAMPION_ALIAS,
    abandon,
    append_once,
    append_unless_routed,
    champion_entry,
    current_route,
    finish_abandoned,
    lay_route,
    mirror_champion,
    plan_serving,
    require_golden,
    require_registered,
    route_salt,
    switch_route,
)
from windsock.door.tries import looked_at_anew

__all__ = [
    "CHAMPION_ALIAS",
    "Differences",
    "Turn",
    "abandon",
    "append_once",
    "append_unless_routed",
    "champion_entry",
    "current_route",
    "differences",
    "end_rollout",
    "finish_abandoned",
    "finish_switch",
    "has_evidence",
    "lacking_approvals",
    "lay_route",
    "looked_at_anew",
    "mirror_champion",
    "plan_serving",
    "reconcile",
    "evidence_of",
    "require_evidence",
    "require_deployed",
    "require_golden",
    "require_policy",
    "require_registered",
    "route_salt",
    "seal_route",
    "sign_anew",
    "switch_route",
    "unproved",
    "withdrawn",
    "with_proved_addresses",
    "write_roll_back",
]
