from __future__ import annotations

import functools
import json
import logging
import socketserver
import ssl
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from support.builders import NOON, make_spec
from support.certificates import Authority
from support.fake_monitor import FakeMonitor
from support.monitoring_records import make_column, make_drift
from windsock.exceptions import GateRefusedError
from windsock.hooks import alerts
from windsock.hooks.alerts import channel_of, deliver, failure_callback, send_alerts, tell_findings
from windsock.hooks.notifier import WindsockNotifier
from windsock.monitoring.alerts import Recipient
from windsock.records import Alert, Condition, Severity, Status
from windsock.spec import SharedSpec
from windsock.spec.shared import AlertChannel
from windsock.watchdog.loop_findings import pending_condition

SECRET = "T0/B0/s3cr3ttoken"


class Catcher(HTTPServer):
    """Answers every POST on loopback with a status, and keeps what it was told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        catcher = self
        self.told: list[tuple[str, Any]] = []
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                catcher.told.append((self.path, json.loads(body)))
                answer = json.dumps({"status": "success", "dedup_key": "x"}).encode()
                self.send_response(catcher.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Mailbox(socketserver.ThreadingTCPServer):
    """Takes mail on loopback: just enough of SMTP."""

    daemon_threads = True

    def __init__(self) -> None:
        mailbox = self
        self.mails: list[tuple[list[str], str]] = []
        self.refuses = False

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                to: list[str] = []
                self.say("220 mailbox")
                while line := self.rfile.readline().decode().strip():
                    word = line.split(" ")[0].upper()
                    if word == "RCPT":
                        to.append(line.split(":", 1)[1].strip("<>"))
                        self.say("550 no" if mailbox.refuses else "250 ok")
                    elif word == "DATA":
                        self.say("354 go on")
                        mailbox.mails.append((to, self.text()))
                        self.say("250 kept")
                    elif word == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def text(self) -> str:
                lines: list[str] = []
                while (line := self.rfile.readline().decode()) != ".\r\n":
                    lines.append(line)
                return "".join(lines)

            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

        super().__init__(("127.0.0.1", 0), Handler)


def serve(server: Any) -> Any:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def web():
    server = serve(Catcher())
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def connection(monkeypatch):
    def put(conn_id: str, **content: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(content))

    return put


def apprise_to(connection: Any, web: Catcher, conn_id: str = "windsock_alerts", tag: str = "all") -> None:
    config = {"path": f"json://127.0.0.1:{web.port}/{SECRET}", "tag": tag}
    connection(conn_id, conn_type="apprise", extra={"config": config})


def make_alert(**fields: Any) -> Alert:
    usual: dict[str, Any] = {
        "model": "churn",
        "key": "drift",
        "severity": Severity.HIGH,
        "title": "churn: drift",
        "text": "1 of 2 columns drifted. <b> & @here.",
        "owner": "ds@company.com",
        "runbook": "https://wiki/churn",
        "episode": "aaaa-2026",
        "first_at": NOON,
        "last_at": NOON,
        "pending": True,
    }
    return Alert(**{**usual, **fields})


class TestChannels:
    def test_apprise(self, connection, web):
        apprise_to(connection, web)
        assert deliver(AlertChannel(kind="apprise"), make_alert())
        assert deliver(AlertChannel(kind="apprise"), make_alert(state="resolved"))
        (_, first), (_, second) = web.told
        assert (first["title"], first["type"]) == ("[HIGH] churn: drift", "failure")
        assert (second["title"], second["type"]) == ("[RESOLVED] churn: drift", "success")
        for words in ("1 of 2 columns", "Owner: ds@company.com", "Runbook: https://wiki/churn", "aaaa-2026"):
            assert words in first["message"]

    def test_apprise_to_the_services_of_a_tag(self, connection, web):
        apprise_to(connection, web, tag="ml")
        assert deliver(AlertChannel(kind="apprise", tag="ml"), make_alert())
        assert not deliver(AlertChannel(kind="apprise", tag="other"), make_alert())
        assert len(web.told) == 1

    def test_slack(self, connection, web):
        connection("slack_ml", conn_type="slackwebhook", host=f"http://127.0.0.1:{web.port}", password=SECRET)
        assert deliver(AlertChannel(kind="slack", conn_id="slack_ml"), make_alert())
        ((path, body),) = web.told
        assert path == f"/{SECRET}"
        assert body["text"].startswith("[HIGH] churn: drift\n")
        assert body["mrkdwn"] is False
        assert "&lt;b&gt; &amp;" in body["text"]

    @pytest.mark.parametrize(
        ("to", "reached"), [((), ["ds@company.com"]), (("a@b.com", "c@d.com"), ["a@b.com", "c@d.com"])]
    )
    def test_smtp(self, connection, to, reached):
        box = serve(Mailbox())
        connection(
            "smtp_default",
            conn_type="smtp",
            host="127.0.0.1",
            port=box.server_address[1],
            extra={"from_email": "windsock@company.com", "disable_ssl": True, "disable_tls": True},
        )
        assert deliver(AlertChannel(kind="smtp", to=to), make_alert())
        ((addresses, text),) = box.mails
        assert addresses == reached
        assert "Subject: [HIGH] churn: drift" in text
        assert "&lt;b&gt;" in decoded(text)
        box.refuses = True
        assert not deliver(AlertChannel(kind="smtp", to=to), make_alert())
        box.shutdown()
        box.server_close()

    def test_smtp_without_any_address(self, connection, caplog):
        connection("smtp_default", conn_type="smtp", host="127.0.0.1", port=1)
        assert not deliver(AlertChannel(kind="smtp"), make_alert(owner="the team"))
        assert "names no address" in caplog.text

    def test_pagerduty(self, connection, tmp_path, monkeypatch):
        import pagerduty

        pair = Authority(tmp_path).issue()
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(pair.cert, pair.key)
        pager = serve(Catcher(own))
        pager.status = 202
        trusts = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        there = f"https://127.0.0.1:{pager.port}"
        client = functools.partial(pagerduty.EventsApiV2Client, base_url=there, verify=trusts)
        monkeypatch.setattr(pagerduty, "EventsApiV2Client", client)
        connection("pagerduty_events_default", conn_type="pagerduty_events", password=SECRET)
        for state in ("firing", "resolved"):
            assert deliver(AlertChannel(kind="pagerduty"), make_alert(state=state))
        (path, first), (_, second) = pager.told
        assert path == "/v2/enqueue"
        assert (first["event_action"], second["event_action"]) == ("trigger", "resolve")
        assert first["dedup_key"] == second["dedup_key"] == "windsock:churn:drift"
        assert first["routing_key"] == SECRET
        assert first["payload"]["severity"] == "error"
        assert first["payload"]["summary"] == "[HIGH] churn: drift"
        assert "Owner: ds@company.com" in first["payload"]["custom_details"]["text"]
        assert first["links"] == [{"href": "https://wiki/churn", "text": "Runbook"}]
        pager.shutdown()
        pager.server_close()


def decoded(mail: str) -> str:
    from email import message_from_string

    parts = [part.get_payload(decode=True) for part in message_from_string(mail).walk()]
    return "".join(part.decode() for part in parts if isinstance(part, bytes))


class TestFailure:
    @pytest.mark.parametrize("kind", ["apprise", "slack"])
    def test_a_channel_that_says_no_is_told_without_its_secret(self, connection, web, caplog, kind):
        apprise_to(connection, web)
        connection(
            "slack_default", conn_type="slackwebhook", host=f"http://127.0.0.1:{web.port}", password=SECRET
        )
        web.status = 500
        with caplog.at_level(logging.INFO, logger=alerts.__name__):
            assert not deliver(AlertChannel(kind=kind), make_alert())
        told = [one.getMessage() for one in caplog.records if one.name == alerts.__name__]
        assert [line.split(":")[0] for line in told] == ["WS-ALERTS-002"]
        assert web.told
        assert "s3cr3t" not in "".join(told)

    @pytest.mark.parametrize("kind", ["apprise", "slack", "smtp", "pagerduty"])
    def test_a_connection_that_is_not_there_is_told(self, caplog, kind):
        assert not deliver(AlertChannel(kind=kind, conn_id="nowhere"), make_alert())
        assert "WS-ALERTS-002" in caplog.text
        assert "nowhere" in caplog.text

    def test_a_server_that_is_away_is_told(self, connection, caplog):
        connection("slack_default", conn_type="slackwebhook", host="http://127.0.0.1:1", password=SECRET)
        assert not deliver(AlertChannel(kind="slack"), make_alert())
        assert "URLError" in caplog.text

    def test_a_provider_that_is_not_installed_is_told(self, monkeypatch, caplog):
        import sys

        monkeypatch.setitem(sys.modules, "airflow.providers.slack.hooks.slack_webhook", None)
        assert not deliver(AlertChannel(kind="slack"), make_alert())
        assert "ModuleNotFoundError" in caplog.text


class TestWhichChannel:
    def test_the_default_is_apprise_on_its_connection_where_there_is_one(self, connection, web):
        assert channel_of(SharedSpec(), None) is None
        assert channel_of(SharedSpec(), "#ml-alerts") is None
        apprise_to(connection, web)
        assert channel_of(SharedSpec(), "#ml-alerts") == AlertChannel(kind="apprise")

    @pytest.mark.parametrize("extra", [{}, {"config": []}, {"config": {"path": ""}}, {"config": "no JSON"}])
    def test_a_connection_without_a_service_is_none_yet(self, connection, caplog, extra):
        connection("windsock_alerts", conn_type="apprise", extra=extra)
        assert channel_of(SharedSpec(), None) is None
        assert not deliver(AlertChannel(kind="apprise"), make_alert())
        assert "names no service: write one into its extra, such as" in caplog.text
        assert "KeyError" not in caplog.text

    def test_one_that_is_known_by_its_name(self):
        ops = AlertChannel(kind="slack")
        assert channel_of(SharedSpec(alert_channels={"ops": ops}), "ops") == ops

    def test_one_that_is_gone_falls_back_to_the_default(self, connection, web, caplog):
        apprise_to(connection, web)
        shared = SharedSpec(alert_channels={"ops": AlertChannel(kind="slack")})
        assert channel_of(shared, "gone") == AlertChannel(kind="apprise")
        assert "WS-ALERTS-003" in caplog.text


SPEC = make_spec()


def run(monitor: FakeMonitor, *, bad: bool = True, shared: SharedSpec | None = None) -> tuple[Alert, ...]:
    column = make_column("tenure", Status.FAIL, effect=0.4)
    found = {"status": Status.FAIL, "severity": Severity.HIGH, "columns": (column,)}
    report = make_drift(**found) if bad else make_drift()
    return send_alerts(
        SPEC,
        shared or SharedSpec(),
        monitor,
        drift=report,
        performance=None,
        decision=None,
        now=NOON,
    )


class TestSendAlerts:
    def test_it_is_sent_once_and_its_end_once(self, connection, web):
        apprise_to(connection, web)
        monitor = FakeMonitor()
        assert [one.times for one in run(monitor)] == [1]
        assert run(monitor) == ()
        assert [one.state for one in run(monitor, bad=False)] == ["resolved"]
        assert run(monitor, bad=False) == ()
        assert [body["title"] for _, body in web.told] == ["[HIGH] churn: drift", "[RESOLVED] churn: drift"]
        states = [(one.state, one.pending) for one in monitor.alert_history("churn")]
        assert states == [("firing", True), ("firing", False), ("resolved", True), ("resolved", False)]

    def test_what_is_not_taken_is_kept_and_sent_by_the_next_run(self, connection, web):
        apprise_to(connection, web)
        monitor = FakeMonitor()
        web.status = 503
        assert [(one.pending, one.times) for one in run(monitor)] == [(True, 0)]
        web.status = 200
        assert [(one.pending, one.times) for one in run(monitor)] == [(False, 1)]

    def test_without_any_channel_the_log_tells_it_once_and_its_end_once(self, caplog):
        monitor = FakeMonitor()
        with caplog.at_level(logging.INFO, logger=alerts.__name__):
            assert [(one.pending, one.times) for one in run(monitor)] == [(False, 1)]
            assert run(monitor) == ()
            assert [one.state for one in run(monitor, bad=False)] == ["resolved"]
        told = [(one.levelname, one.getMessage()) for one in caplog.records if one.name == alerts.__name__]
        assert [level for level, _ in told] == ["ERROR", "INFO"]
        assert told[0][1].startswith("[HIGH] churn: drift: churn version 1, window to")

    @pytest.mark.parametrize(
        ("severity", "level"),
        [("critical", "ERROR"), ("high", "ERROR"), ("medium", "WARNING"), ("low", "INFO")],
    )
    def test_the_log_tells_code_text_and_next_at_its_level(self, caplog, severity, level):
        alert = make_alert(severity=severity, code="WS-WATCH-010", next_action="`windsock models on churn`")
        with caplog.at_level(logging.INFO, logger=alerts.__name__):
            alerts.log_alert(alert)
        (record,) = caplog.records
        assert record.levelname == level
        assert record.getMessage().startswith(f"WS-WATCH-010 [{severity.upper()}] churn: drift: 1 of 2")
        assert record.getMessage().endswith(" NEXT: `windsock models on churn`")

    def test_why_it_was_not_taken_is_kept_until_it_is(self, connection, web):
        apprise_to(connection, web)
        monitor = FakeMonitor()
        web.status = 503
        (kept,) = run(monitor)
        assert kept.refusal == "apprise, connection windsock_alerts: not all of its 1 services took it"
        assert SECRET not in kept.refusal
        web.status = 200
        assert [one.refusal for one in run(monitor)] == [""]

    def test_what_is_not_grave_enough_for_the_channel_is_only_kept(self, connection, web):
        apprise_to(connection, web)
        shared = SharedSpec(alert_channels={"ops": AlertChannel(kind="apprise", minimum="critical")})
        spec = make_spec(monitoring={"alert_channel": "ops"})
        monitor = FakeMonitor()
        report = make_drift(status=Status.FAIL, severity=Severity.HIGH)
        for _ in range(2):
            send_alerts(spec, shared, monitor, drift=report, performance=None, decision=None, now=NOON)
        assert web.told == []
        assert [(one.pending, one.times) for one in monitor.alerts("churn")] == [(False, 0)]
        assert len(monitor.alert_history("churn")) == 1


PAGER = SharedSpec(
    alert_channels={
        "pager": AlertChannel(kind="pagerduty", minimum="critical"),
        "team": AlertChannel(kind="slack"),
    }
)
DAY = timedelta(days=1)


class TestWhoIsToldTheEnd:
    """Whoever was told that something fires is told that it is over, whatever became of it meanwhile."""

    @pytest.fixture(autouse=True)
    def told(self, monkeypatch):
        self.posts: list[tuple[str, str, str]] = []
        self.away: set[str] = set()
        self.monitor = FakeMonitor()

        def take(channel, alert):
            if channel.kind in self.away:
                raise ConnectionError("away")
            self.posts.append((channel.kind, alert.state, alert.severity.value))

        for kind in ("pagerduty", "slack"):
            monkeypatch.setitem(alerts.SENDERS, kind, take)

    def look(
        self, severity: str | None, *, after: timedelta = DAY * 0, to: str | None = "pager", **fields: Any
    ):
        name = fields.pop("key", "watch:disk")
        found = Condition(name, severity is not None, Severity(severity or "medium"), "a disk", "It is full.")
        seen = [] if fields.pop("unseen", False) else [found]
        shared = fields.pop("shared", PAGER)
        return tell_findings(Recipient("churn", "ds", to), shared, self.monitor, seen, NOON + after)

    def kept(self, key: str = "watch:disk") -> Alert:
        return next(one for one in self.monitor.alerts("churn") if one.key == key)

    @pytest.mark.parametrize("sunk", ["high", "medium", "low"])
    def test_a_channel_of_critical_alerts_is_told_the_end_of_one_that_sank(self, sunk):
        self.look("critical")
        self.look(sunk)
        self.look(None)
        self.look(None)
        assert self.posts == [("pagerduty", "firing", "critical"), ("pagerduty", "resolved", sunk)]
        assert (self.kept().pending, self.kept().times, self.kept().told) == (False, 2, ())

    def test_an_alert_that_never_was_grave_enough_has_no_end_there(self):
        self.look("high")
        self.look(None)
        assert self.posts == []

    def test_one_that_sank_is_not_told_again_and_fills_no_history(self):
        self.look("critical")
        self.look("medium")
        rows = len(self.monitor.alert_history("churn"))
        for day in (1, 2, 3):
            self.look("medium", after=day * DAY)
        assert len(self.posts) == 1
        assert len(self.monitor.alert_history("churn")) == rows
        assert self.kept().last_at == NOON + 3 * DAY

    def test_a_channel_that_was_replaced_is_told_the_end_and_the_new_one_only_what_it_was_told(self):
        self.look("critical")
        self.look("critical", to="team")
        self.look(None, to="team")
        assert [one[:2] for one in self.posts] == [("pagerduty", "firing"), ("pagerduty", "resolved")]

    def test_two_that_were_told_are_both_told_the_end_and_one_that_refuses_alone_again(self):
        self.look("critical")
        self.look("critical", to="team", after=DAY)
        self.away = {"pagerduty"}
        self.look(None, to="team", after=DAY)
        assert (self.kept().pending, self.kept().told) == (True, ("pager",))
        self.away = set()
        self.look(None, to="team", after=DAY)
        ends = [one[0] for one in self.posts if one[1] == "resolved"]
        assert ends == ["slack", "pagerduty"]
        assert not self.kept().pending

    def test_what_begins_again_milder_before_its_end_was_taken_still_ends(self):
        self.look("critical")
        self.away = {"pagerduty"}
        self.look(None)
        self.look("medium")
        self.away = set()
        self.look(None)
        assert [one[:2] for one in self.posts] == [("pagerduty", "firing"), ("pagerduty", "resolved")]

    def test_what_only_the_log_told_ends_there(self):
        self.look("critical", to=None)
        self.look(None)
        assert (self.posts, self.kept().times) == ([], 2)

    def test_one_that_was_kept_before_names_were_is_told_the_end_by_its_channel(self):
        self.monitor.put_alert(
            make_alert(key="watch:disk", severity="medium", channel="pager", times=1, pending=False)
        )
        self.look(None)
        assert self.posts == [("pagerduty", "resolved", "medium")]

    def test_each_alert_goes_to_its_own_channel(self):
        self.look("critical", key="watch:a")
        self.away = {"pagerduty"}
        self.look(None, key="watch:a")
        self.away = set()
        self.look("high", key="watch:b", to="team")
        assert self.posts[1:] == [("slack", "firing", "high"), ("pagerduty", "resolved", "critical")]

    def test_what_was_not_taken_goes_to_the_channel_that_the_file_names_now(self):
        self.away = {"pagerduty"}
        self.look("critical")
        self.look(None, to="team", unseen=True)
        assert self.posts == [("slack", "firing", "critical")]
        assert (self.kept().channel, self.kept().told) == ("team", ("team",))

    def test_a_repeat_that_is_refused_once_is_due_since_then(self):
        self.look("critical")
        self.away = {"pagerduty"}
        self.look("critical", after=DAY)
        assert not pending_condition("churn", [self.kept()], NOON + DAY + timedelta(minutes=4)).active
        self.look("critical", after=DAY + timedelta(minutes=2))
        late = pending_condition("churn", [self.kept()], NOON + DAY + timedelta(minutes=5))
        assert "the oldest for 5 min, limit: 4 min" in late.text
        self.away = set()
        self.look("critical", after=DAY + timedelta(minutes=6))
        assert (self.kept().due_at, self.kept().times) == (None, 2)

    @pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(days=365)])
    def test_a_time_of_sending_in_the_future_is_not_believed(self, ahead):
        self.look("critical")
        self.monitor.put_alert(self.kept().replace(sent_at=NOON + ahead))
        self.look("critical")
        self.look("critical")
        assert len(self.posts) == 2
        assert self.kept().sent_at == NOON


class TestTaskFailure:
    def context(self, error: BaseException | None) -> dict[str, Any]:
        task = SimpleNamespace(
            dag_id="churn__monitor",
            task_id="check_drift",
            run_id="scheduled__1",
            try_number=3,
            log_url="http://127.0.0.1/log",
        )
        return {"ti": task, "exception": error}

    def test_the_owner_is_told_what_windsock_says(self, connection, web):
        apprise_to(connection, web)
        tell = failure_callback("ds@company.com", None, runbook="https://wiki/churn")
        tell(self.context(GateRefusedError("auc 0.7 against >= 0.8")))
        ((_, body),) = web.told
        assert body["title"] == "[HIGH] churn__monitor.check_drift has failed"
        for words in ("auc 0.7", "Next:", "try 3", "http://127.0.0.1/log", "ds@company.com", "wiki/churn"):
            assert words in body["message"]

    def test_of_a_foreign_error_only_its_kind(self, connection, web):
        apprise_to(connection, web)
        failure_callback("ds", None)(self.context(ValueError("row 7: secret@company.com")))
        failure_callback("ds", None)(self.context(None))
        assert "ValueError" in web.told[0][1]["message"]
        assert "row 7" not in web.told[0][1]["message"]
        assert len(web.told) == 2

    def test_nothing_is_ever_raised(self, connection, caplog):
        failure_callback("ds", None)(self.context(ValueError()))
        failure_callback("ds", AlertChannel(kind="slack"))(self.context(ValueError()))
        failure_callback("ds", AlertChannel(kind="slack"))({})
        assert caplog.text.count("WS-ALERTS-002") == 2


class TestNotifier:
    """For the callbacks of any DAG."""

    def notifier(self, **fields: Any) -> WindsockNotifier:
        return WindsockNotifier(model="churn", title="{{ task }} is late", text="Look at it.", **fields)

    def context(self) -> Any:
        return {"ti": SimpleNamespace(dag_id="mine", task_id="score"), "task": "score"}

    def test_its_words_are_rendered_and_sent(self, connection, web):
        apprise_to(connection, web)
        self.notifier(severity="low", owner="ds@company.com")(self.context())
        ((_, body),) = web.told
        assert body["title"] == "[LOW] score is late"
        assert "Owner: ds@company.com" in body["message"]

    def test_without_a_channel_it_says_so_and_fails_nothing(self, caplog):
        self.notifier().notify(self.context())
        assert "[HIGH] " in caplog.text
