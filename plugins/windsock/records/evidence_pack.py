"""What a signed evidence pack must say, so that its version may serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def identity_of(pack: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a pack is about."""
    inputs = pack["inputs"]
    return {
        "model": pack["model"],
        "bundle": inputs["bundle"],
        "decision's bundle": pack["decision"]["bundle_digest"],
        "tier": pack["tier"],
        "policy": inputs["policy"],
        "snapshot": inputs["snapshot"],
    }


def fault_in_pack(pack: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return what speaks against a version in its pack; empty if nothing does.

    :param pack: the pack, whose signature was verified.
    :param about: what it must be about, by the names of :func:`identity_of`.
    """
    try:
        found, decision = identity_of(pack), pack["decision"]
        if other := [what for what, wanted in about.items() if found[what] != wanted]:
            return f"is about another {', '.join(other)}"
        if decision["outcome"] != "promote":
            return f"says {decision['outcome']}"
        checks = {check["name"]: check["status"] for check in decision["checks"]}
        if sorted(checks) != sorted(decision["required"]) or not checks:
            return "does not hold the required checks"
        unmet = [name for name, status in checks.items() if status != "pass" and name not in decision["asks"]]
    except (KeyError, TypeError, AttributeError) as error:
        return f"is no evidence pack ({type(error).__name__})"
    return f"says that {', '.join(unmet)} did not pass" if unmet else ""
