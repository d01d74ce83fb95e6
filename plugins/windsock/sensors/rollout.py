"""``RolloutSensor``: waits, without a worker, for a rollout's next look or for its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.operators.base import StepOperator, by_hand, param
from windsock.ports import utc_now
from windsock.records import RolloutEnd, RolloutOutcome, RolloutState
from windsock.sensors.near import wait_if_near
from windsock.steps import Verdict
from windsock.texts import joined
from windsock.triggers.rollout import POLL_SECONDS, LookTrigger, RolloutTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger("windsock.task")


class RolloutSensor(StepOperator, SkipMixin):
    """Wait in the triggerer.

    ``mode="look"``: until the next look is due, at most one check long, and no longer than the rollout lasts;
    returns the rollout's name. A run by hand, or a dry one, does not wait. In a DAG whose runs come a check
    apart, ``nearest=True`` lets that run alone wait which is nearest to the look: half a check at most. A run
    that comes too early skips what follows, so that runs do not pile up.

    ``mode="end"``: until the rollout is over; returns its ``RolloutEnd``, whatever the outcome is: a kept
    champion is an answer, not a fault.

    Template fields: ``state``, ``version``.

    :param mode: what is waited for.
    :param state: for looks: the ``RolloutState`` of the starting task.
    :param nearest: for looks: whether to skip what follows where a later run is nearer to the look.
    :param version: for ends: the version whose rollout it is, alone or among others; empty: the next one that
        ends.
    :param poll_seconds: seconds between two looks into the ledger.
    """

    step = "start_rollout"  # whose record says when
    ui_color = "#e8f0fe"
    inherits_from_skipmixin = True
    template_fields: Sequence[str] = ("state", "version")

    def __init__(
        self,
        *,
        mode: Literal["look", "end"] = "look",
        state: Any = None,
        nearest: bool = False,
        version: str | None = None,
        poll_seconds: float = POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mode = mode
        self.state = state
        self.nearest = nearest
        self.version = version
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> Any:
        """Wait for what is asked."""
        if self.mode == "end":
            trigger = RolloutTrigger(
                self._model_name(),
                version=self.version or None,
                since=utc_now().isoformat(),
                windsock_conn_id=self.windsock_conn_id,
                poll_seconds=self.poll_seconds,
            )
            self.defer(trigger=trigger, method_name="ended")
        state, now = RolloutState.model_validate(self.state), utc_now()
        if state.rollout is None or state.look_due is None or by_hand(context) or param(context, "dry_run"):
            return self.looked(context)
        check = state.rollout.plan.length("check")
        if self.nearest and state.look_due - now > check / 2:
            return self._leave(context, state.look_due)
        due = min(state.look_due, now + check)
        if not wait_if_near(due, now):
            log.info("waiting until %s UTC for the next look", f"{due:%Y-%m-%d %H:%M:%S}")
            look = LookTrigger(
                self._model_name(),
                experiment=state.rollout.experiment,
                due=due.isoformat(),
                windsock_conn_id=self.windsock_conn_id,
                poll_seconds=self.poll_seconds,
            )
            self.defer(trigger=look, method_name="looked")
        return self.looked(context)

    def _leave(self, context: Context, due: datetime) -> None:
        """End green and skip what follows: a later run is nearer to the look."""
        self._end_with_verdict()
        self.verdict = Verdict(
            word="UNCHANGED",
            why=f"the next look is due at {due:%Y-%m-%d %H:%M:%S} UTC: a later run takes it",
            ids={"model": self._model_name()},
        )
        self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))

    def looked(self, context: Context, event: Any = None) -> str | None:
        """Return the name of the rollout that is looked at."""
        self._end_with_verdict()
        state = RolloutState.model_validate(self.state)
        rollout = state.rollout
        if rollout is not None and isinstance(event, dict) and event.get("over"):
            self.verdict = Verdict(
                word="UNCHANGED",
                why=f"rollout {rollout.experiment} has ended meanwhile: there is nothing to look at",
                ids={"model": state.model},
            )
            return rollout.experiment
        self.verdict = Verdict(
            word="PASS",
            why=f"rollout {rollout.experiment} of {rollout.named} is looked at"
            if rollout
            else "no rollout is under way",
            ids={"model": state.model},
        )
        return rollout.experiment if rollout else None

    def ended(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return how the rollout ended."""
        self._end_with_verdict()
        end = RolloutEnd.model_validate(event["end"])
        tried = end.all_tried
        which = f" version {end.version} of {joined(tried)}" if len(tried) > 1 else ""
        promoted = end.outcome is RolloutOutcome.PROMOTED
        how = f"{end.outcome.value}{which if promoted else ''}"
        self.verdict = Verdict(
            word="PASS",
            why=f"rollout {end.experiment} has ended: {how}; {end.reason}".rstrip("; "),
            ids={"model": str(event["model"]), "version": end.version if promoted else ",".join(tried)},
        )
        return end.model_dump(mode="json")
