"""Builders of rollouts that try several versions: 4, 5 and 6 against version 3."""

from __future__ import annotations

from typing import Any

from support.builders import NOON
from support.rollouts import SALT, ab_spec, make_estimate, make_look, make_rollout, make_totals
from support.world import MODEL, version_of
from windsock import records as r

TRIED = (4, 5, 6)
EXPERIMENT = "v4-e9"
GONE = "it was dropped before; the champion answers its units"
"""What a look says of a version that an earlier one dropped."""
SPEC = ab_spec(challengers=3, share=30)


def challenger(number: int) -> r.Challenger:
    """Return a version as a rollout tries it."""
    one = version_of(number)
    return r.Challenger(
        version=one.version,
        digest=one.digest,
        bundle_uri=one.bundle_uri,
        evidence_digest=one.evidence_digest,
    )


def several_rollout(*, dropped: tuple[int, ...] = (), **fields: Any) -> r.Rollout:
    """Return a rollout of versions 4, 5 and 6 against version 3, each with 10 % of the units."""
    made: dict[str, Any] = {
        "experiment": EXPERIMENT,
        **challenger(4).model_dump(),
        "others": tuple(challenger(number) for number in TRIED[1:]),
        "withdrawn": tuple(version_of(number).digest for number in dropped),
        "champion_version": "3",
        "champion_digest": version_of(3).digest,
        "plan": r.RolloutPlan.of_spec(SPEC),
    }
    return make_rollout(**{**made, **fields})


def challenger_look(number: int, action: str = "hold", **fields: Any) -> r.ChallengerLook:
    """Return what a look says of one version: each has an estimate of its own."""
    gain = 0.004 * (number - 4)
    if fields.get("withdrawn"):
        gone = {
            "action": r.RolloutAction.ROLL_BACK,
            "reason": GONE,
            "checks": (),
            "estimate": make_estimate(),
        }
        fields = {**gone, **fields}
    made: dict[str, Any] = {
        "version": str(number),
        "digest": version_of(number).digest,
        "action": r.RolloutAction(action),
        "reason": f"because of {number}",
        "checks": (
            r.CheckResult(
                name="sample_ratio",
                status=r.Status.PASS,
                code="WS-ROLLOUT-020",
                value=number / 10,
                limit=0.0005,
                relation=">=",
                n=20_000,
            ),
        ),
        "estimate": make_estimate(gain - 0.01, gain + 0.01),
    }
    return r.ChallengerLook(**{**made, **fields})


def several_totals(*challengers: int, champion: int = 70_000) -> r.StepTotals:
    """Return totals with so many units in the lanes."""
    first, *others = challengers or (10_000, 10_100, 10_200)
    arms = [make_totals(0, units).challenger for units in others]
    return make_totals(champion, first, experiment=EXPERIMENT, others=tuple(arms))


def several_look(
    number: int = 1,
    action: str = "hold",
    *,
    about: int = 4,
    looks: dict[int, Any] | None = None,
    **fields: Any,
) -> r.RolloutDecision:
    """Return the decision of one look at three versions.

    :param about: the version whose reason, checks and estimate the decision has.
    :param looks: what differs of the versions' own looks.
    """
    own = {one: challenger_look(one, **(looks or {}).get(one, {})) for one in TRIED}
    first = own[about]
    made: dict[str, Any] = {
        "experiment": EXPERIMENT,
        "version": first.version,
        "digest": first.digest,
        "champion_version": "3",
        "share": 3000,
        "reason": f"version {about}: {first.reason}",
        "checks": first.checks,
        "estimate": first.estimate,
        "totals": several_totals(),
        "looks": tuple(own.values()),
    }
    return make_look(number, action, **{**made, **fields})


def several_entry(*, dropped: tuple[int, ...] = (), epoch: int = 9, **body: Any) -> r.LedgerEntry:
    """Return a row of that rollout's step: its first one, or with ``dropped`` the one that drops them."""
    rollout = several_rollout(dropped=dropped)
    slots = [
        r.SlotPlan(
            version=one.version,
            digest=one.digest,
            bundle_uri=one.bundle_uri,
            share=1000,
            withdrawn=one.digest in rollout.withdrawn,
        )
        for one in rollout.challengers
    ]
    champion = version_of(3)
    slots.append(r.SlotPlan(version="3", digest=champion.digest, bundle_uri=champion.bundle_uri, share=7000))
    plan = r.RoutePlan(
        model=MODEL,
        epoch=epoch,
        slots=tuple(slots),
        salt=SALT,
        champion=champion.digest,
        experiment=EXPERIMENT,
    )
    made: dict[str, Any] = {
        "bundle_uri": rollout.bundle_uri,
        "evidence_digest": rollout.evidence_digest,
        "champion_version": "3",
        "champion_digest": champion.digest,
        "requester": None,
        "reason": "",
        "experiment": EXPERIMENT,
        "step": 0,
        "decision": None,
        "plan": plan.row_body(),
    }
    if dropped:
        made["withdrawn"] = list(rollout.withdrawn)
        names = " and ".join(map(str, dropped))
        made["reason"] = f"{EXPERIMENT}: version {names} is dropped; the champion answers its units"
    else:
        made["begins"] = rollout.plan.model_dump(mode="json")
        made["others"] = [{**one.model_dump(mode="json"), "queued": 1} for one in rollout.others]
    return r.LedgerEntry(
        model=MODEL,
        action=r.LedgerAction.SHIFT,
        epoch=epoch,
        version="4",
        digest=rollout.digest,
        actor="scheduler",
        body={**made, **body},
    )


def several_under_way(ports: Any, *, dropped: tuple[int, ...] = ()) -> Any:
    """Begin that rollout in a world where version 3 serves, by its rows alone; drop some of it."""
    for entry in [several_entry(), *([several_entry(dropped=dropped, epoch=10)] if dropped else [])]:
        ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))
    return ports


__all__ = [
    "EXPERIMENT",
    "GONE",
    "NOON",
    "SPEC",
    "TRIED",
    "challenger",
    "challenger_look",
    "several_entry",
    "several_look",
    "several_rollout",
    "several_totals",
    "several_under_way",
]
