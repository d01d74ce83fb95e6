"""How many examples a property draws: all of them in a whole run, a third in the quick one."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

QUICK_SHARE = 3
LEAST = 20
KEPT = "_hypothesis_internal_use_settings"  # where Hypothesis itself looks when the test runs


def for_quick(examples: int) -> int:
    """Return how many of a property's examples the quick tests draw.

    :param examples: as many as the property asks for.
    """
    return min(examples, max(LEAST, examples // QUICK_SHARE))


def draw_fewer(items: Iterable[Any]) -> None:
    """Let each property of collected tests draw fewer examples; explicit ones are always tried."""
    if "hypothesis" not in sys.modules:
        return
    from hypothesis import settings

    # A property with parameters is one function of several tests; a state machine has settings of its own.
    functions = {id(function): function for item in items if (function := _function_of(item)) is not None}
    machines = {item.cls for item in items if isinstance(getattr(item.cls, "settings", None), settings)}
    for holder, name in [(one, KEPT) for one in functions.values()] + [(one, "settings") for one in machines]:
        asked = getattr(holder, name)
        setattr(holder, name, settings(asked, max_examples=for_quick(asked.max_examples)))


def _function_of(item: Any) -> Any:
    from hypothesis import is_hypothesis_test

    function = getattr(item.obj, "__func__", item.obj)
    return function if is_hypothesis_test(function) and hasattr(function, KEPT) else None
