"""What of the installation cannot work: server, MLflow, disk, clock, keys, model files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from windsock.records import Alert, Episode, LedgerRow, ServerFacts, Severity, Space, WindowVerdict
from windsock.records.alerts import Condition
from windsock.watchdog.loop_findings import HEARTBEAT, at, minutes

CLOCK_AHEAD = timedelta(minutes=2)
"""What is dated so much later than now was dated by a clock that was ahead."""
SHOWN = 3
WAITING_ROWS = 100_000
LOOKED = "watch:looked"
"""Key of the row that says when the watchdog looked last; it is no alert."""
LATE_LOOKS = 3


START_SERVER = (
    "read the end of its log (logs/server.log in the stack's home); if it runs and does not answer, end that "
    "process: `windsock up` starts it again by itself; else start it, by `windsock up` or `windsock serve`"
)


def server_conditions(facts: ServerFacts) -> tuple[Condition, ...]:
    """Return whether the server does not answer, or says that something is wrong with it."""
    away = not facts.status
    found = [
        Condition(
            key="watch:server",
            active=away,
            severity=Severity.CRITICAL,
            title="the prediction server does not answer",
            text=f"{facts.why.rstrip('.')}." if away else f"The server at {facts.address} answers.",
            code="WS-WATCH-019",
            next_action=(facts.next_action or START_SERVER) if away else "",
        )
    ]
    if not away:
        found.append(_degraded(facts))
    return tuple(found)


def _degraded(facts: ServerFacts) -> Condition:
    parts = list(facts.faults[:SHOWN])
    if facts.workers == 0:
        parts.append("no worker answers")
    if (facts.waiting or 0) > WAITING_ROWS:
        parts.append(
            f"{facts.waiting:,} rows of the prediction log wait to be written, limit: {WAITING_ROWS:,}"
        )
    if facts.status != "ok" and not parts:
        parts.append(f"it says only that it is {facts.status}: the private listener says why")
    return Condition(
        key="watch:server-faults",
        active=bool(parts),
        severity=Severity.HIGH,
        title="the prediction server is not well",
        text=f"The server at {facts.address}: {'; '.join(parts)}."
        if parts
        else f"The server at {facts.address} says that all is well.",
        code="WS-WATCH-021",
        next_action="read `GET /health` of the server and the end of its log; it repairs itself once the "
        "cause is gone, else end it and start it again"
        if parts
        else "",
    )


def mlflow_condition(address: str, why: str) -> Condition:
    """Return whether MLflow does not answer.

    :param why: why not; empty: it answers.
    """
    return Condition(
        key="watch:mlflow",
        active=bool(why),
        severity=Severity.MEDIUM,
        title="MLflow does not answer",
        text=f"MLflow at {address}: {why.rstrip('.')}. No version can be trained or registered; predictions, "
        "monitoring and roll back go on."
        if why
        else f"MLflow at {address} answers.",
        code="WS-WATCH-022",
        next_action="read the end of its log (logs/mlflow.log in the stack's home); if it runs and does not "
        "answer, end that process: `windsock up` starts it again by itself; else start it"
        if why
        else "",
    )


def space_condition(spaces: Sequence[Space]) -> Condition:
    """Return whether a folder's disk is nearly full."""
    low = [one for one in spaces if one.free < one.limit]
    said = "; ".join(f"{one.what} {one.path}: {size(one.free)} free" for one in low)
    limit = size(low[0].limit) if low else ""
    worst = any(one.free < one.limit / 5 for one in low)
    return Condition(
        key="watch:disk",
        active=bool(low),
        severity=Severity.CRITICAL if worst else Severity.HIGH,
        title="a disk is nearly full",
        text=f"{said}, limit: at least {limit} (WINDSOCK_MINIMUM_FREE_MB)."
        if low
        else "Every disk has space left.",
        code="WS-WATCH-028",
        next_action="free space there, or move the folder to a larger disk (docs/operations.md, Moving it); "
        "`keep_predictions_days` in include/windsock.yaml lets housekeeping remove old predictions"
        if low
        else "",
    )


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def clock_condition(
    model: str,
    now: datetime,
    *,
    rows: Iterable[LedgerRow] = (),
    windows: Iterable[WindowVerdict] = (),
    episodes: Iterable[Episode] = (),
    alerts: Iterable[Alert] = (),
    logged: datetime | None = None,
) -> Condition:
    """Return whether something was written by a clock that is ahead of this one.

    :param logged: the newest hour of the prediction log; ``None``: not known.
    """
    latest: Mapping[str, datetime | None] = {
        "rows of the ledger": max((row.at for row in rows), default=None),
        "verdicts": max((one.judged_at for one in windows), default=None),
        "episodes": max((one.opened_at for one in episodes), default=None),
        "alerts": max((one.last_at for one in alerts), default=None),
        "the prediction log": logged,
    }
    ahead = {what: when for what, when in latest.items() if when is not None and when - now > CLOCK_AHEAD}
    said = "; ".join(f"{what} up to {at(when)}, {minutes(when - now)} ahead" for what, when in ahead.items())
    return Condition(
        key="watch:clock",
        active=bool(ahead),
        severity=Severity.HIGH,
        title=f"{model}: a clock is ahead, or this one is behind",
        text=f"It is {at(now)} here, and there are {said}; limit: {minutes(CLOCK_AHEAD)}."
        if ahead
        else f"Nothing of {model} is dated in the future.",
        code="WS-WATCH-029",
        next_action="compare `date -u` on every machine and let NTP set it; verdicts dated ahead are judged "
        "again once their time has come, and this ends when now is later than what was written"
        if ahead
        else "",
    )


def key_condition(why: str) -> Condition:
    """Return whether the installation cannot sign.

    :param why: why not; empty: it can.
    """
    return Condition(
        key="watch:key",
        active=bool(why),
        severity=Severity.HIGH,
        title="the installation has no signing key",
        text=f"{why.rstrip('.')}: no bundle and no row of the ledger can be signed."
        if why
        else "The installation has a signing key.",
        code="WS-WATCH-030",
        next_action="`windsock keys init` makes one where there never was one; else bring keys/ back from "
        "the backup"
        if why
        else "",
    )


def files_condition(broken: Sequence[str]) -> Condition:
    """Return whether model files cannot be used.

    :param broken: one sentence for each.
    """
    more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    return Condition(
        key="watch:model-files",
        active=bool(broken),
        severity=Severity.HIGH,
        title=f"{len(broken)} model files cannot be used" if broken else "model files cannot be used",
        text=f"{'; '.join(one.rstrip('. ') for one in broken[:SHOWN])}{more}. Their DAGs are gone until then."
        if broken
        else "Every model file can be used.",
        code="WS-WATCH-026",
        next_action="`windsock validate` names file, line, key and cure; the DAGs are back half a minute "
        "after the file is right"
        if broken
        else "",
    )


def unknown_condition(unknown: Sequence[str]) -> Condition:
    """Return whether something could not be asked, so that nobody knows whether it is well.

    :param unknown: one sentence for each.
    """
    more = f"; and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return Condition(
        key="watch:unknown",
        active=bool(unknown),
        severity=Severity.MEDIUM,
        title="the watchdog could not look at everything",
        text=f"{'; '.join(one.rstrip('. ') for one in unknown[:SHOWN])}{more}."
        if unknown
        else "The watchdog could look at everything.",
        code="WS-WATCH-031",
        next_action="do what the named code of docs/runbook.md says; it is asked again in two minutes"
        if unknown
        else "",
    )


def looked_condition(last: Alert | None, now: datetime) -> Condition:
    """Return whether the watchdog has not looked for too long; judged by who asks from outside.

    :param last: the row that it keeps; ``None``: it never looked.
    """
    limit = LATE_LOOKS * HEARTBEAT
    late = last is None or now - last.last_at > limit
    seen = f"last looked {at(last.last_at)}, {minutes(now - last.last_at)} ago" if last else "never looked"
    return Condition(
        key="watch:watchdog",
        active=late,
        severity=Severity.HIGH,
        title="the watchdog does not look",
        text=f"windsock__watchdog {seen}, limit: {minutes(limit)}: nothing starts a monitor or a rollout, "
        "and no finding is told."
        if late
        else f"windsock__watchdog {seen}.",
        code="WS-WATCH-032",
        next_action="see that Airflow's scheduler runs (`windsock up` starts all of it) and that the DAG is "
        "switched on in Airflow's list of DAGs"
        if late
        else "",
    )


def airflow_condition(address: str, why: str) -> Condition:
    """Return whether Airflow does not answer; judged by who asks from outside.

    :param why: why not; empty: it answers.
    """
    return Condition(
        key="watch:airflow",
        active=bool(why),
        severity=Severity.HIGH,
        title="Airflow does not answer",
        text=f"Airflow at {address}: {why.rstrip('.')}. Predictions and `windsock rollback` go on."
        if why
        else f"Airflow at {address} answers.",
        code="WS-WATCH-033",
        next_action="start it: `windsock up`, or what runs Airflow here; its logs are in logs/ of the "
        "stack's home"
        if why
        else "",
    )
