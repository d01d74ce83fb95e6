"""How tests are dealt to the workers: what shares a costly world stays together, the longest first."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

STACK = "the stack of all end-to-end tests"
# What takes long begins first, so that no worker is left with a long file at the end.
FIRST = ("tests/e2e/", "tests/integration/")
# The long scenarios go on beside the other tests of the stack; those that look at their ends come last.
STORIES = ("tests/e2e/test_ab_rollout.py", "tests/e2e/test_drift_retrain.py")


def scope_of(nodeid: str) -> str:
    """Return what a test is dealt with: its file, or the stack that it shares with other files."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/e2e/") and not file.endswith("test_demo.py"):
        return STACK
    return file


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
