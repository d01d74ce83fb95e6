"""What a file holds is the same after a record, an argument of a task or a database has held it as JSON."""

from __future__ import annotations

import json

import pytest

from support.every_text import SHARED, contents
from windsock.spec import ModelSpec, SharedSpec

CHANNELS = [
    {"kind": "smtp", "to": ["a@company.com"]},
    {"kind": "smtp", "conn_id": "mail"},
    {"kind": "slack"},
    {"kind": "pagerduty", "minimum": "high"},
    {"kind": "apprise", "tag": "ml"},
    {"kind": "apprise"},
]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: json.dumps(channel))
def test_a_channel_of_each_kind(channel):
    shared = SharedSpec.model_validate({"alert_channels": {"there": channel}})
    assert SharedSpec.model_validate(shared.model_dump(mode="json")) == shared
    assert SharedSpec.model_validate_json(shared.model_dump_json()) == shared


def test_every_key():
    shared = SharedSpec.model_validate(SHARED)
    assert SharedSpec.model_validate(shared.model_dump(mode="json")) == shared
    for content in contents():
        spec = ModelSpec.model_validate(content)
        assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec
