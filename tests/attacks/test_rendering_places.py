"""Every kind of text in every place that shows texts of people or of data, whatever they came from."""

from __future__ import annotations

import json
import logging
from email import message_from_string
from types import SimpleNamespace
from typing import Any

import pytest

from support.builders import NOON, make_check, make_decision
from support.payloads import IMAGE, KINDS, PLANTED, SCRIPT
from support.rollouts import ab_spec, make_estimate, make_look, make_rollout
from support.structure import of_html
from windsock.adapters.pages import sections, table, whole_page
from windsock.adapters.rollout_page import RolloutPage
from windsock.cli.console import say
from windsock.cli.console import table as cli_table
from windsock.exceptions import SpecError, WindsockError
from windsock.hooks import alert_channels, alerts
from windsock.monitoring.alerts import Condition, decide_alerts
from windsock.operators.tables import log_checks, log_table
from windsock.records import Alert, RolloutPlan, Severity
from windsock.spec import ModelSpec, RolloutMetricBlock, parse_duration
from windsock.spec.shared import AlertChannel, is_address
from windsock.steps import StepResult, verdict_of, verdict_of_error
from windsock.texts import inline, one_line, paragraph, several_lines

EVERY = pytest.mark.parametrize("kind", KINDS)
OBEYED = ("\x1b", "\x9b", "\x07", "\x00", "\r", "\n", "\u2028", "\u2029", "\x85", "\u202e", "\u2066")


def assert_one_plain_line(line: str) -> None:
    """See that a line is one, and that neither a terminal nor Airflow's log page obeys it."""
    assert not [one for one in OBEYED if one in line], ascii(line)
    assert len(line.splitlines()) <= 1
    assert "::group::" not in line.removeprefix("::group::")
    assert "::endgroup::" not in line.removeprefix("::endgroup::") or line == "::endgroup::"


# --- logs


@EVERY
def test_a_log_line_is_one_line(kind, caplog):
    caplog.set_level(logging.INFO)
    log = logging.getLogger("windsock.anything")
    log.info("finding: %s", KINDS[kind])
    log.warning("%s: %s", KINDS[kind], ValueError(KINDS[kind]))
    for record in caplog.records:
        assert_one_plain_line(record.getMessage())


def test_numbers_and_named_arguments_of_a_log_line_are_left_alone(caplog):
    caplog.set_level(logging.INFO)
    logging.getLogger("windsock.anything").info("%d of %.1f, %r", 3, 2.5, ["a\nb"])
    logging.getLogger("windsock.anything").info("%(a)s", {"a": "b"})
    assert [record.getMessage() for record in caplog.records] == ["3 of 2.5, ['a\\nb']", "b"]


def test_log_lines_of_others_are_left_alone(caplog):
    caplog.set_level(logging.INFO)
    logging.getLogger("windsocks").info("%s", "a\nb")
    assert caplog.records[-1].getMessage() == "a\nb"


def test_a_record_may_be_made_of_another_one():
    record = logging.makeLogRecord({"name": "windsock.x", "msg": "%s", "args": ("a",)})
    assert record.getMessage() == "a"


@EVERY
def test_tables_of_a_log_have_one_line_for_each_row(kind, caplog):
    caplog.set_level(logging.INFO)
    text = KINDS[kind]
    log_checks(text, [make_check(text, message=text), make_check(text, value=1.0)])
    log_checks(text, [make_check(text)] * 6)
    log_table(text, ("name", "what"), [(text, text)])
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2 + 4 + 3
    for line in lines:
        assert_one_plain_line(line)


@EVERY
def test_a_verdict_has_four_lines(kind):
    decision = make_decision(reason=KINDS[kind], checks=(make_check(KINDS[kind]),))
    verdict = verdict_of(StepResult(step="gate_model", record=decision, key="", unchanged=False))
    wrong = WindsockError(KINDS[kind], next_action=KINDS[kind])
    for one in (verdict, verdict_of_error(wrong, {"model": KINDS[kind]})):
        lines = one.lines()
        assert [line.split(":")[0] for line in lines] == ["VERDICT", "WHY", "NEXT", "IDS"]
        for line in lines:
            assert_one_plain_line(line)


@EVERY
def test_no_line_of_an_error_looks_like_another_one(kind):
    wrong = SpecError(KINDS[kind], file=KINDS[kind], key=KINDS[kind], next_action=KINDS[kind])
    again = WindsockError(f"{wrong.message}", next_action=wrong.next_action)
    assert again.message == wrong.message, "cleaning twice changes nothing"
    for text in (wrong.message, wrong.next_action, str(wrong)):
        assert all(line.startswith(" ") for line in text.split("\n")[1:])
        for line in text.split("\n"):
            assert not [one for one in OBEYED if one in line], ascii(line)


# --- terminal


@EVERY
def test_a_terminal_obeys_nothing(kind, capsys):
    say(f"owner: {KINDS[kind]}")
    for line in cli_table(("model", "owner"), [("offers", KINDS[kind])]):
        say(line)
    written = capsys.readouterr().out
    assert written.count("\n  offers") == 1
    assert not [one for one in OBEYED if one != "\n" and one in written], ascii(written)
    lines = written.split("\n")
    assert lines[0].startswith("owner: ")
    assert all(line.startswith("  ") for line in lines[1:-1])


# --- HTML


@EVERY
def test_windsock_s_own_pages_have_the_same_elements(kind):
    def page(text: str) -> str:
        body = sections([("Checks", table((text, "b"), [(text, "pass"), ("a", text)]))])
        return whole_page(text, body, style="", head="")

    assert of_html(page(KINDS[kind])) == of_html(page("plain"))


def spec_with(metric: str) -> ModelSpec:
    return ab_spec(metric=metric, metrics={metric: {"kind": "conversion", "outcome": metric}})


@EVERY
def test_a_rollout_s_page_has_the_same_elements(kind):
    def page(text: str) -> str:
        plan = RolloutPlan.of_spec(spec_with(text))
        rollout = make_rollout(plan=plan, paused_by=text)
        check = make_check(text, code="WS-ROLLOUT-020", message=text, value=1.0)
        look = make_look(reason=text, estimate=make_estimate(-0.1, 0.2, metric=text), checks=(check,))
        return RolloutPage().html(rollout, [look]).decode()

    assert of_html(page(KINDS[kind])) == of_html(page("plain"))


@pytest.mark.slow
@EVERY
def test_a_chart_takes_no_formula(kind):
    from matplotlib import cbook

    from windsock.adapters.charts import MatplotlibCharts, _short

    assert not cbook.is_math_text(_short(KINDS[kind]))
    assert MatplotlibCharts().importances([KINDS[kind]], [0.1], [0.01]).startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.browser
def test_evidently_s_report_runs_nothing(tmp_path):
    import pandas as pd

    from support.browser import CHROMIUM, FAULTS, OPTIONS
    from windsock.adapters.drift_report import EvidentlyReporter
    from windsock.records import Answer, InputField, InputSchema

    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    texts = list(KINDS.values())
    number, kinds = f"n </script>{SCRIPT}{IMAGE}", f"k </script>{SCRIPT}{IMAGE}"
    alike = kinds.replace("<", "\u2039").replace(">", "\u203a")
    names = ((number, "number"), (kinds, "category"), (alike, "category"), (f"gone {IMAGE}", "category"))
    schema = InputSchema(
        model="offers",
        answer=Answer.NUMBER,
        fields=tuple(InputField(name=name, kind=kind) for name, kind in names),
    )

    def rows(shift: int) -> pd.DataFrame:
        words = [texts[(place + shift) % len(texts)] for place in range(300)]
        numbers = [float(place % 9 + shift) for place in range(300)]
        return pd.DataFrame({number: numbers, kinds: words, alike: words, f"gone {IMAGE}": [None] * 300})

    file = tmp_path / "report.html"
    file.write_bytes(EvidentlyReporter().html(rows(0), rows(3), schema))
    assert set(EvidentlyReporter().drifted(rows(0), rows(3), schema)) == {number, kinds, alike}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page, wrong = browser.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(file.as_uri())
        page.get_by_text("Share of Drifted Columns").wait_for(timeout=30_000)
        assert page.evaluate(FAULTS) == []
        assert wrong == []
        shown = page.locator("body").inner_text()
        browser.close()
    assert f"window.{PLANTED}" in shown, "the names are shown, as words"
    assert "(2)" in shown, "two names that look the same are told apart"


# --- alerts


def alert_with(text: str, **fields: Any) -> Alert:
    usual = {"model": "offers", "key": f"performance:{text}", "severity": Severity.HIGH, "title": text}
    usual |= {"text": text, "owner": text, "runbook": text, "channel": text, "episode": text}
    return Alert(**{**usual, "first_at": NOON, "last_at": NOON, "pending": True, **fields})


@EVERY
def test_no_fact_of_an_alert_is_forged(kind):
    title, text = (
        alert_channels.title_of(alert_with(KINDS[kind])),
        alert_channels.text_of(alert_with(KINDS[kind])),
    )
    assert_one_plain_line(title.replace("::", ":"))
    lines = text.split("\n")
    facts = [line.split(":")[0] for line in lines if line[:1] not in ("", " ")][1:]
    assert facts == ["Owner", "Alert", "Episode", "Channel", "Runbook"]
    for line in lines:
        assert not [one for one in OBEYED if one in line], ascii(line)


@EVERY
def test_an_alert_s_text_is_one_line_from_the_beginning(kind):
    condition = Condition("drift", True, Severity.HIGH, title=KINDS[kind], text=f"x {KINDS[kind]}")
    spec = spec_with("plain")
    (alert,) = decide_alerts([condition], [], NOON, parse_duration("1d"), spec=spec).send
    assert_one_plain_line(alert.title.replace("::", ":"))
    assert_one_plain_line(alert.text.replace("::", ":"))


@EVERY
def test_slack_is_told_plain_text(kind, monkeypatch):
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(SlackWebhookHook, "__init__", lambda self, **_: None)
    monkeypatch.setattr(SlackWebhookHook, "send_dict", lambda self, body: told.append(body))
    assert alerts.deliver(AlertChannel(kind="slack"), alert_with(KINDS[kind]))
    (body,) = told
    assert body["mrkdwn"] is False
    assert "<" not in body["text"]
    assert ">" not in body["text"]


@EVERY
def test_a_mail_goes_to_one_address_and_has_one_subject(kind, monkeypatch):
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    mails: list[tuple[list[str], str]] = []

    def send(self: Any, *, to: list[str], subject: str, html_content: str) -> None:
        built, reached = self._build_mime_message(
            mail_from="a@b.com", to=to, subject=subject, html_content=html_content
        )
        mails.append((reached, built.as_string()))

    monkeypatch.setattr(SmtpHook, "__enter__", lambda self: self)
    monkeypatch.setattr(SmtpHook, "__exit__", lambda self, *_: None)
    monkeypatch.setattr(SmtpHook, "send_email_smtp", send)
    channel = AlertChannel(kind="smtp", to=("ds@company.com",))
    assert alerts.deliver(channel, alert_with(KINDS[kind], owner="a@b.com\r\nBcc: eve@evil.example"))
    ((reached, mail),) = mails
    assert reached == ["ds@company.com"]
    read = message_from_string(mail)
    assert read["Bcc"] is None
    assert len(read.get_all("Subject") or ()) == 1
    html = read.get_payload()[0].get_payload(decode=True).decode()
    assert of_html(html) == ["pre ", "/pre"]


@pytest.mark.parametrize(
    "address",
    ["a@b.com\r\nBcc: eve@evil.example", "a@b.com,eve@evil.example", "a@b.com;c@d.com", "@", "a@b@c", "a b@c",
     "a@b.com\n", "<a@b.com>, c@d.com", "A\u202e <a@b.com>", KINDS["mail"]],
)  # fmt: skip
def test_what_is_not_one_address_is_none(address):
    assert not is_address(address)
    with pytest.raises(ValueError, match="no address"):
        AlertChannel(kind="smtp", to=(address,))


@pytest.mark.parametrize("address", ["ds@company.com", "Team DS <ds+ml@company.com>", "ü@bücher.example"])
def test_usual_addresses_are_taken(address):
    assert AlertChannel(kind="smtp", to=(address,)).to == (address,)


def test_a_failed_task_s_alert_is_two_lines(monkeypatch):
    error = WindsockError("a\nLog: http://evil.example\n\x1b[31mb")
    task = SimpleNamespace(dag_id="m__x", task_id="t", run_id="r", try_number=1, log_url="http://airflow/log")
    alert = alerts._task_alert({"ti": task, "exception": error}, "owner", "")
    assert len(alert.text.split("\n")) == 2
    assert alert.text.split("\n")[1] == "Log: http://airflow/log"


# --- SQL, metrics


@EVERY
def test_a_positive_outcome_is_a_value_of_a_query(kind, tmp_path):
    from windsock.adapters.rollout_events.asked import positive
    from windsock.adapters.rollout_events.engine import open_engine

    block = RolloutMetricBlock(kind="conversion", outcome=KINDS[kind])
    with open_engine(tmp_path) as connection:
        condition = positive(block, connection)
        connection.execute("CREATE TABLE ledger (word VARCHAR, number DOUBLE)")
        connection.execute(
            "INSERT INTO ledger VALUES (word_of(text_of($said)), NULL), ('other', NULL)",
            {"said": json.dumps(KINDS[kind])},
        )
        query = f"SELECT count(*) FILTER ({condition}) FROM ledger"  # noqa: S608 - what is tried here
        counted = connection.execute(query).fetchone()
    assert counted == (1,)


@EVERY
def test_a_label_of_a_metric_is_one_label(kind):
    from prometheus_client import CollectorRegistry, Gauge, generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    registry = CollectorRegistry()
    Gauge("data_drift_score", "x", ("model", "feature"), registry=registry).labels("m", KINDS[kind]).set(1)
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    assert [sample.labels for sample in family.samples] == [{"model": "m", "feature": KINDS[kind]}]


# --- the words themselves


@EVERY
def test_cleaning_twice_changes_nothing(kind):
    for clean in (one_line, several_lines):
        assert clean(clean(KINDS[kind])) == clean(KINDS[kind])
    assert len(inline(KINDS[kind]).splitlines()) == 1
    assert len(paragraph(KINDS[kind]).splitlines()) == 1
