from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from support.builders import NOON
from windsock.exceptions import DatabaseUnavailableError
from windsock.records import Severity, Span, Status, WindowVerdict
from windsock.triggers.drift import DriftEventTrigger, DriftTrigger


def verdict(minutes: int, status: Status = Status.FAIL, *, ahead: timedelta = timedelta(0)) -> WindowVerdict:
    end = NOON + timedelta(minutes=minutes)
    return WindowVerdict(
        model="churn",
        kind="drift",
        window=Span(start=end - timedelta(minutes=1), end=end),
        version="1",
        digest="d",
        status=status,
        severity=Severity.HIGH,
        judged_at=end + ahead,
    )


class Looks:
    """What the control database answers, look by look; the last answer stays."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def taken(trigger, count: int) -> list[dict]:
    found = []
    async for event in trigger.run():
        found.append(event.payload)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("kind", [DriftTrigger, DriftEventTrigger])
def test_it_can_be_handed_to_a_triggerer(kind):
    trigger = kind("churn", since=NOON.isoformat(), windsock_conn_id="other", poll_seconds=1.5)
    place, kwargs = trigger.serialize()
    assert place == f"windsock.triggers.drift.{kind.__name__}"
    assert kind(**kwargs).serialize() == (place, kwargs)


def test_the_first_drift_after_the_start_ends_the_wait(monkeypatch):
    trigger = DriftTrigger("churn", since=NOON.isoformat(), poll_seconds=0)
    old, new = verdict(-5), verdict(5)
    monkeypatch.setattr(trigger, "_drifted", Looks([old], DatabaseUnavailableError("away"), [old, new]))
    (event,) = asyncio.run(taken(trigger, 1))
    assert event == {
        "model": "churn",
        "window": new.window.model_dump(mode="json"),
        "severity": "high",
        "judged_at": new.judged_at.isoformat(),
    }


def test_each_drifted_window_is_told_once(monkeypatch):
    trigger = DriftEventTrigger("churn", since=NOON.isoformat(), poll_seconds=0)
    first, second, third = verdict(1), verdict(2), verdict(3)
    monkeypatch.setattr(trigger, "_drifted", Looks([second, first], [first, second], [first, second, third]))
    events = asyncio.run(taken(trigger, 3))
    assert [event["judged_at"] for event in events] == [
        one.judged_at.isoformat() for one in (first, second, third)
    ]


def test_a_verdict_from_the_future_hides_nothing(monkeypatch):
    trigger = DriftEventTrigger("churn", since=NOON.isoformat(), poll_seconds=0)
    ahead, second, third = verdict(1, ahead=timedelta(days=9)), verdict(2), verdict(3)
    looks = Looks([ahead], [ahead, second], [ahead, second, third])
    monkeypatch.setattr(trigger, "_drifted", looks)
    events = asyncio.run(asyncio.wait_for(taken(trigger, 3), timeout=60))
    assert [event["judged_at"] for event in events] == [
        one.judged_at.isoformat() for one in (ahead, second, third)
    ]
