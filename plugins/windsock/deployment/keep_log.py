"""What retention leaves of the prediction log: the hours that running rollouts are counted from."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from windsock.exceptions import WindsockError
from windsock.ports import Ports
from windsock.records import running_rollout
from windsock.spec import parse_duration

log = logging.getLogger(__name__)

MARGIN = timedelta(hours=2)
"""Hours just before what is needed stay, too: a clock that was set may have put rows there."""
ALL = datetime.min.replace(tzinfo=UTC)


def remove_older(ports: Ports, than: datetime, *, broken: Collection[str] = ()) -> int:
    """Remove hours of the prediction log that ended before a time; return how many files.

    Of a model with a rollout under way all that is counted for it stays: it is counted anew when what was
    kept of it is lost. Of a model whose ledger does not say whether there is one, everything stays.

    :param broken: models whose ledger is not to be trusted.
    :raises WindsockError: if the ledger does not say which models there are, or something cannot be removed.
    """
    sound = [model for model in ports.ledger.models() if model not in broken]
    needed = {**dict.fromkeys(broken, ALL), **{model: _needed_from(ports, model) for model in sound}}
    return ports.predictions.remove_older(
        than, needed={model: since for model, since in needed.items() if since is not None}
    )


def _needed_from(ports: Ports, model: str) -> datetime | None:
    try:
        rollout = running_rollout(ports.ledger.rows(model))
    except WindsockError as error:
        log.warning(
            "retention: the log of %s stays whole: its ledger does not say what runs (%s)", model, error.code
        )
        return ALL
    if rollout is None:
        return None
    plan = rollout.plan
    asked = (plan.pre_period, plan.attribution, *(block.attribution for block in plan.metrics.values()))
    before = max((parse_duration(length) for length in asked if length), default=timedelta(0))
    return rollout.started_at - before - MARGIN


__all__ = ["remove_older"]
