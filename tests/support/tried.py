"""A model of the running stack whose new versions are tried on users of a known truth."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from support.pipeline import retrain
from support.stack import LiveStack, wait_for, write_visits
from windsock.adapters.build import build_ports
from windsock.cli.demo_users import Tally, Users
from windsock.ports import Ports
from windsock.records import (
    InputSchema,
    LedgerRow,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    RunContext,
    SteerRolloutInput,
    StepTotals,
    ended_rollouts,
    running_rollout,
)
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model
from windsock.steps import run_step

END_SECONDS = 240.0
IN_THIS_PROCESS = threading.Lock()
"""Stories run in threads, and a retrain is a process of its own: its libraries keep what all threads see."""
START_SECONDS = 120.0


def ports_of(settings: Settings) -> Ports:
    """Return the outside world of this process at a stack.

    The probes of a version that bakes come at once here; in the stack's own runs they keep their pause.
    """
    return replace(build_ports(settings, connections=lambda conn_id: conn_id), pause=lambda seconds: None)


def retrain_here(ports: Ports, spec: ModelSpec, run_id: str) -> str:
    """Retrain in this process, and return the version that comes of it."""
    with IN_THIS_PROCESS:
        done = retrain(ports, spec, run=RunContext(run_id=run_id))
    assert "promote_model" in done, {name: result.record for name, result in done.items()}
    return str(done["promote_model"].record.version)


class Tried:
    """What a test asks of one model's rollouts in a stack.

    :param name: the model's; its file lies in the stack's models folder.
    """

    def __init__(self, live: LiveStack, name: str) -> None:
        self.live, self.name = live, name
        self.dag_id = f"{name}__ab_rollout"
        self.settings = Settings.from_environment(live.stack.environment())
        self.ports = ports_of(self.settings)
        self.source = live.stack.models / f"{name}.csv"
        self.versions = 0

    @property
    def spec(self) -> ModelSpec:
        """What the model's file says."""
        return find_model(self.settings.models_dir, self.name, shared_file=self.settings.shared_file)

    def make_version(self) -> str:
        """Retrain in this process on rows that have grown, and return the new version.

        The first one serves at once; a later one waits for its rollout.
        """
        self.grow()
        return retrain_here(self.ports, self.spec, f"made-{self.versions}")

    def grow(self) -> None:
        """Let the model's source have more rows than before."""
        self.versions += 1
        write_visits(self.source, rows=600 + 200 * self.versions)

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        """The ledger's rows."""
        return tuple(self.ports.ledger.rows(self.name))

    def await_rollout(self) -> Rollout:
        """Wait until a rollout runs and the server splits the traffic by it."""

        def runs() -> bool:
            rollout, state = running_rollout(self.rows), self.ports.router.state(self.name)
            return rollout is not None and state is not None and state.plan.epoch >= rollout.step_epoch

        wait_for(runs, seconds=START_SECONDS, what=f"a rollout of {self.name}")
        rollout = running_rollout(self.rows)
        assert rollout is not None
        return rollout

    def await_drop(self, rollout: Rollout) -> Rollout:
        """Wait until a challenger was dropped, also behind the server, and return the rollout."""

        def is_dropped() -> bool:
            state = self.ports.router.state(self.name)
            return state is not None and any(slot.withdrawn for slot in state.plan.slots)

        wait_for(is_dropped, seconds=END_SECONDS, what=f"a dropped challenger of {rollout.experiment}")
        dropped = running_rollout(self.rows)
        assert dropped is not None
        return dropped

    def users(self, rollout: Rollout, *, challenger: float, champion: float = 0.1, **options: Any) -> Users:
        """Return users who convert at these rates."""
        snapshot = self.ports.snapshots.latest(self.name)
        assert snapshot is not None
        rates: Mapping[str, float] = {rollout.champion_version: champion, rollout.version: challenger}
        schema = self.schema(rollout)
        frame = self.ports.snapshots.load(snapshot)[[field.name for field in schema.fields]]
        return Users(
            server_url=self.settings.server_url,
            model=self.name,
            rows=frame.astype(object).to_dict("records"),
            **{"rates": rates, "name": rollout.experiment, "visits": 1.5, **options},
        )

    def schema(self, rollout: Rollout) -> InputSchema:
        """Return what the challenger is asked with."""
        return self.ports.bundles.load(rollout.bundle_uri, rollout.digest).schema

    def steer(self, action: str) -> None:
        """Pause or resume the rollout, as a person does."""
        asked = SteerRolloutInput.model_validate(
            {"model": self.name, "action": action, "run": {"requested_by": "admin"}}
        )
        run_step("steer_rollout", asked, self.ports)

    def totals(self, rollout: Rollout) -> StepTotals:
        """Count what was seen of a rollout's step until now."""
        return self.ports.events.totals(rollout, now=self.ports.now())

    def await_totals(self, rollout: Rollout, tally: Tally) -> StepTotals:
        """Wait until the log holds every answer of a tally, and return the count."""
        seen: list[StepTotals] = []

        def is_all() -> bool:
            seen.append(self.totals(rollout))
            return seen[-1].exposures >= sum(tally.answers.values()) and seen[-1].outcomes >= tally.told

        wait_for(is_all, seconds=30, what="every answer in the log")
        return seen[-1]

    def decisions(self, rollout: Rollout) -> tuple[RolloutDecision, ...]:
        """Return the decisions on a rollout."""
        return self.ports.rollouts.decisions(self.name, rollout.experiment)

    def await_looks(self, rollout: Rollout, more: int) -> RolloutDecision:
        """Wait until so many further looks are decided, and return the last one."""
        wanted = len(self.decisions(rollout)) + more
        wait_for(
            lambda: len(self.decisions(rollout)) >= wanted, seconds=END_SECONDS, what=f"{more} further looks"
        )
        return self.decisions(rollout)[-1]

    def end_of(self, rollout: Rollout) -> RolloutEnd | None:
        """Return how a rollout ended; ``None`` while it has not."""
        ended = (end for end in ended_rollouts(self.rows) if end.experiment == rollout.experiment)
        return next(ended, None)

    def await_end(self, rollout: Rollout) -> RolloutEnd:
        """Wait until a rollout is over."""
        wait_for(
            functools.partial(self.end_of, rollout), seconds=END_SECONDS, what=f"end of {rollout.experiment}"
        )
        end = self.end_of(rollout)
        assert end is not None
        return end
