"""One running stack for all end-to-end tests, on which the long scenarios run side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from support.scenarios import (
    LACKING,
    DriftStory,
    LackingStory,
    RolloutStory,
    SeveralStory,
    drift_story,
    in_background,
    lacking_story,
    rollout_story,
    several_story,
)
from support.stack import STARTED, LiveStack, live_stack
from support.stack_logs import keep_logs

KEPT_LOGS = Path(__file__).resolve().parents[2] / "build" / "test-logs"


@pytest.fixture(scope="session")
def live(tmp_path_factory, project):
    """The stack: churn (bundled), reviewed (tier medium) and a broken model."""
    with live_stack(tmp_path_factory.mktemp("stack"), project) as running:
        yield running


STORIES: dict[str, Callable[[LiveStack], Any]] = {
    "drift": drift_story,
    "tried_out": rollout_story,
    "several": several_story,
    **{name: lacking_story(name) for name in LACKING},
}
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


@pytest.fixture(scope="session")
def several(stories) -> SeveralStory:
    """Two versions tried at once, at the rollout's end."""
    return stories["several"].result()


@pytest.fixture(scope="session")
def no_outcomes(stories) -> LackingStory:
    """A canary by conversion, whose users' outcomes never arrive."""
    return stories["no_outcomes"].result()


@pytest.fixture(scope="session")
def another_word(stories) -> LackingStory:
    """A canary whose outcomes carry a word that no metric names."""
    return stories["another_word"].result()


@pytest.fixture(scope="session")
def refusing(stories) -> LackingStory:
    """A canary whose challenger refuses a third of its users."""
    return stories["refusing"].result()


@pytest.fixture(scope="session")
def failing_shadow(stories) -> LackingStory:
    """A shadow that has no answer to a third of the users."""
    return stories["failing_shadow"].result()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the logs of the stack when a test on it fails; of the test's own stack, where it starts one."""
    report = yield
    own = item.funcargs.get("tmp_path", Path()) / "home" / "logs" if hasattr(item, "funcargs") else Path()
    logs = [folder for folder in (own, *STARTED[-1:]) if folder.parts and folder.is_dir()]
    if report.failed and logs:
        report.sections.append(("logs of the stack", keep_logs(logs[0], item.nodeid, KEPT_LOGS)))
    return report
