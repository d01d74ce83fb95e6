"""What the watchdog found, kept and told: one alert for each finding, once, and once when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from windsock.exceptions import WindsockError
from windsock.hooks.alerts import log_alert, tell_findings
from windsock.monitoring.alerts import Recipient, decide_alerts
from windsock.ports import Monitor, Ports, Samples
from windsock.records import INSTALLATION, Alert, Condition, Severity
from windsock.spec import ModelSpec, SharedSpec
from windsock.watchdog.airflow_answers import AirflowAnswers
from windsock.watchdog.findings import find
from windsock.watchdog.system_findings import LOOKED, SERVER_AWAY
from windsock.watchdog.turns import turns

LOOKED_GAUGE = "windsock_watchdog_last_look_timestamp_seconds"
FIRING_GAUGE = "windsock_alerts_firing"
SEVERITIES = tuple(one for one in Severity if one is not Severity.NONE)


class Told(NamedTuple):
    """What became of one look's findings.

    :param firing: findings that are open, of all that were judged.
    :param opened: findings that were not open before.
    :param resolved: findings that are over.
    :param faults: what could not be kept or told, one sentence each.
    """

    firing: int = 0
    opened: int = 0
    resolved: int = 0
    faults: tuple[str, ...] = ()


def find_and_tell(
    specs: Sequence[ModelSpec],
    broken: Sequence[str],
    shared: SharedSpec,
    ports: Ports,
    airflow: AirflowAnswers,
) -> Told:
    """Look for what cannot work, keep it as findings and tell people.

    Nothing is raised: what could not be kept or told is a fault, and logged.

    :param broken: one sentence for each model file that cannot be used.
    :param airflow: answers about DAGs.
    """
    now = ports.now()
    found = find(specs, broken, ports, airflow, in_turn=turns(len(specs), now))
    by_name = {spec.name: Recipient.of(spec) for spec in specs}
    told, slow = Told(), dict[str, str]()
    for model, conditions in found.conditions.items():
        to = by_name.get(model) or installation_recipient(shared, model)
        try:
            told = _sum(told, tell_one(to, shared, ports.monitor, conditions, now, slow))
        except Exception as error:  # what is found is told all the same, and the others have their turn
            told = _sum(told, _log_alone(to, conditions, now))
            told = told._replace(faults=(*told.faults, f"findings of {model}: {_named(error)}"))
    try:
        ports.monitor.put_alert(looked(shared, now))
    except WindsockError as error:
        told = told._replace(faults=(*told.faults, f"the watchdog's own row: {error.code}: {error.message}"))
    if not any(one.code == SERVER_AWAY and one.active for one in found.conditions.get(INSTALLATION, ())):
        told = told._replace(faults=(*told.faults, *tell_gauges(ports, {*by_name, *found.conditions}, now)))
    return told


def _log_alone(to: Recipient, conditions: Sequence[Condition], now: datetime) -> Told:
    """Tell in the log what is wrong, where it can be neither kept nor sent; again at each look."""
    wrong = [one for one in conditions if one.active]
    for alert in decide_alerts(wrong, (), now, to.repeat, spec=to).send:
        log_alert(alert)
    return Told(firing=len(wrong))


def _named(error: Exception) -> str:
    if isinstance(error, WindsockError):
        return f"{error.code}: {error.message}"
    return f"unexpected {type(error).__name__}"


def tell_gauges(ports: Ports, models: Collection[str], now: datetime) -> tuple[str, ...]:
    """Show Prometheus when the watchdog looked last and what fires; return what went wrong, a sentence each.

    :param models: whose alerts are counted, beside those of all that the ledger or the alerts name: a model
        without a file has alerts, too.
    """
    names, faults = set(models), list[str]()
    for what, listed in (("ledger", ports.ledger.models), ("alerts", ports.monitor.alerted)):
        try:
            names.update(listed())
        except WindsockError as error:
            faults.append(f"the models of the {what} are not counted: {_named(error)}")
    firing = Counter[Severity]()
    for model in sorted(names):
        try:
            firing.update(one.severity for one in ports.monitor.alerts(model, firing=True))
        except WindsockError as error:
            faults.append(f"the alerts of {model} are not counted: {_named(error)}")
    try:
        counts = [({"severity": str(severity)}, float(firing[severity])) for severity in SEVERITIES]
        samples: Samples = {LOOKED_GAUGE: [({}, now.timestamp())], FIRING_GAUGE: counts}
        ports.gauges.set(INSTALLATION, samples)
    except WindsockError as error:
        faults.append(f"the server's gauges were not set: {_named(error)}")
    return tuple(faults)


def installation_recipient(shared: SharedSpec, name: str = INSTALLATION) -> Recipient:
    """Return whom what is about no single model is for; so is a model that has no file that can be read."""
    block = shared.installation
    return Recipient(name=name, owner=block.owner, channel=block.alert_channel)


def tell_one(
    to: Recipient,
    shared: SharedSpec,
    monitor: Monitor,
    conditions: Sequence[Condition],
    now: datetime,
    slow: dict[str, str] | None = None,
) -> Told:
    """Keep and tell what was found about one model, or about the installation.

    :param slow: channels that took long to refuse in this look.
    """
    before = {one.key for one in monitor.alerts(to.name, firing=True)}
    tell_findings(to, shared, monitor, conditions, now, slow)
    firing = {one.key for one in conditions if one.active}
    over = {one.key for one in conditions if not one.active}
    return Told(firing=len(firing), opened=len(firing - before), resolved=len(over & before))


def _sum(one: Told, other: Told) -> Told:
    return Told(
        one.firing + other.firing,
        one.opened + other.opened,
        one.resolved + other.resolved,
        (*one.faults, *other.faults),
    )


def looked(shared: SharedSpec, now: datetime) -> Alert:
    """Return the row that says when the watchdog looked last; it fires never."""
    return Alert(
        model=INSTALLATION,
        key=LOOKED,
        severity=Severity.NONE,
        title="the watchdog has looked",
        text="Kept at each look; `windsock status` says how long ago that was.",
        owner=shared.installation.owner,
        state="resolved",
        first_at=now,
        last_at=now,
    )
