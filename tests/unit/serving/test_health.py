from __future__ import annotations

import asyncio
from typing import Any

import pytest

from windsock.serving import health
from windsock.serving.health import READY_AGE_SECONDS, Readiness


class TestReadiness:
    @pytest.fixture
    def looks(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        seen: list[int] = []

        async def why_not_ready(_: Any) -> list[str]:
            seen.append(1)
            await asyncio.sleep(0)
            return []

        monkeypatch.setattr(health, "why_not_ready", why_not_ready)
        return seen

    def test_who_asks_during_a_look_waits_for_it(self, looks: list[int]) -> None:
        async def ask() -> list[list[str]]:
            readiness = Readiness(None)  # type: ignore[arg-type] # the look is another's
            return await asyncio.gather(*(readiness.why_not() for _ in range(20)))

        assert asyncio.run(ask()) == [[]] * 20
        assert len(looks) == 1

    def test_an_old_look_is_made_again(self, looks: list[int]) -> None:
        async def ask() -> None:
            readiness = Readiness(None)  # type: ignore[arg-type] # the look is another's
            await readiness.why_not()
            readiness._looked -= READY_AGE_SECONDS
            await readiness.why_not()

        asyncio.run(ask())
        assert len(looks) == 2
