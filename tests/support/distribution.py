"""How tests are dealt to the workers: what shares a costly world stays together, the longest first."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

STACK = "the stack of all end-to-end tests"
MLFLOW = ("tests/attacks/test_one_mlflow_for_two.py", "tests/integration/test_mlflow_server.py")
"""The files of the server of ``support.mlflow_server``."""
# What takes long begins first, so that no worker is left with a long file at the end.
FIRST = (
    "tests/attacks/test_four_eyes",
    "tests/e2e/",
    "tests/attacks/",
    "tests/integration/",
)
# The long scenarios go on beside the other tests of the stack; those that look at their ends come last.
STORIES = ("tests/e2e/test_ab_rollout.py", "tests/e2e/test_drift_retrain.py")
# Files that are left out of the quick tests as a whole: databases, MLflow, bundles, training, simulations and
# whole histories, which take minutes together. A single slow test elsewhere carries the mark itself.
SLOW = (
    "tests/compatibility/",
    "tests/unit/adapters/rollout_events/",
    "tests/unit/adapters/test_drift_report.py",
    "tests/unit/adapters/test_expectations.py",
    "tests/unit/adapters/test_ledger_table.py",
    "tests/unit/adapters/test_mlflow_",
    "tests/unit/adapters/test_monitor_table.py",
    "tests/unit/adapters/test_quiet.py",
    "tests/unit/adapters/test_rollout_table.py",
    "tests/unit/adapters/test_skops_codec.py",
    "tests/unit/adapters/test_sources_sql.py",
    "tests/unit/adapters/window_counts/test_engines.py",
    "tests/unit/cli/test_backtest.py",
    "tests/unit/cli/test_supervisor.py",
    "tests/unit/data/test_accepted_suites.py",
    "tests/unit/data/test_memory_table.py",
    "tests/unit/hooks/test_alerts.py",
    "tests/unit/monitoring/test_drift_alarms.py",
    "tests/unit/rollout/test_rollout_machine.py",
    "tests/unit/serving/test_answered_at_once.py",
    "tests/unit/serving/test_check_bundle.py",
    "tests/unit/serving/test_prediction_log",
    "tests/unit/spec/test_loading_anything.py",
    "tests/unit/statistics/test_ab_simulation.py",
    "tests/unit/statistics/test_distances.py",
    "tests/unit/training/test_compiling.py",
    "tests/unit/training/test_evaluate_model.py",
    "tests/unit/training/test_importances.py",
    "tests/unit/training/test_real_data.py",
    "tests/unit/training/test_stored_models.py",
    "tests/unit/training/test_train_model.py",
)


def is_slow(nodeid: str) -> bool:
    """Return whether a test lies in a file that the quick tests leave out."""
    return nodeid.startswith(SLOW)


def scope_of(nodeid: str) -> str:
    """Return what a test is dealt with: its file, or what it shares with other files."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/e2e/") and not file.endswith("test_demo.py"):
        return STACK
    return MLFLOW[0] if file in MLFLOW else file


def order_of(nodeid: str) -> int:
    """Return where a test stands: what takes long begins first, and the stack before all else."""
    if scope_of(nodeid) == STACK:
        return 1 if nodeid.startswith(STORIES) else 0
    return next((place for place, folder in enumerate(FIRST, start=2) if nodeid.startswith(folder)), 9)


class ByWorld(LoadScopeScheduling):  # type: ignore[misc]
    """Deals the scopes of :func:`scope_of` in the order in which they were collected."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
