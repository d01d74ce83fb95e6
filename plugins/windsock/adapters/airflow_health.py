"""Whether Airflow's own programs are alive, by the health that its API server reports to anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from windsock.records import PartFacts
from windsock.records.watch_facts import SILENT_SECONDS

PARTS = ("scheduler", "dag_processor", "triggerer")
SECONDS = 3.0


def silent_parts(address: str) -> Sequence[PartFacts] | None:
    """Return the programs that gave no sign of life for a minute.

    :param address: of Airflow's API server.
    :returns: ``None``: what answers there does not say.
    """
    if not address.startswith(("http://", "https://")):
        return None
    try:
        answer = httpx.get(f"{address}/api/v2/monitor/health", timeout=SECONDS, trust_env=False)
        said = answer.raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return silent_in(said, datetime.now(UTC)) if isinstance(said, Mapping) else None


def silent_in(said: Mapping[str, Any], now: datetime) -> Sequence[PartFacts] | None:
    """Return the programs that a report of health calls unhealthy and that were silent for too long.

    Airflow itself takes half a minute for too long, which a busy machine may need.

    :returns: ``None``: it is no report of health.
    """
    known = {part: said[part] for part in PARTS if isinstance(said.get(part), Mapping)}
    if not known:
        return None
    found = []
    for part, facts in known.items():
        if facts.get("status") == "healthy":
            continue
        silent = _silent(facts.get(f"latest_{part}_heartbeat"), now)
        if silent is None or silent > SILENT_SECONDS:
            found.append(PartFacts(part=part, silent=silent))
    return found


def _silent(heartbeat: object, now: datetime) -> float | None:
    """Return for how many seconds a program was silent; ``None``: it never gave a sign of life."""
    try:
        seen = datetime.fromisoformat(str(heartbeat))
        return max(0.0, (now - seen).total_seconds())
    except (TypeError, ValueError):
        return None
