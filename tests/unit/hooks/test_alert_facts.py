"""What an alert's text says beside its sentences, and how it is kept."""

from __future__ import annotations

from datetime import UTC, datetime

from windsock.hooks.alert_channels import text_of
from windsock.records import INSTALLATION, Alert, Severity

NOW = datetime(2026, 5, 3, 2, tzinfo=UTC)
PLAIN = Alert(
    model="churn",
    key="drift",
    severity=Severity.HIGH,
    title="churn: drift",
    text="A column has drifted.",
    owner="ds@company.com",
    first_at=NOW,
    last_at=NOW,
)


def test_code_and_next_action_are_lines_of_their_own():
    found = PLAIN.replace(
        model=INSTALLATION, code="WS-WATCH-001", next_action="Run `windsock models on churn`."
    )
    lines = text_of(found).splitlines()
    assert lines[lines.index("Code: WS-WATCH-001") + 1] == "Next: Run `windsock models on churn`."


def test_without_them_the_record_is_stored_as_before():
    assert {"code", "next_action"}.isdisjoint(PLAIN.model_dump(mode="json"))
    assert "Next:" not in text_of(PLAIN)
    assert Alert.model_validate(PLAIN.model_dump(mode="json")) == PLAIN
