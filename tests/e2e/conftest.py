"""One running stack for all end-to-end tests, on which the long scenarios run side by side."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from support.scenarios import DriftStory, RolloutStory, drift_story, in_background, rollout_story
from support.stack import STARTED, live_stack
from support.stack_logs import keep_logs

KEPT_LOGS = Path(__file__).resolve().parents[2] / "build" / "test-logs"


@pytest.fixture(scope="session")
def live(tmp_path_factory, project):
    """The stack: churn (bundled), reviewed (tier medium) and a broken model."""
    with live_stack(tmp_path_factory.mktemp("stack"), project) as running:
        yield running


STORIES = {"drift": drift_story, "tried_out": rollout_story}
"""By the fixture that gives them: each begins with the stack if a test of this run asks for it."""


@pytest.fixture(scope="session")
def stories(live, request):
    """The long scenarios, under way."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    return {name: in_background(story, live) for name, story in STORIES.items() if name in wanted}


@pytest.fixture(scope="session")
def first_run(live, stories):
    """The first run of the churn model's retrain DAG, triggered through REST; green."""
    return live.run_green("churn__daily_retrain")


@pytest.fixture(scope="session")
def drift(stories) -> DriftStory:
    """The world that moved, and the retrain that followed."""
    return stories["drift"].result()


@pytest.fixture(scope="session")
def tried_out(stories) -> RolloutStory:
    """The rollout of a better version, at its end."""
    return stories["tried_out"].result()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the logs of the stack when a test on it fails; of the test's own stack, where it starts one."""
    report = yield
    own = item.funcargs.get("tmp_path", Path()) / "home" / "logs" if hasattr(item, "funcargs") else Path()
    logs = [folder for folder in (own, *STARTED[-1:]) if folder.parts and folder.is_dir()]
    if report.failed and logs:
        report.sections.append(("logs of the stack", keep_logs(logs[0], item.nodeid, KEPT_LOGS)))
    return report
