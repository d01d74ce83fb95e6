"""The assets of a model: what its DAGs tell each other, and the world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from windsock.operators.origin import OWN_SOURCES, origin_of

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from windsock.records.watch import WorkKind

GROUP = "windsock"


def retrain_asset(model: str) -> Asset:
    """Return the asset whose events ask for a retrain of a model."""
    return Asset(name=f"{model}/retrain", uri=f"x-windsock://{model}/retrain", group=GROUP)


def drift_asset(model: str) -> Asset:
    """Return the asset whose events are the drift verdicts of a model's windows."""
    return Asset(name=f"{model}/drift", uri=f"x-windsock://{model}/drift", group=GROUP)


def challenger_asset(model: str) -> Asset:
    """Return the asset whose events say that a version of a model waits for its rollout."""
    return Asset(name=f"{model}/challenger", uri=f"x-windsock://{model}/challenger", group=GROUP)


def rollout_asset(model: str) -> Asset:
    """Return the asset whose events say how a rollout of a model has ended."""
    return Asset(name=f"{model}/rollout", uri=f"x-windsock://{model}/rollout", group=GROUP)


def due_asset(model: str, kind: WorkKind) -> Asset:
    """Return the asset whose events say that a model's monitor, or its rollout, has work to do now."""
    return Asset(name=f"{model}/due_{kind}", uri=f"x-windsock://{model}/due_{kind}", group=GROUP)


def due_outlet() -> AssetAlias:
    """Return the one outlet by which the watchdog announces work of all models."""
    return AssetAlias(name="x-windsock://due", group=GROUP)


def sometimes(asset: Asset) -> AssetAlias:
    """Return an outlet that emits the asset's event only if :func:`emit` is called.

    A plain outlet emits one whenever its task ends well.
    """
    return AssetAlias(name=asset.uri, group=GROUP)


def emit(operator: BaseOperator, context: Context, asset: Asset, extra: Mapping[str, Any]) -> bool:
    """Emit an asset's event with the task's end, if the operator has it among its outlets.

    An event that starts another of the model's DAGs says who started the run that sends it, where that was
    not the schedule.

    :returns: whether it has.
    """
    alias = sometimes(asset)
    if not any(isinstance(outlet, AssetAlias) and outlet.name == alias.name for outlet in operator.outlets):
        return False
    starts_a_dag = asset.name.partition("/")[2] in OWN_SOURCES
    origin = origin_of(context).extra() if starts_a_dag else {}
    context["outlet_events"][alias].add(asset, extra={**extra, **origin})
    return True
