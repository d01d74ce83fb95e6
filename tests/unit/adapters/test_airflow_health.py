from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from windsock.adapters.airflow_health import silent_in, silent_parts
from windsock.records import PartFacts

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)


def report(**silent):
    """Return a report of health in which some parts are unhealthy, silent for so many seconds."""
    parts = {}
    for part in ("scheduler", "dag_processor", "triggerer"):
        seconds = silent.get(part)
        seen = (NOW - timedelta(seconds=seconds or 3)).isoformat()
        status = "healthy" if seconds is None else "unhealthy"
        parts[part] = {"status": status, f"latest_{part}_heartbeat": seen}
    return {"metadatabase": {"status": "healthy"}, **parts}


def test_all_are_well():
    assert silent_in(report(), NOW) == []


def test_a_part_that_is_silent_for_too_long():
    assert silent_in(report(dag_processor=61), NOW) == [PartFacts(part="dag_processor", silent=61.0)]
    assert silent_in(report(scheduler=59), NOW) == [], "Airflow calls it unhealthy after half a minute"


def test_a_part_that_was_never_seen():
    said = report() | {"triggerer": {"status": None, "latest_triggerer_heartbeat": None}}
    assert silent_in(said, NOW) == [PartFacts(part="triggerer", silent=None)]


@pytest.mark.parametrize("said", [{}, {"detail": "Not Found"}, {"scheduler": "healthy"}])
def test_what_is_no_report_says_nothing(said):
    assert silent_in(said, NOW) is None


@pytest.mark.parametrize("address", ["", "in-process", "http://127.0.0.1:9", "http://[::1"])
def test_an_address_at_which_nothing_answers(address):
    assert silent_parts(address) is None
