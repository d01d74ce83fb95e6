"""Alerts that are over because a person has accepted what they tell."""

from __future__ import annotations

from collections.abc import Callable

from windsock.monitoring.alerts import Condition, decide_alerts
from windsock.ports import Ports
from windsock.spec import ModelSpec, parse_duration


def end_alerts(spec: ModelSpec, ports: Ports, is_over: Callable[[str], bool], text: str) -> None:
    """Let firing alerts be over; whoever was told of one is told so by the monitor's next run.

    :param is_over: says by an alert's key whether it is.
    :param text: why.
    """
    repeat = parse_duration(spec.monitoring.alert_repeat)
    for alert in ports.monitor.alerts(spec.name, firing=True):
        if is_over(alert.key):
            over = Condition(alert.key, False, alert.severity, alert.title, text)
            plan = decide_alerts([over], [alert], ports.now(), repeat, spec=spec)
            for changed in (*plan.send, *plan.note):
                ports.monitor.put_alert(changed)
