"""The model's specification: one YAML file, read strictly."""

from __future__ import annotations

from windsock.spec.base import Frozen, canonical_json, digest_of
from windsock.spec.durations import Duration, parse_duration
from windsock.spec.flat_form import flat_to_blocks
from windsock.spec.model import (
    FOLDS,
    HELD_OUT_PERCENT,
    SEED,
    CandidateBlock,
    CardBlock,
    ConstantAnswer,
    DataBlock,
    GateBlock,
    ModelSpec,
    NotWorse,
    SearchBlock,
    Tier,
)
from windsock.spec.monitoring import (
    BusinessBlock,
    DriftBlock,
    LabelsBlock,
    MonitoringBlock,
    PerformanceBlock,
    RateBlock,
    RetrainBlock,
)
from windsock.spec.registries import Metric, Task, extension, metric_facts
from windsock.spec.rollout import HARM, PERCENT, RolloutBlock
from windsock.spec.rollout_metrics import (
    ANSWER_KINDS,
    LABELLED_KINDS,
    OUTCOME_KINDS,
    RATIO_KINDS,
    SEEN_BY_SHADOWS,
    SHARE_KINDS,
    RolloutMetricBlock,
)
from windsock.spec.row_conditions import RangeBlock
from windsock.spec.schedules import cron_of, schedule_word
from windsock.spec.shared import ComputeClass, SharedSpec
from windsock.spec.sources import (
    ApiSource,
    ExtensionSource,
    FeatureStoreSource,
    FileSource,
    Source,
    SqlSource,
)
from windsock.spec.words import MODEL_NAME

__all__ = [
    "HARM",
    "ANSWER_KINDS",
    "LABELLED_KINDS",
    "OUTCOME_KINDS",
    "RATIO_KINDS",
    "SEEN_BY_SHADOWS",
    "SHARE_KINDS",
    "ApiSource",
    "BusinessBlock",
    "CandidateBlock",
    "CardBlock",
    "ComputeClass",
    "ConstantAnswer",
    "DataBlock",
    "DriftBlock",
    "Duration",
    "ExtensionSource",
    "FOLDS",
    "FeatureStoreSource",
    "FileSource",
    "Frozen",
    "GateBlock",
    "HELD_OUT_PERCENT",
    "LabelsBlock",
    "MODEL_NAME",
    "Metric",
    "ModelSpec",
    "MonitoringBlock",
    "NotWorse",
    "PERCENT",
    "PerformanceBlock",
    "RangeBlock",
    "RateBlock",
    "RetrainBlock",
    "RolloutBlock",
    "RolloutMetricBlock",
    "SEED",
    "SearchBlock",
    "SharedSpec",
    "Source",
    "SqlSource",
    "Task",
    "Tier",
    "canonical_json",
    "cron_of",
    "digest_of",
    "extension",
    "flat_to_blocks",
    "metric_facts",
    "parse_duration",
    "schedule_word",
]
