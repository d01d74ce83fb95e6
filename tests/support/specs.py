"""Model files as people write them."""

from __future__ import annotations

import pytest

from windsock.exceptions import SpecError
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.faults import Fault, SpecFaultsError
from windsock.spec.loader import spec_from_bytes

HEAD = "model: {name: churn}\n"

FOREIGN = """\
model:
  name: churn_predictor
  owner: ds-team@company.com
  framework: sklearn
training:
  schedule: "weekly"
  data_source: "feature_store://user_engagement_features"
  compute: "cpu-medium"
  experiment_tracking: true
serving:
  type: online
  sla_latency_ms: 50
  min_replicas: 2
  max_replicas: 10
  autoscale_metric: cpu
monitoring:
  data_drift: true
  performance_tracking: true
  alert_channel: "#ml-alerts"
"""

ANNOTATED = """\
model: {name: churn, owner: ds-team@company.com, framework: sklearn, task: classification, tier: low}   # tier: low | medium | high -> approvals
data:
  source: {kind: file, path: include/data/churn.csv}      # or sql://CONN_ID/TABLE, {kind: sql, conn_id, query}, {kind: api, ...}, feature_store://VIEW
  target: churned                                         # default: target
  entity: customer_id                                     # identity of a row, fixes its train/held-out side for life
  event_time: updated_at                                  # optional; then the latest span is held out
  sensitive: [gender]                                     # fairness groups, never features unless listed
  data_window: 30d
training:
  schedule: daily                                         # cron or hourly | daily (0 2 * * *) | weekly | monthly
  compute: cpu-medium
  candidates: [{estimator: logistic_regression}, {estimator: hist_gradient_boosting, search: {trials: 20, minutes: 5}}]
  metric: roc_auc
gate:
  minimum: {roc_auc: 0.80}                                # none given: beat a dummy model with the whole interval
  against_champion: better                                # or not_worse: 0.01
  card: {intended_use: "...", limitations: "..."}         # without these the gate refuses and names them
serving: {type: online, target: local, sla_latency_ms: 50, min_replicas: 2, max_replicas: 10, autoscale_metric: cpu}
rollout: {strategy: direct}                               # direct | canary | ab | shadow
monitoring: {data_drift: true, performance_tracking: true, window: 1d, labels: {kind: outcomes}, alert_channel: "#ml-alerts"}
"""  # noqa: E501


def load(text: str, shared: SharedSpec | None = None) -> ModelSpec:
    """Return the spec of a file named churn.yaml."""
    return spec_from_bytes(text.encode(), "churn.yaml", shared)


def faults(text: str, shared: SharedSpec | None = None) -> SpecFaultsError:
    """Return the error with which such a file is refused."""
    with pytest.raises(SpecError) as caught:
        load(text, shared)
    assert isinstance(caught.value, SpecFaultsError)
    return caught.value


def only_fault(text: str, shared: SharedSpec | None = None) -> Fault:
    """Return the one fault of such a file."""
    error = faults(text, shared)
    assert len(error.faults) == 1, error.message
    fault = error.faults[0]
    assert (error.file, error.line, error.key) == ("churn.yaml", fault.line, fault.key or None)
    return fault
