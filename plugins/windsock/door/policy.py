"""Whether today's policy asks more of a version than the one by which the gate decided on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from windsock.door.approvals import answers_of, needed_approvals, needed_for, requesters
from windsock.exceptions import GateRefusedError
from windsock.ports import Ports
from windsock.records import LedgerRow, RegisteredVersion, RunContext
from windsock.spec import GateBlock, ModelSpec, metric_facts
from windsock.spec.registries import CHECKS

BASELINE = "baseline_comparison"
OF_THE_CASE = ("request_contract",)
"""What is asked about a case whatever the policy says."""
LEVEL = 0.95


def require_policy(spec: ModelSpec, pack: Mapping[str, Any], registered: LedgerRow, ports: Ports) -> None:
    """See that the evidence of a version proves what today's policy asks, where that is more than it was.

    :param pack: the version's evidence pack, verified.
    :param registered: the version's registration.
    :raises GateRefusedError: if it does not; the message names each demand.
    """
    if more := [*unproved(spec, pack), *withdrawn(spec, pack, registered, ports)]:
        raise GateRefusedError(
            f"{registered.model} version {registered.version}: the policy is stricter than the one by which "
            f"the gate decided: {'; '.join(more)}",
            code="WS-GATE-030",
            next_action=f"Run {registered.model}__daily_retrain, so that the gate decides by today's policy; "
            "the champion keeps serving.",
        )


def unproved(spec: ModelSpec, pack: Mapping[str, Any]) -> list[str]:
    """Return what today's policy asks beyond the one that was judged by, and the evidence does not prove.

    What was asked then and is asked no more strictly now counts as it was decided.

    :param pack: the evidence pack, verified.
    """
    now, then = spec.gate, _policy_of(pack)
    if now == then:
        return []
    judged = _Evidence(pack)
    return [
        *_minimums(now, then, judged),
        *_comparisons(now, then, judged),
        *_further(now, then, judged),
    ]


def withdrawn(spec: ModelSpec, pack: Mapping[str, Any], registered: LedgerRow, ports: Ports) -> Iterator[str]:
    """Give each column of the version that the model's file lets it learn from no more.

    :param pack: the version's evidence pack, verified.
    :raises UnverifiedBundleError: if its bundle is not what was signed.
    """
    data = _mapping(_mapping(pack.get("spec")).get("data"))
    for name in sorted({*(data.get("known_leaks_checked") or ())}.difference(spec.data.known_leaks_checked)):
        yield f"{name} was taken out of data.known_leaks_checked"
    if data.get("copied_rows_checked") and not spec.data.copied_rows_checked:
        yield "data.copied_rows_checked was taken out"
    if excluded := set(spec.data.exclude).difference(data.get("exclude") or ()):
        schema = ports.bundles.describe(registered.body["bundle_uri"], registered.digest).schema
        for name in sorted(excluded.intersection(field.name for field in schema.fields)):
            yield f"{name} stands in data.exclude, and the version learned from it"


def lacking_approvals(spec: ModelSpec, rows: Sequence[LedgerRow], registered: LedgerRow) -> str:
    """Return what is missing where today's tier asks for more approvals than that of the registration.

    :param rows: the model's rows.
    """
    body = registered.body
    needed, then = needed_for(spec, registered), needed_approvals(body["tier"], body["asks"])
    if needed_approvals(spec.model.tier, body["asks"]) <= then:
        return ""
    version = RegisteredVersion.of_row(registered)
    said = answers_of(rows, version, without=requesters(registered, RunContext()))
    if len(said.approvers) >= needed:
        return ""
    return f"tier {spec.model.tier} needs {needed} approvals, it has {len(said.approvers)}"


class _Evidence:
    """What a pack says about the model; what is not there as it must be proves nothing."""

    def __init__(self, pack: Mapping[str, Any]) -> None:
        decision = pack["decision"]
        self.evaluation = _mapping(pack.get("evaluation"))
        self.passed = {check["name"] for check in decision["checks"] if check["status"] == "pass"}
        self.asks = [name for name in decision["asks"] if name not in OF_THE_CASE]
        self.has_opponent = not decision.get("first_model", False)

    def interval_of(self, metric: str) -> tuple[float, float] | None:
        """Return the interval of a held-out metric."""
        found = self.evaluation.get("metrics")
        for seen in found if isinstance(found, list) else []:
            if _mapping(seen).get("name") == metric and seen.get("status", "pass") == "pass":
                return _interval(seen)
        return None

    def difference_to(self, opponent: str) -> tuple[float, float] | None:
        """Return the interval of the difference to the baseline or the champion; none where it failed."""
        met = _mapping(self.evaluation.get("baseline" if opponent == "baseline" else "against_champion"))
        return None if met.get("error") or met.get("opponent") != opponent else _interval(met)

    @property
    def latency(self) -> float | None:
        """The measured time of a sample."""
        found = _mapping(self.evaluation.get("latency")).get("ms_per_sample")
        return found if isinstance(found, int | float) else None


def _minimums(now: GateBlock, then: GateBlock | None, judged: _Evidence) -> Iterator[str]:
    for metric, limit in sorted(now.minimum.items()):
        sign = 1 if metric_facts(metric).greater_is_better else -1
        before = then.minimum.get(metric) if then else None
        if before is not None and sign * before >= sign * limit:
            continue
        shown = f"minimum of {metric} {limit:g}"
        interval = judged.interval_of(metric)
        if interval is None:
            yield f"{shown} (the evidence has no interval of it)"
        elif (interval[0] if sign > 0 else -interval[1]) < sign * limit:
            yield f"{shown} (the evidence proves [{interval[0]:.4g}, {interval[1]:.4g}])"


def _comparisons(now: GateBlock, then: GateBlock | None, judged: _Evidence) -> Iterator[str]:
    asks_more = _asks_baseline(now) and not (then and _asks_baseline(then))
    if asks_more and BASELINE not in judged.passed:
        interval = judged.difference_to("baseline")
        if interval is None or interval[0] <= 0:
            yield f"{BASELINE} (the evidence does not prove it)"
    stricter = then is None or _margin(now) < _margin(then)
    if stricter and judged.has_opponent:
        interval = judged.difference_to("champion")
        if interval is None or interval[0] <= -_margin(now):
            asked = "better" if not _margin(now) else f"not worse by {_margin(now):g}"
            yield f"against the champion: {asked} (the evidence does not prove it)"


def _further(now: GateBlock, then: GateBlock | None, judged: _Evidence) -> Iterator[str]:
    measured = judged.latency
    if (then is None or now.latency_ms < then.latency_ms) and (measured is None or measured > now.latency_ms):
        yield f"latency {now.latency_ms:g} ms per sample ({'not measured' if measured is None else measured})"
    before = then.checks if then else ()
    for name in now.checks:
        if name not in CHECKS and name not in before and name not in judged.passed:
            yield f"{name} (it is not in the evidence)"
    if now.on_insufficient == "refuse" and then is not None and then.on_insufficient == "ask" and judged.asks:
        yield f"on_insufficient: refuse (a person was asked about {', '.join(judged.asks)})"


def _asks_baseline(gate: GateBlock) -> bool:
    return not gate.minimum or BASELINE in gate.checks


def _margin(gate: GateBlock) -> float:
    """Return by how much a model may be worse than the champion."""
    return 0.0 if gate.against_champion == "better" else gate.against_champion.not_worse


def _policy_of(pack: Mapping[str, Any]) -> GateBlock | None:
    """Return the policy that was judged by; ``None`` where this version cannot read it."""
    try:
        return GateBlock.model_validate(_mapping(pack.get("spec"))["gate"])
    except (ValidationError, KeyError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _interval(found: Mapping[str, Any]) -> tuple[float, float] | None:
    interval = _mapping(found.get("interval"))
    try:
        low, high, level = (float(interval[name]) for name in ("low", "high", "level"))
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if level >= LEVEL and low <= high else None


__all__ = ["lacking_approvals", "require_policy", "unproved", "withdrawn"]
