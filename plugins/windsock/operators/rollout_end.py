"""How rollouts end and what keeps them from going on, told to whoever must know."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.hooks.alerts import tell_rollouts
from windsock.operators.assets import emit, rollout_asset
from windsock.records import RolloutEnd, ended_rollouts
from windsock.spec import SharedSpec

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.operators.base import StepOperator
    from windsock.ports import Ports

log = logging.getLogger("windsock.task")


def emit_end(operator: StepOperator, context: Context, ports: Ports, experiment: str) -> RolloutEnd | None:
    """Emit the event of a rollout's end.

    A task that is tried again emits it again: the event names the rollout.

    :returns: the end; ``None``: the rollout goes on.
    """
    model = operator.model_spec().name
    ended = ended_rollouts(ports.ledger.rows(model))
    end = next((one for one in ended if one.experiment == experiment), None)
    if end is None:
        return None
    log.info("rollout %s has ended: %s; %s", end.experiment, end.outcome.value, end.reason)
    emit(operator, context, rollout_asset(model), end.model_dump(mode="json"))
    return end


def send_rollout_alerts(
    operator: StepOperator, ports: Ports, *, shared: SharedSpec | Mapping[str, Any]
) -> None:
    """Tell the model's owner what is wrong with its rollouts, and what is over; each is told once.

    :param shared: the alert channels.
    """
    for alert in tell_rollouts(operator.model_spec(), SharedSpec.model_validate(shared), ports):
        log.info("%s %s: %s", alert.state, alert.key, alert.text)
