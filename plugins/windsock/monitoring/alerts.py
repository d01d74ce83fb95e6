"""Alerts: what of a judged window a person must know, and when it is told again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from windsock.monitoring.better_than_broken import better_than_broken_text
from windsock.monitoring.breaker_text import reset_command
from windsock.monitoring.performance_anomalies import SCORES
from windsock.monitoring.performance_checks import DROP, FLOOR, POSITIVE_RATE, QUALITY
from windsock.monitoring.performance_severity import kind_of, severity_of
from windsock.monitoring.performance_verdict import quality_of
from windsock.monitoring.undated import undated_of
from windsock.monitoring.unjudged import CODES
from windsock.records import (
    Alert,
    DriftReport,
    PerformanceReport,
    RetrainDecision,
    RetrainOrder,
    Severity,
    Status,
    WindowKind,
)
from windsock.records.alerts import Condition as Condition
from windsock.records.alerts import is_ahead
from windsock.records.check_text import named_check
from windsock.records.retraining import AGAINST
from windsock.spec import ModelSpec, parse_duration
from windsock.texts import first_of, one_line, shortened

INSUFFICIENT: dict[WindowKind, Severity] = {"drift": Severity.LOW, "performance": Severity.MEDIUM}
"""Of a model that is not judged: nobody knows that its answers are good, or only that questions are alike."""
CURED: dict[str, WindowKind] = {**dict.fromkeys(QUALITY, "performance"), SCORES: "drift"}
"""Checks that a pattern of the week fails, and which windows would hold it."""
SHOWN_COLUMNS, SHOWN_CHARACTERS = 10, 1_000


class AlertPlan(NamedTuple):
    """What becomes of the alerts.

    :param send: to be sent now; each is ``pending`` until a channel has taken it.
    :param note: seen again, or over without anybody having been told: only kept.
    """

    send: tuple[Alert, ...]
    note: tuple[Alert, ...]


class Recipient(NamedTuple):
    """Whom alerts of a model, or of the installation, are for.

    :param name: the model's name.
    :param repeat: how often an alert that stands is told again.
    """

    name: str
    owner: str
    channel: str | None = None
    runbook: str = ""
    repeat: timedelta = timedelta(days=1)

    @classmethod
    def of(cls, spec: ModelSpec) -> Recipient:
        """Return whom a model's file names."""
        block = spec.monitoring
        return cls(
            spec.name,
            spec.model.owner,
            block.alert_channel,
            spec.model.runbook,
            parse_duration(block.alert_repeat),
        )


def conditions_of(
    drift: DriftReport | None, performance: PerformanceReport | None, decision: RetrainDecision | None
) -> tuple[Condition, ...]:
    """Return what the reports and the decision say about each thing that may be wrong.

    :param drift: the report of the latest window; ``None``: none was made.
    :param performance: likewise.
    :param decision: what the trigger policy made of them.
    """
    found: list[Condition] = []
    episode = decision.episode.key if decision and decision.episode else None
    follows = _what_follows(decision)
    if drift is not None:
        found += _drift_conditions(drift, episode, follows)
    if performance is not None:
        found += _performance_conditions(performance, episode, follows)
    if decision is not None:
        found.append(
            Condition(
                key="retrain:breaker",
                active=decision.breaker,
                severity=Severity.CRITICAL,
                title=f"{decision.model}: retraining has stopped",
                text=f"{_tried(decision)}{_how_it_ends(decision)}: {reset_command(decision.model)}. "
                f"{_bare(decision.reason)}.",
            )
        )
    return tuple(found)


def _how_it_ends(decision: RetrainDecision) -> str:
    until = "until a version is promoted or a person resets it"
    if "performance" in decision.stopped:
        until = f"but for one at a time as loss or labelled answers double, {until}"
    return f"No retrain{_against(decision)} follows {until}"


def _tried(decision: RetrainDecision) -> str:
    return f"{decision.tried[0].upper()}{decision.tried[1:]}. " if decision.tried else ""


def _against(decision: RetrainDecision) -> str:
    """Return against what alone no retrain follows; empty: against nothing."""
    stopped = set(decision.stopped)
    if not stopped or {"performance", "drift"} <= stopped:
        return ""
    if stopped == {"event"}:
        return " that an event from outside asks for"
    too = ", or as an event from outside asks," if stopped == {"performance", "event"} else ""
    return f" against {AGAINST[decision.stopped[0]]}{too}"


def _what_follows(decision: RetrainDecision | None) -> str:
    if decision is None:
        return ""
    if decision.order is RetrainOrder.WAIT:
        return _what_it_waits_for(decision)
    if decision.order is RetrainOrder.GRANT:
        return " A retrain is announced."
    until = f" before {decision.not_before:%Y-%m-%d %H:%M} UTC" if decision.not_before else ""
    return f" No retrain follows{until}."


def _what_it_waits_for(decision: RetrainDecision) -> str:
    waits = decision.waits_for
    return f" A retrain waits for labelled answers since the change: {waits.told}." if waits else ""


def _drift_conditions(report: DriftReport, episode: str | None, follows: str) -> list[Condition]:
    where = f"{report.model} version {report.version}, window to {report.window.end:%Y-%m-%d %H:%M} UTC"
    named = f" Columns: {first_of(report.drifted, SHOWN_COLUMNS)}." if report.drifted else ""
    failed = report.status is Status.FAIL
    found = [_unjudged("drift", report.model, where, report.status, report.reason)]
    found += _insufficient("drift", report, where, is_judged=report.status in (Status.PASS, Status.FAIL))
    if report.status in (Status.PASS, Status.FAIL):
        found.append(
            Condition(
                key="drift",
                active=failed,
                severity=_at_least_low(report.severity),
                title=f"{report.model}: drift",
                text=f"{where}: {_bare(report.reason)}.{named}{_cure(report, 'drift') if failed else ''}"
                f"{follows if failed else ''}",
                episode=episode if failed else None,
            )
        )
    return found


def _performance_conditions(report: PerformanceReport, episode: str | None, follows: str) -> list[Condition]:
    where = f"{report.model} version {report.version}, window to {report.window.end:%Y-%m-%d %H:%M} UTC"
    if report.lookback is not None and report.lookback.end < report.window.end:
        where += f", labels of answers up to {report.lookback.end:%Y-%m-%d %H:%M} UTC"
    found = [_unjudged("performance", report.model, where, report.status, report.reason)]
    by_rate = any(check.name == POSITIVE_RATE and check.passed for check in report.checks)
    is_judged = by_rate or quality_of(report.checks) in (Status.PASS, Status.FAIL)
    found += _insufficient("performance", report, where, is_judged=is_judged)
    for check in report.checks:
        lasts = report.better_than_broken is not None and kind_of(check) == DROP and not check.passed
        if check.status not in (Status.PASS, Status.FAIL) and not lasts:
            continue
        failed = check.status is Status.FAIL or lasts
        about = CURED.get(kind_of(check))
        found.append(
            Condition(
                key=f"performance:{check.name}",
                active=failed,
                severity=_at_least_low(severity_of([check])),
                title=f"{report.model}: {check.name}",
                text=f"{where}: {_bare(named_check(check))}."
                f"{_cure(report, about) if about and failed else ''}"
                f"{follows if failed else ''}",
                episode=episode if failed else None,
            )
        )
    return [_still_broken(one, report) for one in found]


def _still_broken(condition: Condition, report: PerformanceReport) -> Condition:
    """Return a condition as it is while a version serves that only beat a broken champion: critical."""
    said = better_than_broken_text(report.better_than_broken, report.baseline_version)
    is_floor = any(condition.key.startswith(f"performance:{kind}:") for kind in FLOOR)
    if not said or not condition.active or not is_floor:
        return condition
    return condition._replace(
        severity=Severity.CRITICAL, text=f"{condition.text} {said[0].upper()}{said[1:]}."
    )


def _cure(report: DriftReport | PerformanceReport, kind: WindowKind) -> str:
    """Return what would tell a pattern of the week from trouble, where the report says so."""
    told = undated_of(report.findings, kind)
    return f" {told}." if told else ""


def _unjudged(kind: str, model: str, where: str, status: Status, reason: str) -> Condition:
    return Condition(
        key=f"unjudged:{kind}",
        active=status is Status.ERROR,
        severity=Severity.MEDIUM,
        title=f"{model}: {kind} could not be judged",
        text=f"{where}: {_bare(reason)}.",
    )


def _insufficient(
    kind: WindowKind, report: DriftReport | PerformanceReport, where: str, *, is_judged: bool
) -> list[Condition]:
    """Return the condition that a model is not judged for long: it ends once a window is judged."""
    told = next((one for one in report.findings if one.startswith(CODES[kind])), None)
    if told is None and not is_judged:
        return []
    return [
        Condition(
            key=f"insufficient:{kind}",
            active=told is not None,
            severity=INSUFFICIENT[kind],
            title=f"{report.model}: {kind} is not judged",
            text=f"{where}: {_bare(told or report.reason)}.",
        )
    ]


def _bare(sentence: str) -> str:
    return sentence.rstrip(". ")


def _at_least_low(severity: Severity) -> Severity:
    return severity if severity.rank else Severity.LOW


def decide_alerts(
    conditions: Iterable[Condition],
    known: Sequence[Alert],
    now: datetime,
    repeat: timedelta,
    *,
    spec: ModelSpec | Recipient,
) -> AlertPlan:
    """Return which alerts are sent now.

    An alert is sent when it begins, when it becomes more severe, when an episode opens for it, again after
    ``repeat`` while it stands, and once when it is over; what no channel took is tried again. Of an alert
    that nobody was told, nobody is told the end.

    :param known: the present state of the model's alerts.
    :param repeat: how often an alert that stands is told again.
    :param spec: names the owner, the channel and the runbook.
    """
    to = spec if isinstance(spec, Recipient) else Recipient.of(spec)
    before = {alert.key: alert for alert in known}
    send: list[Alert] = []
    note: list[Alert] = []
    for condition in {one.key: one for one in conditions}.values():
        old = before.pop(condition.key, None)
        if condition.active:
            alert, due = _firing(condition, old, now, repeat, to)
        elif old is not None and old.state == "firing":
            alert, due = _resolved(condition, old, now)
        elif old is not None and old.pending:
            alert, due = old, True
        else:
            continue
        (send if due else note).append(alert)
    send += [_still_due(alert, to) for alert in before.values() if alert.pending]
    return AlertPlan(send=tuple(send), note=tuple(note))


def _firing(
    condition: Condition, old: Alert | None, now: datetime, repeat: timedelta, to: Recipient
) -> tuple[Alert, bool]:
    stands = old if old is not None and old.state == "firing" else None
    alert = Alert(
        model=to.name,
        key=condition.key,
        severity=condition.severity,
        title=one_line(condition.title),
        text=shortened(one_line(condition.text), SHOWN_CHARACTERS),
        owner=to.owner,
        code=condition.code,
        next_action=one_line(condition.next_action),
        channel=to.channel,
        runbook=to.runbook,
        episode=condition.episode or (stands.episode if stands else None),
        first_at=stands.first_at if stands else now,
        last_at=now,
        sent_at=stands.sent_at if stands else None,
        times=stands.times if stands else 0,
        told=old.told if old else (),
        refusal=stands.refusal if stands else "",
    )
    due = stands is None or stands.pending or _is_news(alert, stands, now, repeat)
    return alert.replace(pending=due, due_at=_due_at(stands, now) if due else None), due


def _due_at(before: Alert | None, now: datetime) -> datetime | None:
    return before.due_at if before is not None and before.pending else now


def _still_due(alert: Alert, to: Recipient) -> Alert:
    """Return what no channel took before: what stands goes where the model's file says now."""
    return alert.replace(channel=to.channel) if alert.state == "firing" else alert


def _is_news(alert: Alert, before: Alert, now: datetime, repeat: timedelta) -> bool:
    return (
        (before.sent_at is not None and (now - before.sent_at >= repeat or is_ahead(before.sent_at, now)))
        or alert.severity.rank > before.severity.rank
        or (alert.episode is not None and alert.episode != before.episode)
    )


def _resolved(condition: Condition, old: Alert, now: datetime) -> tuple[Alert, bool]:
    due = old.times > 0 or bool(old.told)
    alert = old.replace(
        state="resolved",
        text=shortened(one_line(condition.text), SHOWN_CHARACTERS),
        last_at=now,
        resolved_at=now,
        pending=due,
        due_at=_due_at(old, now) if due else None,
    )
    return alert, due


def sent(alert: Alert, now: datetime, *channels: str) -> Alert:
    """Return an alert as it stands once a channel has taken it.

    :param channels: names of those that took it: they are told its end.
    """
    told = tuple(dict.fromkeys((*alert.told, *channels))) if alert.state == "firing" else ()
    return alert.replace(
        pending=False, due_at=None, sent_at=now, times=alert.times + 1, told=told, refusal=""
    )


def silent(alert: Alert) -> Alert:
    """Return an alert that its channel does not want: it is only kept."""
    return alert.replace(pending=False, due_at=None, refusal="")
