"""How a rollout ended, told to whoever waits for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.hooks.alerts import tell_rollout
from windsock.operators.assets import emit, rollout_asset
from windsock.records import RolloutEnd, ended_rollouts
from windsock.spec import SharedSpec

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.operators.base import StepOperator
    from windsock.ports import Ports

log = logging.getLogger("windsock.task")


def tell_end(
    operator: StepOperator,
    context: Context,
    ports: Ports,
    experiment: str,
    *,
    shared: SharedSpec | Mapping[str, Any],
) -> RolloutEnd | None:
    """Emit the event of a rollout's end, and tell the model's owner where it did not end well.

    A task that is tried again tells it again: the event names the rollout.

    :param shared: the alert channels.
    :returns: the end; ``None``: the rollout goes on.
    """
    spec = operator.model_spec()
    ended = ended_rollouts(ports.ledger.rows(spec.name))
    end = next((one for one in ended if one.experiment == experiment), None)
    if end is None:
        return None
    log.info("rollout %s has ended: %s; %s", end.experiment, end.outcome.value, end.reason)
    emit(operator, context, rollout_asset(spec.name), end.model_dump(mode="json"))
    for alert in tell_rollout(spec, SharedSpec.model_validate(shared), ports.monitor, end, now=ports.now()):
        log.info("%s %s: %s", alert.state, alert.key, alert.text)
    return end
