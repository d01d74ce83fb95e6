"""Keys that load but do nothing yet: named wherever a person would rely on them."""

from __future__ import annotations

from typing import Any

from windsock.exceptions import NotBuiltError
from windsock.spec.base import Frozen
from windsock.spec.durations import parse_duration
from windsock.spec.model import ModelSpec
from windsock.spec.monitoring import DAY
from windsock.spec.shared import DEFAULT_COMPUTE, SharedSpec
from windsock.spec.sources import ApiSource, FeatureStoreSource

ZONE = "monitoring.timezone"
NO_COPIES = "nothing starts or stops copies of a server; as many run as you start"

UNUSED: dict[str, str] = {
    "serving.min_replicas": NO_COPIES,
    "serving.max_replicas": NO_COPIES,
    "serving.autoscale_metric": NO_COPIES,
    "compute.cpus": "no task is bounded by it; pool and queue decide where a training runs",
    "compute.memory_gb": "no task is bounded by it; pool and queue decide where a training runs",
    "compute.price_per_hour": "there are no cost reports",
    "staging.server_url": "no version is tried on a staging server before production",
}
"""Keys without any effect, and what is so instead; a model works as it would without them."""

NOT_BUILT: dict[str, tuple[Any, str, str]] = {
    "serving.type": (
        "batch",
        "nothing scores in batches; the model would answer over HTTP",
        "Write `serving: {type: online}` in the model's YAML file.",
    ),
    "serving.target": (
        "kubernetes",
        "no version is started on Kubernetes",
        "Write `serving: {target: local}` (or docker) in the model's YAML file.",
    ),
}
"""Values with which a model would behave otherwise than its file says: the first task refuses them."""

ONE_VALUE = ("model.framework", "training.experiment_tracking")
"""Keys that may only say what is so anyway."""
NO_READER = (ApiSource, FeatureStoreSource)


def unused_keys(spec: ModelSpec, *, written: bool = True) -> tuple[str, ...]:
    """Return a sentence for each key of a model that has no effect.

    :param written: name each key that the file has; else only those that say something other than the
        default: of a spec that was a record in between nobody knows what its file had.
    """
    is_said = _is_written if written else _differs
    told = [
        f"{path} does nothing yet: {why}"
        for path, why in UNUSED.items()
        if path.startswith("serving.") and is_said(spec, path)
    ]
    if is_said(spec, ZONE) and (why := _no_hours(spec)):
        told.append(f"{ZONE} does nothing here: {why}")
    return tuple(told)


def _no_hours(spec: ModelSpec) -> str:
    """Return why no window of a model is held against an hour of the day; empty: some are."""
    if spec.data.event_time is None:
        return "without `data.event_time` no hour is known"
    block = spec.monitoring
    shortest = min(block.window_length, parse_duration(block.performance.window))
    return "" if shortest < DAY else "windows of a day or longer are held against weekdays, which are of UTC"


def unused_shared_keys(shared: SharedSpec) -> tuple[str, ...]:
    """Return the same for the keys that models share."""
    told = [path for path in UNUSED if path.startswith("staging.") and _differs(shared, path)]
    for name, block in shared.compute.items():
        usual = DEFAULT_COMPUTE.get(name, type(block)())
        keys = ("cpus", "memory_gb", "price_per_hour")
        told += [f"compute.{key}" for key in keys if getattr(block, key) != getattr(usual, key)]
    return tuple(f"{path} does nothing yet: {UNUSED[path]}" for path in dict.fromkeys(told))


def not_built(spec: ModelSpec) -> tuple[tuple[str, str], ...]:
    """Return what a model asks for and cannot have: a sentence and what to do, each."""
    found = []
    for path, (value, why, cure) in NOT_BUILT.items():
        if _at(spec, path) == value:
            found.append((f"{path}: {value} is not built yet: {why}", cure))
    if isinstance(spec.data.source, NO_READER):
        said = f"data.source: a source of kind {spec.data.source.kind} cannot be read yet"
        found.append((said, "Choose a file or a database in the `data.source` of the model's YAML file."))
    return tuple(found)


def require_built(spec: ModelSpec) -> None:
    """Refuse a model that would behave otherwise than its file says; before a row is read.

    :raises NotBuiltError: with the key and what to write instead.
    """
    for said, cure in not_built(spec):
        if not said.startswith("data.source"):  # the reader of sources names the kinds that work
            raise NotBuiltError(f"{spec.name}: {said}", next_action=f"{cure} Then clear this task.")


def _at(spec: Frozen, path: str) -> Any:
    value: Any = spec
    for key in path.split("."):
        value = getattr(value, key)
    return value


def _is_written(spec: Frozen, path: str) -> bool:
    block, _, key = path.rpartition(".")
    return key in _at(spec, block).model_fields_set


def _differs(spec: Frozen, path: str) -> bool:
    block, _, key = path.rpartition(".")
    within = _at(spec, block)
    return bool(getattr(within, key) != type(within).model_fields[key].default)
