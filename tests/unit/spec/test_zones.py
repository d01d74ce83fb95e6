from __future__ import annotations

import pytest
from pydantic import ValidationError

from support.builders import make_spec
from windsock.exceptions import SpecError
from windsock.spec import MonitoringBlock
from windsock.spec.zones import is_zone, zone_of


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_names_of_the_database_are_zones(name):
    assert zone_of(name).key == name
    assert MonitoringBlock(timezone=name).timezone == name


@pytest.mark.parametrize("name", ["", "Mars/Base", "Europe", "../../etc/passwd", "/etc/localtime", "CET+1\n"])
def test_others_are_refused_with_what_to_write(name):
    assert not is_zone(name)
    with pytest.raises(SpecError, match="no time zone"):
        zone_of(name)
    with pytest.raises(ValidationError) as refused:
        MonitoringBlock(timezone=name)
    assert "Europe/Berlin" in str(refused.value)


def test_the_default_changes_no_digest_of_before():
    spec = make_spec()
    assert "timezone" not in spec.monitoring.model_dump(mode="json")
    other = make_spec(monitoring={"timezone": "Europe/Berlin"})
    assert other.section_digest("monitoring") != spec.section_digest("monitoring")
