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
    """The first run of the churn model's retrain DAG, green."""
    return live.run_green("churn__daily_retrain")
