"""The gauges that may be set from outside: a closed list of names and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from windsock.records import INSTALLATION

CODE = "WS-SERVING-049"
MOST_GAUGES = 1_000
"""Gauges of a model, of all names."""
TIMESTAMP = "ml_last_monitoring_timestamp_seconds"
UNREADABLE = "windsock_gauge_files_unreadable"


@dataclass(frozen=True)
class KnownGauge:
    """A gauge that may be set.

    :param labels: its labels beside ``model``; each has to be there.
    :param help: what it says, in a sentence.
    """

    labels: tuple[str, ...]
    help: str


KNOWN: Mapping[str, KnownGauge] = {
    "data_drift_score": KnownGauge(("feature",), "How far a feature has moved since training."),
    "ml_drift_ratio": KnownGauge((), "Share of the features that have drifted."),
    "ml_model_accuracy": KnownGauge(("model_version",), "Share of right predictions, by outcomes."),
    "ml_estimated_performance": KnownGauge(("metric",), "A metric as estimated without outcomes."),
    "ml_realised_performance": KnownGauge(("metric",), "A metric by outcomes."),
    "recommendation_ctr": KnownGauge(("variant",), "Positive outcomes for each answer."),
}
OF_INSTALLATION: Mapping[str, KnownGauge] = {
    "windsock_watchdog_last_look_timestamp_seconds": KnownGauge((), "When the watchdog looked last."),
    "windsock_housekeeping_last_run_timestamp_seconds": KnownGauge((), "When housekeeping ran last."),
    "windsock_alerts_firing": KnownGauge(("severity",), "Alerts and findings that fire, of all models."),
}
"""Gauges about no single model; they have no label ``model``."""
UNLABELLED = frozenset({"recommendation_ctr"})
"""Gauges that had no labels of their own in files of before; such a gauge is left out."""
HELP = {name: known.help for name, known in {**KNOWN, **OF_INSTALLATION}.items()} | {
    TIMESTAMP: "When monitoring last told about the model.",
    UNREADABLE: "Files of gauges that are damaged and left out.",
}


class StoredGauge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gauge in the file; its labels are those of the closed list."""

    name: str
    labels: dict[str, str]
    value: float


class GaugeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What monitoring last told about a model.

    :param at: when, in seconds since 1970.
    """

    model: str
    at: float
    gauges: list[StoredGauge]


@dataclass(frozen=True)
class GaugeUpdate:
    """Gauges that replace those of their names.

    :param names: names whose gauges are replaced, also by none; gauges of other names stay.
    """

    gauges: tuple[StoredGauge, ...]
    names: frozenset[str]


def known_of(model: str) -> Mapping[str, KnownGauge]:
    """Return the gauges that a model, or the installation, may have."""
    return OF_INSTALLATION if model == INSTALLATION else KNOWN
