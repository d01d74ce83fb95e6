"""The demo's chapter on rollouts: users of a known truth, looks, and the promotion of what is better."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.console import say
from windsock.cli.demo_agree import pause_once_over
from windsock.cli.demo_drift import Learned
from windsock.cli.demo_users import Tally, Users
from windsock.cli.surroundings import open_ports, user
from windsock.exceptions import WindsockError
from windsock.records import (
    Champion,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    RolloutOutcome,
    ended_rollouts,
    running_rollout,
)
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.steps import run_step

if TYPE_CHECKING:
    from windsock.ports import Ports

QUICK = {
    "strategy": "ab",
    "share": 50,
    "metric": "conversion",
    "promote": "better",
    "guardrails": {"errors": 0.05, "slow": None},
    "check": "15s",
    "cycle": "20s",
    "bake": "10s",
    "minimum_units": 1_000,
    "deadline": "10m",
    "labels": {"kind": "outcomes"},
}
"""What the demo asks of the rollout instead of the model file: weeks are too long to wait for."""
CHAMPION_RATE, CHALLENGER_RATE = 0.10, 0.20
USERS_A_SECOND = 50.0
START_SECONDS = 240.0
WAIT_SECONDS = 300.0
LOOK_SECONDS = 0.5


class NotPromotedError(WindsockError):
    """The demo's rollout did not end with the promotion of the better version."""

    default_code = "WS-CORE-023"
    default_next = "Do what the lines above say, then run the demo again."


def with_quick_rollout(spec: ModelSpec) -> ModelSpec:
    """Return a model whose new versions are tried by an A/B test of a minute."""
    content = spec.model_dump(mode="json", exclude_unset=True)
    return ModelSpec.model_validate({**content, "rollout": QUICK})


class RolloutChapter:
    """From the version that waits to the version that has proved itself.

    :param learned: that version, and what it is asked with.
    :param pause: sleeps; raises when the user asks to stop.
    """

    def __init__(
        self,
        *,
        api: AirflowApi,
        spec: ModelSpec,
        learned: Learned,
        settings: Settings,
        pause: Callable[[float], None],
    ) -> None:
        self.api = api
        self.spec, self.model = spec, spec.name
        self.learned = learned
        self.settings = settings
        self.pause = pause
        self.ports: Ports = open_ports(settings)
        self.dag_id = f"{spec.name}__ab_rollout"

    def tell(self) -> Champion:
        """Tell the chapter; return the version that serves at its end.

        :raises NotPromotedError: if the rollout does not begin, or does not end with a promotion in time.
        """
        dag = self.api.dag(self.dag_id)
        was_paused = dag is None or bool(dag["is_paused"])
        self._end_others()
        self.api.set_paused(self.dag_id, paused=False)
        try:
            champion = self._tell()
            if was_paused:
                pause_once_over(self.api, self.dag_id, self.pause)
            return champion
        finally:
            if was_paused:
                with suppress(AirflowApiError):  # what ended the chapter may have ended Airflow, too
                    self.api.set_paused(self.dag_id, paused=True)

    def _tell(self) -> Champion:
        rollout = self._await_start()
        share = rollout.share / 100
        say(
            f"Rollout  {rollout.experiment}, started by {self.dag_id}: version {rollout.version} has "
            f"{share:g} % of the users, version {rollout.champion_version} has {100 - share:g} %"
        )
        users = self._users(rollout)
        say(
            f"Users    they convert at {CHAMPION_RATE:.0%} with version {rollout.champion_version} and at "
            f"{CHALLENGER_RATE:.0%} with version {rollout.version}; Windsock does not know that"
        )
        with users.coming(per_second=USERS_A_SECOND) as tally:
            end = self._follow(rollout)
        self._tell_end(rollout, end, tally)
        champion = self.ports.ledger.champion(self.model)
        if end.outcome is not RolloutOutcome.PROMOTED or champion is None:
            raise NotPromotedError(f"rollout {rollout.experiment} ended as {end.outcome.value}.")
        return champion

    def _end_others(self) -> None:
        """End the rollout of another version, which an interrupted demo has left: one runs at a time."""
        rollout = running_rollout(self.ports.ledger.rows(self.model))
        if rollout is None or rollout.version == self.learned.version:
            return
        ask = {"model": self.model, "experiment": rollout.experiment, "outcome": "stopped"}
        run_step("roll_back", {**ask, "reason": "another demo", "run": {"requested_by": user()}}, self.ports)
        say(f"Rollout  {rollout.experiment} of version {rollout.version} was under way: it is stopped")

    def _await_start(self) -> Rollout:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            rollout = running_rollout(self.ports.ledger.rows(self.model))
            if rollout is not None and rollout.version == self.learned.version and self._is_split(rollout):
                return rollout
            self.pause(LOOK_SECONDS)
        raise NotPromotedError(f"{self.dag_id} started no rollout within {START_SECONDS:.0f} s.")

    def _is_split(self, rollout: Rollout) -> bool:
        state = self.ports.router.state(self.model)
        return state is not None and state.plan.epoch >= rollout.step_epoch

    def _users(self, rollout: Rollout) -> Users:
        return Users(
            server_url=self.settings.server_url,
            model=self.model,
            rows=[row.features for row in self.learned.rows],
            rates={rollout.champion_version: CHAMPION_RATE, rollout.version: CHALLENGER_RATE},
            name=rollout.experiment,
        )

    def _follow(self, rollout: Rollout) -> RolloutEnd:
        """Tell each look until the rollout is over."""
        told = 0
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            ended = ended_rollouts(self.ports.ledger.rows(self.model))
            decisions = self.ports.rollouts.decisions(self.model, rollout.experiment)
            for decision in decisions[told:]:
                say(look_line(decision))
            told = len(decisions)
            for end in ended:
                if end.experiment == rollout.experiment:
                    return end
            self.pause(LOOK_SECONDS)
        raise NotPromotedError(f"no decision came out of {told} looks within {WAIT_SECONDS:.0f} s.")

    def _tell_end(self, rollout: Rollout, end: RolloutEnd, tally: Tally) -> None:
        old, new = rollout.champion_version, rollout.version
        say(
            f"Truth    {len(tally.version_of):,} users came, {tally.told:,} converted: "
            f"{tally.conversions(old):,} of {tally.units(old):,} with version {old}, "
            f"{tally.conversions(new):,} of {tally.units(new):,} with version {new}"
        )
        rows = [row for row in self.ports.ledger.rows(self.model) if row.epoch == end.epoch]
        decided = next((row.body["decision"] for row in rows if row.body.get("decision")), "none")
        seconds = (end.ended_at - end.started_at).total_seconds()
        say(
            f"End      {end.outcome.value} {seconds:.0f} s after its start: version {rows[0].version} has "
            f"all traffic; epoch {end.epoch}, decision {decided[:12]}"
        )


def look_line(decision: RolloutDecision) -> str:
    """Return a look at a rollout as one line: units, rates, interval, action and reason."""
    seen, estimate = decision.totals, decision.estimate
    interval = estimate.interval
    told = [
        f"Look {decision.number:<3} {seen.champion.units:,} and {seen.challenger.units:,} users",
        f"{_rate(estimate.champion)} and {_rate(estimate.challenger)}",
    ]
    if interval is not None:
        told.append(f"difference [{_points(interval.low)}, {_points(interval.high)}]")
    return f"{', '.join(told)}; {decision.action.value}: {decision.reason}"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _points(value: Any) -> str:
    return "-" if value is None else f"{value:+.1%}"
