"""What the pages show, as plain values."""

from __future__ import annotations

from typing import Any

from windsock.hooks.windsock import WindsockHook, sqlalchemy_url
from windsock.ports import Ledger
from windsock.settings import Settings
from windsock.spec import schedule_word
from windsock.spec.loader import load_models, load_shared


def _world() -> tuple[Settings, Ledger]:
    from windsock.adapters.build import build_ports

    settings = WindsockHook().settings()
    return settings, build_ports(settings, connections=sqlalchemy_url).ledger


def models_page() -> dict[str, Any]:
    """Return the inventory: every model of the folder and of the ledger, and the files that are broken."""
    settings, ledger = _world()
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
                "since": history[-1].at.strftime("%Y-%m-%d %H:%M UTC") if history else "",
            }
        )
    return {"rows": rows, "faults": [fault.message for fault in faults]}


def model_page(name: str) -> dict[str, Any]:
    """Return one model's champion and its ledger, newest row first.

    :param name: from the address; a name that nobody knows gives an empty page.
    """
    _, ledger = _world()
    rows = [
        {
            "seq": row.seq,
            "at": row.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "action": row.action.value,
            "version": row.version,
            "epoch": row.epoch,
            "actor": row.actor,
            "digest": row.digest[:12],
        }
        for row in reversed(ledger.rows(name))
    ]
    return {"name": name, "champion": ledger.champion(name), "rows": rows, "chain": ledger.verify(name)}
