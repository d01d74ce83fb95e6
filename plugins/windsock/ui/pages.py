"""What the pages show, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from windsock.exceptions import SpecError
from windsock.hooks.windsock import WindsockHook, sqlalchemy_url
from windsock.ports import Ports
from windsock.records import INSTALLATION, Alert, Severity, versions_by_row
from windsock.settings import Settings
from windsock.spec import ModelSpec, SharedSpec, schedule_word
from windsock.spec.loader import load_models, load_shared
from windsock.ui.rollouts import rollout_lines, rollout_word
from windsock.watchdog.firing import alerts_of, reached
from windsock.watchdog.system_findings import LOOKED, looked_condition


def _world() -> tuple[Settings, Ports]:
    from windsock.adapters.build import build_ports

    settings = WindsockHook().settings()
    return settings, build_ports(settings, connections=sqlalchemy_url)


def _files(settings: Settings) -> tuple[dict[str, ModelSpec], list[str]]:
    """Return the specs that can be read, and what is wrong with the other files, ``windsock.yaml`` first."""
    faults, shared = list[SpecError](), SharedSpec()
    try:
        shared = load_shared(settings.shared_file)
    except SpecError as error:
        faults.append(error)
    specs, errors = load_models(settings.models_dir, shared)
    return specs, [f"{one.code}: {one.message}" for one in (*faults, *errors)]


def models_page() -> dict[str, Any]:
    """Return the inventory: every model of the folder and of the ledger, and the files that are broken."""
    settings, ports = _world()
    ledger = ports.ledger
    specs, faults = _files(settings)
    rows = []
    names = sorted({*specs, *ledger.models()})
    firing = alerts_of(ports.monitor, (*names, INSTALLATION))
    for name in names:
        champion = ledger.champion(name)
        history = ledger.rows(name)
        spec = specs.get(name)
        rows.append(
            {
                "name": name,
                "owner": spec.model.owner if spec else "no file",
                "tier": spec.model.tier if spec else "",
                "schedule": schedule_word(spec.training.schedule) if spec else "",
                "version": champion.version if champion else "none yet",
                "epoch": champion.epoch if champion else "",
                "alerts": _alerts_word([one for one in firing if one.model == name]),
                "rollout": rollout_word(history, most=spec.rollout.challengers if spec else 1),
                "since": history[-1].at.strftime("%Y-%m-%d %H:%M UTC") if history else "",
            }
        )
    shown = [_shown(one) for one in firing if one.severity.rank >= Severity.HIGH.rank]
    return {
        "rows": rows,
        "faults": faults,
        "alerts": shown,
        "others": len(firing) - len(shown),
        "watched": _watched(ports),
    }


def _watched(ports: Ports) -> dict[str, Any]:
    """Return when the watchdog looked last: what fires here is as old as that."""
    last = next((one for one in ports.monitor.alerts(INSTALLATION) if one.key == LOOKED), None)
    said = looked_condition(last, ports.now())
    return {"late": said.active, "text": said.text, "next": said.next_action}


def _alerts_word(firing: Sequence[Alert]) -> str:
    """Return how many alerts of a model fire, and how grave the gravest is; empty where none does."""
    return f"{len(firing)}, {firing[0].severity.value}" if firing else ""


def _shown(alert: Alert) -> dict[str, str]:
    """Return what a page says of an alert."""
    return {
        "model": "" if alert.model == INSTALLATION else alert.model,
        "severity": alert.severity.value,
        "code": alert.code or "",
        "title": alert.title,
        "text": alert.text,
        "reached": reached(alert),
        "next": alert.next_action,
    }


def model_page(name: str) -> dict[str, Any]:
    """Return one model's champion, its rollout and its ledger, newest row first.

    :param name: from the address; a name that nobody knows gives an empty page.
    """
    settings, ports = _world()
    ledger, history = ports.ledger, ports.ledger.rows(name)
    specs, _ = _files(settings)
    most = specs[name].rollout.challengers if name in specs else 1
    rows = [
        {
            "seq": row.seq,
            "at": row.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "action": row.action.value,
            "version": versions,
            "epoch": row.epoch,
            "actor": row.actor,
            "digest": row.digest[:12],
        }
        for row, versions in zip(reversed(history), reversed(versions_by_row(history)), strict=True)
    ]
    return {
        "name": name,
        "champion": ledger.champion(name),
        "watched": _watched(ports),
        "alerts": [_shown(one) for one in alerts_of(ports.monitor, [name])],
        "rollout": rollout_lines(name, history, ports.rollouts, most=most),
        "rows": rows,
        "chain": ledger.verify(name),
    }
