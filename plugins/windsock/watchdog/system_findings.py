"""What of the installation cannot work: server, MLflow, disk, clock, keys, model files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from windsock.records import (
    Alert,
    Episode,
    LedgerRow,
    PartFacts,
    ServerFacts,
    Severity,
    Space,
    WindowVerdict,
)
from windsock.records.alerts import CLOCK_AHEAD, Condition, is_ahead
from windsock.records.watch_facts import SILENT_SECONDS
from windsock.texts import first_of
from windsock.watchdog.finding import finding
from windsock.watchdog.loop_findings import HEARTBEAT, at, minutes

SHOWN = 3
WAITING_ROWS = 100_000
LOOKED = "watch:looked"
"""Key of the row that says when the watchdog looked last; it is no alert."""
LATE_LOOKS = 3
SERVER_AWAY = "WS-WATCH-019"
"""Code of what is found about a server that does not answer."""


def restart(part: str) -> str:
    """Return what to do with a program that does not answer.

    :param part: its name in a stack of ``windsock up``.
    """
    return (
        f"`windsock stack restart {part}` where `windsock up` runs it, which also ends one that hangs; "
        f"if it is away again, its log says why (logs/{part}.log in the stack's home). Elsewhere end the "
        "process and start it as it was started"
    )


START_SERVER = restart("server")


def server_conditions(facts: ServerFacts) -> tuple[Condition, ...]:
    """Return whether the server does not answer, or says that something is wrong with it."""
    away = not facts.status
    found = [
        finding(
            "server",
            SERVER_AWAY,
            Severity.CRITICAL,
            "the prediction server does not answer",
            active=away,
            wrong=f"{facts.why.rstrip('.')}.",
            well=f"The server at {facts.address} answers.",
            next_action=facts.next_action or START_SERVER,
        )
    ]
    if not away:
        found.append(_degraded(facts))
    return tuple(found)


def _degraded(facts: ServerFacts) -> Condition:
    parts = [one.rstrip(". ") for one in facts.faults[:SHOWN]]
    if facts.workers == 0:
        parts.append("no worker answers")
    if (facts.waiting or 0) > WAITING_ROWS:
        parts.append(
            f"{facts.waiting:,} rows of the prediction log wait to be written, limit: {WAITING_ROWS:,}"
        )
    if facts.status != "ok" and not parts:
        parts.append(f"it says only that it is {facts.status}: the private listener says why")
    return finding(
        "server-faults",
        "WS-WATCH-021",
        Severity.HIGH,
        "the prediction server is not well",
        active=bool(parts),
        wrong=f"The server at {facts.address}: {'; '.join(parts)}.",
        well=f"The server at {facts.address} says that all is well.",
        next_action="do what stands there; it repairs itself once the cause is gone. `GET /health` of the "
        "server and the end of its log (logs/server.log in the stack's home) say more. Else "
        f"{restart('server')}",
    )


def mlflow_condition(address: str, why: str) -> Condition:
    """Return whether MLflow does not answer.

    :param why: why not; empty: it answers.
    """
    return finding(
        "mlflow",
        "WS-WATCH-022",
        Severity.MEDIUM,
        "MLflow does not answer",
        active=bool(why),
        wrong=f"MLflow at {address}: {why.rstrip('.')}. No version can be trained or registered; "
        "predictions, monitoring and roll back go on.",
        well=f"MLflow at {address} answers.",
        next_action=restart("mlflow"),
    )


def space_condition(spaces: Sequence[Space]) -> Condition:
    """Return whether a folder's disk is nearly full."""
    low = [one for one in spaces if one.free < one.limit]
    said = "; ".join(f"{one.what} {one.path}: {size(one.free)} free" for one in low)
    limit = size(low[0].limit) if low else ""
    worst = any(one.free < one.limit / 5 for one in low)
    return finding(
        "disk",
        "WS-WATCH-028",
        Severity.CRITICAL if worst else Severity.HIGH,
        "a disk is nearly full",
        active=bool(low),
        wrong=f"{said}, limit: at least {limit} (WINDSOCK_MINIMUM_FREE_MB).",
        well="Every disk has space left.",
        next_action="free space there, or move the folder to a larger disk (docs/operations.md, Moving it); "
        "`keep_predictions_days` in include/windsock.yaml lets housekeeping remove old predictions",
    )


def unwritable_condition(why: Sequence[str]) -> Condition:
    """Return whether a folder that everything is written to cannot be written.

    :param why: one sentence for each.
    """
    return finding(
        "unwritable",
        "WS-WATCH-042",
        Severity.HIGH,
        "nothing can be written",
        active=bool(why),
        wrong=f"{_first(why)}. No version can be trained; finished hours of the prediction log wait.",
        well="Home and storage root can be written.",
        next_action="see what lies there (`ls -ld`): it must be a folder on a disk that is mounted writable "
        "and that the user who runs Windsock may write; move away what is in its place, or give it back by "
        "chown and chmod",
    )


def parts_condition(silent: Sequence[PartFacts]) -> Condition:
    """Return whether one of Airflow's own programs gives no sign of life.

    :param silent: those that do not.
    """
    said = ", ".join(
        f"{one.part} ({f'silent for {one.silent:,.0f} s' if one.silent is not None else 'never seen'})"
        for one in silent
    )
    first = f"airflow-{silent[0].part.replace('_', '-')}" if silent else ""
    return finding(
        "airflow-parts",
        "WS-WATCH-041",
        Severity.HIGH,
        "a program of Airflow gives no sign of life",
        active=bool(silent),
        wrong=f"{said}, limit: {SILENT_SECONDS:g} s. {_without(silent)}",
        well="Every program of Airflow gives signs of life.",
        next_action=restart(first) if first else "",
    )


def _without(silent: Sequence[PartFacts]) -> str:
    effects = {
        "scheduler": "No task starts.",
        "dag_processor": "New and changed model files and DAGs are not taken up.",
        "triggerer": "What waits, such as a question or a window, goes on waiting.",
    }
    return " ".join(effects[one.part] for one in silent if one.part in effects)


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
        "alerts": max((when for one in alerts for when in _times(one)), default=None),
        "the prediction log": logged,
    }
    ahead = {what: when for what, when in latest.items() if when is not None and is_ahead(when, now)}
    said = "; ".join(f"{what} up to {at(when)}, {minutes(when - now)} ahead" for what, when in ahead.items())
    return finding(
        "clock",
        "WS-WATCH-029",
        Severity.HIGH,
        f"{model}: a clock is ahead, or this one is behind",
        active=bool(ahead),
        wrong=f"It is {at(now)} here, and there are {said}; limit: {minutes(CLOCK_AHEAD)}.",
        well=f"Nothing of {model} is dated in the future.",
        next_action="compare `date -u` on every machine and let NTP set it; verdicts dated ahead are judged "
        "again once their time has come, and this ends when now is later than what was written",
    )


def _times(alert: Alert) -> tuple[datetime, ...]:
    """Return the times by which an alert is judged; of one that is over and told, none any more."""
    if alert.state == "resolved" and not alert.pending and alert.key != LOOKED:
        return ()
    kept = (alert.last_at, alert.first_at, alert.sent_at, alert.resolved_at, alert.due_at)
    return tuple(one for one in kept if one is not None)


def key_condition(why: str) -> Condition:
    """Return whether the installation cannot sign.

    :param why: why not; empty: it can.
    """
    return finding(
        "key",
        "WS-WATCH-030",
        Severity.HIGH,
        "the installation has no signing key",
        active=bool(why),
        wrong=f"{why.rstrip('.')}: no bundle and no row of the ledger can be signed.",
        well="The installation has a signing key.",
        next_action="`windsock keys init` makes one where there never was one; else bring keys/ back from "
        "the backup",
    )


def _first(sentences: Sequence[str]) -> str:
    return first_of([one.rstrip(". ") for one in sentences], SHOWN, separator="; ")


def files_condition(broken: Sequence[str]) -> Condition:
    """Return whether model files cannot be used.

    :param broken: one sentence for each.
    """
    return finding(
        "model-files",
        "WS-WATCH-026",
        Severity.HIGH,
        f"{len(broken)} model files cannot be used" if broken else "model files cannot be used",
        active=bool(broken),
        wrong=f"{_first(broken)}. Their DAGs are gone until then.",
        well="Every model file can be used.",
        next_action="`windsock validate` names file, line, key and cure; the DAGs are back half a minute "
        "after the file is right",
    )


def unknown_condition(unknown: Sequence[str]) -> Condition:
    """Return whether something could not be asked, so that nobody knows whether it is well.

    :param unknown: one sentence for each.
    """
    return finding(
        "unknown",
        "WS-WATCH-031",
        Severity.MEDIUM,
        "the watchdog could not look at everything",
        active=bool(unknown),
        wrong=f"{_first(unknown)}.",
        well="The watchdog could look at everything.",
        next_action="where a code is named, do what docs/runbook.md says of it; else see that what is named "
        "answers. It is asked again at the next look",
    )


def looked_condition(last: Alert | None, now: datetime) -> Condition:
    """Return whether the watchdog has not looked for too long; judged by who asks from outside.

    :param last: the row that it keeps; ``None``: it never looked.
    """
    limit = LATE_LOOKS * HEARTBEAT
    ahead = last is not None and is_ahead(last.last_at, now)
    late = last is None or ahead or now - last.last_at > limit
    seen, first = "never looked", ""
    if last is not None and ahead:
        seen = (
            f"last looked {at(last.last_at)}, {minutes(last.last_at - now)} after now, limit: "
            f"{minutes(CLOCK_AHEAD)}; a clock is wrong, and nobody knows when it was. While it does not look"
        )
        first = "compare `date -u` on every machine and let NTP set it; "
    elif last is not None:
        seen = f"last looked {at(last.last_at)}, {minutes(max(now, last.last_at) - last.last_at)} ago"
    wrong = f"{seen}," if ahead else f"{seen}, limit: {minutes(limit)}:"
    return finding(
        "watchdog",
        "WS-WATCH-032",
        Severity.HIGH,
        "the watchdog does not look",
        active=late,
        wrong=f"windsock__watchdog {wrong} nothing starts a monitor or a rollout, and no finding is told.",
        well=f"windsock__watchdog {seen}.",
        next_action=f"{first}see that Airflow's scheduler runs (`windsock up` starts all of it) and that "
        "the DAG is switched on in Airflow's list of DAGs",
    )


def airflow_condition(address: str, why: str) -> Condition:
    """Return whether Airflow does not answer; judged by who asks from outside.

    :param why: why not; empty: it answers.
    """
    return finding(
        "airflow",
        "WS-WATCH-033",
        Severity.HIGH,
        "Airflow does not answer",
        active=bool(why),
        wrong=f"Airflow at {address}: {why.rstrip('.')}. Predictions and `windsock rollback` go on.",
        well=f"Airflow at {address} answers.",
        next_action=restart("airflow-api"),
    )
