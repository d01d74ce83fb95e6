"""One running stack for all end-to-end tests."""

from __future__ import annotations

import pytest

from support.stack import live_stack


@pytest.fixture(scope="session")
def live(tmp_path_factory, project):
    """The stack: churn (bundled), reviewed (tier medium) and a broken model."""
    with live_stack(tmp_path_factory.mktemp("stack"), project) as running:
        yield running


@pytest.fixture(scope="session")
def first_run(live):
    """The run of the churn model's retrain DAG that did the work, green.

    The one that is triggered here may come second: Airflow runs what the schedule is due first.
    """
    live.run_green("churn__daily_retrain")
    first = min(live.admin.runs("churn__daily_retrain"), key=lambda run: run["start_date"] or "9999")
    run_id = first["dag_run_id"]
    assert live.await_state("churn__daily_retrain", run_id) == "success"
    return run_id


def pytest_collection_modifyitems(items):
    """Run what starts a stack of its own first: one Airflow at a time is enough for a small machine."""
    items.sort(key=lambda item: "e2e" in item.path.parts and item.path.name != "test_demo.py")
