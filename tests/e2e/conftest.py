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
    """The first run of the churn model's retrain DAG, triggered through REST; green."""
    return live.run_green("churn__daily_retrain")


def pytest_collection_modifyitems(items):
    """Run what starts a stack of its own first: one Airflow at a time is enough for a small machine."""
    items.sort(key=lambda item: "e2e" in item.path.parts and item.path.name != "test_demo.py")
