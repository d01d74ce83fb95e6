from __future__ import annotations

import sys
from types import ModuleType

import pytest

from support.fakes import fake_ports
from windsock.hooks.windsock import WindsockHook
from windsock.steps import STEPS


@pytest.fixture
def ports(monkeypatch):
    """In-memory ports behind every operator."""
    made = fake_ports()
    monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
    return made


@pytest.fixture
def step_answers(monkeypatch):
    """Let a step answer with a record, or raise; its inputs are kept in the returned list."""

    def put(name: str, answer):
        seen = []

        def function(step, ports, key, *read):
            seen.append(step)
            if isinstance(answer, Exception):
                raise answer
            return answer(step) if callable(answer) else answer

        module = ModuleType(f"windsock.{STEPS[name].room}.{name}")
        setattr(module, name, function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return seen

    return put
