"""What the pages show, as plain values."""

from __future__ import annotations

from typing import Any

from windsock.hooks.windsock import WindsockHook, sqlalchemy_url
from windsock.ports import Ports
from windsock.records import versions_by_row
from windsock.settings import Settings
from windsock.spec import schedule_word
from windsock.spec.loader import load_models, load_shared
from windsock.ui.rollouts import rollout_lines, rollout_word


def _world() -> tuple[Settings, Ports]:
    from windsock.adapters.build import build_ports

    settings = WindsockHook().settings()
    return settings, build_ports(settings, connections=sqlalchemy_url)


def models_page() -> dict[str, Any]:
    """Return the inventory: every model of the folder and of the ledger, and the files that are broken."""
    settings, ports = _world()
    ledger = ports.ledger
    specs, faults = load_models(settings.models_dir, load_shared(settings.shared_file))
    rows = []
    for name in sorted({*specs, *ledger.models()}):
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
                "rollout": rollout_word(history, most=spec.rollout.challengers if spec else 1),
                "since": history[-1].at.strftime("%Y-%m-%d %H:%M UTC") if history else "",
            }
        )
    return {"rows": rows, "faults": [fault.message for fault in faults]}


def model_page(name: str) -> dict[str, Any]:
    """Return one model's champion, its rollout and its ledger, newest row first.

    :param name: from the address; a name that nobody knows gives an empty page.
    """
    settings, ports = _world()
    ledger, history = ports.ledger, ports.ledger.rows(name)
    specs, _ = load_models(settings.models_dir, load_shared(settings.shared_file))
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
        "rollout": rollout_lines(name, history, ports.rollouts, most=most),
        "rows": rows,
        "chain": ledger.verify(name),
    }
