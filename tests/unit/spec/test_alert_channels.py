from __future__ import annotations

import pytest

from support.builders import make_spec
from windsock.exceptions import SpecError
from windsock.spec import SharedSpec
from windsock.spec.loader import load_shared, load_spec, spec_from_bytes

MODEL = b'model: {name: churn}\nmonitoring:\n  window: 1d\n  alert_channel: "#ml-alerst"\n'


@pytest.fixture
def shared(tmp_path):
    def read(text: str) -> SharedSpec:
        file = tmp_path / "windsock.yaml"
        file.write_text(text)
        return load_shared(file)

    return read


def test_channels_are_read_by_name(shared):
    channels = shared(
        'alert_channels:\n  "#ml-alerts": {kind: slack, conn_id: slack_ml}\n'
        "  pager: {kind: pagerduty, minimum: critical}\n  mail: {kind: smtp, to: [a@b.com]}\n"
        "  all: {kind: apprise, tag: ml}\n"
    ).alert_channels
    assert [channels[name].connection for name in ("#ml-alerts", "pager", "mail", "all")] == [
        "slack_ml",
        "pagerduty_events_default",
        "smtp_default",
        "windsock_alerts",
    ]
    assert channels["pager"].minimum == "critical"


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("kind: pager", 3, "kind", "apprise, slack, smtp, pagerduty"),
        ("conn_id: x", 2, "kind", "this key is missing"),
        ("kind: slack\n    url: https://x", 4, "url", "unknown key"),
        ("kind: slack\n    to: [a@b.com]", 4, "to", "`to` is for smtp"),
        ("kind: smtp\n    tag: ml", 4, "tag", "`tag` is for apprise"),
        ("kind: smtp\n    to: [nobody]", 4, "to", "no address"),
        ("kind: slack\n    minimum: none", 4, "minimum", "low, medium, high, critical"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_with_its_line(shared, text, line, key, words):
    with pytest.raises(SpecError) as refusal:
        shared(f"alert_channels:\n  ops:\n    {text}\n")
    assert (refusal.value.line, refusal.value.key) == (line, f"alert_channels.ops.{key}")
    assert words in str(refusal.value)


def test_a_model_that_names_an_unknown_channel_is_refused_with_its_line(shared, tmp_path):
    known = shared('alert_channels: {"#ml-alerts": {kind: slack}}')
    file = tmp_path / "churn.yaml"
    file.write_bytes(MODEL)
    with pytest.raises(SpecError) as refusal:
        load_spec(file, known)
    assert (refusal.value.line, refusal.value.key) == (4, "monitoring.alert_channel")
    assert refusal.value.code == "WS-SPEC-003"
    assert "did you mean #ml-alerts?" in str(refusal.value)
    assert str(file) in str(refusal.value)


def test_without_any_channel_every_name_means_the_default_connection():
    spec = spec_from_bytes(MODEL, "churn.yaml", SharedSpec())
    assert spec.monitoring.alert_channel == "#ml-alerst"
    assert SharedSpec().alert_channel(spec.monitoring.alert_channel) is None


def test_a_spec_that_was_made_elsewhere_is_checked_too(shared):
    known = shared("alert_channels: {ops: {kind: slack}}")
    with pytest.raises(SpecError, match="known: ops"):
        known.apply(make_spec(monitoring={"alert_channel": "other"}))
    assert known.alert_channel("ops") is known.alert_channels["ops"]
    assert known.alert_channel(None) is None
