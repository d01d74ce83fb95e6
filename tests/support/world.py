"""A model's way to production on in-memory ports: deploy, promote, roll back, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.builders import digest, make_registration, make_spec, make_version
from support.fakes import fake_ports
from support.faults import Killed, killed_after
from windsock.deployment.deploy_model import deploy_model
from windsock.deployment.roll_back import roll_back
from windsock.governance.promote_model import promote_model
from windsock.ports import Ports
from windsock.records import (
    Deployment,
    DeployModelInput,
    LedgerAction,
    PromoteModelInput,
    Promotion,
    RegisteredVersion,
    RollBack,
    RollBackInput,
    RunContext,
)
from windsock.spec import ModelSpec

MODEL = "churn"
VERSIONS = range(1, 8)
"""Versions that passed the gate in every world here."""


def version_of(number: int) -> RegisteredVersion:
    """Return version ``number``, with a digest and a bundle of its own."""
    return make_version(
        version=str(number), digest=digest(f"{number:x}"), bundle_uri=f"memory://bundles/churn/{number}"
    )


def deploy(ports: Ports, number: int, *, spec: ModelSpec | None = None, force: bool = False) -> Deployment:
    """Run ``deploy_model`` for a version."""
    step = DeployModelInput(spec=spec or make_spec(), version=version_of(number), force=force)
    return deploy_model(step, ports, "")


def promote(
    ports: Ports,
    number: int,
    *,
    spec: ModelSpec | None = None,
    force: bool = False,
    requester: str | None = None,
    dag_id: str | None = None,
    run_id: str | None = None,
) -> Promotion:
    """Run ``promote_model`` for a version."""
    step = PromoteModelInput(
        spec=spec or make_spec(),
        version=version_of(number),
        force=force,
        run=RunContext(dag_id=dag_id, run_id=run_id, requested_by=requester),
    )
    return promote_model(step, ports, "")


def back(
    ports: Ports, *, to: int | None = None, run_id: str | None = None, requester: str | None = None
) -> RollBack:
    """Run ``roll_back``."""
    step = RollBackInput(
        model=MODEL,
        to_version=None if to is None else str(to),
        reason="it answers nonsense",
        run=RunContext(dag_id="churn__rollback", run_id=run_id, requested_by=requester),
    )
    return roll_back(step, ports, "")


def register(ports: Any, *numbers: int, **body: Any) -> None:
    """Write the registrations of versions, as ``register_model`` leaves them."""
    for number in numbers:
        entry = make_registration(version_of(number), **body)
        ports.ledger.append(entry, after_seq=max((row.seq for row in ports.ledger.rows(MODEL)), default=0))


def world_of(*champions: int, **replaced: Any) -> Any:
    """Return ports of a world in which these versions became champion, one after the other.

    Each was judged against the one before it; the others against the last.

    :param replaced: ports that are not the ordinary fakes.
    """
    ports = fake_ports(**replaced)
    for number in VERSIONS:
        met = champions.index(number) if number in champions else len(champions)
        register(ports, number, opponent=digest(f"{champions[met - 1]:x}") if met else None)
    for number in champions:
        deploy(ports, number)
        promote(ports, number)
    return ports


def shares(ports: Any) -> dict[str, int]:
    """Return the traffic of each version behind the server."""
    return {slot.version: slot.share for slot in ports.router.plans[MODEL].slots}


def actions(ports: Any) -> list[tuple[str, int, str]]:
    """Return action, epoch and version of each ledger row after the registrations."""
    rows = ports.ledger.rows(MODEL)
    return [
        (row.action.value, row.epoch, row.version) for row in rows if row.action is not LedgerAction.REGISTER
    ]


def left_of(ports: Any) -> dict[str, Any]:
    """Return everything that a run leaves behind, without times and the hashes over them."""
    rows = [
        row.model_dump(mode="json", exclude={"at", "hash", "previous"}) for row in ports.ledger.rows(MODEL)
    ]
    return {"rows": rows, "plans": ports.router.plans, "aliases": ports.registry.aliases}


def survives_kills(make_world: Callable[[], Any], act: Callable[[Ports], Any], *, effects: int) -> None:
    """See that ``act``, killed after each of its side effects and run again, leaves what one run leaves.

    :param effects: side effects of one undisturbed run.
    """
    undisturbed = make_world()
    counting, countdown = killed_after(undisturbed, effects + 1)
    outcome = _outcome(act, counting)
    assert countdown.seen == effects
    for after in range(1, effects + 1):
        world = make_world()
        dying, _ = killed_after(world, after)
        with pytest.raises(Killed):
            act(dying)
        assert type(_outcome(act, world)) is type(outcome)
        assert left_of(world) == left_of(undisturbed), f"killed after side effect {after}"


def _outcome(act: Callable[[Ports], Any], ports: Ports) -> Any:
    try:
        return act(ports)
    except Exception as error:
        return error
