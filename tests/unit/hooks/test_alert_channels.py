from __future__ import annotations

import json
import smtplib
from types import SimpleNamespace
from urllib.error import URLError

import pytest

from windsock.hooks import alert_test
from windsock.hooks.alert_channels import default_channel, reason_of
from windsock.spec.shared import AlertChannel

SECRET = "T0/B0/s3cr3t"


@pytest.fixture
def connection(monkeypatch):
    def put(**content):
        monkeypatch.setenv("AIRFLOW_CONN_WINDSOCK_ALERTS", json.dumps(content))

    return put


@pytest.mark.parametrize(
    ("content", "channel"),
    [
        ({"conn_type": "generic"}, None),
        ({"conn_type": "apprise", "extra": {}}, None),
        ({"conn_type": "generic", "extra": {"config": {"path": "json://x"}}}, AlertChannel(kind="apprise")),
        ({"conn_type": "apprise", "extra": {"config": {"path": "json://x"}}}, AlertChannel(kind="apprise")),
        (
            {"conn_type": "slackwebhook", "password": SECRET},
            AlertChannel(kind="slack", conn_id="windsock_alerts"),
        ),
        (
            {"conn_type": "smtp", "host": "mail", "extra": {"to": "a@b.com, no address"}},
            AlertChannel(kind="smtp", conn_id="windsock_alerts", to=("a@b.com",)),
        ),
        (
            {"conn_type": "pagerduty_events", "password": SECRET},
            AlertChannel(kind="pagerduty", conn_id="windsock_alerts"),
        ),
    ],
)
def test_one_connection_is_enough_by_its_type(connection, content, channel):
    connection(**content)
    assert default_channel() == channel


class AirflowNotFoundException(Exception):  # noqa: N818
    """As Airflow names it."""


def with_status(status):
    error = RuntimeError(SECRET)
    error.response = SimpleNamespace(status_code=status)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("slack"), "its provider is not installed (ModuleNotFoundError): pip install"),
        (AirflowNotFoundException(), "there is no such connection"),
        (KeyError("config"), "the connection lacks what its provider reads"),
        (URLError("refused"), "its host cannot be reached"),
        (TimeoutError(), "the service did not answer in time"),
        (with_status(404), "the service answered 404, there is nothing at the address"),
        (RuntimeError(f"Response body: {SECRET}, Status Code: 403"), "the service answered 403, it does not"),
        (smtplib.SMTPAuthenticationError(535, b"no"), "the mail server refuses the login"),
        (smtplib.SMTPRecipientsRefused({}), "the mail server refuses every address"),
        (smtplib.SMTPDataError(552, b"full"), "the mail server answered 552"),
        (RuntimeError(SECRET), "its provider failed (RuntimeError)"),
    ],
)
def test_why_in_plain_words_and_never_a_secret(error, said):
    assert reason_of(error).startswith(said)
    assert SECRET not in reason_of(error)


class TestTestAlert:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch):
        import logging

        models = tmp_path / "include" / "models"
        models.mkdir(parents=True)
        (tmp_path / "include" / "windsock.yaml").write_text(
            "alert_channels:\n  ops: {kind: slack}\n  pager: {kind: pagerduty, minimum: critical}\n"
        )
        monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
        yield
        logging.disable(logging.NOTSET)

    def tried(self, capsys, *names):
        assert alert_test.main(names) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    def test_each_channel_is_tried_and_the_default_last(self, capsys):
        ops, pager, default = self.tried(capsys)
        assert [one["taken"] for one in (ops, pager, default)] == [False, False, True]
        assert ops["why"].startswith("slack, connection slack_default: there is no such connection")
        assert (default["kind"], default["channel"]) == ("log", "(default)")

    def test_one_by_its_name(self, capsys):
        assert [one["channel"] for one in self.tried(capsys, "pager")] == ["pager"]
