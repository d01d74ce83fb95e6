"""What a promotion makes of the accepted baseline, and whether it is one during a loss."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from windsock.door import evidence_of
from windsock.exceptions import GateRefusedError, UnverifiedBundleError
from windsock.ports import Ports
from windsock.records import (
    Champion,
    Episode,
    EpisodeState,
    LedgerAction,
    LedgerRow,
    RetrainOutcome,
    Status,
    baseline_of,
    registration_of,
)
from windsock.records.accepted_drift import Accepted, accepted_until, is_accepted
from windsock.records.stretches import open_stretch

log = logging.getLogger(__name__)


def baseline_body(
    ports: Ports, rows: Sequence[LedgerRow], pack: Mapping[str, Any], champion: Champion | None
) -> dict[str, Any]:
    """Return what the row of a promotion keeps of the baseline.

    A version sets one if it is the first, or was proved better than the present champion while neither a loss
    nor an episode was open. During a loss it is better than broken.

    :param pack: the version's signed evidence.
    :param champion: the present one; ``None``: there is none.
    """
    if champion is None:
        return _kept(_held_out(pack))
    model = champion.model
    waiting = [one for one in ports.monitor.episodes(model) if is_under_way(one)]
    lost_since = _lost_since(ports, model, waiting, accepted_until(rows, champion.digest, ports.now()))
    if not waiting and lost_since is None and _is_proved(pack, champion):
        return _kept(_held_out(pack))
    body: dict[str, Any] = {}
    if lost_since is not None:
        since = lost_since.astimezone(UTC)
        body["better_than_broken"] = since.isoformat()
        body["reason"] = f"better than broken: performance has been lost since {since:%Y-%m-%d %H:%M} UTC"
    if baseline_of(rows) is None:  # a ledger of before: what was asked until now is asked on
        metrics = _held_out(_pack_of(ports, rows, champion))
        body |= _kept(metrics) | ({"baseline_digest": champion.digest} if metrics else {})
    return body


def is_under_way(episode: Episode) -> bool:
    """Return whether an episode is open, or its version has its rollout still before it."""
    return episode.state is not EpisodeState.CLOSED or episode.outcome is RetrainOutcome.QUEUED


def _lost_since(ports: Ports, model: str, waiting: Sequence[Episode], accepted: Accepted) -> datetime | None:
    """Return since when performance has been lost; ``None``: it is not.

    :param accepted: what a person has accepted is no loss any more.
    """
    asked = [
        one
        for one in waiting
        if one.trigger == "performance" and not accepted.covers(one.trigger, one.span.end)
    ]
    if asked:
        return asked[0].onset or asked[0].span.start
    windows = ports.monitor.windows(model, "performance")
    seen = [one for one in windows if not is_accepted(one, accepted)]
    # A clock that was set back hides no loss.
    now = max([ports.now(), *(one.window.end for one in seen if one.status is Status.FAIL)])
    stretch = open_stretch(seen, "performance", now=now)
    return stretch.span.start if stretch else None


def _is_proved(pack: Mapping[str, Any], champion: Champion) -> bool:
    """Return whether the whole interval of the gain over the present champion is above 0."""
    evaluation = pack.get("evaluation") or {}
    met = evaluation.get("champion") or {}
    interval = (evaluation.get("against_champion") or {}).get("interval")
    return met.get("digest") == champion.digest and interval is not None and interval["low"] > 0


def _held_out(pack: Mapping[str, Any]) -> list[dict[str, Any]]:
    metrics = (pack.get("evaluation") or {}).get("metrics") or []
    return [metric for metric in metrics if metric["value"] is not None]


def _kept(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    return {"baseline": metrics} if metrics else {}


def _pack_of(ports: Ports, rows: Sequence[LedgerRow], champion: Champion) -> Mapping[str, Any]:
    """Return the evidence of a champion; a champion whose evidence is lost holds no promotion up."""
    commits = [row for row in rows if row.action is LedgerAction.COMMIT and row.digest == champion.digest]
    evidence = commits[-1].body.get("evidence_digest")
    registered = registration_of(rows, champion.version, champion.digest, evidence)
    if registered is None:
        return {}
    try:
        return evidence_of(ports, registered)
    except (UnverifiedBundleError, GateRefusedError) as error:
        log.warning(
            "%s: %s: no baseline is known from version %s: %s",
            champion.model,
            error.code,
            champion.version,
            error.message,
        )
        return {}
